"""A feed over real sockets: what is acknowledged is kept, and what is kept is acknowledged the same way for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.mllp_sender import Acknowledgement, MllpSender, frame
from gateway.adapters.mllp.server import Limits, MllpServer
from gateway.audit.events import Event
from gateway.clock import Ids
from gateway.intake.intake import Backlog, Intake
from gateway.intake.reception import Reception
from gateway.message import Message
from gateway.promise import Promise, promised
from gateway.store import open_store
from gateway.store.interface import MessageQuery, ResourceVersion, Store, StoreFault, UncertainCommit, Unstorable

LIMIT = 4096
HIGH_WATER = 16


def adt(control: str, *, version: str = "2.5.1", text: str = "I", accept: str = "") -> bytes:
    return (
        f"MSH|^~\\&|EPIC|MAIN|GATEWAY|MAIN|20261103081500||ADT^A08^ADT_A01|{control}|P|{version}|||{accept}\r"
        f"EVN|A08|20261103081500\rPID|1||M1^^^MAIN^MR\rPV1|1|{text}\r"
    ).encode()


class Ticking:
    """Each look at it finds a later moment."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 3, 8, 15, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(seconds=61)
        return self.at


@dataclass
class Keeper:
    """A real store in memory behind a door: it waits while the door is shut, and fails as it is told."""

    inner: Store
    door: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None
    asked: int = 0
    committed: int = 0

    def keep(self, message: Message, event: Event, resource: ResourceVersion | None = None) -> Promise[Message]:
        return promised(self._keep(message, event, resource))

    async def _keep(self, message: Message, event: Event, resource: ResourceVersion | None) -> Message:
        self.asked += 1
        await self.door.wait()
        if self.fault is not None:
            raise self.fault
        kept = await self.inner.keep(message, event, resource)
        self.committed += 1
        return kept


@dataclass
class Fed:
    """A feed that listens, and what stands behind it."""

    keeper: Keeper
    backlog: Backlog
    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)

    def sender(self, feed: str = "epic") -> MllpSender:
        return MllpSender(*self.addresses[feed], timeout=5)

    async def exchange(self, payload: bytes, feed: str = "epic") -> bytes:
        async with self.sender(feed) as sender:
            await sender.write(frame(payload))
            return await sender.read()

    async def kept(self) -> list[Message]:
        """Oldest first, with their bytes."""
        found = [await self.keeper.inner.message(m.id) for m in await self.keeper.inner.messages(MessageQuery())]
        return [message for message in reversed(found) if message is not None]

    async def events(self) -> int:
        return len([event async for event in self.keeper.inner.events()])


@asynccontextmanager
async def feeding(*feeds: str, silence: bool = False) -> AsyncIterator[Fed]:
    store = open_store("sqlite://")
    await store.open()
    fed = Fed(Keeper(store), Backlog(HIGH_WATER))
    fed.keeper.door.set()
    clock = Ticking()
    intake = Intake(fed.keeper, fed.backlog, clock, Ids())  # type: ignore[arg-type]  # all that intake asks is `keep`
    servers: list[MllpServer] = []
    try:
        for name in feeds or ("epic",):
            told = fed.told
            receiver = Reception(
                name, intake, clock, lambda feed, outcome, _, told=told: told.append((feed, outcome)), silence=silence
            )
            server = MllpServer(name, receiver, Limits(LIMIT, 60, 60, 50))
            fed.addresses[name] = await server.start("127.0.0.1", 0)
            fed.backlog.listen(server.congestion)
            servers.append(server)
        yield fed
    finally:
        for server in servers:
            await server.stop(grace=0.5)
        await store.close()


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_accepted_is_said_after_the_commit_and_never_before() -> None:
    async with feeding() as fed, fed.sender() as sender:
        fed.keeper.door.clear()
        await sender.write(frame(adt("C1")))
        reading = asyncio.ensure_future(sender.read())
        await turns()
        assert fed.keeper.asked == 1
        assert not reading.done()
        assert await fed.kept() == []
        fed.keeper.door.set()
        acknowledgement = Acknowledgement.parse(await reading)
        assert fed.keeper.committed == 1
        assert (acknowledgement.code, acknowledgement.control) == ("AA", "C1")
        assert [message.payload for message in await fed.kept()] == [adt("C1")]


