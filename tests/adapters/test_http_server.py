"""The door: who gets in, in which order, how much, and how fast. Over real sockets."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import orjson
import pytest
from pydantic import BaseModel, ConfigDict

from gateway.access.roles import Permission, Role, permissions
from gateway.adapters.http.body import parsed
from gateway.adapters.http.exchange import NDJSON, Answer, Call, Fault
from gateway.adapters.http.routing import PUBLIC, Route, RouteTable
from gateway.adapters.http.server import HttpServer
from gateway.config.model import Endpoint, Http

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Person:
    name: str
    roles: frozenset[Role]
    npi: tuple[str, ...] = ()

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions(self.roles)


class Known:
    def __init__(self) -> None:
        self.people = {
            "Bearer feed": Person("ehr", frozenset({Role.FEED})),
            "Bearer monitor": Person("prometheus", frozenset({Role.MONITOR})),
        }

    def authenticate(self, header: str | None) -> Person | None:
        return self.people.get(header or "")


@dataclass
class Seen:
    answered_: list[tuple[str, int]] = field(default_factory=list)
    refused_: list[tuple[int, str, str | None]] = field(default_factory=list)

    def answered(self, route: str, status: int, seconds: float) -> None:
        self.answered_.append((route, status))

    def refused(self, status: int, method: str, route: str, caller: str | None, *, address: str = "") -> None:
        self.refused_.append((status, route, caller))


class Note(BaseModel, extra="forbid"):
    text: str


async def echo(call: Call) -> Answer:
    return Answer(200, call.body, "application/octet-stream")


async def note(call: Call) -> Answer:
    return Answer(201, parsed(Note, call.body).text.encode(), "text/plain")


async def fail(call: Call) -> Answer:
    raise ValueError("SMITH^JANE 1964-02-03")


async def lines(call: Call) -> Answer:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return Answer(200, pieces(), NDJSON)


async def long(call: Call) -> Answer:
    return Answer(200, b"x" * 300_000, "application/octet-stream")


async def who(call: Call) -> Answer:
    return Answer(200, orjson.dumps({"who": call.who.name, "id": call.params["id"], "base": call.base}))


ROUTES = (
    Route("POST", "/echo", Permission.SUBMIT, echo, "echo", accepts=("application/json",)),
    Route("POST", "/small", Permission.SUBMIT, echo, "a small body", max_body=16),
    Route("POST", "/note", Permission.SUBMIT, note, "a note", takes=Note),
    Route("GET", "/fail", PUBLIC, fail, "fails"),
    Route("GET", "/lines", PUBLIC, lines, "streams"),
    Route("GET", "/long", PUBLIC, long, "a long answer"),
    Route("GET", "/things/{id}", Permission.SUBMIT, who, "a thing"),
    Route("GET", "/things/first", PUBLIC, echo, "a fixed path beside a variable one"),
)


@asynccontextmanager
async def serving(
    routes: tuple[Route, ...] = ROUTES, observer: Seen | None = None, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, str, int]]:
    http = Http(listen=Endpoint(host="127.0.0.1", port=0), max_body=4096, **settings)
    server = HttpServer(routes, Known(), http, observer)
    host, port = await server.start()
    client = httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False, timeout=10)
    try:
        yield client, host, port
    finally:
        await client.aclose()
        await server.stop()


FEED = {"Authorization": "Bearer feed", "Content-Type": "application/json"}


async def test_without_a_known_token_the_answer_is_401_with_a_challenge() -> None:
    seen = Seen()
    async with serving(observer=seen) as (client, _, _):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic feed"}):
            answer = await client.post("/echo", content=b"{}", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["code"] == "login"
    assert seen.refused_ == [(401, "/echo", None)] * 3


async def test_a_known_caller_without_the_permission_gets_403() -> None:
    seen = Seen()
    async with serving(observer=seen) as (client, _, _):
        answer = await client.post("/echo", content=b"{}", headers={**FEED, "Authorization": "Bearer monitor"})
    assert answer.status_code == 403
    assert "submit" in answer.json()["detail"]
    assert seen.refused_ == [(403, "/echo", "prometheus")]
    assert seen.answered_ == [("/echo", 403)]


async def test_a_caller_with_the_permission_is_served_and_named_to_the_handler() -> None:
    async with serving() as (client, host, port):
        answer = await client.get("/things/a%2Fb", headers=FEED)
    assert answer.json() == {"who": "ehr", "id": "a/b", "base": f"http://{host}:{port}"}


async def test_the_base_address_is_the_configured_one_behind_a_proxy() -> None:
    async with serving(base_url="https://gateway.example/") as (client, _, _):
        answer = await client.get("/things/1", headers=FEED)
    assert answer.json()["base"] == "https://gateway.example"


async def test_unknown_addresses_and_methods_are_told() -> None:
    async with serving() as (client, _, _):
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/things/1/more")).status_code == 404
        assert (await client.get("/things/%00", headers=FEED)).status_code == 400
        answer = await client.delete("/things/1")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
        assert (await client.get("/things/first")).status_code == 200
        assert (await client.head("/things/first")).status_code == 200


async def test_a_body_of_another_kind_is_refused_unread() -> None:
    async with serving() as (client, _, _):
        for kind in ("application/xml", "text/plain", None):
            headers = {"Authorization": "Bearer feed"} | ({"Content-Type": kind} if kind else {})
            assert (await client.post("/echo", content=b"<x/>", headers=headers)).status_code == 415
        latin = {"Authorization": "Bearer feed", "Content-Type": "application/json; charset=latin-1"}
        assert (await client.post("/echo", content=b"{}", headers=latin)).status_code == 415


async def test_a_body_over_the_cap_is_413_whether_it_is_announced_or_not() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 1024

    async with serving() as (client, _, _):
        announced = await client.post("/echo", content=b"x" * 4097, headers=FEED)
        assert announced.status_code == 413
        assert announced.json()["code"] == "too-long"
        assert (await client.post("/echo", content=trickle(), headers=FEED)).status_code == 413
        assert (await client.post("/echo", content=b"x" * 4096, headers=FEED)).status_code == 200
        assert (await client.post("/small", content=b"x" * 17, headers=FEED)).status_code == 413


async def test_a_compressed_body_counts_by_what_it_becomes() -> None:
    import gzip

    headers = {**FEED, "Content-Encoding": "gzip"}
    async with serving() as (client, _, _):
        assert (await client.post("/echo", content=gzip.compress(b"x" * 4000), headers=headers)).content == b"x" * 4000
        bomb = await client.post("/echo", content=gzip.compress(b"x" * 3_000_000), headers=headers)
        assert bomb.status_code == 413
        assert (await client.post("/echo", content=b"not gzip", headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"text": "x"}', 201),
        (b'{"text": "x", "text": "y"}', 400),
        (b'{"text": NaN}', 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 3000, 400),
        (rb'{"text": "a\u0000b"}', 400),
        (b'{"text": 5}', 422),
        (b'{"text": "x", "JANE SMITH": 1}', 422),
        (b"", 400),
    ],
)
async def test_a_body_must_be_strict_json_of_the_right_shape(body: bytes, status: int) -> None:
    async with serving() as (client, _, _):
        answer = await client.post("/note", content=body, headers=FEED | {"Content-Type": "application/json"})
    assert answer.status_code in ((status, 415) if not body else (status,))
    assert "JANE" not in answer.text


async def test_a_handler_that_fails_tells_neither_its_words_nor_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as (client, _, _):
        answer = await client.get("/fail", headers={"X-Request-Id": "abc-12345678"})
    assert answer.status_code == 500
    assert answer.json()["request"] == "abc-12345678"
    told = answer.text + "".join(capsys.readouterr())
    assert "SMITH" not in told
    assert "1964" not in told


async def test_a_sane_request_id_is_taken_up_and_another_is_replaced() -> None:
    async with serving() as (client, _, _):
        kept = await client.get("/things/first", headers={"X-Request-Id": "req-2024.01_7"})
        assert kept.headers["X-Request-Id"] == "req-2024.01_7"
        for odd in ("short", "x" * 65, "JANE SMITH 1964", "a<script>bbbb"):
            made = await client.get("/things/first", headers={"X-Request-Id": odd})
            assert made.headers["X-Request-Id"] != odd
            assert len(made.headers["X-Request-Id"]) == 24


async def test_every_answer_carries_the_security_headers() -> None:
    async with serving() as (client, _, _):
        for path in ("/things/first", "/nowhere", "/fail", "/lines"):
            answer = await client.get(path)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_answers_can_be_streamed_and_long() -> None:
    async with serving() as (client, _, _):
        streamed = await client.get("/lines")
        assert (streamed.headers["Content-Type"], streamed.content) == (NDJSON, b"0\n1\n2\n")
        long_one = await client.get("/long")
        assert len(long_one.content) == int(long_one.headers["Content-Length"]) == 300_000


async def talk(host: str, port: int, *pieces: bytes) -> tuple[bytes, float]:
    """What comes back on a bare socket until the server closes it, and after how long."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    reader, writer = await asyncio.open_connection(host, port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    try:
        async with asyncio.timeout(5):
            answer = await reader.read()
    finally:
        writer.close()
    return answer, loop.time() - begun


