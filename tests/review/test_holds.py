from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.roles import GRANTS, Permission, Role
from gateway.review.holds import (
    FROM_FINDINGS,
    HOLD_TRANSITIONS,
    HOLDING,
    RESOLVING,
    HoldEvent,
    TransitionRefused,
    clear,
    may_resolve,
    open_hold,
    reconcile,
    resolve,
    why_not,
)
from gateway.review.model import Finding, Hold, HoldKind, HoldState, Severity

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SUPERVISOR = GRANTS[Role.SUPERVISOR]
CODER = GRANTS[Role.CODER]


def finding(rule: str = "r", subject: str = "", **update: object) -> Finding:
    said = Finding(
        rule=rule,
        severity=Severity.ERROR,
        kind=HoldKind.EDIT,
        where="charges[0]",
        text="It is wrong.",
        remedy="Mend it.",
        source="a test",
        subject=subject,
    )
    return said.model_copy(update=update)


def manual(kind: HoldKind = HoldKind.DISPUTE, **update: object) -> Hold:
    hold = open_hold(id=1, encounter="M::1", kind=kind, rule="made", text="By a person.", now=NOW)
    return hold.model_copy(update=update)


def automatic(kind: HoldKind, severity: Severity = Severity.ERROR, **update: object) -> Hold:
    (hold,) = settle((), finding(kind=kind, severity=severity))
    return hold.model_copy(update=update)


def settle(
    holds: tuple[Hold, ...], *findings: Finding, fingerprint: str = "A", now: datetime = NOW
) -> tuple[Hold, ...]:
    ids = itertools.count(max((hold.id for hold in holds), default=0) + 1)
    return reconcile(holds, findings, encounter="M::1", fingerprint=fingerprint, now=now, next_id=lambda: next(ids))


def states(holds: tuple[Hold, ...]) -> list[HoldState]:
    return [hold.state for hold in holds]


def settled_by_person(hold: Hold, fingerprint: str = "A") -> Hold:
    return resolve(hold, actor="user:s", reason="seen", fingerprint=fingerprint, now=NOW)


# The table


@pytest.mark.parametrize("event", HoldEvent)
@pytest.mark.parametrize("state", HoldState)
def test_every_state_and_event(state: HoldState, event: HoldEvent) -> None:
    hold = manual(state=state)

    def step() -> Hold:
        if event is HoldEvent.CLEAR:
            return clear(hold, reason="gone", now=LATER)
        return resolve(hold, actor="user:s", reason="gone", fingerprint="A", now=LATER)

    if (state, event) not in HOLD_TRANSITIONS:
        with pytest.raises(TransitionRefused):
            step()
        return
    ended = step()
    assert ended.state is HOLD_TRANSITIONS[state, event]
    assert (ended.ended, ended.ended_reason) == (LATER, "gone")
    assert ended.ended_by == ("gateway" if event is HoldEvent.CLEAR else "user:s")
    assert ended.fingerprint == ("A" if event is HoldEvent.RESOLVE else None)


def test_only_an_open_hold_changes() -> None:
    assert {state for state, _ in HOLD_TRANSITIONS} == {HoldState.OPEN}
    assert {event for _, event in HOLD_TRANSITIONS} == set(HoldEvent)


@pytest.mark.parametrize("kind", HoldKind)
def test_which_kinds_people_open(kind: HoldKind) -> None:
    if kind in FROM_FINDINGS:
        with pytest.raises(ValueError, match="comes from a finding"):
            manual(kind)
    else:
        assert manual(kind).state is HoldState.OPEN


# Reconciling


def test_a_finding_opens_a_hold_that_says_what_it_said() -> None:
    (hold,) = settle((), finding("icd10-unknown", "d1", evidence=("Z99",), due_days=3, resolvable_by=("supervisor",)))
    assert (hold.id, hold.encounter, hold.identity) == (1, "M::1", ("icd10-unknown", "d1"))
    assert (hold.opened, hold.due) == (NOW, NOW + timedelta(days=3))
    assert (hold.evidence, hold.resolvable_by) == (("Z99",), ("supervisor",))
    assert hold.text == "It is wrong."


@pytest.mark.parametrize("severity", Severity)
def test_which_severities_hold(severity: Severity) -> None:
    assert bool(settle((), finding(severity=severity))) is (severity in HOLDING)


def test_information_ends_a_hold_that_was_a_warning() -> None:
    holds = settle((), finding(severity=Severity.WARNING))
    assert states(settle(holds, finding(severity=Severity.INFORMATION))) == [HoldState.CLEARED]


