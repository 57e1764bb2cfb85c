"""The whole facade: its routes, and the CapabilityStatement that tells of them."""

from __future__ import annotations

from datetime import datetime

from gateway import __version__
from gateway.adapters.fhir.kept.bundles import Bundles
from gateway.adapters.fhir.kept.history import KeptHistory
from gateway.adapters.fhir.kept.reading import KeptReading
from gateway.adapters.fhir.kept.submission import Submission
from gateway.adapters.fhir.kept.submit import ClaimSubmit
from gateway.adapters.fhir.negotiation import negotiated
from gateway.adapters.fhir.outcomes import FHIR, outcome, resource
from gateway.adapters.fhir.ports import Congestion, Intake, Queries, Resources
from gateway.adapters.fhir.tasks.tasks import Tasks
from gateway.adapters.http.exchange import Answer, Call
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.clock import Clock
from gateway.mappings.fhir.capability import capability_statement


class Facade:
    """What stands below /fhir."""

    def __init__(
        self, intake: Intake, congestion: Congestion, resources: Resources, queries: Queries, clock: Clock
    ) -> None:
        submission = Submission(intake, congestion, resources, clock)
        reading = KeptReading(resources)
        bundles = Bundles(submission, reading, intake, resources)
        submit = ClaimSubmit(submission, bundles, resources, clock)
        self._parts = (submission, submit, reading, KeptHistory(resources), bundles, Tasks(queries))
        self._since: datetime = clock.now()

    def routes(self) -> tuple[Route, ...]:
        metadata = Route(
            "GET",
            "/fhir/metadata",
            PUBLIC,
            self.metadata,
            "What is offered here (CapabilityStatement)",
            produces=FHIR,
            faults=outcome,
        )
        return tuple(negotiated(route) for route in (metadata, *(r for part in self._parts for r in part.routes())))

    async def metadata(self, call: Call) -> Answer:
        """Public, as R4 asks: it holds no data."""
        token_url = f"{call.base}/oauth/token"
        return resource(capability_statement(f"{call.base}/fhir", __version__, self._since, token_url=token_url))
