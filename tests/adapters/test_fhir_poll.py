"""Polling an EHR: nothing is lost, nothing is kept twice, what is referred to comes along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from poll_site import EVERY, FEED, Site, encounter, polling_site
from smart_peer import ec_key

from conformance.ehr_server import at
from gateway.adapters.fhir_poll.poller import FIRST_PAUSE, ON_SECONDS
from gateway.store.interface import Store, StoreFault


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with polling_site() as made:
        yield made


async def test_what_changed_is_kept_once_under_the_feed_s_name(site: Site) -> None:
    encounter(site, "1", 0)
    encounter(site, "2", 10)
    poller = site.poller()
    assert await poller.look() == pytest.approx(EVERY * 1.1)
    kept = await site.kept()
    assert [(m.feed, m.format, m.type, m.control) for m in kept] == [
        (FEED, "fhir", "PUT Encounter/1", "Encounter/1_history/1"),
        (FEED, "fhir", "PUT Encounter/2", "Encounter/2_history/1"),
    ]
    assert orjson.loads(kept[0].payload) == site.ehr.resources["Encounter/1"]
    stands = await site.store.resource(FEED, "Encounter", "2")
    assert stands is not None
    assert (stands.version, stands.message) == (1, kept[1].id)
    site.clock.advance(seconds=EVERY)
    await poller.look()
    assert len(await site.kept()) == 2
    assert site.counts.resources["unchanged"] == 2  # within the overlap: asked for again, and recognised


async def test_a_new_version_is_a_message_of_its_own_and_so_is_a_return_to_the_first(site: Site) -> None:
    poller = site.poller()
    for seconds, (version, status) in enumerate([("1", "arrived"), ("2", "finished"), ("3", "arrived")]):
        site.ehr.put("Encounter", "1", seconds, version, status=status)
        await poller.look()
        site.clock.advance(seconds=EVERY)
    said = [orjson.loads(message.payload)["status"] for message in await site.kept()]
    assert said == ["arrived", "finished", "arrived"]
    stands = await site.store.resource(FEED, "Encounter", "1")
    assert stands is not None
    assert stands.version == 3


async def test_a_server_without_versions_is_gone_by_its_content(site: Site) -> None:
    poller = site.poller()
    for seconds, status in enumerate(["arrived", "arrived", "finished", "arrived"]):
        resource = site.ehr.put("Encounter", "1", seconds, None, status=status)
        site.ehr.change = lambda page, resource=resource: {  # type: ignore[misc]
            **page,
            "entry": [{"resource": {name: value for name, value in resource.items() if name != "meta"}}],
        }
        await poller.look()
        site.clock.advance(seconds=EVERY)
    assert [orjson.loads(m.payload)["status"] for m in await site.kept()] == ["arrived", "finished", "arrived"]


async def test_a_version_that_says_nothing_new_is_not_kept(site: Site) -> None:
    poller = site.poller()
    encounter(site, "1", 0, "1", period={"start": "2026-11-20", "end": "2026-11-21"})
    await poller.look()
    site.clock.advance(seconds=EVERY)
    encounter(site, "1", 5, "2", period={"end": "2026-11-21", "start": "2026-11-20"})
    await poller.look()
    await site.poller().look()
    assert await site.names() == ["Encounter/1"]


async def test_each_look_begins_where_the_last_one_ended_less_an_overlap(site: Site) -> None:
    poller = site.poller(overlap_seconds=60)
    encounter(site, "1", 1000.4567)
    await poller.look()
    site.clock.advance(seconds=EVERY)
    await poller.look()
    first, second = site.ehr.searches("Encounter")
    assert "_lastUpdated=ge2026-11-20T11:59:00.000Z" in first.replace("%3A", ":")
    assert "_lastUpdated=ge2026-11-20T12:15:40.456Z" in second.replace("%3A", ":")
    assert "_sort=_lastUpdated" in first
    assert "_count=100" in first


async def test_after_a_restart_it_goes_on_where_it_was(site: Site) -> None:
    encounter(site, "1", 1000)
    await site.poller().look()
    site.clock.advance(seconds=EVERY)
    encounter(site, "2", 2000)
    await site.poller(overlap_seconds=0).look()
    assert "T12:16:40" in site.ehr.searches("Encounter")[-1].replace("%3A", ":")
    assert await site.names() == ["Encounter/1", "Encounter/2"]


async def test_another_gateway_that_looked_just_now_is_enough(site: Site) -> None:
    encounter(site, "1", 0)
    one, other = site.poller(), site.poller()
    await one.look()
    await other.look()
    assert len(site.ehr.searches("Encounter")) == 1
    site.clock.advance(seconds=EVERY)
    await other.look()
    assert len(site.ehr.searches("Encounter")) == 2


async def test_without_a_start_only_what_changes_from_then_on_is_read(site: Site) -> None:
    encounter(site, "old", 0)
    encounter(site, "new", 3600)
    poller = site.poller(start=None)
    await poller.look()
    assert await site.names() == ["Encounter/new"]


async def test_other_parameters_begin_anew_from_the_start(site: Site) -> None:
    encounter(site, "1", 1000)
    await site.poller().look()
    site.clock.advance(seconds=EVERY)
    await site.poller(params={"Encounter": {"class": "IMP"}}).look()
    last = site.ehr.searches("Encounter")[-1].replace("%3A", ":")
    assert "class=IMP" in last
    assert "ge2026-11-20T11:58:00" in last


async def test_all_pages_are_read_and_more_than_a_look_s_wait_for_the_next(site: Site) -> None:
    for number in range(7):
        encounter(site, str(number), number)
    poller = site.poller(count=3, pages=3)
    assert await poller.look() == ON_SECONDS
    assert len(await site.kept()) < 7
    while await poller.look() == ON_SECONDS:
        pass
    assert await site.names() == [f"Encounter/{number}" for number in range(7)]


async def test_a_server_that_does_not_sort_is_read_to_its_end_before_the_cursor_moves(site: Site) -> None:
    site.ehr.sorts = False
    encounter(site, "late", 3000)
    encounter(site, "early", 10)
    await site.poller(count=1, pages=1).look()  # and then the gateway ends
    site.clock.advance(seconds=EVERY)
    await site.poller(count=1, overlap_seconds=0).look()
    assert sorted(await site.names()) == ["Encounter/early", "Encounter/late"]


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_what_changes_between_two_pages_hides_nothing(site: Site, after: int) -> None:
    """The first resource leaves its place, and all that follow move up: none of them may be skipped."""
    for number in range(12):
        encounter(site, str(number), number * 1000)
    poller = site.poller(count=3, pages=1, overlap_seconds=0)
    for look in range(20):
        await poller.look()
        if look == after - 1:
            encounter(site, "0", 20_000, "2")
    names = await site.names()
    assert {f"Encounter/{number}" for number in range(12)} <= set(names)
    assert names.count("Encounter/0") == 1  # its new version says nothing new


async def test_many_resources_of_one_moment_are_read_by_the_links(site: Site) -> None:
    for number in range(9):
        encounter(site, str(number), 5)
    await site.poller(count=2).look()
    assert sorted(await site.names()) == [f"Encounter/{number}" for number in range(9)]


async def test_a_server_that_sorts_is_read_on_after_a_crash(site: Site) -> None:
    for number in range(3):
        encounter(site, str(number), number * 1000)
    await site.poller(count=1, pages=2).look()
    site.clock.advance(seconds=EVERY)
    await site.poller(count=1, overlap_seconds=0).look()
    assert "T12:16:40" in site.ehr.searches("Encounter")[2].replace("%3A", ":")
    assert await site.names() == ["Encounter/0", "Encounter/1", "Encounter/2"]


async def test_a_resource_from_the_future_does_not_carry_the_cursor_away(site: Site) -> None:
    encounter(site, "1", 10**8)
    poller = site.poller(overlap_seconds=0)
    await poller.look()
    site.clock.advance(seconds=EVERY)
    encounter(site, "2", 3600 + 100)
    await poller.look()
    assert await site.names() == ["Encounter/1", "Encounter/2"]


class FailsOnce:
    """A store in front of the real one whose chosen call fails once."""

    def __init__(self, store: Store, call: str) -> None:
        self._store = store
        self._call = call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            self._call = ""
            return self._fail
        return getattr(self._store, name)

    async def _fail(self, *_: Any) -> None:
        raise StoreFault("the disk is full")


@pytest.mark.parametrize("call", ["commit", "work_pass", "resource"])
async def test_nothing_is_lost_when_the_store_fails(site: Site, call: str) -> None:
    encounter(site, "1", 0)
    store: Any = FailsOnce(site.store, call)
    poller = site.poller(store)
    assert await poller.look() == FIRST_PAUSE
    site.clock.advance(seconds=EVERY)
    await poller.look()
    assert await site.names() == ["Encounter/1"]
    assert (FEED, "not-kept") in site.counts.polls


# What a main resource refers to


async def test_what_is_referred_to_is_read_first_and_not_again_for_an_hour(site: Site) -> None:
    site.ehr.put("Patient", "p", -9999, name=[{"family": "Doe"}])
    site.ehr.put("Organization", "o", -9999)
    site.ehr.put("Coverage", "c", -9999, payor=[{"reference": "Organization/o"}])
    refers = {"patient": {"reference": f"{site.ehr.url}/Patient/p"}}
    site.ehr.put("Claim", "1", 0, **refers, insurance=[{"coverage": {"reference": "Coverage/c/_history/4"}}])
    poller = site.poller(types=["Claim"])
    await poller.look()
    assert await site.names() == ["Patient/p", "Coverage/c", "Organization/o", "Claim/1"]
    claim = orjson.loads((await site.kept())[-1].payload)
    assert claim["patient"]["reference"] == "Patient/p"
    site.clock.advance(seconds=EVERY)
    site.ehr.put("Claim", "2", 100, **refers)
    await poller.look()
    assert site.ehr.reads("Patient/p") == 1
    site.clock.advance(hours=1)
    site.ehr.put("Claim", "3", 200, **refers)
    await poller.look()
    assert site.ehr.reads("Patient/p") == 2  # 304
    site.ehr.put("Patient", "p", 300, "2", name=[{"family": "Roe"}])
    site.clock.advance(hours=1)
    site.ehr.put("Claim", "4", 400, **refers)
    await poller.look()
    assert (await site.names())[-3:] == ["Claim/3", "Patient/p", "Claim/4"]


async def test_what_the_server_sends_along_is_not_asked_for(site: Site) -> None:
    site.ehr.statement = {"rest": [{"resource": [{"type": "Encounter", "searchInclude": ["Encounter:patient"]}]}]}
    patient = site.ehr.put("Patient", "p", -9999)
    encounter(site, "1", 0, subject={"reference": "Patient/p"})
    along = {"resource": patient, "search": {"mode": "include"}}
    site.ehr.change = lambda page: {**page, "entry": [*page["entry"], along]}
    await site.poller().look()
    assert "_include=Encounter%3Apatient" in site.ehr.searches("Encounter")[0].replace(":", "%3A")
    assert site.ehr.reads("Patient/p") == 0
    assert await site.names() == ["Patient/p", "Encounter/1"]


async def test_what_is_not_there_or_not_allowed_stops_nothing(site: Site) -> None:
    encounter(site, "1", 0, subject={"reference": "Patient/gone"}, account=[{"reference": "Account/no"}])
    site.ehr.refused["Account/no"] = 403
    await site.poller().look()
    assert await site.names() == ["Encounter/1"]
    assert site.counts.resources["missing"] == 2


async def test_what_cannot_be_read_now_is_waited_for_and_in_the_end_done_without(site: Site) -> None:
    encounter(site, "1", 0, subject={"reference": "Patient/p"})
    site.ehr.refused["Patient/p"] = 500
    poller = site.poller()
    for _ in range(2):
        assert await poller.look() < EVERY
        assert await site.names() == []
    await poller.look()
    assert await site.names() == ["Encounter/1"]


async def test_another_resource_than_was_asked_for_is_not_kept(site: Site) -> None:
    encounter(site, "1", 0, subject={"reference": "Patient/p"})
    site.ehr.files["Patient/p"] = ("application/fhir+json", b'{"resourceType": "Patient", "id": "other"}')
    await site.poller().look()
    assert await site.names() == ["Encounter/1"]


async def test_no_patient_s_data_stands_in_what_is_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    encounter(site, "secret-id", 0, subject={"reference": "Patient/secret-name"})
    site.ehr.refused["Patient/secret-name"] = 500
    poller = site.poller()
    await poller.look()
    assert poller.failing is not None
    assert "secret" not in poller.failing.text + caplog.text


async def test_cursors_are_rows_of_the_store(site: Site) -> None:
    encounter(site, "1", 10)
    await site.poller().look()
    row = await site.store.work_pass(f"poll/{FEED}/Encounter")
    assert row is not None
    assert datetime.fromisoformat(row.place) == datetime.fromisoformat(at(10))
    assert row.changed == site.clock.now().astimezone(UTC)


async def test_a_token_that_is_no_longer_taken_is_asked_for_anew(site: Site) -> None:
    encounter(site, "1", 0)
    key = ec_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    token_url = site.ehr.url.replace("/fhir", "/token")
    smart = {"client_id": "us", "token_url": token_url, "key": key, "scopes": ["system/Encounter.rs"]}
    poller = site.poller(smart=smart)
    await poller.look()
    assert (site.ehr.tokens, await site.names()) == (1, ["Encounter/1"])
    site.ehr.tokens = 7  # the server has forgotten what it gave
    site.clock.advance(seconds=EVERY / 2)
    encounter(site, "2", 5)
    await poller.look()
    assert (site.ehr.tokens, await site.names()) == (8, ["Encounter/1", "Encounter/2"])
    await poller.stop()


async def test_two_gateways_that_read_the_same_at_once_keep_it_once(site: Site) -> None:
    resource = site.ehr.put("Encounter", "1", 0, status="finished")
    one, other = site.poller()._keeping, site.poller()._keeping
    await asyncio.gather(one.keep([resource]), other.keep([resource]))
    assert await site.names() == ["Encounter/1"]
    amended = [{**resource, "status": status, "meta": {"versionId": status}} for status in ("arrived", "cancelled")]
    await asyncio.gather(one.keep(amended[:1]), other.keep(amended[1:]))
    versions = [await site.store.resource(FEED, "Encounter", "1", number) for number in (1, 2, 3, 4)]
    assert [version is not None for version in versions] == [True, True, True, False]
