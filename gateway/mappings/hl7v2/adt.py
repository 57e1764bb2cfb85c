"""ADT^A01, A03, A04 and A08: admission, discharge, registration, update (chapter 3, 3.3.1, 3.3.3, 3.3.4 and 3.3.8)."""

from __future__ import annotations

from gateway.encounter.change import Change
from gateway.encounter.model import Visit, VisitStatus
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.registration import register

STATUSES: dict[str, VisitStatus] = {
    "A01": VisitStatus.ACTIVE,
    "A03": VisitStatus.DISCHARGED,
    "A04": VisitStatus.ACTIVE,
}
"""What the event makes of the visit; an update leaves it as it is."""


def visit(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """Patient, visit, payers and the diagnoses known so far."""
    registered = register(reading, source, "ADT")
    status = STATUSES.get(trigger)
    if status is not None:
        registered.visit = _with_status(registered.visit, status)
    coded = CodedParts(reading, source, message_id, "ADT")
    coded.settle()
    return registered.change(message_id, reading, coded)


def _with_status(visit: Visit | None, status: VisitStatus) -> Visit:
    return Visit(status=status) if visit is None else visit.model_copy(update={"status": status})
