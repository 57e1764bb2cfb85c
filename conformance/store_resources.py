"""What a store does with the resources that clients write: versions, what finds them, and what must not stand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import orjson

from conformance.store_samples import NOON, Exercise, Place, Samples, event
from gateway.message import Message, MessageState
from gateway.store.interface import Conflict, MessageOutcome, ResourceVersion, Step, Store
from gateway.store.resources import (
    REFERENCE,
    Condition,
    HistorySearch,
    Range,
    ResourceOrder,
    ResourceSearch,
)
from gateway.store.upkeep import PrunedMessage

ANN = (("identifier", "MR|1"), ("status", "active"), ("patient", "Patient/1"), (REFERENCE, "Patient/1"))
ACTIVE = Condition("status", ("active",))
BOB = (("identifier", "MR|2"), ("status", "active"), ("patient", "Patient/2"), (REFERENCE, "Patient/2"))


async def written(
    store: Store,
    samples: Samples,
    id: str,
    values: Sequence[tuple[str, str]] = ANN,
    version: int = 1,
    client: str = "ehr",
    minutes: int = 0,
    type: str = "Claim",
) -> ResourceVersion:
    """A resource that is kept."""
    message = samples.message(control=f"{client} {type} {id} {version}")
    moment = NOON + timedelta(minutes=minutes)
    one = ResourceVersion(type, id, version, client, message.id, moment, tuple(values))
    await store.keep(message, event(), one)
    return one


async def found(store: Store, *conditions: Condition, client: str = "ehr", **more: object) -> list[str]:
    search = ResourceSearch(client, "Claim", conditions=conditions, **more)  # type: ignore[arg-type]
    either = [replace(search, narrow=narrow) for narrow in ((False, True) if conditions else (False,))]
    pages = [[version.id for version in await store.resources(one)] for one in either]
    assert all(page == pages[0] for page in pages), pages
    counts = [await store.count_resources(replace(one, after=None), 1000) for one in either]
    assert len(set(counts)) == 1, counts
    return pages[0]


async def gives_each_client_ids_of_its_own(place: Place) -> None:
    store, samples = await place.open(), Samples()
    mine = await written(store, samples, "1")
    theirs = await written(store, samples, "1", BOB, client="other")
    assert await store.resource("ehr", "Claim", "1") == mine
    assert await store.resource("other", "Claim", "1") == theirs
    assert await store.resource("third", "Claim", "1") is None
    assert await store.resource("ehr", "Encounter", "1") is None
    assert await found(store, client="other") == ["1"]
    assert await found(store, Condition("patient", ("Patient/2",))) == []


async def finds_resources_by_their_values(place: Place) -> None:
    store, samples = await place.open(), Samples()
    await written(store, samples, "1", ANN)
    await written(store, samples, "2", (*BOB, ("created", "2026-03-01T10:00:00")))
    await written(store, samples, "3", (*ANN[1:], ("status", "draft"), ("created", "2026-04-01T10:00:00")))
    active = Condition("status", ("active",))
    assert await found(store, active) == ["1", "2", "3"]
    assert await found(store, Condition("identifier", ("MR|1", "MR|2", "MR|9"))) == ["1", "2"]
    assert await found(store, Condition("identifier", ("MR|1",)), Condition("patient", ("Patient/2",))) == []
    assert await found(store, active, exclusions=(Condition("status", ("draft",)),)) == ["1", "2"]
    assert await found(store, exclusions=(Condition("identifier", ("MR|1", "MR|2")),)) == ["3"]
    assert await found(store, ids=("3", "1", "9")) == ["1", "3"]
    assert await found(store, range=Range("created", "2026-03-15", "~")) == ["3"]
    assert await found(store, active, range=Range("created", "", "2026-03-15")) == ["2"]
    search = ResourceSearch("ehr", "Claim", conditions=(active,))
    assert [await store.count_resources(search, most) for most in (2, 1000)] == [2, 3]


async def finds_the_newest_version_only(place: Place) -> None:
    store, samples = await place.open(), Samples()
    await written(store, samples, "1", ANN)
    second = await written(store, samples, "1", BOB, version=2, minutes=5)
    assert await found(store, Condition("patient", ("Patient/1",))) == []
    assert await found(store, Condition("patient", ("Patient/2",))) == ["1"]
    assert await store.referring("ehr", "Patient/1") == []
    assert await store.referring("ehr", "Patient/2") == [second]
    assert await store.referring("other", "Patient/2") == []


async def refuses_a_version_without_the_one_before(place: Place) -> None:
    store, samples = await place.open(), Samples()
    try:
        await written(store, samples, "1", version=2)
    except Conflict:
        assert await store.resource("ehr", "Claim", "1") is None
        assert await store.backlog() == 0
        return
    raise AssertionError("version 2 was kept without version 1")


async def pages_in_every_order(place: Place) -> None:
    """Pages partition the whole, also where many were written at one moment."""
    store, samples = await place.open(), Samples()
    for number in (5, 1, 4, 2, 3, 7, 6):
        await written(store, samples, str(number), minutes=number // 3)
    wanted = {
        ResourceOrder.ID: "1234567",
        ResourceOrder.ID_DESCENDING: "7654321",
        ResourceOrder.WRITTEN: "1234567",
        ResourceOrder.WRITTEN_DESCENDING: "7654321",
    }
    for order, ids in wanted.items():
        seen: list[str] = []
        after = None
        while page := await store.resources(ResourceSearch("ehr", "Claim", order=order, after=after, limit=3)):
            seen += [version.id for version in page]
            after = (page[-1].written, page[-1].id)
        assert "".join(seen) == ids, order
    early = NOON + timedelta(minutes=1)
    assert await found(store, changed_before=early) == ["1", "2"]
    assert await found(store, changed_from=early, changed_before=early + timedelta(minutes=1)) == ["3", "4", "5"]


async def tells_the_history(place: Place) -> None:
    store, samples = await place.open(), Samples()
    versions = [await written(store, samples, "1", version=number, minutes=number) for number in (1, 2, 3)]
    other = await written(store, samples, "2", minutes=2)
    of_one = HistorySearch("ehr", "Claim", "1")
    assert await store.resource_history(of_one) == versions[::-1]
    assert await store.resource_history(replace(of_one, since=NOON + timedelta(minutes=3))) == versions[2:]
    place_of = (versions[1].written, "1", 2)
    assert await store.resource_history(replace(of_one, before=place_of)) == versions[:1]
    of_type = HistorySearch("ehr", "Claim", limit=2)
    first = await store.resource_history(of_type)
    assert first == [versions[2], other]
    rest = await store.resource_history(replace(of_type, before=(other.written, other.id, other.version)))
    assert rest == [versions[1], versions[0]]
    messages = await store.whole_messages([version.message for version in first] + [1])
    assert sorted(messages) == sorted(version.message for version in first)
    assert all(message.payload for message in messages.values())


def saying(samples: Samples, id: str, patient: int = 1, version: int = 1) -> tuple[Message, ResourceVersion]:
    """A Claim that says itself what it is found by."""
    said = {
        "resourceType": "Claim",
        "status": "active",
        "identifier": [{"system": "CL", "value": id}],
        "patient": {"reference": f"Patient/{patient}"},
    }
    message = samples.message(control=f"said {id} {version}", payload=orjson.dumps(said))
    return message, ResourceVersion("Claim", id, version, "ehr", message.id, NOON, None)


async def finds_by_what_the_bytes_say(place: Place) -> None:
    """At once, however many came together."""
    store, samples = await place.open(), Samples()
    kept = [saying(samples, f"{number:03d}", number % 2) for number in range(600)]
    await asyncio.gather(*(store.keep(message, event(), version) for message, version in kept))
    searches = (
        store.referring("ehr", "Patient/1"),
        store.count_resources(ResourceSearch("ehr", "Claim", conditions=(ACTIVE,)), 1000),
        store.resources(ResourceSearch("ehr", "Claim", conditions=(Condition("identifier", ("CL|007",)),))),
    )
    referring, count, (seventh,) = await asyncio.gather(*searches)
    assert [version.id for version in referring] == [f"{number:03d}" for number in range(1, 600, 2)]
    assert (count, seventh.id) == (600, "007")
    message, version = saying(samples, "007", patient=3, version=2)
    await store.keep(message, event(), version)
    message, version = saying(samples, "007", patient=4, version=3)
    await store.keep(message, event(), version)
    assert await store.referring("ehr", "Patient/3") == []
    assert [version.id for version in await store.referring("ehr", "Patient/4")] == ["007"]


async def creates_nothing_beside_what_the_bytes_say(place: Place) -> None:
    """What was kept a moment before counts, whether or not anybody has looked for it."""
    store, samples = await place.open(), Samples()
    message, version = saying(samples, "3", patient=3)
    await store.keep(message, event(), version)
    try:
        await store.commit(creating(samples, "4", Condition("patient", ("Patient/3",)))[1])
    except Conflict:
        assert await found(store) == ["3"]
    else:
        raise AssertionError("one was created beside another")
    message = samples.message(control="whole", payload=message.payload)
    whole = Step(messages=[message], resources=[ResourceVersion("Claim", "5", 1, "ehr", message.id, NOON, None)])
    await store.commit(whole)
    assert await found(store, Condition("patient", ("Patient/3",))) == ["3", "5"]


def creating(samples: Samples, id: str, *unless: Condition) -> tuple[Message, Step]:
    message = samples.message(control=f"new {id}")
    version = ResourceVersion("Claim", id, 1, "ehr", message.id, NOON, ANN, unless)
    return message, Step(messages=[message], resources=[version], events=[event()])


async def creates_only_what_does_not_stand(place: Place) -> None:
    """However many ask at one moment, and whichever conditions they name: one is kept."""
    store, samples = await place.open(), Samples()
    ann = Condition("identifier", ("MR|1",))
    both = (Condition("status", ("active",)), Condition("patient", ("Patient/1",)), ann)
    steps = [creating(samples, str(n), *(both if n % 2 else (ann,)))[1] for n in range(12)]
    results = await asyncio.gather(*(store.commit(step) for step in steps), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [Conflict] * 11
    assert len(await found(store)) == 1
    assert await store.backlog() == 1
    await store.commit(creating(samples, "bob", Condition("identifier", ("MR|2",)))[1])
    await store.commit(creating(samples, "third", ann, Condition("patient", ("Patient/2",)))[1])
    assert len(await found(store)) == 3


async def keeps_a_transaction_whole(place: Place) -> None:
    store, samples = await place.open(), Samples()
    await written(store, samples, "1")
    good, bad = creating(samples, "2")[1], creating(samples, "1")[1]
    whole = Step(
        messages=[*good.messages, *bad.messages],
        resources=[*good.resources, *bad.resources],
        events=[*good.events, *bad.events],
    )
    try:
        await store.commit(whole)
    except Conflict:
        assert await found(store) == ["1"]
        assert await store.backlog() == 1
        await store.commit(good)
        assert await found(store) == ["1", "2"]
        return
    raise AssertionError("a transaction was kept in part")


async def finds_nothing_that_was_pruned(place: Place) -> None:
    """Neither values nor bytes are left; the version is still known by its id, so that the next one follows it."""
    store, samples = await place.open(), Samples()
    first = await written(store, samples, "1")
    pruned = PrunedMessage(first.message, MessageState.RECEIVED, "pruned")
    await store.commit(Step(pruned=[pruned]))
    assert await found(store) == []
    assert await found(store, Condition("status", ("active",))) == []
    assert await store.referring("ehr", "Patient/1") == []
    assert await store.resource("ehr", "Claim", "1") == first
    await written(store, samples, "1", BOB, version=2)
    assert await found(store, Condition("status", ("active",))) == ["1"]


async def keeps_what_others_refer_to(place: Place) -> None:
    """The newest version of what is no message's own meaning is not for pruning; what it superseded is."""
    store, samples = await place.open(), Samples()
    versions = [await written(store, samples, "1", version=number, type="Patient") for number in (1, 2)]
    unused = [MessageOutcome(one.message, MessageState.UNUSED) for one in versions]
    await store.commit(Step(outcomes=unused))
    prunable = await store.prunable(MessageState.UNUSED, 0, versions[1].message + 1, 10)
    assert [row.id for row in prunable] == [versions[0].message]


EXERCISES: tuple[Exercise, ...] = (
    gives_each_client_ids_of_its_own,
    finds_resources_by_their_values,
    finds_the_newest_version_only,
    refuses_a_version_without_the_one_before,
    pages_in_every_order,
    tells_the_history,
    finds_by_what_the_bytes_say,
    creates_nothing_beside_what_the_bytes_say,
    creates_only_what_does_not_stand,
    keeps_a_transaction_whole,
    finds_nothing_that_was_pruned,
    keeps_what_others_refer_to,
)
