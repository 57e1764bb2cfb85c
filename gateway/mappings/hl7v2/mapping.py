"""From a message to what it says. A new family is one file, and its events a line here."""

from __future__ import annotations

from collections.abc import Callable

from gateway.mappings.hl7v2 import adt, bar, dft, mdm, merges, oru
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapped import FeedProfile, Mapped, MappingError, Unused
from gateway.mappings.hl7v2.reading import Reading

__all__ = ["MAPPED", "FeedProfile", "Mapped", "MappingError", "Unused", "map_message"]

Family = Callable[[Reading, FeedProfile, int, str], Mapped]

MAPPED: dict[str, Family] = {
    **{f"ADT^{event}": adt.visit for event in adt.EVENTS},
    **{f"ADT^{event}": adt.person for event in adt.PERSONS},
    f"ADT^{adt.DELETED}": adt.deleted,
    **{f"ADT^{event}": merges.merge for event in merges.EVENTS},
    **{f"DFT^{event}": dft.post for event in dft.EVENTS},
    **{f"BAR^{event}": bar.account for event in bar.CODED},
    **{f"BAR^{event}": bar.end for event in bar.ENDED},
    **{f"MDM^{event}": mdm.document for event in mdm.EVENTS},
    "ORU^R01": oru.results,
}
"""What is used: MSH-9 message code and trigger event."""


def map_message(message: Er7Message, source: FeedProfile, message_id: int) -> Mapped:
    """What `message` says about an encounter, or which numbers it merges; Unused when nothing here uses its type, or
    it says nothing of any encounter.

    MappingError when it cannot be processed: it has no type, no number that an encounter goes by or several, no
    document, a merge that cannot be one, or is a batch.
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
    reading.problems.extend(message.problems)
    return family(reading, source, message_id, trigger)


def _type(message: Er7Message) -> tuple[str, str]:
    """MSH-9; the event from EVN-1 where an old sender leaves it out."""
    code = message.get("MSH-9.1") or ""
    return code.upper(), (message.get("MSH-9.2") or message.get("EVN-1") or "").upper()


def _reason(code: str, trigger: str) -> str:
    known = code.isalnum() and trigger.isalnum() and len(code) == 3 and len(trigger) == 3
    return f"{code}^{trigger} is not used" if known else "the message type in MSH-9 is not used"
