"""A client's keys at its own address: fetched from where they are registered, with care, and seldom."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from certificate_making import Authority
from smart_door import NOON, TOKEN_URL, Watch, client, door
from smart_peer import Peer, ec_key, public_jwk, rsa_key

from gateway.access.keys import LARGEST_SET
from gateway.adapters.checked_network import CheckedNetwork, is_public
from gateway.adapters.smart import fetched_keys
from gateway.adapters.smart.fetched_keys import FRESH, PATIENCE, STALE, FetchedKeys, fetch
from gateway.callers.registrations import KeysUnreachable
from gateway.store.sqlite import SqliteStore

EHR = Peer("ehr")
URL = "https://ehr.example/jwks"
HEAD = "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("127.8.9.1", False),
        ("0.0.0.0", False),  # noqa: S104 - not bound
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("2002:a00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
    ],
)
def test_only_addresses_of_the_public_network_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) == public


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(body: bytes, status: str = "200 OK", more: str = "") -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD.format(status=status, length=len(body), more=more).encode() + body)
        await writer.drain()
        writer.close()

    return serve


@dataclass
class Site:
    """`ehr.example` on a loopback port, with a certificate of the tests' own authority."""

    authority: Authority
    directory: Path
    seen: list[bytes] = field(default_factory=list)
    port: int = 0

    async def fetched(
        self, serve: Serve, *, host: str = "ehr.example", addresses: Sequence[str] = ("127.0.0.1",)
    ) -> bytes:
        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.seen.append(b"connection")
            await serve(reader, writer)

        pair = self.authority.issue("ehr.example", "ehr.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server = await asyncio.start_server(counted, "127.0.0.1", 0, ssl=context)
        async with server:
            self.port = server.sockets[0].getsockname()[1]

            async def resolve(name: str, port: int) -> Sequence[str]:
                return addresses

            network = CheckedNetwork(resolve, lambda address: address.is_loopback)
            trust = ssl.create_default_context(cafile=str(self.authority.file))
            return await fetch(f"https://{host}:{self.port}/jwks", network, trust)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Authority(tmp_path), tmp_path)


async def test_keys_are_fetched_over_https(site: Site) -> None:
    assert await site.fetched(answering(EHR.jwks())) == EHR.jwks()


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (answering(b"", "301 Moved", "Location: https://ehr.example/other\r\n"), "301"),
        (answering(b"", "302 Found", "Location: http://169.254.169.254/\r\n"), "302"),
        (answering(b"no", "404 Not Found"), "404"),
        (answering(b"x" * (LARGEST_SET + 1)), "64 KiB"),
        (answering(b"\x1f\x8b", more="Content-Encoding: gzip\r\n"), "compressed"),
    ],
)
async def test_an_answer_that_is_not_just_the_keys_is_refused(site: Site, serve: Serve, why: str) -> None:
    with pytest.raises(KeysUnreachable, match=why):
        await site.fetched(serve)
    assert len(site.seen) == 1, "a redirect is not followed"


async def test_a_slow_answer_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched_keys, "SECONDS", 0.2)
    let_go = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD.format(status="200 OK", length=100, more="").encode() + b"{")
        await let_go.wait()
        writer.close()

    with pytest.raises(KeysUnreachable, match="in time"):
        await site.fetched(drip)
    let_go.set()


async def test_an_answer_that_is_broken_off_is_refused(site: Site) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD.format(status="200 OK", length=100, more="").encode() + b"{")
        writer.close()

    with pytest.raises(KeysUnreachable):
        await site.fetched(half)


async def test_another_s_certificate_is_refused(site: Site) -> None:
    with pytest.raises(KeysUnreachable):
        await site.fetched(answering(EHR.jwks()), host="other.example")


@pytest.mark.parametrize("addresses", [(), ("10.0.0.1",), ("127.0.0.1", "10.0.0.1"), ("169.254.169.254", "127.0.0.1")])
async def test_no_address_that_is_not_allowed_is_connected_to(site: Site, addresses: Sequence[str]) -> None:
    """After the name is resolved: one bad address among good ones is enough."""
    with pytest.raises(KeysUnreachable, match="public network"):
        await site.fetched(answering(EHR.jwks()), addresses=addresses)
    assert site.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f000001"])
