"""The desk: the worklist, an encounter with all that was found about it, and what a reviewer decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gateway.access.asking import origin
from gateway.access.roles import Permission, needed
from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.desk.ports import Advance, Person
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import Decided, Work, user
from gateway.encounter.billable import billable
from gateway.encounter.change import Content
from gateway.encounter.model import Document, Encounter
from gateway.release.model import Claim
from gateway.review.holds import may_resolve, open_hold, resolve, why_not
from gateway.review.model import Decision, DecisionKind, Hold, HoldKind, HoldState, Severity
from gateway.review.stage import stage
from gateway.store.interface import Step, WorkItem

APPROVED_KINDS = frozenset({HoldKind.REVIEW, HoldKind.SAMPLE})
"""What an approval answers by itself; it also ends warnings that the person may resolve."""

RETURNED_RULE = "returned-to-coder"
MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """Which lines of the worklist; empty fields do not restrict. `after` is the last key of the page before."""

    stages: tuple[str, ...] = ()
    hold_kinds: tuple[str, ...] = ()
    after: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Dossier:
    """An encounter as a reviewer sees it. `fingerprint` and `total` are of what would be billed now."""

    case: Case
    encounter: Encounter
    fingerprint: str
    total: Decimal
    stage: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a decision came to: the case after it, and the claim when it left at once."""

    case: Case
    fingerprint: str
    stage: str
    released: Claim | None = None

    @property
    def open_holds(self) -> tuple[Hold, ...]:
        return tuple(hold for hold in self.case.holds if hold.state is HoldState.OPEN)


class Desk:
    """Every method that changes something is one commit; all raise Refusal."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def worklist(self, filters: Filters) -> list[WorkItem]:
        """Encounters in the order of their keys, `filters.limit` at most."""
        limit = max(1, min(filters.limit, MAX_PAGE))
        return await self._work.store.worklist(filters.stages, filters.hold_kinds, filters.after, limit)

    async def show(self, key: str, caller: Person) -> Dossier:
        """The encounter of `key`. That it was read is in the audit trail before anything is shown."""
        case, encounter = await self._work.case(key)
        await self._tell(Action.ENCOUNTER_READ, f"encounter/{key}", key, caller)
        return dossier(case, encounter)

    async def document(self, key: str, document_id: str, caller: Person) -> tuple[Document, Content]:
        """A document of the encounter with its content; reading it is told in the audit trail."""
        _, encounter = await self._work.case(key)
        document = next((d for d in encounter.documents if d.id == document_id), None)
        if document is None or document.digest is None:
            raise Refusal(Reason.UNKNOWN, "The encounter has no document of this id with content")
        content = await self._work.store.content(key, document.digest)
        if content is None:
            raise Refusal(Reason.UNKNOWN, "The document's content is not kept here")
        await self._tell(Action.ENCOUNTER_READ, f"document/{document.digest}", key, caller)
        return document, content

    async def approve(self, key: str, caller: Person, fingerprint: str, comment: str | None = None) -> Ruling:
        """Approve exactly what `fingerprint` names. It ends the open reviews and samples, and the warnings that the
        caller may resolve. STALE when something else would be billed by now.
        """
        _permitted(caller, Permission.APPROVE)

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[Ruling]:
            _current(encounter, fingerprint)
            ended = tuple(hold for hold in case.holds if _approval_ends(hold, caller))
            made = self._decision(case.key, DecisionKind.APPROVE, caller, now, fingerprint, comment, ended)
            reason = comment or "approved"
            holds = _resolved(case.holds, ended, caller, reason, now, fingerprint)
            detail: dict[str, object] = {"fingerprint": fingerprint, "holds": [hold.id for hold in ended]}
            return self._decided(case, caller, now, holds, made, Action.ENCOUNTER_APPROVED, detail)

        return await self._work.decide(key, decision)

    async def return_to_coder(self, key: str, caller: Person, feedback: str) -> Ruling:
        """Hold the claim until the coder's codes change what would be billed, or someone resolves the hold."""
        _permitted(caller, Permission.RETURN)

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[Ruling]:
            if case.claims:
                raise Refusal(Reason.IMPOSSIBLE, "The claim has been released: it can't be returned any more")
            current = billable(encounter).fingerprint()
            made = self._decision(case.key, DecisionKind.RETURN, caller, now, current, feedback)
            hold = open_hold(
                id=self._work.ids.next(),
                encounter=case.key,
                kind=HoldKind.RETURNED,
                rule=RETURNED_RULE,
                subject=str(made.id),
                text=feedback,
                now=now,
                fingerprint=current,
            )
            detail: dict[str, object] = {"fingerprint": current, "hold": hold.id}
            return self._decided(case, caller, now, (*case.holds, hold), made, Action.ENCOUNTER_RETURNED, detail)

        return await self._work.decide(key, decision)

    async def resolve(self, key: str, hold_id: int, caller: Person, reason: str) -> Ruling:
        """End one hold, for a reason. NOT_ALLOWED when this caller may not end this hold."""

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[Ruling]:
            hold = next((h for h in case.holds if h.id == hold_id), None)
            if hold is None:
                raise Refusal(Reason.UNKNOWN, "The encounter has no hold of this id")
            if hold.state is not HoldState.OPEN:
                raise Refusal(Reason.IMPOSSIBLE, "The hold has ended already")
            refused = why_not(hold, caller.permissions, caller.roles)
            if refused is not None:
                raise Refusal(Reason.NOT_ALLOWED, f"This hold is not yours to end: {refused}")
            current = billable(encounter).fingerprint()
            made = self._decision(case.key, DecisionKind.RESOLVE, caller, now, current, reason, (hold,))
            holds = _resolved(case.holds, (hold,), caller, reason, now, current)
            return self._decided(case, caller, now, holds, made)

        return await self._work.decide(key, decision)

    def _decision(
        self,
        key: str,
        kind: DecisionKind,
        caller: Person,
        now: datetime,
        fingerprint: str,
        comment: str | None,
        holds: tuple[Hold, ...] = (),
    ) -> Decision:
        return Decision(
            id=self._work.ids.next(),
            encounter=key,
            kind=kind,
            actor=user(caller),
            at=now,
            fingerprint=fingerprint,
            comment=comment,
            holds=tuple(hold.id for hold in holds),
        )

    def _decided(
        self,
        case: Case,
        caller: Person,
        now: datetime,
        holds: tuple[Hold, ...],
        made: Decision,
        action: Action | None = None,
        detail: dict[str, object] | None = None,
    ) -> Decided[Ruling]:
        """`action` is what the decision itself is called; the holds it opens and ends have events of their own."""
        advance = self._work.casework.advance(case, now=now, actor=user(caller), holds=holds, decisions=(made,))
        told = {"decision": made.id, **(detail or {}), **origin(caller)}
        events = (Event(now, user(caller), action, f"encounter/{case.key}", case.key, None, told),) if action else ()
        return Decided(advance, events, ruling)

    async def _tell(self, action: Action, subject: str, key: str, caller: Person) -> None:
        event = Event(self._work.clock.now(), user(caller), action, subject, key, None, dict(origin(caller)))
        await self._work.store.commit(Step(events=[event]))