def test_what_time_ends_is_due_then() -> None:
    (hold,) = settle((), finding(kind=HoldKind.WAITING, until=LATER, due_days=9))
    assert hold.due == LATER
    (moved,) = settle((hold,), finding(kind=HoldKind.WAITING, until=LATER + timedelta(1)))
    assert moved.due == LATER + timedelta(1)


def test_nothing_new_is_the_very_same() -> None:
    holds = settle((), finding("a"), finding("b", "1"), finding("b", "2"))
    assert settle(holds, finding("b", "2"), finding("a"), finding("b", "1"), now=LATER) is holds


def test_only_what_changed_is_another_object() -> None:
    holds = settle((), finding("a"), finding("b"))
    after = settle(holds, finding("a"), finding("b", text="Worse."), now=LATER)
    assert after[0] is holds[0]
    assert after[1].text == "Worse."
    assert (after[1].id, after[1].opened) == (holds[1].id, NOW)


def test_a_hold_whose_finding_is_gone_ends_and_says_why() -> None:
    (hold,) = settle(settle((), finding("a")), now=LATER)
    assert (hold.state, hold.ended_by, hold.ended) == (HoldState.CLEARED, "gateway", LATER)
    assert hold.ended_reason == "assessed again: a no longer finds anything"


def test_a_finding_that_comes_again_gets_a_new_hold() -> None:
    cleared = settle(settle((), finding()))
    again = settle(cleared, finding())
    assert states(again) == [HoldState.CLEARED, HoldState.OPEN]
    assert again[0] is cleared[0]
    assert again[1].id == 2


@pytest.mark.parametrize("kind", sorted(set(HoldKind) - FROM_FINDINGS))
def test_what_people_opened_is_left_to_them(kind: HoldKind) -> None:
    holds = (manual(kind),)
    assert settle(holds, now=LATER) is holds


@pytest.mark.parametrize("kind", sorted(FROM_FINDINGS))
def test_what_findings_opened_ends_with_them(kind: HoldKind) -> None:
    assert states(settle((automatic(kind),))) == [HoldState.CLEARED]


def test_a_resolved_hold_stays_resolved_for_what_it_was_resolved_for() -> None:
    holds = (settled_by_person(settle((), finding())[0]),)
    assert settle(holds, finding(), now=LATER) is holds
    assert settle(holds, now=LATER) is holds


def test_with_something_else_billed_it_opens_again() -> None:
    resolved = settled_by_person(settle((), finding())[0])
    again = settle((resolved,), finding(), fingerprint="B", now=LATER)
    assert again[0] is resolved
    assert (again[1].state, again[1].opened, again[1].id) == (HoldState.OPEN, LATER, 2)


def test_back_to_what_was_approved_the_approval_counts() -> None:
    holds = settle((settled_by_person(settle((), finding())[0]),), finding(), fingerprint="B")
    holds = settle(holds, fingerprint="B")
    assert settle(holds, finding(), fingerprint="A") is holds


def test_a_resolved_warning_does_not_answer_an_error() -> None:
    warned = settled_by_person(settle((), finding(severity=Severity.WARNING))[0])
    assert states(settle((warned,), finding(severity=Severity.ERROR))) == [HoldState.RESOLVED, HoldState.OPEN]
    failed = settled_by_person(settle((), finding(severity=Severity.ERROR))[0])
    assert states(settle((failed,), finding(severity=Severity.WARNING))) == [HoldState.RESOLVED]


def test_a_return_ends_when_something_else_would_be_billed() -> None:
    returned = manual(HoldKind.RETURNED, fingerprint="A")
    assert settle((returned,), fingerprint="A") == (returned,)
    (ended,) = settle((returned,), fingerprint="B")
    assert (ended.state, ended.ended_by) == (HoldState.CLEARED, "gateway")


def test_two_findings_of_one_identity_are_one_hold() -> None:
    assert len(settle((), finding(text="One."), finding(text="Two."))) == 1


RULES = st.sampled_from("abc")
FINDINGS = st.lists(st.builds(finding, RULES, severity=st.sampled_from(Severity)), max_size=4)


