"""MLLP over TLS and real sockets: who is let in, who may send as whom, and what slow handshakes cost."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from certificate_making import Authority, Pair

from conformance.mllp_sender import Acknowledgement, MllpSender, NoAcknowledgement, frame, sender_tls
from gateway.adapters.mllp import server as server_module
from gateway.adapters.mllp.server import Cut, Limits, MllpServer
from gateway.callers.senders import Senders
from gateway.clock import Ids, SystemClock
from gateway.config.certificates import server_context
from gateway.config.transport import Sender
from gateway.intake.intake import Backlog, Intake
from gateway.intake.reception import Reception
from gateway.message import Message
from gateway.store import open_store
from gateway.store.interface import MessageQuery, Store

HANDSHAKE = 10.0


def adt(control: str = "C1", application: str = "EPIC", facility: str = "MAIN", rest: str = "") -> bytes:
    head = f"MSH|^~\\&|{application}|{facility}|GATEWAY|MAIN|20261103081500||ADT^A08^ADT_A01|{control}|P|2.5.1"
    return f"{head}\rEVN|A08|20261103081500\rPID|1||M1^^^MAIN^MR{rest}\rPV1|1|I\r".encode()


@dataclass
class Pki:
    ca: Authority
    server: Pair
    epic: Pair
    lab: Pair


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    ca = Authority(tmp_path_factory.mktemp("pki"))
    server = ca.issue("gateway", "localhost")
    return Pki(ca, server, ca.issue("Epic.Example.org"), ca.issue("lab", "lab.example.org"))


@dataclass
class Fed:
    server: MllpServer
    store: Store
    address: tuple[str, int]
    pki: Pki
    cut: list[Cut] = field(default_factory=list)
    told: list[tuple[str, str | None]] = field(default_factory=list)
    seconds: float = 0.0

    def sender(self, pair: Pair | None = None, timeout: float = 5.0) -> MllpSender:
        tls = sender_tls(self.pki.ca.file, *((pair.certificate, pair.key) if pair else ()))
        return MllpSender("localhost", self.address[1], timeout=timeout, tls=tls)

    async def exchange(self, payload: bytes, pair: Pair | None = None) -> Acknowledgement:
        async with self.sender(pair) as sender:
            return await sender.send(payload)

    async def kept(self) -> list[Message]:
        return await self.store.messages(MessageQuery())


@asynccontextmanager
async def feeding(pki: Pki, *rows: Sender, asked: bool = True, required: bool = True) -> AsyncIterator[Fed]:
    context = server_context(pki.server.certificate, pki.server.key, pki.ca.file if asked else None, required=required)
    store = open_store("sqlite://")
    await store.open()
    clock = SystemClock()
    told: list[tuple[str, str | None]] = []
    cut: list[Cut] = []
    intake = Intake(store, Backlog(1000), clock, Ids())
    reception = Reception(
        "epic", intake, clock, senders=Senders(rows), not_allowed=lambda feed, called: told.append((feed, called))
    )
    server = MllpServer("epic", reception, Limits(65_536, 60, 60, 10, None, HANDSHAKE), context, cut.append)
    fed = Fed(server, store, await server.start("127.0.0.1", 0), pki, cut, told)
    server.now = lambda: fed.seconds
    try:
        yield fed
    finally:
        await server.stop(grace=0.5)
        await store.close()


async def until(met: object) -> None:
    end = asyncio.get_running_loop().time() + 5
    while not met():  # type: ignore[operator]
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.001)


EPIC = Sender(certificate="epic.example.org", application="EPIC", facility="MAIN")


async def test_a_message_over_tls_is_kept_and_acknowledged(pki: Pki) -> None:
    async with feeding(pki, asked=False) as fed:
        assert (await fed.exchange(adt())).code == "AA"
        assert [message.control for message in await fed.kept()] == ["C1"]


async def test_a_long_message_and_many_at_once_come_through_tls(pki: Pki) -> None:
    async with feeding(pki, asked=False) as fed, fed.sender() as sender:
        payloads = [adt(f"C{number}", rest="|" + "x" * 50_000) for number in range(20)]
        await sender.write(b"".join(frame(payload) for payload in payloads))
        answers = [Acknowledgement.parse(await sender.read()) for _ in payloads]
        assert [answer.control for answer in answers] == [f"C{number}" for number in range(20)]
        assert len(await fed.kept()) == 20


async def test_tls_before_1_2_is_not_spoken(pki: Pki) -> None:
    async with feeding(pki, asked=False) as fed:
        old = sender_tls(pki.ca.file)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        for bound in ("minimum_version", "maximum_version"):
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                setattr(old, bound, ssl.TLSVersion.TLSv1_1)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await MllpSender("localhost", fed.address[1], tls=old).connect()
        await until(lambda: fed.cut == [Cut.TLS])


async def test_a_peer_that_speaks_no_tls_is_cut(pki: Pki) -> None:
    async with feeding(pki, asked=False) as fed, MllpSender("localhost", fed.address[1], timeout=5) as sender:
        await sender.write(frame(adt()))
        with pytest.raises(NoAcknowledgement):
            await sender.read()
        assert fed.cut == [Cut.TLS]
        assert await fed.kept() == []


async def test_without_a_certificate_or_with_a_strangers_nobody_is_let_in(pki: Pki, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "other").issue("epic.example.org")
    async with feeding(pki, EPIC) as fed:
        for pair in (None, stranger):
            with pytest.raises((NoAcknowledgement, ssl.SSLError, ConnectionError)):
                await fed.exchange(adt(), pair)
        await until(lambda: fed.cut == [Cut.CERTIFICATE] * 2)
        assert await fed.kept() == []


async def test_a_certificate_sends_as_the_senders_that_it_is_bound_to(pki: Pki) -> None:
    lab = Sender(certificate=f"SHA256:{pki.lab.fingerprint.upper()}", application="LAB")
    async with feeding(pki, EPIC, lab) as fed:
        assert (await fed.exchange(adt("C1"), pki.epic)).code == "AA"
        assert (await fed.exchange(adt("C2", "LAB", "ANY"), pki.lab)).code == "AA"
        for control, application, facility, pair in (
            ("C3", "EPIC", "MAIN", pki.lab),
            ("C4", "LAB", "MAIN", pki.epic),
            ("C5", "EPIC", "OTHER", pki.epic),
            ("C6", "", "", pki.epic),
        ):
            answer = await fed.exchange(adt(control, application, facility), pair)
            assert answer.code == "AR"
            assert "MSH^1^3" in answer.errors[0]
            assert "may not send" in answer.errors[0]
        assert sorted(message.control for message in await fed.kept()) == ["C1", "C2"]
        assert fed.told == [
            ("epic", pki.lab.fingerprint),
            ("epic", "epic.example.org"),
            ("epic", "epic.example.org"),
            ("epic", "epic.example.org"),
        ]


async def test_an_alternative_name_binds_and_an_unlisted_certificate_may_send_as_nobody(pki: Pki) -> None:
    row = Sender(certificate="lab.example.org", application="LAB^1.2.3^ISO")
    async with feeding(pki, row) as fed:
        assert (await fed.exchange(adt("C1", "LAB^1.2.3^ISO"), pki.lab)).code == "AA"
        assert (await fed.exchange(adt("C2", "LAB"), pki.lab)).code == "AR"
        assert (await fed.exchange(adt("C3", "LAB^1.2.3^ISO"), pki.epic)).code == "AR"
        assert fed.told == [("epic", "lab.example.org"), ("epic", None)]


async def test_where_a_certificate_is_optional_only_the_others_may_come_without(pki: Pki) -> None:
    async with feeding(pki, EPIC, required=False) as fed:
        assert (await fed.exchange(adt("C1"))).code == "AR"
        assert (await fed.exchange(adt("C2", "LAB"))).code == "AA"
        assert (await fed.exchange(adt("C3"), pki.epic)).code == "AA"


async def test_each_message_of_a_batch_is_held_against_the_certificate(pki: Pki) -> None:
    batch = b"BHS|^~\\&|EPIC|MAIN\r" + adt("C1") + adt("C2", "LAB") + b"BTS|2\r"
    async with feeding(pki, EPIC) as fed, fed.sender(pki.epic) as sender:
        await sender.write(frame(batch))
        answer = (await sender.read()).split(b"\r")
        assert [line for line in answer if line.startswith(b"MSA")] == [b"MSA|AA|C1", b"MSA|AR|C2"]
        assert [message.control for message in await fed.kept()] == ["C1"]


async def test_a_handshake_has_its_time_and_counts_from_its_first_byte(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "WATCH_SECONDS", 0.002)
    async with feeding(pki, EPIC) as fed:
        slow = [await asyncio.open_connection("127.0.0.1", fed.address[1]) for _ in range(10)]
        for _, writer in slow:
            writer.write(b"\x16\x03\x01")
        await until(lambda: fed.server.connections == 10)
        with pytest.raises((NoAcknowledgement, ssl.SSLError, ConnectionError)):
            await fed.exchange(adt(), pki.epic)
        assert fed.cut == [Cut.TOO_MANY]
        fed.seconds += HANDSHAKE + 1
        await until(lambda: fed.server.connections == 0)
        assert fed.cut[1:] == [Cut.SLOW] * 10
        assert (await fed.exchange(adt(), pki.epic)).code == "AA"
        for _, writer in slow:
            writer.close()


async def test_new_certificates_are_shown_to_new_connections_while_old_ones_go_on(pki: Pki, tmp_path: Path) -> None:
    newer = Authority(tmp_path, "newer")
    pair = newer.issue("gateway", "localhost")
    async with feeding(pki, asked=False) as fed, fed.sender() as before:
        assert (await before.send(adt("C1"))).code == "AA"
        fed.server.tls = server_context(pair.certificate, pair.key, None, required=False)
        assert (await before.send(adt("C2"))).code == "AA"
        with pytest.raises(ssl.SSLError):
            await fed.exchange(adt("C3"))
        after = MllpSender("localhost", fed.address[1], tls=sender_tls(newer.file))
        async with after:
            assert (await after.send(adt("C4"))).code == "AA"


async def test_the_server_says_goodbye_within_tls(pki: Pki) -> None:
    """A sender can tell an end from a cut: with close_notify there is no error."""
    async with feeding(pki, asked=False) as fed:
        tls = sender_tls(pki.ca.file)
        reader, writer = await asyncio.open_connection("localhost", fed.address[1], ssl=tls)
        writer.write(frame(adt()))
        await reader.readuntil(b"\x1c\r")
        stopping = asyncio.ensure_future(fed.server.stop())
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        await stopping