async def test_the_bytes_are_kept_as_they_came() -> None:
    payload = adt("C1").replace(b"PID", b"ZZZ|\xff\xfe\x00\x80|\r\n\tPID")
    async with feeding() as fed:
        await fed.exchange(payload)
        [message] = await fed.kept()
        assert message.payload == payload
        assert (message.feed, message.type, message.control) == ("epic", "ADT^A08", "C1")


@pytest.mark.parametrize(
    ("said", "told"),
    [("DFT^P03^DFT_P03", "DFT^P03"), ("ACK", "ACK"), ("ZZX^Z01", "ZZX^Z01"), ("DOE^JANE", "other"), ("", "other")],
)
async def test_only_a_type_is_told_as_a_type(said: str, told: str) -> None:
    """In a header whose fields have slipped, anything may stand in MSH-9; the audit trail does not repeat it."""
    async with feeding() as fed:
        await fed.exchange(adt("C1").replace(b"ADT^A08^ADT_A01", said.encode()))
        [message] = await fed.kept()
        [event] = [found.event async for found in fed.keeper.inner.events()]
        assert message.type == event.detail["type"] == told


async def test_a_retransmission_gets_the_very_same_bytes_and_changes_nothing() -> None:
    async with feeding() as fed:
        first = await fed.exchange(adt("C1"))
        before = (await fed.kept(), await fed.events(), fed.backlog.count)
        again = [await fed.exchange(adt("C1")) for _ in range(3)]
        assert again == [first] * 3
        assert (await fed.kept(), await fed.events(), fed.backlog.count) == before
        assert [outcome for _, outcome in fed.told] == ["kept", "repeat", "repeat", "repeat"]


async def test_a_retransmission_in_the_same_breath_is_one_too() -> None:
    async with feeding() as fed, fed.sender() as sender:
        await sender.write(frame(adt("C1")) * 4 + frame(adt("C2")))
        answers = [await sender.read() for _ in range(5)]
        assert len(set(answers[:4])) == 1
        assert Acknowledgement.parse(answers[4]).control == "C2"
        assert [message.control for message in await fed.kept()] == ["C1", "C2"]
        assert fed.backlog.count == 2


async def test_the_same_control_id_with_other_bytes_is_another_message() -> None:
    async with feeding() as fed:
        first, second = await fed.exchange(adt("C1")), await fed.exchange(adt("C1", text="O"))
        assert first != second
        assert {Acknowledgement.parse(answer).code for answer in (first, second)} == {"AA"}
        assert [message.payload for message in await fed.kept()] == [adt("C1"), adt("C1", text="O")]


async def test_the_same_message_from_another_feed_is_another_message() -> None:
    async with feeding("epic", "encoder") as fed:
        await fed.exchange(adt("C1"), "epic")
        await fed.exchange(adt("C1"), "encoder")
        assert [message.feed for message in await fed.kept()] == ["epic", "encoder"]


async def test_pipelined_messages_are_answered_in_order() -> None:
    async with feeding() as fed, fed.sender() as sender:
        controls = [f"C{number}" for number in range(200)]
        await sender.write(b"".join(frame(adt(control)) for control in controls))
        answers = [Acknowledgement.parse(await sender.read()) for _ in controls]
        assert [answer.control for answer in answers] == controls
        assert {answer.code for answer in answers} == {"AA"}
        assert [message.control for message in await fed.kept()] == controls[-50:]


async def test_enhanced_mode_is_answered_in_its_own_words() -> None:
    async with feeding() as fed:
        assert Acknowledgement.parse(await fed.exchange(adt("C1", accept="AL"))).code == "CA"


async def test_a_frame_over_the_limit_is_refused_by_name_and_not_kept() -> None:
    async with feeding() as fed, fed.sender() as sender:
        await sender.write(frame(adt("C1", text="x" * LIMIT)))
        answer = Acknowledgement.parse(await sender.read())
        assert (answer.code, answer.control) == ("AR", "C1")
        assert "limit of 4096 bytes" in answer.errors[0]
        assert await sender.closed_by_receiver()
        assert await fed.kept() == []
        assert fed.told == [("epic", "refused")]


@pytest.mark.parametrize(
    "garbage", [b"", b"garbage", b"PID|1||M1", b"\xff\xfe\xfd", b"MSH", b"{}", b"GET / HTTP/1.1\r\n"]
)
async def test_what_is_no_message_is_rejected_with_the_reason(garbage: bytes) -> None:
    async with feeding() as fed, fed.sender() as sender:
        await sender.write(frame(garbage))
        answer = Acknowledgement.parse(await sender.read())
        if garbage != b"MSH":  # a header, if an empty one: kept, and set aside later
            assert answer.code == "AR"
            assert "MSH" in answer.errors[0]
            assert await fed.kept() == []
        await sender.write(frame(adt("C2")))
        assert Acknowledgement.parse(await sender.read()).code == "AA"


