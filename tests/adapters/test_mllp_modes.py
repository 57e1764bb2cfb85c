"""Enhanced mode and batches over real sockets: each frame gets the answers that its sender waits for, no more."""

from __future__ import annotations

import asyncio

import pytest
from test_mllp_feed import adt, feeding, turns

from conformance.mllp_sender import Acknowledgement, frame
from gateway.store.interface import StoreFault


def asking(control: str, accept: str, application: str) -> bytes:
    return adt(control, accept=f"{accept}|{application}")


async def test_the_commit_is_told_first_and_then_the_application_answers() -> None:
    async with feeding() as fed, fed.sender() as sender:
        for number in range(3):
            commit, application = await sender.send_enhanced(asking(f"C{number}", "AL", "AL"))
            assert (commit.code, commit.control) == ("CA", f"C{number}")
            assert application is not None
            assert (application.code, application.control) == ("AA", f"C{number}")


async def test_neither_is_said_before_the_commit() -> None:
    async with feeding() as fed, fed.sender() as sender:
        fed.keeper.door.clear()
        await sender.write(frame(asking("C1", "AL", "AL")))
        reading = asyncio.ensure_future(sender.read())
        for _ in range(50):
            await asyncio.sleep(0)
        assert not reading.done()
        fed.keeper.door.set()
        assert Acknowledgement.parse(await reading).code == "CA"
        assert Acknowledgement.parse(await sender.read()).code == "AA"


async def test_a_retransmission_gets_both_answers_again_byte_for_byte() -> None:
    async with feeding() as fed, fed.sender() as sender:
        said: list[list[bytes]] = []
        for _ in range(2):
            await sender.write(frame(asking("C1", "AL", "AL")))
            said.append([await sender.read(), await sender.read()])
        assert said[0] == said[1]
        assert len(await fed.kept()) == 1


async def test_what_is_not_taken_gets_one_answer() -> None:
    async with feeding() as fed, fed.sender() as sender:
        fed.keeper.fault = StoreFault("down")
        commit, application = await sender.send_enhanced(asking("C1", "AL", "AL"))
        assert (commit.code, application) == ("CE", None)


async def test_a_sender_that_wants_no_answer_gets_one_unless_the_feed_allows_silence() -> None:
    async with feeding() as fed, fed.sender() as sender:
        assert (await sender.send(asking("C1", "NE", "NE"))).code == "AA"
        assert (await sender.send(asking("C2", "ER", "NE"))).code == "AA"


async def test_a_sender_that_wants_no_answer_gets_none() -> None:
    async with feeding(silence=True) as fed, fed.sender() as sender:
        await sender.write(frame(asking("C1", "NE", "NE")) + frame(adt("C2")))
        assert Acknowledgement.parse(await sender.read()).control == "C2"
        assert [message.control for message in await fed.kept()] == ["C1", "C2"]
        await sender.write(frame(asking("C1", "NE", "NE")) + frame(adt("C3")))
        assert Acknowledgement.parse(await sender.read()).control == "C3"


async def test_what_could_not_be_kept_and_may_not_be_answered_ends_the_connection() -> None:
    """Silence would say that all is well."""
    async with feeding(silence=True) as fed, fed.sender() as sender:
        fed.keeper.fault = StoreFault("down")
        await sender.write(frame(asking("C1", "NE", "NE")))
        assert await sender.closed_by_receiver()


BATCH = b"FHS|^~\\&|EPIC|MAIN\rBHS|^~\\&|EPIC|MAIN|||||||B1\r%bBTS|%d\rFTS|1\r"


def codes(answer: bytes) -> list[bytes]:
    return [line for line in answer.split(b"\r") if line.startswith(b"MSA")]


async def test_a_batch_in_a_frame_is_kept_message_by_message_and_answered_by_a_batch() -> None:
    async with feeding() as fed:
        answer = await fed.exchange(BATCH % (adt("C1") + adt("C2") + adt("C3"), 3))
        assert answer.startswith(b"BHS|^~\\&|||EPIC|MAIN|")
        assert answer.endswith(b"BTS|3\r")
        assert codes(answer) == [b"MSA|AA|C1", b"MSA|AA|C2", b"MSA|AA|C3"]
        assert [message.payload for message in await fed.kept()] == [adt("C1"), adt("C2"), adt("C3")]


async def test_a_batch_that_does_not_keep_its_count_is_refused_whole() -> None:
    async with feeding() as fed:
        answer = await fed.exchange(BATCH % (adt("C1") + adt("C2"), 3))
        assert codes(answer) == [b"MSA|AR|C1", b"MSA|AR|C2"]
        assert b"3 messages were announced, 2 came" in answer
        assert await fed.kept() == []


async def test_a_batch_sent_again_changes_nothing() -> None:
    async with feeding() as fed:
        first = await fed.exchange(BATCH % (adt("C1") + adt("C2"), 2))
        again = await fed.exchange(BATCH % (adt("C1") + adt("C2"), 2))
        assert codes(first) == codes(again)
        assert len(await fed.kept()) == 2


async def test_an_empty_batch_is_answered_by_an_empty_batch() -> None:
    async with feeding() as fed:
        assert (await fed.exchange(BATCH % (b"", 0))).endswith(b"BTS|0\r")


async def test_messages_run_together_in_a_frame_get_one_answer_for_all() -> None:
    """Their sender believes in one message, and would take a second answer for that of its next."""
    async with feeding() as fed, fed.sender() as sender:
        assert (await sender.send(adt("C1") + adt("C2"))).code == "AA"
        assert [message.payload for message in await fed.kept()] == [adt("C1"), adt("C2")]
        assert (await sender.send(adt("C3"))).code == "AA"


async def test_a_batch_of_which_one_could_not_be_kept_says_so() -> None:
    async with feeding() as fed:
        fed.keeper.fault = StoreFault("down")
        answer = await fed.exchange(BATCH % (adt("C1") + adt("C2"), 2))
        assert codes(answer) == [b"MSA|AE|C1", b"MSA|AE|C2"]
        fed.keeper.fault = None
        assert codes(await fed.exchange(BATCH % (adt("C1") + adt("C2"), 2))) == [b"MSA|AA|C1", b"MSA|AA|C2"]


@pytest.mark.parametrize("batch", [b"BHS|^~\\&|A\rBTS|1\r", b"BTS|0\r", b"BHS|^~\\&|A\r"])
async def test_an_envelope_that_is_broken_is_refused_with_the_reason(batch: bytes) -> None:
    async with feeding() as fed, fed.sender() as sender:
        await sender.write(frame(batch))
        answer = await sender.read()
        assert b"MSA|AR" in answer
        assert b"the batch is not taken" in answer
        assert await fed.kept() == []


async def test_a_field_that_holds_the_word_msh_is_no_batch() -> None:
    async with feeding() as fed, fed.sender() as sender:
        payload = adt("C1", text="I|see MSH|MSHA")
        assert (await sender.send(payload)).code == "AA"
        assert [message.payload for message in await fed.kept()] == [payload]


async def test_a_peer_that_is_gone_does_not_stop_a_batch_from_being_kept() -> None:
    async with feeding() as fed:
        fed.keeper.door.clear()
        async with fed.sender() as sender:
            await sender.write(frame(BATCH % (adt("C1") + adt("C2"), 2)))
            await turns()
            assert fed.keeper.asked == 2
        await turns()
        fed.keeper.door.set()
        await turns()
        assert len(await fed.kept()) == 2
