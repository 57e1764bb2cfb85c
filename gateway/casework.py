"""One decision over one case: assess, reconcile the holds, and release when none stands.

Messages, people, deliveries and the clock all come through `advance`; nothing else decides whether a claim leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from gateway.audit.events import Action, Event
from gateway.case import Case, Draw
from gateway.encounter.billable import Billable, billable
from gateway.encounter.model import Encounter
from gateway.release.claim import deliver, freeze
from gateway.release.conservation import conservation_findings
from gateway.release.findings import release_findings
from gateway.release.gate import gate
from gateway.release.model import Claim, Delivery, DeliveryState
from gateway.release.routing import Route
from gateway.review.assess import assess
from gateway.review.edits.context import EditContext
from gateway.review.holds import reconcile
from gateway.review.model import Decision, DecisionKind, Finding, Hold, HoldKind, HoldState, Query, Severity
from gateway.review.policy import Policy, Sample
from gateway.review.query_events import query_moved
from gateway.review.query_settling import settle
from gateway.review.query_timing import QueryPolicy
from gateway.review.sampling import chosen
from gateway.review.stage import stage
from gateway.store.interface import CaseChange

GATEWAY = "gateway"
UNDECIDED = ""
"""The fingerprint while codes are not final and nobody has decided anything: nothing can be bound to it yet."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What a step does to a case, and what the audit trail says of it."""

    change: CaseChange
    events: list[Event]
    released: Claim | None = None


class Draws(Protocol):
    """The part of the store that a sampler counts by."""

    async def draw_counts(self) -> dict[tuple[str, str], int]: ...


class Sampler:
    """Gives each eligible encounter the next place in its sample's frame.

    Whoever decides on encounters does so in a `turn`, from the decision to its commit. So no place is given out while
    an earlier one may still come to nothing, and no frame has a gap; after a turn that failed, what it gave out is
    counted again. The store refuses two draws of one place, whatever other gateways do: a sample stays exact.
    """

    def __init__(self, counts: dict[tuple[str, str], int]) -> None:
        self._counts = dict(counts)
        self._turn = asyncio.Lock()
        self._given = False
        self._stale = False

    @asynccontextmanager
    async def turn(self, store: Draws) -> AsyncIterator[None]:
        """The right to draw, until what was drawn is committed or lost. One at a time."""
        async with self._turn:
            if self._stale:
                self._counts = await store.draw_counts()
                self._stale = False
            self._given = False
            try:
                yield
            except BaseException:
                self._stale = self._given
                raise

    def draw(self, sample: Sample, unit: str) -> Draw:
        """The next place of `unit`'s frames in `sample`, and whether it is one of the chosen."""
        self._given = True
        number = self._counts.get((sample.name, unit), 0)
        self._counts[sample.name, unit] = number + 1
        frame, position = divmod(number, sample.of)
        name = f"{unit}/{frame}"
        return Draw(sample.name, name, position, chosen(sample, name, position))


