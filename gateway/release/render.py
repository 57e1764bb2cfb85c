"""A released claim as the bytes of an 837P interchange."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo

from gateway.config.model import Billing, X12File
from gateway.mappings.x12.claim_837p import Submission, write_837p
from gateway.mappings.x12.envelope import Envelope, control_number
from gateway.release.model import Claim, Delivery


@dataclass(frozen=True, slots=True)
class X12Renderer:
    """Writes the claims of one x12-file destination. `zone` is the facility's calendar."""

    destination: X12File
    billing: Billing
    zone: tzinfo = UTC

    def render(self, claim: Claim, delivery: Delivery) -> bytes:
        """The interchange. Everything in it comes from the claim and the delivery: the same two, the same bytes.

        Raises Unwritable when the form cannot carry the claim.
        """
        settings = self.destination
        control = control_number(delivery.id)
        envelope = Envelope(
            settings.sender_id, settings.receiver_id, settings.usage, control, claim.released, self.zone
        )
        submission = Submission(claim.billed, claim.number, claim.frequency, claim.replaces)
        return write_837p(submission, self.billing, envelope)
