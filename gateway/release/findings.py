"""What would keep a claim from leaving once it is released, as findings: seen before release, not after."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.encounter.billable import Billable
from gateway.mappings.x12.problem import FormProblem
from gateway.release.routing import Route, first_payer, route
from gateway.review.model import Finding, HoldKind, Severity


def release_findings(billed: Billable, routes: Sequence[Route]) -> tuple[Finding, ...]:
    """No destination, or a form that cannot carry the claim. Nothing is said of an encounter that bills nothing."""
    if not billed.lines:
        return ()
    chosen = route(billed, routes)
    if chosen is None:
        return (_unrouted(billed),)
    return tuple(_from_form(problem, chosen) for problem in chosen.form(billed))


def _unrouted(billed: Billable) -> Finding:
    payer = first_payer(billed)
    whose = f"payer {payer}" if payer else "an unknown payer"
    return Finding(
        rule="no-destination",
        severity=Severity.ERROR,
        kind=HoldKind.ROUTING,
        where="coverages[0].payer",
        text=f"No destination takes {billed.kind} claims of {whose}",
        remedy="Correct the coverage, or add a destination for them to the configuration",
        source="configuration: destinations",
        evidence=(billed.kind, payer or ""),
    )


def _from_form(problem: FormProblem, chosen: Route) -> Finding:
    return Finding(
        rule=problem.rule,
        severity=Severity.ERROR,
        kind=HoldKind.ROUTING,
        where=problem.where,
        text=problem.text,
        remedy=problem.remedy,
        source=problem.source,
        subject=problem.subject or problem.where,
        evidence=(f"destination {chosen.name}",),
    )