class Casework:
    """The rules that are in force: the policy, the code sets, the destinations."""

    def __init__(
        self,
        policy: Policy,
        edit_context: Callable[[Encounter, Billable, datetime], EditContext],
        routes: Sequence[Route],
        sampler: Sampler,
        next_id: Callable[[], int],
    ) -> None:
        self.rule_by(policy, edit_context, routes)
        self.sampler = sampler
        self._next_id = next_id

    def rule_by(
        self,
        policy: Policy,
        edit_context: Callable[[Encounter, Billable, datetime], EditContext],
        routes: Sequence[Route],
    ) -> None:
        """Decide by these from now on. For whoever has the sampler's turn: then nothing was decided by the others and
        is not yet committed.
        """
        self._policy = policy
        self._edit_context = edit_context
        self._routes = tuple(routes)

    @property
    def query_policy(self) -> QueryPolicy:
        """The times of provider queries, by the policy in force."""
        return self._policy.queries

    def advance(
        self,
        case: Case,
        *,
        now: datetime,
        actor: str = GATEWAY,
        encounter: Encounter | None = None,
        holds: Iterable[Hold] | None = None,
        queries: Iterable[Query] | None = None,
        deliveries: Iterable[Delivery] | None = None,
        decisions: Iterable[Decision] = (),
        message: int | None = None,
    ) -> Advanced:
        """The case after a change: what is given replaces what the case has; `decisions` are added to it.

        `holds` are those that a person changed or opened; automatic ones are reconciled here.
        """
        current = encounter or case.encounter
        if current is None:
            raise ValueError(f"case {case.key} has no encounter to decide on")
        billed = billable(current)
        decided = (*case.decisions, *decisions)
        print_ = billed.fingerprint() if decided or case.claims or current.coding.final else UNDECIDED
        context = self._edit_context(current, billed, now)
        draws = case.draws + self._draw(case, current, context)
        sent = case.deliveries if deliveries is None else tuple(deliveries)
        findings = self._findings(case.claims, sent, draws, current, context, print_)
        asked = case.queries if queries is None else tuple(queries)
        settled = settle(asked, case.holds if holds is None else tuple(holds), current, findings, now)
        standing = settled.holds
        after = Case(
            key=case.key,
            version=case.version + 1,
            encounter=current,
            holds=reconcile(standing, findings, encounter=case.key, fingerprint=print_, now=now, next_id=self._next_id),
            queries=settled.queries,
            decisions=decided,
            draws=draws,
            claims=case.claims,
            deliveries=sent,
        )
        after, claim = self._release(after, billed, print_, now)
        events = _events(case, after, actor=actor, now=now, message=message, claim=claim)
        events += [query_moved(before, moved, now, actor, message) for before, moved in settled.moved]
        return Advanced(self._change(case, after, billed, print_, findings), events, claim)

    def _findings(
        self,
        claims: Sequence[Claim],
        deliveries: Sequence[Delivery],
        draws: Sequence[Draw],
        encounter: Encounter,
        context: EditContext,
        print_: str,
    ) -> tuple[Finding, ...]:
        sampled = tuple([draw.sample for draw in draws if draw.chosen])
        findings = assess(encounter, self._policy, context, sampled) if encounter.merged_into is None else ()
        if claims:
            return (*findings, *_late(claims[-1], print_), *_undelivered(claims[-1], deliveries))
        if context.billable.lines and encounter.coding.final:
            conserved = conservation_findings(encounter, context.billable)
            return (*findings, *conserved, *release_findings(context.billable, self._routes))
        return findings

    def _draw(self, case: Case, encounter: Encounter, context: EditContext) -> tuple[Draw, ...]:
        """Places in the samples that the encounter has become eligible for: once its codes are final, and only once."""
        if not self._policy.samples or not encounter.coding.final or not context.billable.lines or case.claims:
            return ()
        drawn = {draw.sample for draw in case.draws}
        eligible = self._policy.eligible(encounter, context)
        return tuple(self.sampler.draw(sample, unit) for sample, unit in eligible if sample.name not in drawn)

    def _release(self, case: Case, billed: Billable, print_: str, now: datetime) -> tuple[Case, Claim | None]:
        if case.claims or any(hold.state is HoldState.OPEN for hold in case.holds):
            return case, None
        route = gate(case.holds, billed, self._routes)
        if not isinstance(route, Route):
            return case, None
        claim = freeze(
            id=self._next_id(),
            billed=billed,
            fingerprint=print_,
            destination=route.name,
            approved_by=_approver(case.decisions, print_),
            now=now,
        )
        delivery = deliver(id=self._next_id(), claim=claim, now=now)
        return replace(case, claims=(*case.claims, claim), deliveries=(*case.deliveries, delivery)), claim

    def _change(
        self, before: Case, after: Case, billed: Billable, print_: str, findings: Sequence[Finding]
    ) -> CaseChange:
        newest = after.deliveries[-1].state if after.deliveries else None
        open_holds = tuple(hold for hold in after.holds if hold.state is HoldState.OPEN)
        due = min((f.until for f in findings if f.until is not None), default=None)
        reached = stage(open_holds, newest, has_lines=bool(billed.lines))
        return CaseChange(before, after, print_, reached, total=billed.total, due=due)


