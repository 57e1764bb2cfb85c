"""Messages that other people's systems and test suites sent, all of them, through a whole gateway."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from gateway_world import World, running

from conformance.mllp_sender import Acknowledgement, asks_for_both, control_id, frame
from gateway.access.roles import Role
from gateway.mappings.hl7v2.batch import split_batch
from gateway.message import Message, MessageState

CODES = {"AA", "AE", "AR", "CA", "CE", "CR"}
SETTLED = {MessageState.PROCESSED, MessageState.UNUSED, MessageState.SET_ASIDE}


def payloads(shared_data: Path, ending: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((shared_data / "v2").glob(f"*/*.{ending}"))]


async def send_all(world: World, feed: str, messages: list[bytes]) -> list[Acknowledgement]:
    """All over one connection, several under way; the first acknowledgement of each, in order. In enhanced mode the
    application's follows.
    """
    async with world.sender(feed, timeout=30) as sender:

        async def write() -> None:
            for message in messages:
                await sender.write(frame(message))

        writing = asyncio.ensure_future(write())
        answers: list[Acknowledgement] = []
        for message in messages:
            answers.append(Acknowledgement.parse(await sender.read()))
            if answers[-1].code == "CA" and asks_for_both(message):
                application = Acknowledgement.parse(await sender.read())
                assert (application.code, application.control) == ("AA", answers[-1].control)
        await writing
    return answers


def unexplained(messages: list[Message]) -> list[str]:
    """Messages of which nobody can say what became, or why."""
    return [
        f"{message.type} {message.control}: {message.state} {message.reason}"
        for message in messages
        if message.state not in SETTLED
        or (message.state is not MessageState.PROCESSED and not message.reason)
        or (message.reason or "").startswith("internal")
        or (message.state is MessageState.PROCESSED and not message.encounter)
    ]


async def assert_all_are_dealt_with(world: World, feed: str, sent: list[bytes]) -> Counter[MessageState]:
    answers = await send_all(world, feed, sent)
    assert {answer.code for answer in answers} <= CODES
    for payload, answer in zip(sent, answers, strict=True):
        if answer.accepted and payload.startswith(b"MSH|"):
            # One message has a line end within MSH-10: the id may come back whole, never as another.
            assert answer.control.startswith(control_id(payload.replace(b"\n", b"\r")))
    await world.settled()
    kept = await world.messages(feed=feed)
    accepted = {payload for payload, answer in zip(sent, answers, strict=True) if answer.accepted}
    assert len(kept) == sum(len(split_batch(payload).messages) or 1 for payload in accepted)
    assert unexplained(kept) == []
    health = await world.http(None).get("/health")
    assert health.status_code == 200
    return Counter(message.state for message in kept)


@pytest.mark.parametrize("feed", ["epic-adt", "encoder", "either"])
async def test_each_message_is_answered_and_dealt_with(tmp_path: Path, shared_data: Path, feed: str) -> None:
    messages = payloads(shared_data, "hl7")
    assert len(messages) == 593
    async with running(tmp_path) as world:
        states = await assert_all_are_dealt_with(world, feed, messages)
        assert states[MessageState.PROCESSED] > (100 if feed == "either" else 40)
        assert states[MessageState.UNUSED] > 200


async def test_so_is_each_as_its_source_has_it(tmp_path: Path, shared_data: Path) -> None:
    """With line feeds, byte order marks, blank lines and whatever else stood in the files."""
    originals = payloads(shared_data, "orig")
    assert len(originals) > 200
    async with running(tmp_path) as world:
        await assert_all_are_dealt_with(world, "either", originals)


async def test_a_second_time_nothing_changes(tmp_path: Path, shared_data: Path) -> None:
    messages = payloads(shared_data, "hl7")[:200]
    async with running(tmp_path) as world:
        first = await send_all(world, "either", messages)
        await world.settled()
        events = len(await world.events())
        assert [answer.body for answer in await send_all(world, "either", messages)] == [a.body for a in first]
        await world.settled()
        assert len(await world.events()) == events


def end(message: Message) -> tuple[object, ...]:
    """What became of it. That its control id came before is noted of what a feed sent, not of a new attempt."""
    noted = (message.reason or "").startswith("control-id-reused")
    return message.state, None if noted else message.reason, message.encounter


async def test_each_can_be_replayed_to_the_same_end(tmp_path: Path, shared_data: Path) -> None:
    messages = payloads(shared_data, "hl7")[:200]
    async with running(tmp_path) as world:
        await send_all(world, "either", messages)
        await world.settled()
        before = {message.id: message for message in await world.messages()}
        operator = world.http(Role.OPERATOR)
        for id_ in before:
            assert (await operator.post(f"/api/messages/{id_}/replay")).status_code == 202
        await world.settled()
        attempts = {message.replay_of: message for message in await world.messages() if message.replay_of}
        assert attempts.keys() == before.keys()
        assert {id_: end(message) for id_, message in before.items()} == {
            id_: end(message) for id_, message in attempts.items()
        }
