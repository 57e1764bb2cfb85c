"""What a person says of a delivery of which nobody knows whether it arrived."""

from __future__ import annotations

from gateway.access.roles import Permission, needed
from gateway.desk.ports import CaseStore, Outbox, Person
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import user
from gateway.release.model import Delivery, DeliveryState, Result
from gateway.release.transitions import IllegalMove
from gateway.store.interface import Conflict

VERDICTS = {"accepted": Result.ACCEPTED, "rejected": Result.REJECTED}
AGAIN = "again"
"""The receiver is known to have nothing: the same bytes once more, under the same key."""

_OPEN = (DeliveryState.UNKNOWN, DeliveryState.SENT)


class Settling:
    """Ends deliveries by a person's word. The outbox commits it, with what it means for the case."""

    def __init__(self, store: CaseStore, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox

    async def settle(self, delivery_id: int, caller: Person, outcome: str, reason: str) -> Delivery:
        """The delivery as it stands after; for `again` it is under way. Raises Refusal."""
        if Permission.DELIVERY_RESOLVE not in caller.permissions:
            raise Refusal(Reason.NOT_ALLOWED, f"This needs {needed(Permission.DELIVERY_RESOLVE)}")
        if outcome != AGAIN and outcome not in VERDICTS:
            raise Refusal(Reason.UNACCEPTABLE, "The outcome is accepted, rejected or again")
        delivery = await self._find(delivery_id)
        try:
            if outcome == AGAIN:
                return await self._again(delivery, caller)
            return await self._outbox.settle_by_hand(
                delivery, VERDICTS[outcome], actor=user(caller), reason=f"{user(caller)}: {reason}"
            )
        except IllegalMove as move:
            raise Refusal(Reason.IMPOSSIBLE, f"A delivery in state {move.state} can't be settled so") from None
        except Conflict:
            raise Refusal(Reason.STALE, "The delivery has just changed: look again") from None

    async def _again(self, delivery: Delivery, caller: Person) -> Delivery:
        try:
            await self._outbox.send_again(delivery, actor=user(caller))
        except KeyError:
            text = "The configuration no longer has its destination: restore it, or say accepted or rejected"
            raise Refusal(Reason.IMPOSSIBLE, text) from None
        return delivery

    async def _find(self, delivery_id: int) -> Delivery:
        found = (d for d in await self._store.deliveries(_OPEN) if d.id == delivery_id)
        delivery = next(found, None)
        if delivery is None:
            raise Refusal(Reason.UNKNOWN, "No delivery of this id waits for a person's word")
        return delivery