async def test_this_machine_is_never_asked(host: str) -> None:
    with pytest.raises(KeysUnreachable):
        await fetch(f"https://{host}:1/jwks", CheckedNetwork(), ssl.create_default_context())


@dataclass
class Network:
    """What answers in place of the network."""

    body: bytes | None = None
    asked: int = 0

    async def __call__(self, url: str) -> bytes:
        assert url == URL
        self.asked += 1
        await asyncio.sleep(0)
        if self.body is None:
            raise KeysUnreachable("nobody there")
        return self.body


async def test_keys_are_kept_and_asked_for_once_for_all_that_wait() -> None:
    network, clock = Network(EHR.jwks()), Watch()
    keys = FetchedKeys(URL, network, clock)
    found = await asyncio.gather(*(keys.find("ehr-ES384", "ES384") for _ in range(8)))
    assert all(found)
    assert network.asked == 1
    clock.pass_(seconds=FRESH.total_seconds() - 1)
    assert await keys.find("ehr-RS384", "RS384") is not None
    assert network.asked == 1
    clock.pass_(seconds=1)
    assert await keys.find("ehr-ES384", "ES384") is not None
    assert network.asked == 2


async def test_an_unknown_key_is_asked_for_and_not_again_soon() -> None:
    network, clock = Network(EHR.jwks()), Watch()
    keys = FetchedKeys(URL, network, clock)
    for _ in range(5):
        assert await keys.find("new", "ES384") is None
    assert network.asked == 1
    network.body = json.dumps({"keys": [public_jwk(ec_key(which=1), "new")]}).encode()
    clock.pass_(seconds=PATIENCE.total_seconds())
    assert await keys.find("new", "ES384") is not None
    assert await keys.find("ehr-ES384", "ES384") is None, "a key that was taken out is gone"
    assert network.asked == 2


async def test_keys_that_cannot_be_had_again_serve_for_a_while() -> None:
    network, clock = Network(EHR.jwks()), Watch()
    keys = FetchedKeys(URL, network, clock)
    assert await keys.find("ehr-ES384", "ES384") is not None
    network.body = None
    clock.pass_(seconds=STALE.total_seconds() - 1)
    assert await keys.find("ehr-ES384", "ES384") is not None
    clock.pass_(seconds=1)
    with pytest.raises(KeysUnreachable):
        await keys.find("ehr-ES384", "ES384")
    asked = network.asked
    with pytest.raises(KeysUnreachable):
        await keys.find("ehr-ES384", "ES384")
    assert network.asked == asked, "a fault is no reason to ask more often"


WEAK = json.dumps({"keys": [public_jwk(rsa_key(1024), "ehr-RS384")]}).encode()


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"keys":[]}', b'{"keys":[],"keys":[]}', b"[" * 5000, WEAK])
async def test_without_keys_that_can_be_used_nobody_is_known(tmp_path: Path, body: bytes | None) -> None:
    """RSA of fewer than 2048 bits among them."""
    store = SqliteStore(None)
    await store.open()
    async with door(store, client(EHR, tmp_path, jwks_url=URL), fetch=Network(body)) as one:
        weak = EHR.signed(EHR.claims(TOKEN_URL, NOON), "RS384", rsa_key(1024))
        answer = await one.token(EHR.form(weak, "system/Task.rs"))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert one.told.refusals == [(401, "ehr", "keys-unreachable")]
    await store.close()


@pytest.mark.parametrize(
    ("jku", "status"),
    [
        (None, 200),
        (URL, 200),
        (URL + "/", 401),
        (URL.upper(), 401),
        ("https://ehr.example.attacker/jwks", 401),
        (7, 401),
    ],
)
async def test_a_jku_is_the_registered_address_or_refused(tmp_path: Path, jku: object, status: int) -> None:
    store, network = SqliteStore(None), Network(EHR.jwks())
    await store.open()
    async with door(store, client(EHR, tmp_path, jwks_url=URL), fetch=network) as one:
        headers = {} if jku is None else {"jku": jku}
        assertion = EHR.signed(EHR.claims(TOKEN_URL, NOON), **headers)
        assert (await one.token(EHR.form(assertion, "system/Task.rs"))).status_code == status
        assert network.asked == (1 if status == 200 else 0)
    await store.close()
