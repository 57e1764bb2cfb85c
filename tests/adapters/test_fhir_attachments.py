"""Documents' contents at an address: fetched from where they may be and from nowhere else, and as long as it takes."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import orjson
import pytest
from aiohttp import web

from conformance.ehr_server import START, EhrServer, serving
from gateway.adapters.fhir_attachments.fetching import Fetching
from gateway.adapters.fhir_attachments.intake import FetchingIntake
from gateway.adapters.fhir_attachments.refusal import NotFetched, Why
from gateway.adapters.fhir_attachments.wanted import Wanted, wanted
from gateway.adapters.fhir_attachments.work import WAITS, AttachmentWork
from gateway.adapters.fhir_client import FhirServer
from gateway.adapters.fhir_poll.server import EhrServer as Peer
from gateway.adapters.fhir_poll.server import limits
from gateway.assembly.attaching import Attaching, Binaries
from gateway.clock import Ids
from gateway.config.model import Config
from gateway.config.polled import Attachments
from gateway.intake.intake import Backlog, Intake
from gateway.mappings.fhir.search_values import search_values
from gateway.mappings.fhir.source import binary_id
from gateway.message import Format, Received
from gateway.store import open_store
from gateway.store.fetches import FetchState
from gateway.store.interface import MessageQuery, ResourceVersion, Step, Store

TEXT = b"The patient was seen."
NOTE = "files/note.txt"
FEED, CLIENT = "ehr", "pusher"


def sha1(body: bytes) -> str:
    return base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


def document(url: str, **attachment: Any) -> dict[str, Any]:
    said = {"contentType": "text/plain", "url": url, **attachment}
    return {"resourceType": "DocumentReference", "id": "7", "status": "current", "content": [{"attachment": said}]}


@pytest.fixture
async def ehr() -> AsyncIterator[EhrServer]:
    async with serving() as server:
        server.files[NOTE] = ("text/plain; charset=utf-8", TEXT)
        yield server


def settings(ehr: EhrServer, **more: Any) -> Attachments:
    host = ehr.url.removeprefix("http://").removesuffix("/fhir")
    return Attachments.model_validate({"hosts": [host], **more})


def fetching(ehr: EhrServer, **more: Any) -> Fetching:
    return Fetching(settings(ehr, **more), ssl.create_default_context)


async def why(fetch: Fetching, url: str, **said: Any) -> Why:
    with pytest.raises(NotFetched) as raised:
        await fetch.fetch(Wanted(url, **{"content_type": "text/plain", **said}))
    return raised.value.why


# What a document wants


def test_only_what_did_not_come_along_is_wanted() -> None:
    inline = {"attachment": {"data": "VA==", "url": "https://documents.example/1"}}
    there = {"attachment": {"url": "https://documents.example/2", "hash": "aGFzaA==", "size": 3}}
    resource = {
        **document("https://documents.example/0"),
        "content": [inline, there, {}, "?", {"attachment": {"url": 3}}],
    }
    assert wanted(resource) == [Wanted("https://documents.example/2", None, "aGFzaA==", 3)]
    assert wanted({**resource, "status": "entered-in-error"}) == []
    assert wanted({**resource, "resourceType": "Claim"}) == []


# One fetch


async def test_a_content_is_fetched_as_its_document_says(ehr: EhrServer) -> None:
    said = Wanted(f"{ehr.url}/{NOTE}", "text/plain", sha1(TEXT), len(TEXT))
    fetched = await fetching(ehr).fetch(said)
    assert (fetched.body, fetched.content_type) == (TEXT, "text/plain")
    assert "Authorization" not in ehr.headers[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/note",
        "http://127.0.0.1:1/note",
        "https://127.0.0.1@elsewhere.example/note",
        "https://user:pass@127.0.0.1/note",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//127.0.0.1/note",
        "http://[::1",
        "note.txt",
        "",
    ],
)
async def test_what_is_not_listed_is_not_asked(ehr: EhrServer, url: str) -> None:
    assert await why(fetching(ehr), url) in (Why.NOT_LISTED, Why.NOT_SECURE)
    assert ehr.asked == []


async def test_a_listed_host_is_asked_over_https_only(ehr: EhrServer) -> None:
    fetch = Fetching(Attachments(hosts=("documents.example",)), ssl.create_default_context)
    assert await why(fetch, "http://documents.example:443/note") is Why.NOT_SECURE
    fetch = Fetching(Attachments(hosts=("documents.example:80",)), ssl.create_default_context)
    assert await why(fetch, "http://documents.example/note") is Why.NOT_SECURE


@pytest.mark.parametrize("address", ["10.0.0.7", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.7"])
async def test_a_listed_name_at_a_private_address_is_not_connected_to(address: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", address]

    listed = Attachments(hosts=("documents.example",))
    assert await why(Fetching(listed, ssl.create_default_context, resolve), "https://documents.example/1") is (
        Why.NOT_PUBLIC
    )


async def test_a_private_network_that_is_listed_is_connected_to(ehr: EhrServer) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    port = ehr.url.split(":")[2].removesuffix("/fhir")
    listed = Attachments(hosts=(f"documents.example:{port}",), networks=("127.0.0.0/8",))
    url = f"https://documents.example:{port}/1"
    # The connection is made, and is no TLS: were the address refused, none would have been.
    assert await why(Fetching(listed, ssl.create_default_context, resolve), url) is Why.NO_ANSWER


@pytest.mark.parametrize(
    ("status", "because"),
    [
        (302, Why.REDIRECTED),
        (401, Why.NOT_ALLOWED),
        (404, Why.NOT_THERE),
        (418, Why.REFUSED),
        (429, Why.BUSY),
        (500, Why.NO_ANSWER),
        (204, Why.NO_ANSWER),
    ],
)
async def test_each_answer_has_its_meaning(ehr: EhrServer, status: int, because: Why) -> None:
    ehr.next.append(web.Response(status=status, headers={"Location": f"{ehr.url}/{NOTE}"}))
    assert await why(fetching(ehr), f"{ehr.url}/{NOTE}") is because
    assert len(ehr.asked) == 1  # a redirect is not followed


async def test_limits_and_what_the_document_says_are_held_to(ehr: EhrServer) -> None:
    url = f"{ehr.url}/{NOTE}"
    assert await why(fetching(ehr, max_bytes=len(TEXT) - 1), url) is Why.TOO_LARGE
    assert await why(fetching(ehr), url, hash=sha1(b"other")) is Why.DIFFERS
    assert await why(fetching(ehr), url, size=3) is Why.DIFFERS
    assert await why(fetching(ehr, content_types=["application/pdf"]), url) is Why.TYPE
    ehr.files["files/program"] = ("application/x-msdownload", b"MZ")
    assert await why(fetching(ehr), f"{ehr.url}/files/program") is Why.TYPE
    ehr.files["files/unsaid"] = ("application/octet-stream", TEXT)
    assert (await fetching(ehr).fetch(Wanted(f"{ehr.url}/files/unsaid", "text/plain"))).content_type == "text/plain"
    assert await why(fetching(ehr), f"{ehr.url}/files/unsaid", content_type="image/png") is Why.TYPE
    ehr.next.append(web.Response(body=TEXT, headers={"Content-Encoding": "br", "Content-Type": "text/plain"}))
    assert await why(fetching(ehr), url) is Why.REFUSED


async def test_a_server_that_does_not_answer_is_given_up(ehr: EhrServer) -> None:
    import asyncio

    ehr.slow = asyncio.Event()
    assert await why(fetching(ehr, timeout_seconds=0.05), f"{ehr.url}/{NOTE}") is Why.NO_ANSWER


# From the document to the Binary


@dataclass
class Clock:
    moment: Any = START

    def now(self) -> Any:
        return self.moment

    def advance(self, by: timedelta) -> None:
        self.moment += by


@dataclass
class World:
    ehr: EhrServer
    store: Store
    client: httpx.AsyncClient
    clock: Clock = field(default_factory=Clock)
    told: list[tuple[str, str]] = field(default_factory=list)
    ids: Ids = field(default_factory=Ids)
    listed: dict[str, Any] | None = None
    congested: bool = False

    def attachment(self, feed: str, outcome: str) -> None:
        self.told.append((feed, outcome))

    def config(self) -> Config:
        said = {} if self.listed is None else {"attachments": self.listed}
        client = {"name": CLIENT, "roles": ["feed"], "token": "t" * 20, **said}
        feed = {"name": FEED, "poll": {"url": self.ehr.url}, **said}
        return Config.model_validate({"feeds": [feed], "clients": [client]})

    def _server(self, feed: str) -> Peer | None:
        return Peer(FhirServer(self.ehr.url, self.client, limits(30), token="own-token")) if feed == FEED else None

    @property
    def intake(self) -> FetchingIntake:
        attaching = Attaching(self.config, self._server)
        inner = Intake(self.store, Backlog(1000), self.clock, self.ids)
        return FetchingIntake(inner, self.store, self.clock, attaching.fetches)

    async def work(self) -> int:
        """As after a start: nothing is remembered but in the store."""
        attaching = Attaching(self.config, self._server)
        inner = Intake(self.store, Backlog(1000), self.clock, self.ids)
        shelf = Binaries(inner, self.store, self.clock, search_values)
        return await AttachmentWork(self.store, shelf, attaching.fetching, self.clock, self, lambda: self.congested)()

    async def keep(self, who: str, resource: dict[str, Any], version: int = 1) -> None:
        intake = self.intake
        id_, payload = intake.new_id(), orjson.dumps(resource)
        name = f"{resource['resourceType']}/{resource['id']}"
        received = Received(who, Format.FHIR, f"PUT {name}", f"c{version}", payload, b"")
        values = search_values(resource)
        row = ResourceVersion(resource["resourceType"], resource["id"], version, who, id_, self.clock.now(), values)
        await intake.accept(received, row, id_)

    async def binary(self, who: str, url: str) -> dict[str, Any] | None:
        stands = await self.store.resource(who, "Binary", binary_id(url))
        message = await self.store.message(stands.message) if stands is not None else None
        return orjson.loads(message.payload) if message is not None else None


@pytest.fixture
async def world(ehr: EhrServer) -> AsyncIterator[World]:
    store = open_store("sqlite://")
    await store.open()
    async with httpx.AsyncClient(trust_env=False) as client:
        made = World(ehr, store, client)
        made.listed = {"hosts": [ehr.url.removeprefix("http://").removesuffix("/fhir")]}
        yield made
    await store.close()


async def test_the_content_is_kept_as_a_binary_of_the_client_that_wrote_the_document(world: World) -> None:
    url = f"{world.ehr.url}/{NOTE}"
    await world.keep(CLIENT, document(url, hash=sha1(TEXT)))
    assert await world.work() == 1
    kept = await world.binary(CLIENT, url)
    assert kept is not None
    assert base64.b64decode(kept["data"]) == TEXT
    assert await world.binary("other", url) is None
    assert [v.id for v in await world.store.referring(CLIENT, f"Binary/{binary_id(url)}")] == ["7"]
    assert world.told == [(CLIENT, "fetched")]
    assert await world.work() == 0


async def test_a_document_together_with_others_is_fetched_for_too(world: World) -> None:
    url = f"{world.ehr.url}/{NOTE}"
    intake, payload = world.intake, orjson.dumps(document(url))
    received = Received(CLIENT, Format.FHIR, "PUT DocumentReference/7", "c", payload, b"")
    await intake.accept_together([(intake.new_id(), received, None)])
    assert await world.work() == 1
    assert await world.binary(CLIENT, url) is not None


async def test_without_the_setting_nothing_is_fetched_for_a_client(world: World) -> None:
    world.listed = None
    await world.keep(CLIENT, document(f"{world.ehr.url}/{NOTE}"))
    assert await world.work() == 0
    assert world.ehr.asked == []


@pytest.mark.parametrize("url", ["Binary/5", "{base}/Binary/5"])
async def test_a_polled_feed_s_own_server_is_asked_with_its_own_rights(world: World, url: str) -> None:
    world.listed = None
    url = url.format(base=world.ehr.url)
    world.ehr.files["Binary/5"] = ("text/plain", TEXT)
    await world.keep(FEED, document(url))
    await world.work()
    kept = await world.binary(FEED, url)
    assert kept is not None
    assert base64.b64decode(kept["data"]) == TEXT
    assert world.ehr.headers[-1]["Authorization"] == "Bearer own-token"


async def test_a_binary_resource_is_unwrapped(world: World) -> None:
    whole = {"resourceType": "Binary", "contentType": "text/plain", "data": base64.b64encode(TEXT).decode()}
    world.ehr.files["Binary/5"] = ("application/fhir+json; charset=utf-8", orjson.dumps(whole))
    await world.keep(FEED, document("Binary/5"))
    await world.work()
    kept = await world.binary(FEED, "Binary/5")
    assert kept is not None
    assert (base64.b64decode(kept["data"]), kept["contentType"]) == (TEXT, "text/plain")


async def test_a_polled_feed_s_document_with_no_address_is_given_up(world: World) -> None:
    await world.keep(FEED, document("http://[::1"))
    await world.work()
    kept = await world.binary(FEED, "http://[::1")
    assert kept is not None
    assert world.ehr.asked == []


async def test_the_feed_s_rights_go_to_no_other_server(world: World) -> None:
    async with serving() as other:
        other.files[NOTE] = ("text/plain", TEXT)
        world.listed = {"hosts": [other.url.removeprefix("http://").removesuffix("/fhir")]}
        await world.keep(FEED, document(f"{other.url}/{NOTE}"))
        await world.work()
        assert await world.binary(FEED, f"{other.url}/{NOTE}") is not None
        assert all("Authorization" not in headers for headers in other.headers)


async def test_what_is_not_allowed_says_why_and_is_not_tried_again(world: World) -> None:
    url = "https://elsewhere.example/note"
    await world.keep(CLIENT, document(url))
    await world.work()
    kept = await world.binary(CLIENT, url)
    assert kept is not None
    assert "data" not in kept
    assert kept["meta"]["tag"][0]["code"] == "host-not-listed"
    row = await world.store.fetch(CLIENT, binary_id(url))
    assert row is not None
    assert (row.state, row.reason) == (FetchState.FAILED, "host-not-listed")
    world.clock.advance(timedelta(days=30))
    assert await world.work() == 0


async def test_what_may_come_later_is_tried_again_over_restarts_and_given_up_in_the_end(world: World) -> None:
    url = f"{world.ehr.url}/files/late.txt"
    await world.keep(CLIENT, document(url))
    for wait in WAITS:
        assert await world.work() == 1
        assert await world.binary(CLIENT, url) is None
        world.clock.advance(wait - timedelta(seconds=1))
        assert await world.work() == 0
        world.clock.advance(timedelta(seconds=1))
    assert await world.work() == 1
    kept = await world.binary(CLIENT, url)
    assert kept is not None
    assert kept["meta"]["tag"][0]["code"] == "not-there"
    world.ehr.files["files/late.txt"] = ("text/plain", TEXT)
    await world.keep(CLIENT, document(url), version=2)
    await world.work()
    kept = await world.binary(CLIENT, url)
    assert kept is not None
    assert base64.b64decode(kept["data"]) == TEXT


async def test_a_server_that_asks_for_time_gets_it(world: World) -> None:
    url = f"{world.ehr.url}/{NOTE}"
    await world.keep(CLIENT, document(url))
    world.ehr.next.append(web.Response(status=429, headers={"Retry-After": "7200"}))
    await world.work()
    world.clock.advance(timedelta(seconds=7199))
    assert await world.work() == 0
    world.clock.advance(timedelta(seconds=1))
    assert await world.work() == 1
    assert await world.binary(CLIENT, url) is not None


async def test_a_content_that_stands_is_not_lost_when_it_cannot_be_had_again(world: World) -> None:
    url = f"{world.ehr.url}/{NOTE}"
    await world.keep(CLIENT, document(url))
    await world.work()
    world.listed = {"hosts": ["elsewhere.example"]}
    await world.keep(CLIENT, document(url), version=2)
    await world.work()
    kept = await world.binary(CLIENT, url)
    assert kept is not None
    assert "data" in kept


async def test_a_crash_between_the_fetch_and_its_binary_loses_nothing(world: World) -> None:
    url = f"{world.ehr.url}/{NOTE}"
    await world.keep(CLIENT, document(url))
    commit, commits = world.store.commit, []

    async def dies(step: Step) -> None:
        await commit(step)
        commits.append(step)
        raise RuntimeError("the power is gone")

    world.store.commit = dies  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await world.work()
    world.store.commit = commit  # type: ignore[method-assign]
    assert await world.binary(CLIENT, url) is None
    world.clock.advance(timedelta(minutes=15))
    await world.work()
    assert await world.binary(CLIENT, url) is not None
    assert len(await world.store.messages(MessageQuery(limit=10))) == 2


async def test_while_too_much_waits_nothing_is_fetched(world: World) -> None:
    world.congested = True
    await world.keep(CLIENT, document(f"{world.ehr.url}/{NOTE}"))
    assert await world.work() == 0
    world.congested = False
    assert await world.work() == 1


async def test_two_gateways_do_not_fetch_the_same(world: World) -> None:
    import asyncio

    url = f"{world.ehr.url}/{NOTE}"
    await world.keep(CLIENT, document(url))
    await asyncio.gather(world.work(), world.work())
    assert len(world.ehr.asked) == 1


def test_nothing_that_is_told_names_the_address() -> None:
    fetch = partial(Wanted, "https://documents.example/patient-7")
    assert "patient" not in repr(fetch())