@pytest.mark.parametrize("fault", [StoreFault("/var/x.db: disk full"), UncertainCommit("the connection was lost")])
async def test_what_the_store_cannot_keep_now_is_an_error_to_send_again(fault: StoreFault) -> None:
    async with feeding() as fed, fed.sender() as sender:
        fed.keeper.fault = fault
        await sender.write(frame(adt("C1")))
        refused = Acknowledgement.parse(await sender.read())
        assert (refused.code, refused.control) == ("AE", "C1")
        assert "send it again" in refused.errors[0]
        assert "disk" not in refused.body.decode()
        assert fed.backlog.count == 0
        fed.keeper.fault = None
        await sender.write(frame(adt("C1")))
        assert Acknowledgement.parse(await sender.read()).code == "AA"
        assert [outcome for _, outcome in fed.told] == ["refused", "kept"]


async def test_what_no_store_can_keep_is_rejected_and_not_asked_for_again() -> None:
    async with feeding() as fed:
        fed.keeper.fault = Unstorable("a value is larger than the database can hold")
        answer = Acknowledgement.parse(await fed.exchange(adt("C1")))
        assert answer.code == "AR"
        assert "send it again" not in answer.body.decode()


async def test_a_fault_that_nobody_foresaw_leaves_the_message_unanswered() -> None:
    """Neither yes nor no: the connection closes, and the sender sends again."""
    async with feeding() as fed, fed.sender() as sender:
        fed.keeper.fault = RuntimeError("a bug")
        await sender.write(frame(adt("C1")))
        assert await sender.closed_by_receiver()
        assert fed.backlog.count == 0


async def test_a_half_closed_sender_gets_its_acknowledgement() -> None:
    async with feeding() as fed:
        reader, writer = await asyncio.open_connection(*fed.addresses["epic"])
        fed.keeper.door.clear()
        writer.write(frame(adt("C1")))
        writer.write_eof()
        await turns()
        fed.keeper.door.set()
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert Acknowledgement.parse(answer[1:-2]).code == "AA"
        writer.close()


async def test_too_much_unprocessed_work_holds_the_senders_back_until_half_is_done() -> None:
    async with feeding("epic", "encoder") as fed, fed.sender("epic") as epic, fed.sender("encoder") as encoder:
        for number in range(HIGH_WATER):
            await epic.send(adt(f"C{number}"))
        assert fed.backlog.congested
        await epic.write(frame(adt("E1")))
        await encoder.write(frame(adt("E2")))
        await turns()
        assert len(await fed.kept()) == HIGH_WATER
        fed.backlog.done(HIGH_WATER // 2 - 1)
        await turns()
        assert len(await fed.kept()) == HIGH_WATER, "not before half of it is done"
        fed.backlog.done(1)
        assert Acknowledgement.parse(await epic.read()).control == "E1"
        assert Acknowledgement.parse(await encoder.read()).control == "E2"


headers = st.builds(
    lambda fields, rest: b"MSH|^~\\&|" + b"|".join(fields) + b"\r" + rest,
    st.lists(st.binary(max_size=12), max_size=20),
    st.binary(max_size=40),
)


class Nothing:
    def keep(self, message: Message, event: Event, resource: ResourceVersion | None = None) -> Promise[Message]:
        kept: Promise[Message] = Promise()
        kept.set_result(message)
        return kept


@given(st.one_of(st.binary(max_size=200), headers, headers.map(lambda b: b.replace(b"|", b"^", 1))))
def test_whatever_the_bytes_there_is_one_answer_that_fits_its_frame(payload: bytes) -> None:
    intake = Intake(Nothing(), Backlog(1_000_000), Ticking(), Ids())  # type: ignore[arg-type]
    receiver = Reception("epic", intake, Ticking())

    async def answers() -> list[bytes]:
        return [await receiver.receive(payload), receiver.refuse(payload[:100], "too long")]

    for answer, codes in zip(asyncio.run(answers()), ({"AA", "CA", "AR", "CR"}, {"AR", "CR"}), strict=True):
        assert b"\x0b" not in answer
        assert b"\x1c" not in answer
        assert answer.startswith(b"MSH")
        assert Acknowledgement.parse(answer).code in codes
