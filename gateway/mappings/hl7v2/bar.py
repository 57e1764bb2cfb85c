"""BAR^P01 and P05: billing accounts (chapter 6, 6.4.1 and 6.4.5). This is how encoders return final codes."""

from __future__ import annotations

from gateway.encounter.change import Change
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.registration import register


def account(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """The codes of the account, and whether they are final."""
    registered = register(reading, source, "BAR")
    coded = CodedParts(reading, source, message_id, "BAR")
    coded.settle()
    return registered.change(message_id, reading, coded)
