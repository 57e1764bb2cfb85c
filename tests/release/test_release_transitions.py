"""A delivery's moves, the waits between them, and the circuit of a destination."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.release.circuit import Circuit
from gateway.release.model import DELIVERY_TRANSITIONS, Delivery, DeliveryState, Outcome, Result
from gateway.release.transitions import IllegalMove, backoff, changed_event, intended, payload_hash, settled

NOW = datetime(2025, 3, 6, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


def delivery(state: DeliveryState = DeliveryState.READY, **fields: object) -> Delivery:
    given: dict[str, object] = {
        "id": 1,
        "claim": 2,
        "encounter": "MAIN::A1",
        "destination": "d",
        "key": "C1-1",
        "state": state,
        "due": NOW,
        "changed": NOW,
    }
    return Delivery.model_validate({**given, **fields})


def outcome(result: Result) -> Outcome:
    return Outcome(result=result, text="told")


def test_an_intent_fixes_the_bytes() -> None:
    intent = intended(delivery(), b"one", epoch=9, now=NOW)
    assert (intent.state, intent.payload, intent.attempts, intent.epoch) == (DeliveryState.INTENT, b"one", 1, 9)
    lost = settled(intent, outcome(Result.UNKNOWN), now=LATER, due=LATER)
    assert intended(lost, b"one", epoch=9, now=LATER).attempts == 2
    with pytest.raises(ValueError, match="repeats the bytes"):
        intended(lost, b"other", epoch=9, now=LATER)


def test_the_window_runs_from_the_first_attempt_that_may_have_arrived() -> None:
    intent = intended(delivery(), b"one", epoch=9, now=NOW)
    back = settled(intent, outcome(Result.NOT_SENT), now=LATER, due=LATER)
    assert back.first_attempt is None
    again = intended(back, b"one", epoch=9, now=LATER)
    lost = settled(again, outcome(Result.UNKNOWN), now=LATER, due=LATER)
    resent = intended(lost, b"one", epoch=9, now=LATER + MINUTE)
    assert resent.first_attempt == LATER


def test_a_resend_that_was_not_sent_leaves_it_unknown() -> None:
    lost = delivery(DeliveryState.UNKNOWN, payload=b"one", attempts=1, first_attempt=NOW)
    resent = intended(lost, b"one", epoch=9, now=LATER)
    after = settled(resent, outcome(Result.NOT_SENT), now=LATER, due=LATER, resend=True)
    assert (after.state, after.first_attempt) == (DeliveryState.UNKNOWN, NOW)


@pytest.mark.parametrize("state", [DeliveryState.ACCEPTED, DeliveryState.REJECTED])
def test_what_has_ended_does_not_move(state: DeliveryState) -> None:
    for result in Result:
        with pytest.raises(IllegalMove):
            settled(delivery(state), outcome(result), now=NOW, due=NOW)
    with pytest.raises(IllegalMove):
        intended(delivery(state), b"one", epoch=9, now=NOW)


def test_from_unknown_there_is_no_way_back_to_ready() -> None:
    assert not any(
        after is DeliveryState.READY
        for (before, _), after in DELIVERY_TRANSITIONS.items()
        if before in (DeliveryState.UNKNOWN, DeliveryState.SENT)
    )


def test_an_event_tells_the_move_and_no_person_s_words() -> None:
    before = delivery(DeliveryState.UNKNOWN, payload=b"one", attempts=1)
    after = settled(before, Outcome(result=Result.ACCEPTED, text="Jane said so"), now=LATER, due=LATER)
    event = changed_event(before, after, actor="user:sam", by_hand=True)
    assert event.actor == "user:sam"
    assert (event.detail["from"], event.detail["to"], event.detail["by_hand"]) == ("unknown", "accepted", True)
    assert event.detail["payload"] == payload_hash(b"one")
    assert b"Jane" not in event.content()


@given(st.integers(1, 500), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_wait_stays_in_its_bounds(trial: int, jitter: float, asked: float | None) -> None:
    wait = backoff(trial, base=timedelta(seconds=1), cap=timedelta(minutes=5), jitter=jitter, asked=asked)
    assert wait >= timedelta(seconds=0.5)
    assert wait <= max(timedelta(minutes=5), timedelta(seconds=min(asked or 0, 86_400)))


def test_waits_double() -> None:
    waits = [
        backoff(n, base=timedelta(seconds=1), cap=timedelta(minutes=5), jitter=1).total_seconds() for n in range(1, 5)
    ]
    assert waits == [1, 2, 4, 8]


def test_a_circuit_opens_at_the_threshold_and_probes_after_each_pause() -> None:
    circuit = Circuit()
    for _ in range(2):
        circuit = circuit.failed(NOW, MINUTE, 3)
    assert not circuit.is_open
    circuit = circuit.failed(NOW, MINUTE, 3)
    assert circuit.is_open
    assert not circuit.allows(NOW)
    assert circuit.failed(NOW, MINUTE, 3) is circuit
    probe = NOW + MINUTE
    assert circuit.allows(probe)
    again = circuit.failed(probe, 2 * MINUTE, 3)
    assert (again.since, again.until, again.trials) == (NOW, probe + 2 * MINUTE, 2)
    assert not again.worked().is_open


def test_an_answer_between_failures_begins_the_count_anew() -> None:
    circuit = Circuit().failed(NOW, MINUTE, 2).worked().failed(NOW, MINUTE, 2)
    assert not circuit.is_open
