"""What the desk asks of others, declared where it is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from gateway.access.roles import Permission, Role
from gateway.audit.events import Event
from gateway.case import Case
from gateway.encounter.change import Content
from gateway.encounter.model import Encounter
from gateway.release.model import Claim, Delivery, DeliveryState, Result
from gateway.review.model import Decision, Hold, Query
from gateway.review.query_delivery import QueryDelivery
from gateway.review.query_timing import QueryPolicy
from gateway.store.interface import CaseChange, Step, WorkItem
from gateway.store.queries import QuerySearch, QuerySubject


class Person(Protocol):
    """Someone who was recognised, and what they may do."""

    @property
    def name(self) -> str: ...
    @property
    def roles(self) -> frozenset[Role]: ...
    @property
    def permissions(self) -> frozenset[Permission]: ...
    @property
    def npi(self) -> tuple[str, ...]: ...


class CaseStore(Protocol):
    """The part of the store that the desk works on."""

    async def commit(self, step: Step) -> None: ...

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]: ...

    async def worklist(
        self, stages: Sequence[str], hold_kinds: Sequence[str], after: str, limit: int
    ) -> list[WorkItem]: ...

    async def content(self, encounter: str, digest: str) -> Content | None: ...

    async def query(self, id: int) -> Query | None: ...

    async def queries(self, search: QuerySearch) -> list[Query]: ...

    async def count_queries(self, search: QuerySearch) -> int: ...

    async def query_versions(self, id: int) -> list[Query]: ...

    async def query_subjects(self, keys: Iterable[str]) -> dict[str, QuerySubject]: ...

    async def encounters_numbered(self, number: str) -> list[str]: ...

    async def queries_to_look_at(self, now: datetime, limit: int) -> list[Query]: ...

    async def query_deliveries(self, ehr: str, now: datetime, limit: int) -> list[QueryDelivery]: ...

    async def query_delivery(self, query: int) -> QueryDelivery | None: ...

    async def deliveries(self, states: Sequence[DeliveryState], limit: int = 1000) -> list[Delivery]: ...

    async def draw_counts(self) -> dict[tuple[str, str], int]: ...


class Sampling(Protocol):
    def turn(self, store: CaseStore) -> AbstractAsyncContextManager[None]:
        """The right to draw, until what was drawn is committed or lost."""
        ...


class Advance(Protocol):
    """What a step does to a case."""

    @property
    def change(self) -> CaseChange: ...
    @property
    def events(self) -> list[Event]: ...
    @property
    def released(self) -> Claim | None: ...


class Deciding(Protocol):
    """The one decision over a case: assess, reconcile the holds, release when none stands."""

    @property
    def sampler(self) -> Sampling: ...

    @property
    def query_policy(self) -> QueryPolicy: ...

    def advance(
        self,
        case: Case,
        *,
        now: datetime,
        actor: str = ...,
        encounter: Encounter | None = None,
        holds: Iterable[Hold] | None = None,
        queries: Iterable[Query] | None = None,
        deliveries: Iterable[Delivery] | None = None,
        decisions: Iterable[Decision] = (),
        message: int | None = None,
    ) -> Advance: ...


class Outbox(Protocol):
    """Commits what a person says of a delivery. Both raise IllegalMove, and the store's Conflict; `send_again` KeyError
    when the destination is no longer configured."""

    async def settle_by_hand(self, delivery: Delivery, result: Result, *, actor: str, reason: str) -> Delivery: ...

    async def send_again(self, delivery: Delivery, *, actor: str) -> None: ...
