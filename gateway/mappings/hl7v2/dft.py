"""DFT^P03 and P11: detail financial transactions (chapter 6, 6.4.3 and 6.4.8): charges with what stands beside them."""

from __future__ import annotations

from gateway.encounter.change import Change, Items
from gateway.mappings.hl7v2.charges import ChargeList
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.registration import register


def post(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """The charges of the message, added to those that stand; diagnoses are working ones unless said to be final."""
    registered = register(reading, source, "DFT")
    coded = CodedParts(reading, source, message_id, "DFT")
    charges = ChargeList(reading, source, message_id, coded)
    coded.settle()
    posted = charges.items()
    return registered.change(
        message_id, reading, coded, charges=Items(posted) if posted else None, places=charges.places
    )
