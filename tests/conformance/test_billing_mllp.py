"""The billing receiver: it keeps each control id once, and answers a repeat with the bytes of the first answer."""

from __future__ import annotations

from conformance.billing_mllp import Misdeed, MllpBilling, control_id
from conformance.mllp_sender import MllpSender

ONE = b"MSH|^~\\&|GATEWAY|MAIN|B|H|20250306||DFT^P03|C1-1|T|2.5.1\rFT1|1\r"
OTHER = ONE.replace(b"FT1|1", b"FT1|2")


async def test_a_repeat_is_answered_as_the_first_was() -> None:
    async with MllpBilling() as peer, MllpSender("127.0.0.1", peer.port) as sender:
        first, again = await sender.send(ONE), await sender.send(ONE)
    assert first.accepted
    assert again.body == first.body
    assert peer.messages == [ONE]


async def test_other_bytes_under_a_known_control_id_are_refused() -> None:
    async with MllpBilling() as peer, MllpSender("127.0.0.1", peer.port) as sender:
        await sender.send(ONE)
        refused = await sender.send(OTHER)
    assert refused.code == "AE"
    assert "205" in refused.errors[0]
    assert peer.messages == [ONE]


async def test_one_that_does_not_recognise_repeats_keeps_both() -> None:
    async with MllpBilling(deduplicates=False) as peer, MllpSender("127.0.0.1", peer.port) as sender:
        await sender.send(ONE)
        await sender.send(ONE)
    assert peer.messages == [ONE, ONE]


async def test_the_script_is_followed_step_by_step() -> None:
    async with MllpBilling() as peer, MllpSender("127.0.0.1", peer.port) as sender:
        peer.then(Misdeed.BUSY, Misdeed.REFUSE)
        codes = [(await sender.send(ONE)).code for _ in range(3)]
    assert codes == ["AR", "AE", "AA"]
    assert peer.received == [ONE] * 3


async def test_in_enhanced_mode_the_commit_comes_first() -> None:
    async with MllpBilling(enhanced=True) as peer, MllpSender("127.0.0.1", peer.port) as sender:
        assert (await sender.send(ONE)).code == "CA"
        assert b"MSA|AA|C1-1" in await sender.read()


def test_a_message_without_a_control_id() -> None:
    assert control_id(b"MSH|^~\\&|A\r") == ""
