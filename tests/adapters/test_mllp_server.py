"""The MLLP server over real sockets, before a receiver that does as it is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from conformance.mllp_sender import MllpSender, frame
from gateway.adapters.mllp import server as server_module
from gateway.adapters.mllp.framing import STRAY_LIMIT
from gateway.adapters.mllp.incoming import IN_FLIGHT, Limits
from gateway.adapters.mllp.server import Cut, MllpServer
from gateway.promise import Promise, promised

LIMIT = 64 * 1024
FRAME, IDLE = 30.0, 3600.0


@pytest.fixture(autouse=True)
def _watched_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server looks at the (injected) clock so often that no test waits for it."""
    monkeypatch.setattr(server_module, "WATCH_SECONDS", 0.002)


@dataclass
class Scripted:
    """Answers `re:` and the message, each when its gate opens; a message without a gate at once."""

    gates: dict[bytes, asyncio.Event] = field(default_factory=dict)
    seen: list[bytes] = field(default_factory=list)
    padding: int = 0
    silent: bool = False

    def receive(self, message: bytes) -> Promise[bytes]:
        self.seen.append(message)
        return promised(self._answer(message))

    async def _answer(self, message: bytes) -> bytes:
        if message in self.gates:
            await self.gates[message].wait()
        if self.silent:
            return b""
        if message == b"fail":
            raise RuntimeError("as told")
        return b"re:" + message + b"." * self.padding

    def refuse(self, head: bytes, reason: str) -> bytes:
        return b"no:" + head[:4] + b":" + reason.encode()

    def hold(self, *messages: bytes) -> None:
        self.gates.update({message: asyncio.Event() for message in messages})


@dataclass
class Served:
    server: MllpServer
    receiver: Scripted
    address: tuple[str, int]
    seconds: float = 0.0
    """The server's clock."""

    async def pass_(self, seconds: float) -> None:
        """Let time pass, and the server look at its connections."""
        self.seconds += seconds
        await asyncio.sleep(0.01)

    def sender(self, timeout: float = 5.0) -> MllpSender:
        return MllpSender(*self.address, timeout=timeout)


@asynccontextmanager
async def serving(*, message: int = LIMIT, connections: int = 10) -> AsyncIterator[Served]:
    receiver = Scripted()
    server = MllpServer("feed", receiver, Limits(message, IDLE, FRAME, connections))
    served = Served(server, receiver, await server.start("127.0.0.1", 0))
    server.now = lambda: served.seconds
    try:
        yield served
    finally:
        await server.stop(grace=1.0)


async def until(met: Callable[[], object]) -> None:
    """Let the loop turn until `met()` holds; five seconds at most."""
    end = asyncio.get_running_loop().time() + 5
    while not met():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.001)