async def test_the_body_is_not_read_before_the_caller_is_known() -> None:
    """Only the head is sent, with a body announced: the refusal comes without waiting for it."""
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
    async with serving(request_seconds=0.5) as (_, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head)
        async with asyncio.timeout(2):
            assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        writer.close()


async def test_a_client_that_asks_whether_to_send_is_told_only_once_it_is_known() -> None:
    head = (
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\nExpect: 100-continue\r\n"
    )
    async with serving() as (_, host, port):
        for authorization, first in (("", b"HTTP/1.1 401"), ("Authorization: Bearer feed\r\n", b"HTTP/1.1 100")):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"{head}{authorization}\r\n".encode())
            async with asyncio.timeout(2):
                assert (await reader.readline()).startswith(first)
                if authorization:
                    await reader.readline()
                    writer.write(b"{}")
                    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /things/first HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_come_is_cut(sent: bytes) -> None:
    async with serving(request_seconds=0.15) as (_, host, port):
        answer, seconds = await talk(host, port, sent) if sent else await talk(host, port)
    assert answer == b""
    assert 0.1 < seconds < 2


async def test_a_head_that_trickles_is_cut_although_bytes_keep_coming() -> None:
    async with serving(request_seconds=0.2) as (_, host, port):
        reader, writer = await asyncio.open_connection(host, port)

        async def trickle() -> None:
            writer.write(b"GET / HTTP/1.1\r\n")
            for number in range(200):
                writer.write(b"X-H%d: a\r\n" % number)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(trickle())
        async with asyncio.timeout(1.5):
            with suppress(ConnectionResetError):  # what was on its way when it was cut is answered so
                assert await reader.read() == b""
        task.cancel()
        writer.close()


