"""The holds of an encounter: their table of states, how findings become holds, and who may end one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.access.roles import GRANTS, Permission, Role
from gateway.review.model import Finding, Hold, HoldKind, HoldState, Severity

GATEWAY = "gateway"
"""Who ended a hold that ended by itself."""


class HoldEvent(StrEnum):
    CLEAR = "clear"
    """What it held for is gone."""
    RESOLVE = "resolve"
    """A person ends it, for a reason."""


HOLD_TRANSITIONS: dict[tuple[HoldState, HoldEvent], HoldState] = {
    (HoldState.OPEN, HoldEvent.CLEAR): HoldState.CLEARED,
    (HoldState.OPEN, HoldEvent.RESOLVE): HoldState.RESOLVED,
}
"""A missing key is the error. An ended hold is history: what stands again gets a new hold."""

FROM_FINDINGS = frozenset(
    {
        HoldKind.WAITING,
        HoldKind.EDIT,
        HoldKind.DOCUMENTATION,
        HoldKind.REVIEW,
        HoldKind.SAMPLE,
        HoldKind.UNMAPPED,
        HoldKind.ROUTING,
        HoldKind.LATE_CHARGE,
        HoldKind.DELIVERY,
    }
)
"""Kinds that findings open and, when the finding is gone, end. The others are opened and ended by what people do."""

HOLDING = frozenset({Severity.ERROR, Severity.WARNING})
"""Severities that hold; information only tells."""

_REVIEWS = frozenset({HoldKind.REVIEW, HoldKind.SAMPLE})
"""Kinds that an approval answers; a later return of the same takes the approval back."""

_ANSWERS = {Severity.ERROR: Permission.HOLD_OVERRIDE, Severity.WARNING: Permission.HOLD_RESOLVE}

RESOLVING: dict[HoldKind, Mapping[Severity, Permission] | Permission | str] = {
    HoldKind.WAITING: "it ends by itself when what it waits for has come",
    HoldKind.UNMAPPED: "it ends when the charge has a code: mend the lookup table and replay, or correct the charge",
    HoldKind.ROUTING: "it ends when a destination can take the claim: correct the claim or the configuration",
    HoldKind.QUERY: "it ends with the query: answered, or withdrawn",
    HoldKind.EDIT: _ANSWERS,
    HoldKind.DOCUMENTATION: _ANSWERS,
    HoldKind.REVIEW: Permission.APPROVE,
    HoldKind.SAMPLE: Permission.APPROVE,
    HoldKind.DISPUTE: Permission.APPROVE,
    HoldKind.LATE_CHARGE: Permission.APPROVE,
    HoldKind.RETURNED: Permission.HOLD_RESOLVE,
    HoldKind.DELIVERY: Permission.DELIVERY_RESOLVE,
}
"""What it takes to resolve a hold of each kind: a permission, one for each severity, or nobody may and why."""


class TransitionRefused(Exception):
    """The table of states has no such step."""


def open_hold(
    *,
    id: int,
    encounter: str,
    kind: HoldKind,
    rule: str,
    text: str,
    now: datetime,
    subject: str = "",
    severity: Severity = Severity.ERROR,
    where: str = "",
    remedy: str = "",
    source: str = "",
    evidence: tuple[str, ...] = (),
    due: datetime | None = None,
    fingerprint: str | None = None,
    query: int | None = None,
    resolvable_by: tuple[str, ...] = (),
) -> Hold:
    """A hold that a person opens. ValueError for a kind that only findings open.

    A RETURNED hold with a `fingerprint` ends by itself once something else would be billed.
    """
    if kind in FROM_FINDINGS:
        raise ValueError(f"a {kind} hold comes from a finding")
    return Hold(
        id=id,
        encounter=encounter,
        kind=kind,
        rule=rule,
        subject=subject,
        severity=severity,
        where=where,
        text=text,
        remedy=remedy,
        source=source,
        evidence=evidence,
        opened=now,
        due=due,
        fingerprint=fingerprint,
        query=query,
        resolvable_by=resolvable_by,
    )


def resolve(hold: Hold, *, actor: str, reason: str, fingerprint: str, now: datetime) -> Hold:
    """The hold as a person ended it, for exactly what `fingerprint` names. TransitionRefused when it is not open."""
    return _ended(hold, HoldEvent.RESOLVE, actor, reason, now).model_copy(update={"fingerprint": fingerprint})


def clear(hold: Hold, *, reason: str, now: datetime, actor: str = GATEWAY) -> Hold:
    """The hold as it ended by itself. TransitionRefused when it is not open."""
    return _ended(hold, HoldEvent.CLEAR, actor, reason, now)


def _ended(hold: Hold, event: HoldEvent, actor: str, reason: str, now: datetime) -> Hold:
    state = HOLD_TRANSITIONS.get((hold.state, event))
    if state is None:
        raise TransitionRefused(f"a hold that is {hold.state} takes no {event}")
    return hold.model_copy(update={"state": state, "ended": now, "ended_by": actor, "ended_reason": reason})


def may_resolve(hold: Hold, permissions: Set[Permission], roles: Set[Role] | None = None) -> Permission | None:
    """The permission by which a person may resolve the hold; None when the person may not. See `why_not`."""
    needed = _needed(hold)
    if not isinstance(needed, Permission):
        return None
    allowed = needed in permissions and _is_among(hold.resolvable_by, permissions, roles)
    return needed if allowed else None


def why_not(hold: Hold, permissions: Set[Permission], roles: Set[Role] | None = None) -> str | None:
    """Why a person may not resolve the hold; None when the person may."""
    if may_resolve(hold, permissions, roles):
        return None
    needed = _needed(hold)
    if not isinstance(needed, Permission):
        return f"nobody resolves it by hand: {needed}"
    if needed not in permissions:
        return f"it takes the permission {needed.value}"
    return f"the site's policy leaves it to: {', '.join(hold.resolvable_by)}"


def _needed(hold: Hold) -> Permission | str:
    """A permission, or the reason why nobody may."""
    needed = RESOLVING[hold.kind]
    return needed[hold.severity] if isinstance(needed, Mapping) else needed


def _is_among(resolvable_by: tuple[str, ...], permissions: Set[Permission], roles: Set[Role] | None) -> bool:
    """Where the person's roles are not known, all that a role grants stands for the role."""
    named = tuple(Role(name) for name in resolvable_by)
    if not named:
        return True
    return (
        any(role in roles for role in named)
        if roles is not None
        else any(GRANTS[role] <= permissions for role in named)
    )