@given(st.lists(st.tuples(FINDINGS, st.sampled_from("AB"), st.booleans()), max_size=8))
def test_after_every_assessment_each_finding_is_held_or_answered(
    history: list[tuple[list[Finding], str, bool]],
) -> None:
    holds: tuple[Hold, ...] = ()
    for findings, fingerprint, person in history:
        before = holds
        holds = settle(holds, *findings, fingerprint=fingerprint)
        assert settle(holds, *findings, fingerprint=fingerprint, now=LATER) is holds
        assert [hold.id for hold in holds[: len(before)]] == [hold.id for hold in before]
        assert len({hold.id for hold in holds}) == len(holds)
        open_ = [hold.identity for hold in holds if hold.state is HoldState.OPEN]
        assert len(open_) == len(set(open_))
        held = {f.identity for f in findings if f.severity in HOLDING}
        assert set(open_) <= held
        answered = {h.identity for h in holds if h.state is HoldState.RESOLVED and h.fingerprint == fingerprint}
        assert held <= set(open_) | answered
        if person:
            holds = tuple(
                settled_by_person(hold, fingerprint) if hold.state is HoldState.OPEN else hold for hold in holds
            )


# Who may


def test_every_kind_and_severity_has_its_answer() -> None:
    assert RESOLVING.keys() == set(HoldKind)


@pytest.mark.parametrize(
    ("kind", "severity", "needed"),
    [
        (HoldKind.EDIT, Severity.ERROR, Permission.HOLD_OVERRIDE),
        (HoldKind.EDIT, Severity.WARNING, Permission.HOLD_RESOLVE),
        (HoldKind.DOCUMENTATION, Severity.ERROR, Permission.HOLD_OVERRIDE),
        (HoldKind.DOCUMENTATION, Severity.WARNING, Permission.HOLD_RESOLVE),
        (HoldKind.REVIEW, Severity.WARNING, Permission.APPROVE),
        (HoldKind.SAMPLE, Severity.WARNING, Permission.APPROVE),
        (HoldKind.LATE_CHARGE, Severity.ERROR, Permission.APPROVE),
    ],
)
def test_the_permission_for_each(kind: HoldKind, severity: Severity, needed: Permission) -> None:
    hold = automatic(kind, severity)
    assert may_resolve(hold, frozenset({needed})) is needed
    assert why_not(hold, frozenset({needed})) is None
    assert may_resolve(hold, frozenset(Permission) - {needed}) is None
    assert needed.value in (why_not(hold, frozenset()) or "")


@pytest.mark.parametrize("kind", [HoldKind.RETURNED, HoldKind.DISPUTE])
def test_what_people_open_people_end(kind: HoldKind) -> None:
    assert may_resolve(manual(kind), frozenset(Permission))
    assert not may_resolve(manual(kind), frozenset())


@pytest.mark.parametrize("kind", [HoldKind.WAITING, HoldKind.UNMAPPED, HoldKind.ROUTING])
def test_what_nobody_ends_by_hand(kind: HoldKind) -> None:
    hold = automatic(kind)
    assert may_resolve(hold, frozenset(Permission)) is None
    assert (why_not(hold, frozenset(Permission)) or "").startswith("nobody resolves it by hand: it ends")


def test_a_query_is_ended_by_its_answer() -> None:
    assert may_resolve(manual(HoldKind.QUERY), frozenset(Permission)) is None


def test_the_policy_names_who_may() -> None:
    hold = automatic(HoldKind.REVIEW, resolvable_by=("supervisor",))
    assert may_resolve(hold, SUPERVISOR)
    assert may_resolve(hold, SUPERVISOR, frozenset({Role.SUPERVISOR}))
    assert not may_resolve(hold, SUPERVISOR, frozenset({Role.CODER}))
    assert "supervisor" in (why_not(hold, frozenset({Permission.APPROVE})) or "")
    assert not may_resolve(hold, CODER)


def test_what_was_returned_does_not_leave_under_the_approval_before_it() -> None:
    """Approved, returned, recoded, and coded again as it was: who returned it has to see it again."""
    asked = finding(kind=HoldKind.REVIEW, severity=Severity.WARNING)
    (review,) = settle((), asked)
    returned = manual(HoldKind.RETURNED, id=2, fingerprint="A", opened=LATER)
    holds = settle((settled_by_person(review), returned), asked, now=LATER)
    recoded = settle(holds, asked, fingerprint="B", now=LATER)
    as_before = settle(recoded, asked, fingerprint="A", now=LATER)
    assert [(hold.kind, hold.state) for hold in as_before] == [
        (HoldKind.REVIEW, HoldState.RESOLVED),
        (HoldKind.RETURNED, HoldState.CLEARED),
        (HoldKind.REVIEW, HoldState.OPEN),
    ]