def dossier(case: Case, encounter: Encounter) -> Dossier:
    """The encounter with what would be billed for it now."""
    billed = billable(encounter)
    open_holds = tuple(hold for hold in case.holds if hold.state is HoldState.OPEN)
    newest = case.deliveries[-1].state if case.deliveries else None
    reached = stage(open_holds, newest, has_lines=bool(billed.lines))
    return Dossier(case, encounter, billed.fingerprint(), billed.total, reached)


def ruling(advance: Advance) -> Ruling:
    """What the person hears of a decision."""
    return Ruling(advance.change.after, advance.change.fingerprint, advance.change.stage, advance.released)


def _permitted(caller: Person, permission: Permission) -> None:
    if permission not in caller.permissions:
        raise Refusal(Reason.NOT_ALLOWED, f"This needs {needed(permission)}")


def _current(encounter: Encounter, fingerprint: str) -> None:
    if billable(encounter).fingerprint() != fingerprint:
        raise Refusal(Reason.STALE, "What would be billed has changed since you saw it: look again, then approve")


def _approval_ends(hold: Hold, caller: Person) -> bool:
    answered = hold.kind in APPROVED_KINDS or hold.severity is Severity.WARNING
    return hold.state is HoldState.OPEN and answered and may_resolve(hold, caller.permissions, caller.roles) is not None


def _resolved(
    holds: tuple[Hold, ...], ended: tuple[Hold, ...], caller: Person, reason: str, now: datetime, fingerprint: str
) -> tuple[Hold, ...]:
    ids = {hold.id for hold in ended}
    return tuple(
        resolve(hold, actor=user(caller), reason=reason, now=now, fingerprint=fingerprint) if hold.id in ids else hold
        for hold in holds
    )
