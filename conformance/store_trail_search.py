"""What a store finds in the audit trail, and the exports of it that it keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from conformance.store_samples import NOON, Exercise, Place, creation, event, small_case
from conformance.store_samples import Samples as _Samples
from gateway.audit.events import Action
from gateway.store.interface import Seal, Step, Store
from gateway.store.trail import EventSearch, Span, TrailExport


def _minute(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


async def _told(store: Store, count: int = 200) -> None:
    """A minute apart: event `n` of encounter `n % 4` and message `n // 2`, every tenth a reading by `user:ada`."""
    said = [event(f"message/{n}", f"MAIN:HOSP:{n % 4}", n, n // 2) for n in range(count)]
    for n in range(0, count, 10):
        said[n] = replace(said[n], action=Action.ENCOUNTER_READ, actor="user:ada", encounter=None, message=None)
    await store.commit(Step(events=said))


async def _subjects(store: Store, search: EventSearch) -> list[int]:
    """The numbers of the subjects on all pages."""
    found: list[int] = []
    for _ in range(1000):
        page = await store.search_events(search)
        assert len(page.items) <= search.limit
        found += [int(one.event.subject.partition("/")[2]) for one in page.items]
        if page.next is None:
            return found
        search = replace(search, before=page.next) if search.newest_first else replace(search, after=page.next)
    raise AssertionError("the pages have no end")


async def pages_the_trail_both_ways(place: Place) -> None:
    store = await place.open()
    assert (await store.search_events(EventSearch())).items == ()
    await _told(store)
    assert await _subjects(store, EventSearch(limit=7)) == list(range(199, -1, -1))
    assert await _subjects(store, EventSearch(limit=7, newest_first=False)) == list(range(200))
    whole = await store.search_events(EventSearch(limit=200))
    assert (len(whole.items), whole.next) == (200, None)
    first = whole.items[-1]
    assert await store.event(first.seq) == first
    assert await store.event(first.seq + 10_000) is None


async def looks_at_a_bounded_number_of_places(place: Place) -> None:
    store = await place.open()
    await _told(store)
    for newest in (True, False):
        search = EventSearch(actors=("user:ada",), newest_first=newest, scan=35)
        page = await store.search_events(search)
        assert len(page.items) in (3, 4)
        assert page.next is not None
        found = await _subjects(store, search)
        assert found == sorted(range(0, 200, 10), reverse=newest)


async def finds_events_by_what_they_say(place: Place) -> None:
    store = await place.open()
    await _told(store)

    async def found(**asked: object) -> list[int]:
        return await _subjects(store, EventSearch(newest_first=False, limit=9, **asked))  # type: ignore[arg-type]

    assert await found(actions=("encounter.read",)) == list(range(0, 200, 10))
    assert await found(actions=()) == []
    assert await found(encounters=("MAIN:HOSP:3",)) == list(range(3, 200, 4))
    assert await found(encounters=()) == []
    both = await found(encounters=("MAIN:HOSP:1", "MAIN:HOSP:2"))
    assert both == [n for n in range(200) if n % 4 in (1, 2) and n % 10]
    assert await found(subjects=("message/42", "message/43")) == [42, 43]
    assert await found(messages=(21,)) == [42, 43]
    assert await found(since=_minute(42), until=_minute(45)) == [42, 43, 44]
    assert await found(since=_minute(42), until=_minute(60), actors=("user:ada",)) == [50]
    assert await found(encounters=("MAIN:HOSP:3",), since=_minute(190)) == [191, 195, 199]
    assert await found(since=_minute(500)) == []
    assert await found(until=NOON) == []


async def finds_a_moment_among_moments_a_little_out_of_order(place: Place) -> None:
    """What was refused is told some moments later than it happened."""
    store = await place.open()
    said = [event(str(n), minutes=n if n % 7 else n - 5) for n in range(60)]
    await store.commit(Step(events=[replace(one, subject=f"message/{one.subject}") for one in said]))
    found = await _subjects(store, EventSearch(since=_minute(30), until=_minute(40), newest_first=False))
    assert found == [n for n in range(60) if 30 <= (n if n % 7 else n - 5) < 40]
    assert await store.place_of(_minute(-100)) == 1
    beyond = await store.place_of(_minute(10_000))
    assert beyond == await store.highest_event() + 1


async def reads_and_counts_a_span(place: Place) -> None:
    store = await place.open()
    await _told(store, 100)
    first = (await store.search_events(EventSearch(newest_first=False, limit=1))).items[0].seq
    span = Span(first + 9, first + 49, actions=("encounter.read",))
    assert await store.count_events(span) == 4
    assert [one.seq - first for one in await store.events_within(span, 100)] == [10, 20, 30, 40]
    assert [one.seq - first for one in await store.events_within(span, 12)] == [10, 20]
    timed = Span(0, first + 99, _minute(10), _minute(20))
    assert await store.count_events(timed) == 10
    assert [one.seq - first for one in await store.events_within(timed, 1000)] == list(range(10, 20))


async def tells_what_stands_behind(place: Place) -> None:
    store, samples = await place.open(), _Samples()
    changes = [replace(event("e", "MAIN:HOSP:1", message=n), action=Action.ENCOUNTER_CHANGED) for n in (5, 3, 5)]
    await store.commit(Step(events=[event("e", None, message=9), *changes, event("e", "MAIN:HOSP:2")]))
    last = await store.highest_event()
    told = (Action.ENCOUNTER_CHANGED.value,)
    assert await store.messages_behind("MAIN:HOSP:1", last, told, 10) == [3, 5]
    assert await store.messages_behind("MAIN:HOSP:1", last - 2, told, 1) == [3]
    assert await store.messages_behind("MAIN:HOSP:2", last, told, 10) == []
    case = small_case(samples, "7")
    await store.commit(creation(case))
    for claim in case.claims:
        assert await store.encounters_of_claim(claim.number) == [case.key]
    assert await store.encounters_of_claim("none") == []


async def finds_the_seal_over_a_place(place: Place) -> None:
    store = await place.open()
    seals = [Seal(n, n * 10, n * 10, b"r" * 32, NOON, "key", b"s" * 64) for n in (1, 2, 3)]
    for seal in seals:
        await store.add_seal(seal, [])
    assert [await store.seal_over(place) for place in (1, 10, 11, 30, 31)] == [
        seals[0],
        seals[0],
        seals[1],
        seals[2],
        None,
    ]


async def keeps_exports_until_they_end(place: Place) -> None:
    store = await place.open()

    def export(number: int, client: str = "auditor") -> TrailExport:
        return TrailExport(
            id=number,
            client=client,
            requested=NOON,
            expires=NOON + timedelta(hours=number),
            request="http://gateway.example/fhir/$export",
            types=("AuditEvent", "Provenance"),
            last=7,
            since=NOON - timedelta(days=1) if number == 1 else None,
        )

    await store.commit(Step(trail_exports=[export(1), export(2), export(3), export(4, "other")]))
    assert await store.trail_export(1) == export(1)
    assert await store.trail_exports("auditor") == [export(1), export(2), export(3)]
    await store.commit(Step(trail_exports_ended=[2, 99]))
    await store.commit(Step(trail_exports_expired=[NOON + timedelta(hours=2)]))
    assert await store.trail_exports("auditor") == [export(3)]
    assert await store.trail_export(4) == export(4, "other")
    assert await store.trail_export(2) is None


EXERCISES: tuple[Exercise, ...] = (
    pages_the_trail_both_ways,
    looks_at_a_bounded_number_of_places,
    finds_events_by_what_they_say,
    finds_a_moment_among_moments_a_little_out_of_order,
    reads_and_counts_a_span,
    tells_what_stands_behind,
    finds_the_seal_over_a_place,
    keeps_exports_until_they_end,
)
