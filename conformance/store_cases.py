"""What a store does with cases: gives back what it was given, guards each version, and finds them for lists."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from conformance.store_messages import refused, subjects
from conformance.store_samples import (
    BYTES,
    NOON,
    Exercise,
    Place,
    Samples,
    answered,
    change,
    creation,
    encounter,
    ended,
    event,
    next_version,
    sent,
    small_case,
)
from gateway.case import Case, Draw
from gateway.encounter.change import Content
from gateway.encounter.identity import Identifier
from gateway.message import MessageState
from gateway.release.model import Delivery, DeliveryState, Suspension
from gateway.review.model import HoldKind
from gateway.store.interface import (
    Attempt,
    Conflict,
    DeliveryChange,
    MessageOutcome,
    Step,
    Store,
    WorkItem,
)
from gateway.store.queries import QuerySearch


async def case_of(store: Store, key: str) -> Case:
    return (await store.cases([key]))[key]


async def gives_back_a_whole_case(place: Place) -> None:
    store, samples = await place.open(), Samples()
    case, other = samples.full_case("100"), samples.full_case("200")
    await store.commit(creation(case))
    await store.commit(creation(other))
    found = await store.cases([other.key, case.key, "MAIN:HOSP:none", case.key])
    assert found == {case.key: case, other.key: other, "MAIN:HOSP:none": Case("MAIN:HOSP:none")}
    assert await store.cases([]) == {}


async def keeps_a_case_without_an_encounter(place: Place) -> None:
    store, samples = await place.open(), Samples()
    case = Case("MAIN::7", 1, None, holds=(samples.hold("MAIN::7"),))
    await store.commit(creation(case, "waiting"))
    assert await case_of(store, case.key) == case


async def writes_what_differs(place: Place) -> None:
    store, samples = await place.open(), Samples()
    before = samples.full_case("100")
    await store.commit(creation(before))
    read = await case_of(store, before.key)
    after = next_version(
        read,
        encounter=encounter("100", coder="smith"),
        holds=(ended(read.holds[0]), read.holds[1], samples.hold(before.key, HoldKind.REVIEW, "high-value")),
        queries=(answered(read.queries[0]), samples.query(before.key, number="Q-2")),
        decisions=(*read.decisions, samples.decision(before.key)),
        draws=(*read.draws, Draw("high-value", "all", 0, False)),
    )
    await store.commit(Step(cases=[change(read, after)], events=[event()]))
    found = await case_of(store, before.key)
    assert replace(found, draws=()) == replace(after, draws=())
    assert set(found.draws) == set(after.draws)


async def reviews_without_rewriting_the_encounter(place: Place) -> None:
    store, samples = await place.open(), Samples()
    case = small_case(samples, "100")
    await store.commit(creation(case))
    after = next_version(case, holds=(ended(case.holds[0]),))
    await store.commit(Step(cases=[change(case, after, "ready")], events=[event(minutes=5)]))
    assert await case_of(store, case.key) == after
    [line] = await store.worklist(["ready"], [], "", 10)
    assert (line.holds, line.changed) == ((), NOON + timedelta(minutes=5))


async def guards_the_version(place: Place) -> None:
    """Two who read the same version: the second is refused, whole."""
    store, samples = await place.open(), Samples()
    case = small_case(samples, "100")
    await store.commit(creation(case))
    await refused(store, creation(small_case(samples, "100")))
    second = next_version(case, encounter=encounter("100", coder="smith"))
    await store.commit(Step(cases=[change(case, second)], events=[event("second")]))
    third = next_version(case, holds=(ended(case.holds[0]),))
    await refused(store, Step(cases=[change(case, third)], events=[event("third")]))
    assert await case_of(store, case.key) == second
    assert await subjects(store) == ["encounter/" + case.key, "second"]


async def has_one_winner_at_one_moment(place: Place) -> None:
    store, samples = await place.open(), Samples()
    cases = [small_case(samples, str(number)) for number in range(5)]
    await asyncio.gather(*(store.commit(creation(case)) for case in cases))
    steps = [
        Step(cases=[change(c, next_version(c, encounter=encounter(c.key[10:], coder=f"coder{n}")))], events=[event()])
        for n in range(4)
        for c in cases
    ]
    results = await asyncio.gather(*(store.commit(step) for step in steps), return_exceptions=True)
    assert results.count(None) == 5
    assert sum(isinstance(result, Conflict) for result in results) == 15
    found = await store.cases(case.key for case in cases)
    assert [found[case.key].version for case in cases] == [2] * 5


async def commits_all_or_nothing(place: Place) -> None:
    """The last list of a step conflicts: nothing of the first ones stands."""
    store, samples = await place.open(), Samples()
    message, case = samples.message(), samples.full_case("100")
    await store.keep(message, event("message/1"))
    step = creation(case)
    step.messages.append(samples.message("M2"))
    step.outcomes.append(MessageOutcome(message.id, MessageState.PROCESSED))
    step.contents.append((case.key, Content("ab", "text/plain", BYTES)))
    stranger = samples.delivery(samples.claim(encounter("300")))
    await refused(store, replace(step, deliveries=[DeliveryChange(stranger, sent(stranger))]))
    assert await store.pending(10) == [message]
    assert await case_of(store, case.key) == Case(case.key)
    assert await store.content(case.key, "ab") is None
    assert await subjects(store) == ["message/1"]
    await store.commit(step)
    assert await case_of(store, case.key) == case
    assert await store.content(case.key, "ab") == Content("ab", "text/plain", BYTES)
    assert await store.content(case.key, "cd") is None


async def refuses_a_skipped_version(place: Place) -> None:
    store, samples = await place.open(), Samples()
    case = small_case(samples, "100")
    try:
        await store.commit(Step(cases=[change(Case(case.key), replace(case, version=2))]))
    except ValueError:
        pass
    else:
        raise AssertionError("a case went from version 0 to 2")
    assert await case_of(store, case.key) == Case(case.key)


async def finds_encounters_by_number(place: Place) -> None:
    store, samples = await place.open(), Samples()
    case, other = small_case(samples, "100"), small_case(samples, "200")
    await store.commit(creation(case))
    await store.commit(creation(other))
    account, visit = ("MAIN", "AN", "HOSP", "100"), ("MAIN", "VN", "HOSP", "V200")
    elsewhere, patient = ("WEST", "AN", "HOSP", "100"), ("MAIN", "MR", "HOSP", "MR100")
    found = await store.encounters_by_number([account, visit, elsewhere, patient])
    assert found == {account: [case.key], visit: [other.key], elsewhere: [], patient: []}
    moved = other.encounter
    assert moved is not None
    shared = moved.visit.model_copy(update={"account": Identifier(value="100", authority="HOSP")})
    after = next_version(other, encounter=moved.model_copy(update={"visit": shared, "identifiers": ()}))
    await store.commit(Step(cases=[change(other, after)]))
    found = await store.encounters_by_number([account, ("MAIN", "AN", "HOSP", "200")])
    assert found == {account: [case.key, other.key], ("MAIN", "AN", "HOSP", "200"): []}
    assert await store.encounters_by_number([]) == {}


async def lists_work_in_pages(place: Place) -> None:
    store, samples = await place.open(), Samples()
    for number in range(9):
        case = small_case(samples, str(100 + number), coder=f"coder{number}")
        if number == 4:
            review = samples.hold(case.key, HoldKind.REVIEW, "high-value")
            case = replace(case, holds=(ended(case.holds[0]), review))
        stage = ("held", "waiting", "released")[number % 3]
        await store.commit(creation(case, stage))

    async def keys(stages: list[str], kinds: list[str], after: str = "", limit: int = 50) -> list[str]:
        return [item.key[-3:] for item in await store.worklist(stages, kinds, after, limit)]

    assert await keys(["held"], []) == ["100", "103", "106"]
    assert await keys(["waiting", "held"], [], limit=3) == ["100", "101", "103"]
    assert await keys(["waiting", "held"], [], "MAIN:HOSP:103", 3) == ["104", "106", "107"]
    assert await keys([], [], "MAIN:HOSP:106") == ["107", "108"]
    assert await keys([], ["review"]) == ["104"]
    assert await keys(["held", "waiting"], ["review", "query"]) == ["104"]
    assert await keys(["held"], ["review"]) == []
    assert await keys(["waiting"], ["edit"]) == ["101", "107"]
    assert await store.worklist(["waiting"], [], "MAIN:HOSP:101", 1) == [
        WorkItem("MAIN:HOSP:104", "waiting", "inpatient", "MEDICARE", "coder4", "2800.15", ("review:high-value",), NOON)
    ]


async def orders_keys_by_their_bytes(place: Place) -> None:
    """Whatever the language of the server: a page begins where the one before it ended."""
    store, samples = await place.open(), Samples()
    numbers = ["a1", "B1", "A-1", "a_1", "b1", "A1", "A.1", "a-1"]
    for place_, number in enumerate(numbers):
        await store.commit(creation(small_case(samples, number), ("held", "waiting")[place_ % 2]))
    found: list[str] = []
    while page := await store.worklist(["held", "waiting"], [], found[-1] if found else "", 3):
        found += [item.key for item in page]
    assert found == sorted(f"MAIN:HOSP:{number}" for number in numbers)


async def tells_who_is_due(place: Place) -> None:
    store, samples = await place.open(), Samples()
    hours: list[int | None] = [3, None, 1, 2]
    cases = [small_case(samples, str(number)) for number in range(4)]
    for case, hour in zip(cases, hours, strict=True):
        await store.commit(creation(case, due=None if hour is None else NOON + timedelta(hours=hour)))
    assert await store.due_encounters(NOON + timedelta(hours=2), 10) == [cases[2].key, cases[3].key]
    assert await store.due_encounters(NOON + timedelta(hours=9), 1) == [cases[2].key]
    after = next_version(cases[2])
    await store.commit(Step(cases=[change(cases[2], after, due=None)]))
    assert await store.due_encounters(NOON + timedelta(hours=2), 10) == [cases[3].key]


async def searches_queries(place: Place) -> None:
    store, samples = await place.open(), Samples()
    for number in range(6):
        case = small_case(samples, str(number))
        query = samples.query(case.key, provider=f"npi{number % 2}", number=f"Q-{number}")
        case = replace(case, queries=(query if number != 3 else answered(query),))
        await store.commit(creation(case))
    found = await store.queries(QuerySearch())
    assert [query.number for query in found] == [f"Q-{n}" for n in range(6)]
    assert await store.query(found[2].id) == found[2]
    assert await store.query(1) is None

    async def numbers(search: QuerySearch) -> list[str]:
        return [query.number[2:] for query in await store.queries(search)]

    assert await numbers(QuerySearch(limit=2, after=found[1].id)) == ["2", "3"]
    assert await numbers(QuerySearch(statuses=("completed",))) == ["3"]
    assert await numbers(QuerySearch(statuses=("completed", "requested"), owners=("npi1",))) == ["1", "3", "5"]
    assert await numbers(QuerySearch(owners=("npi0", "npi1"), after=found[3].id)) == ["4", "5"]
    assert await numbers(QuerySearch(encounters=("MAIN:HOSP:4",))) == ["4"]
    assert await numbers(QuerySearch(numbers=("Q-5",))) == ["5"]
    assert await numbers(QuerySearch(numbers=("Q-5",), statuses=("completed",))) == []
    assert await numbers(QuerySearch(patients=("MR2",))) == ["2"]
    assert await numbers(QuerySearch(patients=("HOSP|MR2",))) == ["2"]
    assert await numbers(QuerySearch(patients=("OTHER|MR2",))) == []
    assert await numbers(QuerySearch(changed_from=NOON + timedelta(minutes=1))) == ["3"]


async def hands_out_due_deliveries(place: Place) -> None:
    store, samples = await place.open(), Samples()
    deliveries: list[Delivery] = []
    for number in range(4):
        whole = encounter(str(number))
        claim = samples.claim(whole, "payer" if number != 3 else "other", f"C{number}")
        delivery = samples.delivery(claim, NOON - timedelta(hours=number))
        case = Case(str(whole.key), 1, whole, claims=(claim,), deliveries=(delivery,))
        await store.commit(creation(case, "released"))
        deliveries.append(delivery)
    assert await store.due_deliveries("payer", NOON, 10) == [deliveries[2], deliveries[1], deliveries[0]]
    assert await store.due_deliveries("payer", NOON - timedelta(minutes=1), 1) == [deliveries[2]]
    begun = sent(deliveries[2])
    await store.commit(Step(deliveries=[DeliveryChange(deliveries[2], begun)], attempts=[_attempt(begun)]))
    assert await store.due_deliveries("payer", NOON, 10) == [deliveries[1], deliveries[0]]
    assert await store.deliveries([DeliveryState.INTENT]) == [begun]
    assert await store.deliveries([DeliveryState.INTENT, DeliveryState.READY], 3) == [*deliveries[:2], begun]
    assert (await case_of(store, begun.encounter)).deliveries == (begun,)


def _attempt(delivery: Delivery) -> Attempt:
    return Attempt(delivery.id, delivery.attempts, "node-1", 7, "e" * 64, NOON)


async def guards_every_attempt(place: Place) -> None:
    """One intent for each state and count that was read; one row for each attempt."""
    store, samples = await place.open(), Samples()
    case = samples.full_case("100")
    await store.commit(creation(case, "released"))
    ready = case.deliveries[0]
    begun = sent(ready)
    intent = Step(deliveries=[DeliveryChange(ready, begun)], attempts=[_attempt(begun)], events=[event("intent")])
    results = await asyncio.gather(store.commit(intent), store.commit(intent), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
    await refused(store, intent)
    back = begun.model_copy(update={"state": DeliveryState.READY})
    await store.commit(Step(deliveries=[DeliveryChange(begun, back)]))
    await refused(store, intent)
    twice = sent(back).model_copy(update={"attempts": 1})
    await refused(store, Step(deliveries=[DeliveryChange(back, twice)], attempts=[_attempt(twice)]))
    assert await store.deliveries([DeliveryState.READY]) == [back]
    assert (await subjects(store)).count("intent") == 1


async def releases_a_claim_once(place: Place) -> None:
    """A number, version and destination are taken once, whoever asks."""
    store, samples = await place.open(), Samples()
    await store.commit(creation(samples.full_case("100"), "released"))
    other = samples.full_case("200")
    stolen = tuple(claim.model_copy(update={"number": "C100"}) for claim in other.claims)
    await refused(store, creation(replace(other, claims=stolen)))
    assert await store.deliveries([DeliveryState.READY]) == list((await case_of(store, "MAIN:HOSP:100")).deliveries)
    rewritten = await case_of(store, "MAIN:HOSP:100")
    claim = rewritten.claims[0].model_copy(update={"approved_by": "user:other"})
    try:
        await store.commit(Step(cases=[change(rewritten, next_version(rewritten, claims=(claim,)))]))
    except ValueError:
        return
    raise AssertionError("a released claim was rewritten")


async def remembers_suspensions(place: Place) -> None:
    """One for each destination; the first stands until it is resumed."""
    store = await place.open()
    first = Suspension(destination="payer", since=NOON, actor="gateway", reason="AR; 203")
    later = Suspension(destination="payer", since=NOON + timedelta(hours=1), actor="user:op", reason="by hand")
    other = Suspension(destination="billing", since=NOON, actor="user:op", reason="an upgrade")
    await store.commit(Step(suspensions=[first], events=[event("suspended")]))
    await store.commit(Step(suspensions=[later, other]))
    assert await store.suspensions() == [other, first]
    await store.commit(Step(resumptions=["payer", "nobody"]))
    assert await store.suspensions() == [other]


async def keeps_what_is_parked_parked(place: Place) -> None:
    store, samples = await place.open(), Samples()
    case = samples.full_case("100")
    await store.commit(creation(case, "released"))
    ready = case.deliveries[0]
    parked = sent(ready).model_copy(update={"state": DeliveryState.UNKNOWN, "parked": True})
    await store.commit(Step(deliveries=[DeliveryChange(ready, parked)], attempts=[_attempt(parked)]))
    assert await store.deliveries([DeliveryState.UNKNOWN]) == [parked]


async def draws_each_place_once(place: Place) -> None:
    store, samples = await place.open(), Samples()
    for number, frame in enumerate(("a/0", "a/0", "b/0", "a/1", "2/3 of/x/7", "whole")):
        case = replace(small_case(samples, str(number)), draws=(Draw("random", frame, number % 2, number == 1),))
        await store.commit(creation(case))
    assert await store.draw_counts() == {
        ("random", "a"): 3,
        ("random", "b"): 1,
        ("random", "2/3 of/x"): 1,
        ("random", "whole"): 1,
    }
    taken = replace(small_case(samples, "9"), draws=(Draw("random", "a/0", 1, False),))
    await refused(store, creation(taken))


async def counts_everything(place: Place) -> None:
    store, samples = await place.open(), Samples()
    empty = await store.counts()
    assert {table: dict(values) for table, values in empty.items()} == {
        "messages": {},
        "holds": {},
        "deliveries": {},
        "encounters": {},
    }
    await store.keep(samples.message(), event())
    await store.commit(creation(samples.full_case("100"), "released"))
    case = small_case(samples, "200")
    await store.commit(creation(replace(case, holds=(ended(case.holds[0]),)), "ready"))
    assert await store.counts() == {
        "messages": {"received": 1},
        "holds": {"edit": 1, "query": 1},
        "deliveries": {"ready": 1},
        "encounters": {"released": 1, "ready": 1},
    }


async def shows_what_committed_before(place: Place) -> None:
    """A read that begins after a commit returned sees it, through any of the store's ways in."""
    store, samples = await place.open(), Samples()
    for number in range(20):
        case = small_case(samples, str(number))
        await store.commit(creation(case))
        looks: list[Callable[[], Awaitable[object]]] = [
            lambda key=case.key: case_of(store, key),  # type: ignore[misc]
            lambda: store.worklist(["held"], [], "", 50),
            store.highest_event,
        ]
        found = await asyncio.gather(*(look() for look in looks))
        assert found[0] == case
        assert len(found[1]) == number + 1  # type: ignore[arg-type]
        assert found[2] == number + 1


EXERCISES: tuple[Exercise, ...] = (
    gives_back_a_whole_case,
    keeps_a_case_without_an_encounter,
    writes_what_differs,
    reviews_without_rewriting_the_encounter,
    guards_the_version,
    has_one_winner_at_one_moment,
    commits_all_or_nothing,
    refuses_a_skipped_version,
    finds_encounters_by_number,
    lists_work_in_pages,
    orders_keys_by_their_bytes,
    tells_who_is_due,
    searches_queries,
    hands_out_due_deliveries,
    guards_every_attempt,
    releases_a_claim_once,
    remembers_suspensions,
    keeps_what_is_parked_parked,
    draws_each_place_once,
    counts_everything,
    shows_what_committed_before,
)
