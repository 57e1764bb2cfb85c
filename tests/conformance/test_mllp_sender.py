"""The sending peer: what it accepts as an answer, and what it does when none comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from conformance.mllp_sender import (
    Acknowledgement,
    MllpSender,
    NoAcknowledgement,
    WrongAcknowledgement,
    control_id,
    frame,
)

MESSAGE = b"MSH|^~\\&|EPIC|MAIN|GATEWAY|MAIN|20260105||ADT^A04|C1|P|2.5.1\rEVN|A04\r"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(serve: Serve) -> AsyncIterator[tuple[str, int]]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port


def answering(code: str, control: str) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\x1c\r"):
            writer.write(frame(f"MSH|^~\\&|G|M|E|M|||ACK|9|P|2.5.1\rMSA|{code}|{control}|text\rERR||PID^1\r".encode()))
            await writer.drain()

    return serve


async def test_its_own_acknowledgement_is_read() -> None:
    async with receiver(answering("AA", "C1")) as (host, port), MllpSender(host, port) as sender:
        first = await sender.send(MESSAGE)
        second = await sender.send(MESSAGE)
    assert (first.accepted, first.code, first.text, first.errors) == (True, "AA", "text", ("ERR||PID^1",))
    assert second == first


@pytest.mark.parametrize(("code", "accepted"), [("CA", True), ("AE", False), ("AR", False), ("CR", False)])
async def test_a_refusal_is_an_answer(code: str, accepted: bool) -> None:
    async with receiver(answering(code, "C1")) as (host, port), MllpSender(host, port) as sender:
        assert (await sender.send(MESSAGE)).accepted is accepted


async def test_an_acknowledgement_of_another_message_is_refused_and_ends_the_connection() -> None:
    async with receiver(answering("AA", "C0")) as (host, port), MllpSender(host, port) as sender:
        with pytest.raises(WrongAcknowledgement):
            await sender.send(MESSAGE)
        with pytest.raises(NoAcknowledgement, match="closed"):
            await sender.send(MESSAGE)


async def test_silence_ends_the_connection_so_that_a_late_answer_is_never_taken_for_the_next() -> None:
    silent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        await silent.wait()

    async with receiver(serve) as (host, port), MllpSender(host, port, timeout=0.05) as sender:
        with pytest.raises(NoAcknowledgement, match="within"):
            await sender.send(MESSAGE)
        with pytest.raises(NoAcknowledgement, match="closed"):
            await sender.read()
        silent.set()


async def test_half_a_frame_is_sent_as_it_is_and_the_end_of_the_connection_is_seen() -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readexactly(10))

    async with receiver(serve) as (host, port), MllpSender(host, port) as sender:
        await sender.write(frame(MESSAGE)[:10])
        assert await sender.closed_by_receiver()
    assert got == [frame(MESSAGE)[:10]]


def test_what_is_no_acknowledgement_is_refused() -> None:
    with pytest.raises(WrongAcknowledgement):
        Acknowledgement.parse(b"MSH|^~\\&|G|M\rPID|1\r")


@pytest.mark.parametrize(("payload", "control"), [(MESSAGE, "C1"), (b"", ""), (b"MSH#^~\\&#a#b#c#d#e##X#77#P", "77")])
def test_control_ids_are_found_whatever_the_delimiter(payload: bytes, control: str) -> None:
    assert control_id(payload) == control


def twice(*codes_and_controls: tuple[str, str]) -> Serve:
    """Answers one message with all of these."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        for code, control in codes_and_controls:
            writer.write(frame(f"MSH|^~\\&|G|M|E|M|||ACK|9|P|2.5.1\rMSA|{code}|{control}\r".encode()))
        await writer.drain()

    return serve


async def test_in_enhanced_mode_both_answers_are_read() -> None:
    async with receiver(twice(("CA", "C1"), ("AA", "C1"))) as (host, port), MllpSender(host, port) as sender:
        commit, application = await sender.send_enhanced(MESSAGE)
    assert (commit.code, application.code if application else None) == ("CA", "AA")


async def test_in_enhanced_mode_a_refused_commit_is_the_only_answer() -> None:
    async with receiver(twice(("CE", "C1"))) as (host, port), MllpSender(host, port) as sender:
        assert (await sender.send_enhanced(MESSAGE))[1] is None


@pytest.mark.parametrize("answers", [(("AA", "C1"),), (("CA", "C1"), ("CA", "C1")), (("CA", "C1"), ("AA", "C2"))])
async def test_in_enhanced_mode_other_answers_are_wrong(answers: tuple[tuple[str, str], ...]) -> None:
    async with receiver(twice(*answers)) as (host, port), MllpSender(host, port) as sender:
        with pytest.raises(WrongAcknowledgement):
            await sender.send_enhanced(MESSAGE)