def reconcile(
    holds: tuple[Hold, ...],
    findings: Iterable[Finding],
    *,
    encounter: str,
    fingerprint: str,
    now: datetime,
    next_id: Callable[[], int],
) -> tuple[Hold, ...]:
    """The holds after an assessment; `holds` itself when nothing differs, and each unchanged hold the same object.

    A finding that holds opens one, unless a person resolved it for exactly this `fingerprint`; a review's resolution
    counts no more once the same was returned to the coder. A hold whose finding is gone ends. What people opened is
    left to them, but for a return to the coder whose codes have since changed.
    """
    holding: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        if finding.severity in HOLDING:
            holding.setdefault(finding.identity, finding)
    returned = max(
        (h.opened for h in holds if h.kind is HoldKind.RETURNED and h.fingerprint == fingerprint), default=None
    )
    after = tuple(_again(hold, holding.get(hold.identity), fingerprint, now) for hold in holds)
    answered: set[tuple[str, str]] = set()
    for hold in after:
        stands = holding.get(hold.identity) if hold.state is not HoldState.CLEARED else None
        if stands is not None and _answers(hold, stands, fingerprint) and not _taken_back(hold, returned):
            answered.add(hold.identity)
    opened = tuple(
        _opened(finding, next_id(), encounter, now) for identity, finding in holding.items() if identity not in answered
    )
    unchanged = not opened and all(before is now_ for before, now_ in zip(holds, after, strict=True))
    return holds if unchanged else after + opened


def _again(hold: Hold, finding: Finding | None, fingerprint: str, now: datetime) -> Hold:
    """An earlier hold, seen again."""
    if hold.state is not HoldState.OPEN:
        return hold
    if hold.kind in FROM_FINDINGS:
        return _gone(hold, now) if finding is None else _refreshed(hold, finding)
    if hold.kind is HoldKind.RETURNED and hold.fingerprint not in (None, fingerprint):
        return clear(hold, reason="what would be billed has changed since it was returned", now=now)
    return hold


def _gone(hold: Hold, now: datetime) -> Hold:
    return clear(hold, reason=f"assessed again: {hold.rule} no longer finds anything", now=now)


def _refreshed(hold: Hold, finding: Finding) -> Hold:
    """The hold with what the finding says now; when it was opened, and when it is due, stay unless time decides."""
    said = _said(finding)
    if finding.until is not None:
        said["due"] = finding.until
    changed = {name: value for name, value in said.items() if getattr(hold, name) != value}
    return hold.model_copy(update=changed) if changed else hold


def _answers(hold: Hold, finding: Finding, fingerprint: str) -> bool:
    """An open hold stands for its finding; a resolved one while the same would be billed, and it is no graver now."""
    if hold.state is HoldState.RESOLVED:
        graver = finding.severity is Severity.ERROR and hold.severity is not Severity.ERROR
        return hold.fingerprint == fingerprint and not graver
    return hold.state is HoldState.OPEN


def _taken_back(hold: Hold, returned: datetime | None) -> bool:
    """Whether it was approved before the same was returned to the coder: who returns wants to see it again."""
    reviewed = hold.kind in _REVIEWS and hold.state is HoldState.RESOLVED
    return reviewed and returned is not None and hold.ended is not None and hold.ended <= returned


def _opened(finding: Finding, id_: int, encounter: str, now: datetime) -> Hold:
    within = None if finding.due_days is None else now + timedelta(days=finding.due_days)
    return Hold.unchecked(
        {
            "id": id_,
            "encounter": encounter,
            "rule": finding.rule,
            "subject": finding.subject,
            "opened": now,
            "due": finding.until or within,
            **_said(finding),
        }
    )


def _said(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "where": finding.where,
        "text": finding.text,
        "remedy": finding.remedy,
        "source": finding.source,
        "evidence": finding.evidence,
        "resolvable_by": finding.resolvable_by,
    }
