"""BAR: billing accounts (chapter 6, 6.4.1, 6.4.2, 6.4.5 to 6.4.7, 6.4.10). This is how encoders return final codes."""

from __future__ import annotations

from gateway.encounter.change import Change
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.registration import register

FAMILY = "BAR"
CODED = ("P01", "P05", "P10", "P12")
"""An account is added or updated, an outpatient's APC is transmitted, diagnoses and procedures are updated."""
_UPDATES = frozenset({"P12"})
"""Events that by definition say only what is different, each code with its action."""
ENDED = ("P02", "P06")
_PURGED = "P02"


def account(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """The codes of the account, and whether they are final."""
    registered = register(reading, source, FAMILY)
    coded = CodedParts(reading, source, message_id, FAMILY, updates=trigger in _UPDATES)
    coded.settle()
    return registered.change(message_id, reading, coded, event=trigger)


def end(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """The account is purged or closed at the sender. Either asks other systems to correct or close their records, not
    to forget what was given: the charges stay. A purged account is not billed before somebody has looked.
    """
    registered = register(reading, source, FAMILY)
    registered.keep_numbers()
    if trigger == _PURGED:
        text = "the sender purged the account; decide whether what was charged to it is billed"
        reading.problem("account-purged", "EVN-1", text)
    return registered.change(message_id, reading, event=trigger)