async def test_the_next_head_on_a_kept_connection_is_guarded_too() -> None:
    async with serving(request_seconds=0.2) as (_, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /things/first HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(2):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            writer.write(b"GET /things/first HT")
            assert await reader.read() == b""
        writer.close()


async def test_a_body_that_does_not_come_is_408_and_the_connection_ends() -> None:
    head = (
        b"POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer feed\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    async with serving(request_seconds=0.15) as (_, host, port):
        answer, seconds = await talk(host, port, head)
    assert answer.startswith(b"HTTP/1.1 408")
    assert seconds < 4


async def test_what_is_not_http_is_refused_without_repeating_it() -> None:
    async with serving() as (_, host, port):
        answer, _ = await talk(host, port, b"\x0bMSH|^~\\&|EPIC|SMITH^JANE\r\x1c\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400")
    assert b"SMITH" not in answer


async def test_pipelined_requests_are_answered_in_order() -> None:
    one = b"GET /things/first HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving() as (_, host, port):
        answer, _ = await talk(host, port, one + one + last)
    assert [line.split()[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1")] == [
        b"200",
        b"200",
        b"404",
    ]


def route(**changes: Any) -> Route:
    values = {"method": "GET", "path": "/x", "permission": PUBLIC, "handler": echo, "summary": "x"} | changes
    return Route(**values)


@pytest.mark.parametrize(
    "wrong",
    [
        (route(permission=None),),
        (route(permission=""),),
        (route(method="TRACE"),),
        (route(path="x"),),
        (route(path="/a b"),),
        (route(), route()),
        (route(path="/a/{b}"), route(path="/a/{c}")),
    ],
)
def test_a_table_with_a_mistake_is_not_served(wrong: tuple[Route, ...]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any mistake, each with its own words
        HttpServer(wrong, Known(), Http())


def test_a_fault_below_a_room_is_told_in_its_form_even_off_the_routes() -> None:
    def shout(fault: Fault, request_id: str) -> Answer:
        return Answer(fault.status, b"!")

    table = RouteTable([route(path="/fhir/metadata", faults=shout), route(path="/api/x")])
    assert table.renderer("/fhir/Nothing") is shout
    assert table.renderer("/api/y") is not shout
    assert table.renderer("/") is not shout


async def test_what_is_no_http_is_answered_with_an_id_too() -> None:
    async with serving() as (_, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nz: \x01\r\n\r\n")
        async with asyncio.timeout(2):
            told = await reader.read()
        writer.close()
    assert told.split(b" ", 2)[1] == b"400"
    head, _, body = told.partition(b"\r\n\r\n")
    [line] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"x-request-id: ")]
    assert line.partition(b": ")[2] == orjson.loads(body)["request"].encode() != b"none"


class Amounts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int
    text: str = ""
    at: datetime | None = None


@pytest.mark.parametrize("body", [b'{"count": 7}', b'{"count": 7.0}', b'{"count": 7e0, "at": "2026-01-01T08:00:00Z"}'])
def test_a_whole_number_is_one_however_it_is_written(body: bytes) -> None:
    assert parsed(Amounts, body).count == 7


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"count": "7"}', 422),
        (b'{"count": true}', 422),
        (b'{"count": 7.5}', 422),
        (b'{"count": 7, "at": 0}', 422),
        (b'{"count": 7, "more": 1}', 422),
        (b'{"count": 7, "count": 8}', 400),
        (b'{"count": 7, "text": "\\u0000"}', 400),
        (b'{"count": 7, "text": "\\ud800"}', 400),
        ('{"count": 7}'.encode("utf-16"), 400),
    ],
)
def test_what_is_sent_is_taken_as_it_is_described(body: bytes, status: int) -> None:
    with pytest.raises(Fault) as refused:
        parsed(Amounts, body)
    assert refused.value.status == status


def test_a_text_that_speaks_of_nul_holds_none() -> None:
    assert parsed(Amounts, b'{"count": 7, "text": "\\\\u0000"}').text == "\\u0000"


async def test_an_address_that_is_too_long_is_told_so() -> None:
    async with serving() as (client, _, _):
        answer = await client.get("/api/ping?" + "a" * 20_000)
    assert answer.status_code == 400
    assert "too long" in answer.json()["detail"]


async def test_a_connection_too_many_is_ended_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.adapters.http.server.MAX_CONNECTIONS", 1)
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with serving() as (client, host, port):
        assert (await client.get("/things/first")).status_code == 200
        for _ in range(3):
            reader, writer = await asyncio.open_connection(host, port)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        assert (await client.get("/things/first")).status_code == 200
    gc.collect()
    assert faults == []
