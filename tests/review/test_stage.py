from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.release.model import DeliveryState
from gateway.review.model import Hold, HoldKind, HoldState, Stage
from gateway.review.stage import AFTER_RELEASE, stage

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def holds(*kinds: HoldKind, state: HoldState = HoldState.OPEN) -> list[Hold]:
    return [Hold(id=1, encounter="M::1", kind=kind, rule="r", text="t", opened=NOW, state=state) for kind in kinds]


def test_every_state_of_a_delivery_has_a_stage() -> None:
    assert AFTER_RELEASE.keys() == {state.value for state in DeliveryState}


@pytest.mark.parametrize("kind", HoldKind)
@pytest.mark.parametrize("delivery", [None, *DeliveryState])
@pytest.mark.parametrize("has_lines", [True, False])
def test_one_open_hold(kind: HoldKind, delivery: DeliveryState | None, has_lines: bool) -> None:
    reached = stage(holds(kind), delivery, has_lines=has_lines)
    if delivery is None:
        assert reached is (Stage.WAITING if kind is HoldKind.WAITING else Stage.HELD)
    elif kind in (HoldKind.WAITING, HoldKind.DELIVERY):
        assert reached is AFTER_RELEASE[delivery]
    else:
        assert reached is Stage.HELD


@pytest.mark.parametrize("delivery", DeliveryState)
def test_no_hold_after_release(delivery: DeliveryState) -> None:
    assert stage([], delivery, has_lines=True) is AFTER_RELEASE[delivery]


def test_no_hold_before_release() -> None:
    assert stage([], None, has_lines=True) is Stage.READY
    assert stage([], None, has_lines=False) is Stage.EMPTY


def test_people_come_before_waiting() -> None:
    assert stage(holds(HoldKind.WAITING, HoldKind.EDIT), None, has_lines=True) is Stage.HELD


def test_an_ended_hold_does_not_count() -> None:
    assert stage(holds(HoldKind.EDIT, state=HoldState.CLEARED), None, has_lines=True) is Stage.READY


def test_an_unknown_state_is_an_error() -> None:
    with pytest.raises(KeyError):
        stage([], "lost", has_lines=True)
