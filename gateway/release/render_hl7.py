"""A released claim as the bytes of an HL7 v2 message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo

from gateway.config.model import Mllp
from gateway.config.sending import AcknowledgementMode
from gateway.mappings.hl7v2.claim_dft import Parties, claim_dft
from gateway.release.model import Claim, Delivery

ASKED_FOR: dict[AcknowledgementMode, tuple[str | None, str | None]] = {
    AcknowledgementMode.ORIGINAL: (None, None),
    AcknowledgementMode.ENHANCED: ("AL", "AL"),
    AcknowledgementMode.COMMIT: ("AL", "NE"),
}
"""MSH-15 and MSH-16 (table 0155); neither in original mode."""


@dataclass(frozen=True, slots=True)
class Hl7Renderer:
    """Writes the claims of one mllp destination. `facility` stands in MSH-4 where the destination names none."""

    destination: Mllp
    facility: str
    zone: tzinfo = UTC

    def render(self, claim: Claim, delivery: Delivery) -> bytes:
        """The message. Its control id is the delivery's key, its time the claim's release: the same two, the same
        bytes. Raises Unwritable when the form cannot carry the claim.
        """
        settings = self.destination
        commit, application = ASKED_FOR[settings.acknowledgement]
        parties = Parties(
            sending_application=settings.sending_application,
            sending_facility=settings.sending_facility or self.facility,
            receiving_application=settings.receiving_application,
            receiving_facility=settings.receiving_facility,
            usage=settings.usage,
            commit=commit,
            application=application,
        )
        return claim_dft(claim, delivery.key, parties, self.zone)
