"""What a store must do with provider queries that the clock looks at, and with their ways into inboxes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from conformance.store_samples import NOON, Exercise, Place, Samples, change, creation, small_case
from gateway.case import Case
from gateway.review.model import Query, QueryStatus
from gateway.review.query_delivery import InboxState, QueryDelivery, moved
from gateway.store.interface import Conflict, Step, Store

LATER = NOON + timedelta(hours=3)


async def _asked(store: Store, samples: Samples, number: str, **fields: object) -> tuple[Case, Query, QueryDelivery]:
    case = small_case(samples, number)
    query = samples.query(case.key, number=f"Q-{number}").model_copy(update=fields)
    case = replace(case, queries=(query,))
    row = QueryDelivery(
        query=query.id, number=query.number, encounter=case.key, ehr="epic", due=NOON, since=NOON - timedelta(hours=1)
    )
    step = creation(case)
    step.query_deliveries.append(row)
    await store.commit(step)
    return (await store.cases([case.key]))[case.key], query, row


async def gives_queries_to_look_at(place: Place) -> None:
    store, samples = await place.open(), Samples()
    _, second, _ = await _asked(store, samples, "1", look=NOON + timedelta(hours=2))
    case, first, _ = await _asked(store, samples, "2", look=NOON + timedelta(hours=1))
    await _asked(store, samples, "3", look=NOON + timedelta(days=1))
    await _asked(store, samples, "4", look=None)
    assert await store.queries_to_look_at(LATER, 10) == [first, second]
    assert await store.queries_to_look_at(LATER, 1) == [first]
    over = first.model_copy(update={"status": QueryStatus.CANCELLED, "look": None, "version": 2})
    await store.commit(Step(cases=[change(case, replace(case, queries=(over,), version=case.version + 1))]))
    assert await store.queries_to_look_at(LATER, 10) == [second]


async def moves_query_deliveries(place: Place) -> None:
    store, samples = await place.open(), Samples()
    case, query, row = await _asked(store, samples, "1")
    assert await store.query_delivery(query.id) == row
    assert await store.query_delivery(1) is None
    assert await store.query_deliveries("epic", NOON - timedelta(minutes=1), 10) == []
    assert await store.query_deliveries("other", LATER, 10) == []
    intent = moved(row, "intend", now=NOON, due=NOON, epoch=7)
    await store.commit(Step(query_delivery_moves=[(row, intent)]))
    try:
        await store.commit(Step(query_delivery_moves=[(row, intent)]))
    except Conflict:
        pass
    else:
        raise AssertionError("two gateways intended the same")
    standing = moved(intent, "stand", now=NOON, due=LATER + timedelta(hours=1), reference="Task/7")
    await store.commit(Step(query_delivery_moves=[(intent, standing)]))
    assert await store.query_deliveries("epic", LATER, 10) == []
    over = query.model_copy(update={"status": QueryStatus.CANCELLED, "version": 2})
    await store.commit(Step(cases=[change(case, replace(case, queries=(over,), version=case.version + 1))]))
    assert await store.query_deliveries("epic", LATER, 10) == [standing], "its query is over"
    ended = moved(standing, "end", now=LATER, due=LATER)
    await store.commit(Step(query_delivery_moves=[(standing, ended)]))
    assert await store.query_deliveries("epic", LATER + timedelta(days=9), 10) == []
    kept = await store.query_delivery(query.id)
    assert kept is not None
    assert (kept.state, kept.reference) == (InboxState.ENDED, "Task/7")


EXERCISES: tuple[Exercise, ...] = (gives_queries_to_look_at, moves_query_deliveries)
