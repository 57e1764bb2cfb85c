"""A released claim as the bytes of a FHIR R4 Claim."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.model import Billing
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.released_claim import claim_resource
from gateway.mappings.fhir.resource import write
from gateway.mappings.x12.problem import FormProblem, Unwritable
from gateway.release.model import Claim, Delivery


@dataclass(frozen=True, slots=True)
class FhirRenderer:
    """Writes the claims of one fhir-claim destination."""

    billing: Billing

    def render(self, claim: Claim, delivery: Delivery) -> bytes:
        """The resource. The same claim, the same bytes. Raises Unwritable when R4 requires what it does not have."""
        try:
            return write(claim_resource(claim, self.billing))
        except MappingError as error:
            problem = FormProblem(error.code, error.where, error.text, "Complete the encounter", "FHIR R4 Claim")
            raise Unwritable((problem,)) from error