async def turns(count: int = 50) -> None:
    """Let the loop look at its sockets `count` times: whatever it would do, it has done then."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_their_messages() -> None:
    async with serving() as served, served.sender() as sender:
        served.receiver.hold(b"A", b"B", b"C")
        await sender.write(frame(b"A") + frame(b"B") + frame(b"C"))
        await until(lambda: len(served.receiver.seen) == 3)
        for message in (b"C", b"B", b"A"):
            served.receiver.gates[message].set()
        assert [await sender.read() for _ in range(3)] == [b"re:A", b"re:B", b"re:C"]


async def test_a_message_may_arrive_byte_by_byte() -> None:
    async with serving() as served, served.sender() as sender:
        for byte in frame(b"slowly"):
            await sender.write(bytes([byte]))
        assert await sender.read() == b"re:slowly"


async def test_connections_do_not_wait_for_each_other() -> None:
    async with serving() as served, served.sender() as slow, served.sender() as fast:
        served.receiver.hold(b"slow")
        await slow.write(frame(b"slow"))
        await fast.write(frame(b"fast"))
        assert await fast.read() == b"re:fast"
        served.receiver.gates[b"slow"].set()
        assert await slow.read() == b"re:slow"


async def test_a_frame_over_the_limit_is_refused_and_the_connection_closes() -> None:
    async with serving(message=1024) as served, served.sender() as sender:
        await sender.write(frame(b"long" + b"x" * 2000))
        assert await sender.read() == b"no:long:a frame exceeds the limit of 1024 bytes"
        assert await sender.closed_by_receiver()
        assert served.receiver.seen == []


async def test_what_came_whole_before_it_is_answered_first() -> None:
    async with serving(message=1024) as served, served.sender() as sender:
        served.receiver.hold(b"A")
        await sender.write(frame(b"A") + frame(b"B") + b"\x0blong" + b"x" * 2000)
        await until(lambda: len(served.receiver.seen) == 2)
        served.receiver.gates[b"A"].set()
        assert [await sender.read() for _ in range(2)] == [b"re:A", b"re:B"]
        assert (await sender.read()).startswith(b"no:long")
        assert await sender.closed_by_receiver()


async def test_a_sender_that_is_far_from_done_can_still_read_why() -> None:
    """Closed at once, with bytes on their way, the connection would be reset and the refusal lost."""
    async with serving(message=1024) as served, served.sender() as sender:
        await sender.write(b"\x0blong")
        for _ in range(64):
            await sender.write(b"x" * 100_000)
        assert (await sender.read()).startswith(b"no:long")


async def test_noise_between_frames_never_adds_up() -> None:
    async with serving() as served, served.sender() as sender:
        noise = b"\r\n" * (STRAY_LIMIT // 8)
        for number in range(6):
            await sender.write(noise + frame(b"%d" % number) + noise)
            assert await sender.read() == b"re:%d" % number


async def test_a_peer_that_speaks_something_else_is_let_go() -> None:
    async with serving() as served, served.sender() as sender:
        await sender.write(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n" * 4000)
        assert await sender.closed_by_receiver()
        assert served.receiver.seen == []


async def test_a_frame_that_does_not_end_is_cut_at_its_limit() -> None:
    async with serving() as served, served.sender() as sender:
        await sender.write(b"\x0bMSH|half")
        await turns()
        await served.pass_(FRAME + 1)
        assert await sender.closed_by_receiver()
        await until(lambda: served.server.connections == 0)


async def test_trickling_bytes_do_not_prolong_a_frame() -> None:
    async with serving() as served, served.sender() as sender:
        await sender.write(b"\x0b")
        for _ in range(3):
            await turns()
            assert served.server.connections == 1
            await served.pass_(FRAME / 3 + 1)
            await sender.write(b"x")
        assert await sender.closed_by_receiver()


async def test_each_frame_has_its_own_time() -> None:
    """What is cut is one frame that takes too long, not a connection on which one always is under way."""
    async with serving() as served, served.sender() as sender:
        await sender.write(b"\x0b")
        for _ in range(5):
            await served.pass_(FRAME / 2 + 1)
            await sender.write(b"A\x1c\r\x0b")
            assert await sender.read() == b"re:A"


async def test_an_idle_peer_is_cut_and_one_that_waits_for_its_answer_is_not() -> None:
    async with serving() as served, served.sender() as waiting, served.sender() as idle:
        served.receiver.hold(b"A")
        await waiting.write(frame(b"A"))
        await until(lambda: served.receiver.seen)
        await served.pass_(IDLE + 1)
        assert await idle.closed_by_receiver()
        served.receiver.gates[b"A"].set()
        assert await waiting.read() == b"re:A"


async def test_a_peer_that_takes_no_answers_is_cut() -> None:
    async with serving() as served:
        served.receiver.padding = 200_000
        with socket.socket() as mute:
            mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            mute.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(mute, served.address)
            await loop.sock_sendall(mute, frame(b"A") * 100)
            await until(lambda: len(served.receiver.seen) == 100)
            await turns()
            await served.pass_(FRAME + 1)
            await until(lambda: served.server.connections == 0)


async def test_more_connections_than_allowed_are_turned_away() -> None:
    async with serving(connections=2) as served:
        async with served.sender() as first, served.sender() as second:
            await until(lambda: served.server.connections == 2)
            async with served.sender() as third:
                assert await third.closed_by_receiver()
            for sender in (first, second):
                await sender.write(frame(b"still"))
                assert await sender.read() == b"re:still"
        await until(lambda: served.server.connections == 0)
        async with served.sender() as fourth:
            await fourth.write(frame(b"again"))
            assert await fourth.read() == b"re:again"


async def test_a_half_closed_sender_gets_its_answers() -> None:
    async with serving() as served:
        served.receiver.hold(b"A")
        reader, writer = await asyncio.open_connection(*served.address)
        writer.write(frame(b"A") + frame(b"B"))
        writer.write_eof()
        await until(lambda: len(served.receiver.seen) == 2)
        await turns()
        served.receiver.gates[b"A"].set()
        async with asyncio.timeout(5):
            assert await reader.read() == frame(b"re:A") + frame(b"re:B")
        writer.close()


async def test_a_sender_that_leaves_without_waiting_harms_nobody() -> None:
    async with serving() as served:
        served.receiver.hold(b"A")
        async with served.sender() as sender:
            await sender.write(frame(b"A"))
            await until(lambda: served.receiver.seen)
        served.receiver.gates[b"A"].set()
        await until(lambda: served.server.connections == 0)
        async with served.sender() as other:
            await other.write(frame(b"B"))
            assert await other.read() == b"re:B"


async def test_congestion_stops_reading_and_its_end_resumes_it() -> None:
    async with serving() as served, served.sender() as before:
        await before.write(frame(b"A"))
        assert await before.read() == b"re:A"
        served.server.congestion(True)
        async with served.sender() as during:
            await before.write(frame(b"B"))
            await during.write(frame(b"C"))
            await turns()
            assert served.receiver.seen == [b"A"]
            served.server.congestion(False)
            assert await before.read() == b"re:B"
            assert await during.read() == b"re:C"


async def test_a_frame_that_congestion_interrupted_has_its_time_anew() -> None:
    async with serving() as served, served.sender() as sender:
        await sender.write(b"\x0bhalf")
        await turns()
        served.server.congestion(True)
        await served.pass_(FRAME + 1)
        served.server.congestion(False)
        await served.pass_(1)
        await sender.write(b"way\x1c\r")
        assert await sender.read() == b"re:halfway"


async def test_a_sender_far_ahead_of_its_answers_is_read_no_more() -> None:
    async with serving() as served, served.sender() as sender:
        message = b"m" * 16_000
        served.receiver.hold(message)
        writing = asyncio.ensure_future(sender.write(frame(message) * 1000))
        await until(lambda: len(served.receiver.seen) >= IN_FLIGHT)
        await turns(200)
        taken_in_one_read = 256 * 1024 // len(message) + 1
        assert len(served.receiver.seen) <= IN_FLIGHT + taken_in_one_read
        served.receiver.gates[message].set()
        answers = [await sender.read() for _ in range(1000)]
        await writing
        assert len(answers) == 1000


async def test_a_receiver_that_fails_closes_that_connection_only() -> None:
    async with serving() as served, served.sender() as unlucky, served.sender() as other:
        await unlucky.write(frame(b"fail"))
        assert await unlucky.closed_by_receiver()
        await other.write(frame(b"A"))
        assert await other.read() == b"re:A"


async def test_a_graceful_stop_answers_what_was_received() -> None:
    async with serving() as served, served.sender() as busy, served.sender() as idle:
        served.receiver.hold(b"A")
        await busy.write(frame(b"A"))
        await until(lambda: served.receiver.seen)
        stopping = asyncio.ensure_future(served.server.stop())
        assert await idle.closed_by_receiver()
        with pytest.raises(OSError):  # noqa: PT011 - refused, in whichever words the system has
            await asyncio.open_connection(*served.address)
        served.receiver.gates[b"A"].set()
        assert await busy.read() == b"re:A"
        assert await busy.closed_by_receiver()
        async with asyncio.timeout(1):
            await stopping


async def test_a_stop_does_not_wait_for_ever() -> None:
    async with serving() as served, served.sender() as busy:
        served.receiver.hold(b"A")
        await busy.write(frame(b"A"))
        await until(lambda: served.receiver.seen)
        async with asyncio.timeout(2):
            await served.server.stop(grace=0.05)
        assert await busy.closed_by_receiver()


async def test_one_address_has_no_more_than_its_share() -> None:
    cut: list[Cut] = []
    server = MllpServer("feed", Scripted(), Limits(LIMIT, IDLE, FRAME, 10, per_address=2), on_cut=cut.append)
    address = await server.start("127.0.0.1", 0)
    try:
        async with MllpSender(*address) as first, MllpSender(*address):
            async with MllpSender(*address) as third:
                assert await third.closed_by_receiver()
            assert cut == [Cut.ADDRESS]
            await first.write(frame(b"A"))
            assert await first.read() == b"re:A"
        await until(lambda: server.connections == 0)
        async with MllpSender(*address) as again:
            await again.write(frame(b"B"))
            assert await again.read() == b"re:B"
    finally:
        await server.stop(grace=1.0)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_all_addresses_of_a_peer_count_as_one(one: str, other: str, alike: bool) -> None:
    assert (server_module._network(one) == server_module._network(other)) is alike


async def test_unfinished_frames_have_a_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that holds the most is cut; the others end their frames."""
    monkeypatch.setattr(server_module, "HELD_BYTES", 100_000)
    async with serving() as served, served.sender() as large, served.sender() as small:
        await small.write(b"\x0b" + b"s" * 20_000)
        await large.write(b"\x0b" + b"l" * 65_000)
        await until(lambda: served.server.held == 85_000)
        async with served.sender() as third:
            await third.write(b"\x0b" + b"t" * 60_000)
            await until(lambda: served.server.connections == 2)
            await small.write(b"\x1c\r")
            assert await small.read() == b"re:" + b"s" * 20_000
        await until(lambda: served.server.held == 0)


async def test_a_frame_that_is_begun_anew_has_no_more_time_than_one() -> None:
    async with serving() as served, served.sender() as sender:
        for _ in range(3):
            await sender.write(b"\x0bMSH|half")
            await turns()
            await served.pass_(FRAME / 2)
        await until(lambda: served.server.connections == 0)


async def test_a_connection_is_kept_alive_by_tcp() -> None:
    async with serving() as served, served.sender() as sender:
        await sender.write(frame(b"A"))
        await sender.read()
        (connection,) = served.server._connections
        accepted = connection._transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


async def test_no_answer_is_no_frame() -> None:
    async with serving() as served, served.sender() as sender:
        served.receiver.silent = True
        await sender.write(frame(b"A"))
        await until(lambda: served.receiver.seen)
        served.receiver.silent = False
        await sender.write(frame(b"B"))
        assert await sender.read() == b"re:B"


async def test_a_port_that_is_taken_is_told() -> None:
    async with serving() as served:
        second = MllpServer("other", Scripted(), Limits(LIMIT, IDLE, FRAME, 1))
        with pytest.raises(OSError, match="address already in use"):
            await second.start(*served.address)
        await second.stop()