def _late(claim: Claim, print_: str) -> tuple[Finding, ...]:
    if claim.fingerprint == print_:
        return ()
    return (
        Finding(
            rule="changed-after-release",
            severity=Severity.ERROR,
            kind=HoldKind.LATE_CHARGE,
            where="charges",
            text=f"What would be billed now is not what claim {claim.number} version {claim.version} billed",
            remedy="Decide whether the claim must be corrected or voided, and resolve this with the reason",
            source="42 CFR 401.305; site policy on late charges",
            subject=print_[:16],
        ),
    )


def _undelivered(claim: Claim, deliveries: Sequence[Delivery]) -> tuple[Finding, ...]:
    """A claim that was refused, or of which nobody knows whether it arrived: someone must look."""
    delivery = next((d for d in reversed(deliveries) if d.claim == claim.id), None)
    told = _UNDELIVERED.get(delivery.state) if delivery is not None else None
    if delivery is None or told is None:
        return ()
    rule, text, remedy = told
    return (
        Finding(
            rule=rule,
            severity=Severity.ERROR,
            kind=HoldKind.DELIVERY,
            where="claims",
            text=text.format(claim=claim.number, version=claim.version, destination=delivery.destination),
            remedy=remedy,
            source=f"destination {delivery.destination}",
            subject=str(delivery.id),
            evidence=(delivery.outcome,) if delivery.outcome else (),
        ),
    )


_UNDELIVERED = {
    DeliveryState.REJECTED: (
        "claim-refused",
        "Claim {claim} version {version} was refused by {destination}",
        "Mend what the refusal names, bill it by hand, and resolve this with the reason",
    ),
    DeliveryState.UNKNOWN: (
        "delivery-unknown",
        "Nobody knows whether {destination} has claim {claim} version {version}",
        "Ask the destination, and settle the delivery as accepted or rejected",
    ),
}


def _approver(decisions: Sequence[Decision], print_: str) -> str:
    """Who approved exactly this; `policy` when nothing asked for a person's eyes."""
    approvals = [d for d in decisions if d.kind is DecisionKind.APPROVE and d.fingerprint == print_]
    return approvals[-1].actor if approvals else "policy"


def _events(
    before: Case, after: Case, *, actor: str, now: datetime, message: int | None, claim: Claim | None
) -> list[Event]:
    def event(action: Action, subject: str, by: str = GATEWAY, **detail: object) -> Event:
        return Event(now, by, action, subject, after.key, message, detail)

    events: list[Event] = []
    if after.encounter is not before.encounter:
        events.append(event(Action.ENCOUNTER_CHANGED, f"encounter/{after.key}", actor, version=after.version))
    for draw in after.draws[len(before.draws) :]:
        place = {"frame": draw.frame, "position": draw.position, "chosen": draw.chosen}
        events.append(Event(now, GATEWAY, Action.SAMPLE_DRAWN, f"sample/{draw.sample}", after.key, message, place))
    events.extend(_hold_events(before, after, event, actor))
    if claim is not None:
        events.append(
            event(
                Action.CLAIM_RELEASED,
                f"claim/{claim.number}",
                version=claim.version,
                destination=claim.destination,
                fingerprint=claim.fingerprint,
                approved_by=claim.approved_by,
                total=str(claim.billed.total),
            )
        )
    return events


def _hold_events(before: Case, after: Case, event: Callable[..., Event], actor: str) -> Iterable[Event]:
    known = {hold.id: hold for hold in before.holds}
    for hold in after.holds:
        earlier = known.get(hold.id)
        if earlier is hold:
            continue
        if hold.state is HoldState.OPEN and earlier is None:
            by = actor if hold.kind in _MADE_BY_PEOPLE else GATEWAY
            yield event(Action.HOLD_OPENED, f"hold/{hold.id}", by, kind=hold.kind, rule=hold.rule, about=hold.subject)
        elif hold.state is not HoldState.OPEN and (earlier is None or earlier.state is HoldState.OPEN):
            action = Action.HOLD_RESOLVED if hold.state is HoldState.RESOLVED else Action.HOLD_ENDED
            yield event(action, f"hold/{hold.id}", hold.ended_by or GATEWAY, kind=hold.kind, rule=hold.rule)


_MADE_BY_PEOPLE = frozenset({HoldKind.QUERY, HoldKind.RETURNED, HoldKind.DISPUTE})
