"""DFT^P03 and P11: detail financial transactions (chapter 6, 6.4.3 and 6.4.8): charges with what stands beside them.

P11 has orders and results between the charges; they say nothing that is billed.
"""

from __future__ import annotations

from gateway.encounter.change import Change
from gateway.mappings.hl7v2.charges import ChargeList
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.registration import register

FAMILY = "DFT"
EVENTS = ("P03", "P11")


def post(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """The charges of the message, added to those that stand or, where the feed sends all of them each time, in their
    place; diagnoses are working ones unless said to be final.
    """
    registered = register(reading, source, FAMILY)
    coded = CodedParts(reading, source, message_id, FAMILY)
    charges = ChargeList(reading, source, message_id, coded)
    coded.settle()
    return registered.change(
        message_id, reading, coded, event=trigger, charges=charges.charges(), places=charges.places
    )
