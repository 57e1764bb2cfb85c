"""A person's word on a delivery of which nobody knows whether it arrived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from desk_world import CODER, SUPERVISOR

from gateway.desk.ports import CaseStore
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.settling import Settling
from gateway.release.model import Delivery, DeliveryState, Result
from gateway.release.transitions import IllegalMove
from gateway.store.interface import Conflict

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOST = Delivery(
    id=5, claim=4, encounter="M::1", destination="payer", key="C1-1", state=DeliveryState.UNKNOWN, due=NOW, changed=NOW
)


class Outbox:
    def __init__(self, fault: Exception | None = None) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.fault = fault

    async def deliveries(self, states: Sequence[DeliveryState], limit: int = 1000) -> list[Delivery]:
        return [LOST] if DeliveryState.UNKNOWN in states else []

    async def settle_by_hand(self, delivery: Delivery, result: Result, *, actor: str, reason: str) -> Delivery:
        if self.fault:
            raise self.fault
        self.done.append((delivery.id, result, actor, reason))
        return delivery.model_copy(update={"state": DeliveryState.ACCEPTED})

    async def send_again(self, delivery: Delivery, *, actor: str) -> None:
        if self.fault:
            raise self.fault
        self.done.append((delivery.id, "again", actor))


def settling(outbox: Outbox) -> Settling:
    return Settling(cast(CaseStore, outbox), outbox)


async def test_the_persons_word_is_handed_on_under_the_persons_name() -> None:
    outbox = Outbox()
    after = await settling(outbox).settle(5, SUPERVISOR, "accepted", "confirmed by telephone")
    assert after.state is DeliveryState.ACCEPTED
    await settling(outbox).settle(5, SUPERVISOR, "again", "they have nothing")
    assert outbox.done == [
        (5, Result.ACCEPTED, "user:sam", "user:sam: confirmed by telephone"),
        (5, "again", "user:sam"),
    ]


@pytest.mark.parametrize(
    ("id_", "caller", "outcome", "fault", "reason"),
    [
        (5, CODER, "accepted", None, Reason.NOT_ALLOWED),
        (6, SUPERVISOR, "accepted", None, Reason.UNKNOWN),
        (5, SUPERVISOR, "perhaps", None, Reason.UNACCEPTABLE),
        (5, SUPERVISOR, "rejected", IllegalMove(DeliveryState.SENT, "reject"), Reason.IMPOSSIBLE),
        (5, SUPERVISOR, "rejected", Conflict(), Reason.STALE),
        (5, SUPERVISOR, "again", KeyError("payer"), Reason.IMPOSSIBLE),
    ],
)
async def test_a_word_that_cannot_be_taken_is_refused(
    id_: int, caller: Any, outcome: str, fault: Exception | None, reason: Reason
) -> None:
    with pytest.raises(Refusal) as refused:
        await settling(Outbox(fault)).settle(id_, caller, outcome, "x")
    assert refused.value.reason is reason
