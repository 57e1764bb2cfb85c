"""From a message to a Change. A new family is one file, and its events a line each here."""

from __future__ import annotations

from collections.abc import Callable

from gateway.encounter.change import Change
from gateway.mappings.hl7v2 import adt, bar, dft, mdm
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapped import FeedProfile, Mapped, MappingError, Unused
from gateway.mappings.hl7v2.reading import Reading

__all__ = ["MAPPED", "FeedProfile", "Mapped", "MappingError", "Unused", "map_message"]

Family = Callable[[Reading, FeedProfile, int, str], Change]

MAPPED: dict[str, Family] = {
    "ADT^A01": adt.visit,
    "ADT^A03": adt.visit,
    "ADT^A04": adt.visit,
    "ADT^A08": adt.visit,
    "DFT^P03": dft.post,
    "DFT^P11": dft.post,
    "BAR^P01": bar.account,
    "BAR^P05": bar.account,
    "MDM^T02": mdm.document,
    "MDM^T04": mdm.document,
    "MDM^T06": mdm.document,
    "MDM^T08": mdm.document,
    "MDM^T10": mdm.document,
}
"""What is used: MSH-9 message code and trigger event."""


def map_message(message: Er7Message, source: FeedProfile, message_id: int) -> Mapped:
    """What `message` says about an encounter; Unused when nothing here uses its type.

    MappingError when it cannot be processed: it has no type, no number that an encounter goes by or several, no
    document, or is a batch.
    """
    code, trigger = _type(message)
    if not code:
        raise MappingError("no-type", "MSH-9", "the message does not say its type: have the sender say it in MSH-9")
    family = MAPPED.get(f"{code}^{trigger}")
    if family is None:
        return Unused(_reason(code, trigger))
    if len(message.positions("MSH")) > 1:
        raise MappingError("batch", "MSH[2]", "several messages came as one; send each in a frame of its own")
    reading = Reading(message, source.zone, source.authority)
    if message.unreadable:
        text = f"{message.unreadable} characters cannot be read as {message.encoding}; they stand as U+FFFD"
        reading.problem("charset", "MSH-18", text)
    return family(reading, source, message_id, trigger)


def _type(message: Er7Message) -> tuple[str, str]:
    """MSH-9; the event from EVN-1 where an old sender leaves it out."""
    code = message.get("MSH-9.1") or ""
    return code.upper(), (message.get("MSH-9.2") or message.get("EVN-1") or "").upper()


def _reason(code: str, trigger: str) -> str:
    known = code.isalnum() and trigger.isalnum() and len(code) == 3 and len(trigger) == 3
    return f"{code}^{trigger} is not used" if known else "the message type in MSH-9 is not used"
