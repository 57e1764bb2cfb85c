"""EHRs that misbehave: waited for, given up, never followed astray; and what else a look must withstand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from poll_site import ALL, EVERY, FEED, Site, encounter, polling_site

from conformance.ehr_server import START, Page
from gateway.adapters.fhir_poll.poller import FIRST_PAUSE, LONGEST_PAUSE
from gateway.config.model import Feed


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with polling_site() as made:
        yield made


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_to_be_left_alone_is(site: Site, status: int, form: str) -> None:
    when = (
        "120" if form == "seconds" else format_datetime(site.clock.now() + timedelta(seconds=EVERY + 120), usegmt=True)
    )
    encounter(site, "1", 0)
    poller = site.poller(types=list(ALL))
    await poller.look()
    site.clock.advance(seconds=EVERY)
    site.ehr.next.append(web.Response(status=status, headers={"Retry-After": when}))
    before = len(site.ehr.asked)
    assert await poller.look() == pytest.approx(120, abs=1)
    assert len(site.ehr.asked) == before + 1  # nothing else was asked for
    await poller.look()
    assert await site.names() == ["Encounter/1"]


async def test_a_retry_after_beyond_all_bounds_is_none(site: Site) -> None:
    value = "Fri, 31 Dec 9999 23:59:59 +99999999999999999999"
    poller = site.poller()
    site.ehr.next += [web.Response(status=429, headers={"Retry-After": value})]
    assert await poller.look() == FIRST_PAUSE
    assert poller.failing is not None
    assert poller.failing.text.startswith("busy")


async def test_a_server_in_trouble_is_asked_again_at_once_and_then_ever_later(site: Site) -> None:
    poller = site.poller()
    await poller.look()
    site.clock.advance(seconds=EVERY)
    before = len(site.ehr.asked)
    site.ehr.refused["Encounter"] = 500
    waits = [await poller.look() for _ in range(14)]
    assert len(site.ehr.asked) - before == 14 * 3
    assert waits[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert waits[-1] == LONGEST_PAUSE
    assert poller.failing is not None
    assert poller.failing.text == "failing: Encounter: 500"
    del site.ehr.refused["Encounter"]
    await poller.look()
    assert poller.failing is None


async def test_one_type_that_always_fails_does_not_keep_the_others_waiting(site: Site) -> None:
    site.ehr.refused |= {"Encounter": 500, "metadata": 500}
    site.ehr.put("Claim", "1", 0)
    poller = site.poller(types=list(ALL))
    assert await poller.look() > EVERY / 2
    assert await site.names() == ["Claim/1"]
    assert poller.failing is not None
    assert poller.failing.text == "failing: Encounter: 500"
    encounter(site, "1", 0)
    site.ehr.refused.clear()
    site.clock.advance(seconds=EVERY)
    await poller.look()
    assert (await site.names())[-1] == "Encounter/1"


@pytest.mark.parametrize("status", [403, 404])
async def test_a_type_that_is_not_allowed_or_not_there_leaves_the_others(site: Site, status: int) -> None:
    encounter(site, "1", 0)
    site.ehr.put("Claim", "1", 0)
    site.ehr.refused["DocumentReference"] = status
    poller = site.poller(types=list(ALL))
    assert await poller.look() > EVERY / 2
    assert sorted(await site.names()) == ["Claim/1", "Encounter/1"]
    assert poller.failing is not None
    assert poller.failing.lasting
    assert poller.failing.text.endswith(f"DocumentReference: {status}")
    del site.ehr.refused["DocumentReference"]
    site.clock.advance(seconds=EVERY)
    await poller.look()
    assert poller.failing is None


async def test_a_server_that_does_not_take_every_parameter_gets_fewer(site: Site) -> None:
    site.ehr.strict = True
    encounter(site, "1", 0)
    await site.poller().look()
    assert await site.names() == ["Encounter/1"]
    assert "_sort" not in site.ehr.searches("Encounter")[-1]


async def test_a_page_too_large_is_asked_for_in_smaller_pieces(site: Site) -> None:
    for number in range(4):
        encounter(site, str(number), number, text={"div": "x" * 2000})
    poller = site.poller(count=4, max_page=5000)
    await poller.look()
    assert await site.names() == []
    for _ in range(3):
        site.clock.advance(seconds=EVERY)
        await poller.look()
    assert len(await site.names()) == 4


async def test_a_resource_too_large_is_passed_over_and_counted(site: Site) -> None:
    encounter(site, "1", 0, text={"div": "x" * 2000})
    encounter(site, "2", 1)
    feed = Feed.model_validate({"name": FEED, "max_message": 1024, "poll": {"url": site.ehr.url, "start": START}})
    assert feed.poll is not None
    poller = site.poller()
    poller._keeping._max = feed.max_message
    await poller.look()
    assert await site.names() == ["Encounter/2"]
    assert site.counts.resources["too-large"] == 1


def _to_another_server(page: Page) -> Page:
    return {**page, "link": [{"relation": "next", "url": "http://127.0.0.1:9/fhir/Encounter?at=1"}]}


def _to_itself(page: Page) -> Page:
    return {**page, "link": [{"relation": "next", "url": "Encounter?_lastUpdated=ge2026-01-01T00:00:00Z&at=0"}]}


@pytest.mark.parametrize("lie", [_to_another_server, _to_itself])
async def test_a_link_that_leads_elsewhere_or_in_a_circle_is_not_followed(
    site: Site, lie: Callable[[Page], Page]
) -> None:
    encounter(site, "1", 0)
    site.ehr.change = lie
    poller = site.poller()
    await poller.look()
    assert await site.names() == ["Encounter/1"]
    assert poller.failing is not None
    assert poller.failing.text.startswith("astray")
    assert len(site.ehr.searches("Encounter")) <= 2
    assert all("authorization" not in {name.lower() for name in headers} for headers in site.ehr.headers)


def _capped(page: Page, most: int = 4) -> Page:
    """As a server sends it that tells how many match, sends so many at most, and names no next page."""
    return {**page, "total": len(page["entry"]), "entry": page["entry"][:most], "link": page["link"][:1]}


@pytest.mark.parametrize("overlap", [0, 600])
async def test_what_a_server_keeps_back_is_searched_for_from_where_its_answer_ended(site: Site, overlap: float) -> None:
    for number in range(11):
        encounter(site, str(number), number)
    site.ehr.change = _capped
    poller = site.poller(overlap_seconds=overlap)
    await poller.look()
    assert await site.names() == [f"Encounter/{number}" for number in range(11)]
    assert poller.failing is None
    site.clock.advance(seconds=EVERY)
    await poller.look()
    assert len(await site.names()) == 11


@pytest.mark.parametrize("sorts", [True, False])
async def test_what_a_server_keeps_back_for_good_is_told_and_nothing_is_passed_over(site: Site, sorts: bool) -> None:
    """All of one moment, or in no order: nothing says where the rest is."""
    for number in range(6):
        encounter(site, str(number), 5 if sorts else 100 - number)
    site.ehr.change, site.ehr.sorts = _capped, sorts
    poller = site.poller(overlap_seconds=0)
    await poller.look()
    assert poller.failing is not None
    assert poller.failing.lasting
    assert poller.failing.text.startswith("capped: Encounter")
    site.ehr.change = lambda page: page
    site.clock.advance(seconds=EVERY)
    await poller.look()
    assert sorted(await site.names()) == [f"Encounter/{number}" for number in range(6)]
    assert poller.failing is None


async def test_pages_that_the_server_forgot_are_begun_again(site: Site) -> None:
    for number in range(4):
        encounter(site, str(number), number)
    poller = site.poller(count=2, pages=1)
    await poller.look()
    site.ehr.next.append(web.Response(status=410))
    await poller.look()
    assert poller.failing is None
    await poller.look()
    await poller.look()
    assert await site.names() == [f"Encounter/{number}" for number in range(4)]


async def test_what_is_no_result_is_passed_over(site: Site) -> None:
    encounter(site, "1", 0)
    strange: list[Any] = [
        {"resource": {"resourceType": "OperationOutcome", "issue": []}, "search": {"mode": "outcome"}},
        {"resource": {"resourceType": "Encounter", "id": "no/id"}},
        {"resource": {"resourceType": "Observation", "id": "1"}},
        {"resource": ["nothing"]},
        "nothing",
        {},
    ]
    site.ehr.change = lambda page: {**page, "entry": [*strange, *page["entry"]]}
    await site.poller().look()
    assert await site.names() == ["Encounter/1"]
    assert site.counts.resources["passed-over"] == len(strange)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b'{"resourceType": "Patient"}', b'{"resourceType": "Bundle", "entry": 3}', b'{"a": NaN}', b""],
)
async def test_what_is_no_page_moves_nothing(site: Site, body: bytes) -> None:
    encounter(site, "1", 0)
    poller = site.poller()
    await poller.look()
    site.clock.advance(seconds=EVERY)
    encounter(site, "2", 1)
    site.ehr.next.append(web.Response(body=body, content_type="application/fhir+json"))
    await poller.look()
    assert poller.failing is not None
    assert poller.failing.text.startswith("not-fhir")
    site.clock.advance(seconds=EVERY)
    await poller.look()
    assert await site.names() == ["Encounter/1", "Encounter/2"]


async def test_a_redirect_is_not_followed(site: Site) -> None:
    poller = site.poller(token="t" * 20)
    await poller.look()
    site.clock.advance(seconds=EVERY)
    site.ehr.next.append(web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}))
    await poller.look()
    assert poller.failing is not None
    assert poller.failing.text == "not-there: Encounter: 302"


async def test_a_slow_server_is_given_up(site: Site) -> None:
    site.ehr.slow = asyncio.Event()
    poller = site.poller(timeout_seconds=0.05)
    await poller.look()
    assert poller.failing is not None
    assert poller.failing.text.startswith("away: no whole answer")


async def test_while_too_much_waits_nothing_is_asked_for(site: Site) -> None:
    encounter(site, "1", 0)
    poller = site.poller()
    poller.congestion(True)
    look = asyncio.ensure_future(poller.look())
    await asyncio.sleep(0)
    await _soon(lambda: site.store.work_pass(f"poll/{FEED}/Encounter"))
    assert site.ehr.asked == []
    assert not look.done()
    poller.congestion(False)
    await look
    assert await site.names() == ["Encounter/1"]


async def _soon(found: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(1000):
        if await found() is not None:
            return
        await asyncio.sleep(0)
    pytest.fail("it did not come")


async def test_it_waits_before_the_first_look_and_looks_on_after_a_fault(site: Site) -> None:
    encounter(site, "1", 0)
    poller = site.poller()
    looked = asyncio.Event()

    async def sleep(seconds: float) -> None:
        site.slept.append(seconds)
        if len(site.slept) == 3:
            looked.set()
            await asyncio.Event().wait()

    poller._sleep = sleep
    poller._types = []  # and one that nobody foresaw, by way of what is no list
    look = poller.look

    async def faulty() -> float:
        poller.look = look  # type: ignore[method-assign]
        raise RuntimeError

    poller.look = faulty  # type: ignore[method-assign]
    poller.start()
    async with asyncio.timeout(5):
        await looked.wait()
    await poller.stop()
    assert site.slept == [60.0, FIRST_PAUSE, pytest.approx(EVERY * 1.1)]
