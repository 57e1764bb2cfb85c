"""Which destination takes a claim: the first whose kinds and payers match. Nothing is sent to a second best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gateway.config.model import Billing, Destination, DestinationKind
from gateway.encounter.billable import Billable
from gateway.encounter.model import ClaimKind
from gateway.mappings.fhir.released_claim import claim_issues
from gateway.mappings.hl7v2.claim_dft import dft_problems
from gateway.mappings.x12.carriable_837p import carriable
from gateway.mappings.x12.problem import FormProblem

FormCheck = Callable[[Billable], tuple[FormProblem, ...]]

CARRIES: dict[DestinationKind, frozenset[ClaimKind]] = {
    DestinationKind.X12_FILE: frozenset({ClaimKind.PROFESSIONAL}),
    DestinationKind.FHIR_CLAIM: frozenset(ClaimKind),
    DestinationKind.MLLP: frozenset(ClaimKind),
}
"""Which kinds of claim each kind of destination has a form for."""


def _fhir_carriable(billed: Billable) -> tuple[FormProblem, ...]:
    """What a FHIR R4 Claim must have and nothing may stand for."""
    return tuple(
        FormProblem(
            f"fhir-{issue.code}",
            issue.expression,
            issue.diagnostics,
            "Have the encounter completed where it is documented or registered",
            "FHIR R4 Claim",
            subject=issue.expression,
        )
        for issue in claim_issues(billed)
    )


@dataclass(frozen=True, slots=True)
class Route:
    """A destination as release sees it. An empty `payers` takes every payer's claims."""

    name: str
    kind: DestinationKind
    claims: frozenset[ClaimKind]
    payers: frozenset[str] = frozenset()
    form: FormCheck = _fhir_carriable
    """Says why a claim cannot be written in the destination's form; nothing when it can."""

    def takes(self, billed: Billable) -> bool:
        """Whether the claim's kind and first payer are this destination's."""
        return billed.kind in self.claims and (not self.payers or first_payer(billed) in self.payers)


def first_payer(billed: Billable) -> str | None:
    """The identifier of the payer that is billed."""
    payer = billed.coverages[0].payer if billed.coverages else None
    return payer.value if payer else None


def route_to(destination: Destination, billing: Billing) -> Route:
    """The route to a configured destination. ValueError when it is to take claims that it has no form for."""
    able = CARRIES[destination.kind]
    wanted = frozenset(destination.claims) or able
    if not wanted <= able:
        kinds = ", ".join(sorted(wanted - able))
        raise ValueError(f"destination {destination.name}: {destination.kind} has no form for {kinds} claims")
    forms: dict[DestinationKind, FormCheck] = {
        DestinationKind.X12_FILE: partial(_x12_carriable, billing=billing),
        DestinationKind.FHIR_CLAIM: _fhir_carriable,
        DestinationKind.MLLP: dft_problems,
    }
    return Route(destination.name, destination.kind, wanted, frozenset(destination.payers), forms[destination.kind])


def billed_by(route: Route, billing: Billing) -> Route:
    """The route as it is while the configuration does not say who bills: it carries nothing, and says why."""
    if not billing.unsaid:
        return route
    problem = FormProblem(
        "billing-provider",
        "billing",
        f"The configuration does not say who bills: {', '.join(billing.unsaid)}",
        "Say it under billing in gateway.yaml, and reload",
        "ASC X12N 005010X222A1, loops 1000A and 2010AA",
        subject="billing",
    )
    return replace(route, form=lambda billed: (problem,))


def _x12_carriable(billed: Billable, *, billing: Billing) -> tuple[FormProblem, ...]:
    return carriable(billed, billing)


def route(billed: Billable, routes: Sequence[Route]) -> Route | None:
    """The first route that takes the claim; None when there is none."""
    return next((one for one in routes if one.takes(billed)), None)
