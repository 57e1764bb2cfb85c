"""HL7 v2 over HTTP, through a real server: who may send where, what is kept, what is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from test_mllp_feed import Keeper, adt

from gateway.access.roles import Role
from gateway.access.tokens import Callers
from gateway.adapters.hl7_http import Door, Hl7Http
from gateway.adapters.http.server import HttpServer
from gateway.clock import Ids, SystemClock
from gateway.config.model import Client, Endpoint, Http
from gateway.intake.intake import Backlog, Intake
from gateway.intake.reception import Reception
from gateway.message import Message
from gateway.store import open_store
from gateway.store.interface import MessageQuery, StoreFault, Unstorable

ER7 = "application/hl7-v2+er7"
LIMIT = 4096
TOKEN = "token-of-the-sender-0123456789"
BATCH = b"BHS|^~\\&|EPIC|MAIN|||||||B1\r%bBTS|%d\r"


@dataclass
class Told:
    refused_: list[tuple[int, str, str | None]] = field(default_factory=list)

    def answered(self, route: str, status: int, seconds: float) -> None: ...

    def refused(self, status: int, method: str, route: str, caller: str | None, *, address: str = "") -> None:
        self.refused_.append((status, route, caller))


@dataclass
class Web:
    client: httpx.AsyncClient
    keeper: Keeper
    backlog: Backlog
    doors: dict[str, Door]
    told: Told

    async def post(
        self, body: bytes, feed: str = "web", kind: str = ER7, token: str = TOKEN, **headers: str
    ) -> httpx.Response:
        said = {"Content-Type": kind, "Authorization": f"Bearer {token}", **headers}
        return await self.client.post(f"/hl7/{feed}", content=body, headers=said)

    async def kept(self) -> Sequence[Message]:
        return list(reversed(await self.keeper.inner.messages(MessageQuery())))


@asynccontextmanager
async def serving() -> AsyncIterator[Web]:
    store = open_store("sqlite://")
    await store.open()
    keeper, backlog, clock = Keeper(store), Backlog(16), SystemClock()
    keeper.door.set()
    intake = Intake(keeper, backlog, clock, Ids())  # type: ignore[arg-type]  # all that intake asks is `keep`
    doors = {name: Door(Reception(name, intake, clock, silence=True), LIMIT) for name in ("web", "other")}
    told = Told()
    clients = [
        Client(name="ehr", roles=frozenset({Role.FEED}), token=TOKEN, feeds=("web", "gone")),  # type: ignore[arg-type]
        Client(name="desk", roles=frozenset({Role.CODER}), token="token-of-a-coder-0123456789"),  # type: ignore[arg-type]
    ]
    http = Http(listen=Endpoint(host="127.0.0.1", port=0), max_body=65_536)
    server = HttpServer(Hl7Http(doors, backlog).routes(), Callers(clients), http, told)
    host, port = await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
            yield Web(client, keeper, backlog, doors, told)
    finally:
        await server.stop()
        await store.close()


def codes(answer: httpx.Response) -> list[str]:
    return [line for line in answer.text.split("\r") if line.startswith("MSA")]


@pytest.mark.parametrize(
    "kind",
    [
        ER7,
        "application/hl7-v2",
        "x-application/hl7-v2+er7; charset=iso-8859-1",
        "text/plain",
        "Text/Plain; charset=utf-8",
    ],
)
async def test_a_message_is_kept_as_it_came_and_acknowledged(kind: str) -> None:
    async with serving() as web:
        answer = await web.post(adt("C1") + b"NTE|1||M\xfcller\r", kind=kind)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == kind.partition(";")[0].lower()
        assert codes(answer) == ["MSA|AA|C1"]
        (message,) = await web.kept()
        kept = await web.keeper.inner.message(message.id)
        assert kept is not None
        assert (kept.feed, kept.control, kept.payload) == ("web", "C1", adt("C1") + b"NTE|1||M\xfcller\r")


async def test_a_retransmission_gets_the_same_answer_and_changes_nothing() -> None:
    async with serving() as web:
        first, again = await web.post(adt("C1")), await web.post(adt("C1"))
        assert first.content == again.content
        assert len(await web.kept()) == 1


async def test_enhanced_mode_gives_the_answers_that_are_asked_for() -> None:
    async with serving() as web:
        assert codes(await web.post(adt("C1", accept="AL|AL"))) == ["MSA|CA|C1", "MSA|AA|C1"]
        silent = await web.post(adt("C2", accept="NE|NE"))
        assert (silent.status_code, silent.content) == (204, b"")
        assert len(await web.kept()) == 2


@pytest.mark.parametrize("body", [b"", b"garbage", b"{}", b"PID|1||M1\r", b"\x00\xff" * 50])
async def test_what_is_no_message_is_a_bad_request(body: bytes) -> None:
    async with serving() as web:
        answer = await web.post(body)
        assert answer.status_code == 400
        assert b"MSA|AR" in answer.content
        assert await web.kept() == []


async def test_a_batch_is_kept_message_by_message_and_answered_by_a_batch() -> None:
    async with serving() as web:
        answer = await web.post(BATCH % (adt("C1") + adt("C2"), 2))
        assert answer.status_code == 200
        assert codes(answer) == ["MSA|AA|C1", "MSA|AA|C2"]
        assert answer.text.startswith("BHS|^~\\&|||EPIC|MAIN|")
        assert answer.text.endswith("BTS|2\r")
        assert [message.control for message in await web.kept()] == ["C1", "C2"]


async def test_a_batch_that_does_not_keep_its_count_is_refused_whole() -> None:
    async with serving() as web:
        answer = await web.post(BATCH % (adt("C1") + adt("C2"), 3))
        assert answer.status_code == 422
        assert codes(answer) == ["MSA|AR|C1", "MSA|AR|C2"]
        assert await web.kept() == []


async def test_a_large_batch_is_kept_whole() -> None:
    async with serving() as web:
        count = 300
        answer = await web.post(BATCH % (b"".join(adt(f"C{n}") for n in range(count)), count))
        assert answer.status_code == 200
        assert codes(answer) == [f"MSA|AA|C{n}" for n in range(count)]


async def test_what_cannot_be_kept_now_may_be_sent_again() -> None:
    async with serving() as web:
        web.keeper.fault = StoreFault("disk full at /var/x.db")
        answer = await web.post(adt("C1"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert codes(answer) == ["MSA|AE|C1"]
        assert "disk" not in answer.text
        web.keeper.fault = None
        assert (await web.post(adt("C1"))).status_code == 200


async def test_what_no_store_can_keep_is_refused() -> None:
    async with serving() as web:
        web.keeper.fault = Unstorable("too large")
        answer = await web.post(adt("C1"))
        assert answer.status_code == 422
        assert codes(answer) == ["MSA|AR|C1"]


async def test_a_client_sends_to_its_own_feeds_only() -> None:
    async with serving() as web:
        assert (await web.post(adt("C1"), feed="other")).status_code == 403
        assert (await web.post(adt("C1"), feed="gone")).status_code == 404
        assert (await web.post(adt("C1"), token="token-of-a-coder-0123456789")).status_code == 403
        assert (await web.post(adt("C1"), token="nobody")).status_code == 401
        assert web.told.refused_ == [
            (403, "/hl7/{feed}", "ehr"),
            (403, "/hl7/{feed}", "desk"),
            (401, "/hl7/{feed}", None),
        ]
        assert await web.kept() == []


async def test_nobody_s_body_is_read_before_they_are_known() -> None:
    """A stranger that asks whether to send is told no."""
    async with serving() as web:
        for feed, token, status in (("web", "nobody", 401), ("other", TOKEN, 403)):
            headers = {"Content-Type": ER7, "Authorization": f"Bearer {token}", "Expect": "100-continue"}
            request = web.client.build_request("POST", f"/hl7/{feed}", headers=headers, content=b"x" * 60_000)
            answer = await web.client.send(request)
            assert answer.status_code == status


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "multipart/form-data", ""])
async def test_other_kinds_of_body_are_not_taken(kind: str) -> None:
    async with serving() as web:
        assert (await web.post(adt("C1"), kind=kind)).status_code == 415


async def test_sizes_have_limits() -> None:
    async with serving() as web:
        assert (await web.post(adt("C1", text="x" * LIMIT))).status_code == 413
        assert (await web.post(BATCH % (adt("C1") + adt("C2", text="x" * LIMIT), 2))).status_code == 413
        assert (await web.post(b"x" * 65_537)).status_code == 413
        assert await web.kept() == []


async def test_too_much_unprocessed_work_is_told_and_nothing_is_kept() -> None:
    async with serving() as web:
        web.backlog.reset(16)
        answer = await web.post(adt("C1"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        web.backlog.reset(0)
        assert (await web.post(adt("C1"))).status_code == 200


async def test_only_post_is_served() -> None:
    async with serving() as web:
        answer = await web.client.get("/hl7/web", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
