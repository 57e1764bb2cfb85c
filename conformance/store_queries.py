"""What a store must do with provider queries that the clock looks at, and with their ways into inboxes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from conformance.store_samples import NOON, Exercise, Place, Samples, answered, change, creation, small_case
from gateway.case import Case
from gateway.review.model import Query, QueryStatus
from gateway.review.query_delivery import InboxState, QueryDelivery, moved
from gateway.store.interface import Conflict, Step, Store
from gateway.store.queries import QueryOrder, QuerySearch

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


async def finds_queries_by_all_that_a_task_is_found_by(place: Place) -> None:
    store, samples = await place.open(), Samples()
    asked = []
    for number in range(6):
        case = small_case(samples, str(number))
        query = samples.query(case.key, provider=f"npi{number % 2}", number=f"Q-{number}").model_copy(
            update={"asked_by": f"user:{'ab'[number % 2]}", "changed": NOON + timedelta(minutes=number // 2)}
        )
        if number == 3:
            query = answered(query).model_copy(update={"answered_by": "npi9"})
        asked.append(query)
        await store.commit(creation(replace(case, queries=(query,))))
    minute = timedelta(minutes=1)

    async def found(total: int | None = None, **fields: Any) -> str:
        search = QuerySearch(**fields)
        shown = "".join(query.number[2:] for query in await store.queries(search))
        assert await store.count_queries(search) == (len(shown) if total is None else total), fields
        return shown

    assert await found() == "012345"
    assert await found(ids=(asked[4].id, asked[1].id, 7)) == "14"
    assert await found(ids=(asked[4].id, asked[1].id), statuses=("completed",)) == ""
    assert await found(numbers=("Q-2", "Q-3", "Q-9"), owners=("npi1",)) == "3"
    assert await found(asked_by=("user:b",), statuses=("requested",)) == "15"
    assert await found(asked_by=("user:b", "user:c")) == "135"
    assert await found(asked_by=("user:b",), owners=("npi0",)) == ""
    assert await found(asked_by=("user:a",), owners=("npi0",), changed_from=NOON + minute) == "24"
    assert await found(answered_by=("npi9", "nobody")) == "3"
    assert await found(visits=("HOSP|V2", "4"), patients=("MR2", "MR3")) == await found(
        encounters=(asked[2].encounter,)
    )
    assert await found(visits=("OTHER|V2",)) == ""
    assert await found(encounters=(asked[0].encounter,), patients=("MR1",)) == ""
    assert await found(changed_from=NOON + minute) == "2345"
    assert await found(changed_from=NOON, changed_before=NOON + minute) == "01"
    assert await found(changed_before=NOON + minute, owners=("npi1",)) == "1"
    assert await found(changed_not=(NOON, NOON + minute), statuses=("requested",)) == "245"
    assert await found(order=QueryOrder.ASKED_DOWN, limit=2, total=6) == "54"
    assert await found(order=QueryOrder.ASKED_DOWN, after=asked[4].id, limit=2, total=6) == "32"
    last = await store.queries(QuerySearch(order=QueryOrder.CHANGED_DOWN))
    assert [query.changed for query in last] == sorted((query.changed for query in asked), reverse=True)
    for order in QueryOrder:
        whole = await store.queries(QuerySearch(order=order, owners=("npi0", "npi1")))
        paged: list[Query] = []
        while page := await store.queries(
            QuerySearch(
                order=order,
                limit=1,
                after=paged[-1].id if paged else 0,
                after_changed=paged[-1].changed if paged else None,
            )
        ):
            paged += page
        assert paged == whole, order


async def keeps_every_version_of_a_query(place: Place) -> None:
    store, samples = await place.open(), Samples()
    case, first, _ = await _asked(store, samples, "1")
    second = first.model_copy(update={"status": QueryStatus.RECEIVED, "version": 2, "changed": NOON})
    unseen = second.model_copy(update={"look": LATER})
    for after in (second, unseen):
        await store.commit(Step(cases=[change(case, replace(case, queries=(after,), version=case.version + 1))]))
        case = (await store.cases([case.key]))[case.key]
    assert await store.query_versions(first.id) == [second, first]
    assert await store.query_version(first.id, 1) == first
    assert await store.query_version(first.id, 3) is None
    assert await store.query_versions(1) == []


async def tells_what_a_task_must_name(place: Place) -> None:
    store, samples = await place.open(), Samples()
    whole = samples.full_case("7")
    await store.commit(creation(whole))
    bare, _, _ = await _asked(store, samples, "8")
    told = await store.query_subjects([whole.key, bare.key, "MAIN:HOSP:none"])
    assert set(told) == {whole.key, bare.key}
    for case in (whole, bare):
        assert case.encounter is not None
        visit, subject = case.encounter.visit, told[case.key]
        assert (subject.patient, subject.account, subject.visit) == (
            case.encounter.patient.identifiers,
            visit.account,
            visit.number,
        )
        assert subject.claim == (case.claims[-1].number if case.claims else None)
    assert whole.encounter is not None
    number = whole.encounter.visit.account or whole.encounter.visit.number
    assert number is not None
    assert await store.encounters_numbered(f"{number.authority}|{number.value}") == [whole.key]
    assert await store.encounters_numbered(f"ELSEWHERE|{number.value}") == []
    claimed = await store.queries(QuerySearch(claims=(whole.claims[-1].number,)))
    assert [query.encounter for query in claimed] == [whole.key]


EXERCISES: tuple[Exercise, ...] = (
    gives_queries_to_look_at,
    moves_query_deliveries,
    finds_queries_by_all_that_a_task_is_found_by,
    keeps_every_version_of_a_query,
    tells_what_a_task_must_name,
)
