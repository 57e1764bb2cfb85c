from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.mllp.framing import STRAY_LIMIT, Framer, FrameTooLong, NotMllp, frame

payloads = st.binary(min_size=0, max_size=200).filter(lambda b: b"\x1c" not in b and b"\x0b" not in b)


@given(st.lists(payloads, max_size=6), st.data())
def test_frames_survive_any_slicing(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame(m) for m in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    framer = Framer(1000)
    got: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += framer.feed(stream[start:end])
    assert got == messages
    assert not framer.begun


@given(st.binary(max_size=400), st.integers(1, 50))
def test_no_bytes_break_it_and_it_holds_at_most_one_frame(noise: bytes, size: int) -> None:
    framer = Framer(64)
    try:
        for at in range(0, len(noise), size):
            for message in framer.feed(noise[at : at + size]):
                assert len(message) <= 64
    except FrameTooLong:
        assert len(noise) > 64


def fed(framer: Framer, *parts: bytes) -> list[bytes]:
    return [message for part in parts for message in framer.feed(part)]


def test_noise_between_frames_is_passed_over() -> None:
    assert Framer(100).feed(b"\r\n" + frame(b"A") + b"\r\n\r\n" + frame(b"B") + b"\n") == [b"A", b"B"]


def test_a_missing_carriage_return_is_made_good_by_the_next_start() -> None:
    assert Framer(100).feed(b"\x0bA\x1c" + frame(b"B")) == [b"A", b"B"]


def test_a_file_separator_inside_a_message_does_not_end_it() -> None:
    assert Framer(100).feed(frame(b"A\x1cB")) == [b"A\x1cB"]


def test_the_limit_counts_the_message_alone() -> None:
    assert Framer(4).feed(frame(b"1234")) == [b"1234"]
    for parts in ([frame(b"12345")], [b"\x0b123", b"45", b"6"]):
        with pytest.raises(FrameTooLong) as caught:
            fed(Framer(4), *parts)
        assert caught.value.head.startswith(b"123")


def test_what_was_whole_before_the_stream_broke_is_not_lost() -> None:
    with pytest.raises(FrameTooLong) as long:
        Framer(4).feed(frame(b"A") + frame(b"B") + frame(b"12345"))
    assert long.value.before == [b"A", b"B"]
    with pytest.raises(NotMllp) as strange:
        Framer(4).feed(frame(b"A") + b"x" * (STRAY_LIMIT + 1))
    assert strange.value.before == [b"A"]


def test_noise_is_counted_anew_after_each_frame() -> None:
    framer = Framer(4)
    for _ in range(4):
        assert framer.feed(b"\r\n" * (STRAY_LIMIT // 4) + frame(b"A")) == [b"A"]


def test_a_peer_that_never_starts_a_frame_is_told_apart() -> None:
    requests = [b"GET / HTTP/1.1\r\n" * 64] * (STRAY_LIMIT // 1000 + 2)
    with pytest.raises(NotMllp):
        fed(Framer(100), *requests)


def test_a_start_block_that_begins_a_message_inside_a_frame_begins_it_anew() -> None:
    framer = Framer(100)
    assert fed(framer, b"\x0bMSH|half", b"\x0bMSH|whole\x1c\r") == [b"MSH|whole"]
    assert framer.given_up == 1
    assert Framer(100).feed(b"\x0bMSH|half\x0bBHS|whole\x1c\r") == [b"BHS|whole"]


def test_a_new_beginning_is_seen_however_it_is_sliced() -> None:
    stream = b"\x0bMSH|given up\x0bMSH|A\x0bMSH|B\x1c\r" + frame(b"MSH|C")
    for size in range(1, len(stream) + 1):
        parts = (stream[at : at + size] for at in range(0, len(stream), size))
        assert fed(Framer(100), *parts) == [b"MSH|B", b"MSH|C"]


def test_such_a_byte_in_a_text_is_part_of_it() -> None:
    note = b"MSH|OBX|first line\x0bsecond line\x0bMS"
    framer = Framer(100)
    assert framer.feed(frame(note)) == [note]
    assert fed(Framer(100), b"\x0b", note, b"\x1c\r") == [note]
    assert framer.given_up == 0


def test_what_was_given_up_does_not_count_against_the_limit() -> None:
    framer = Framer(40)
    assert fed(framer, b"\x0bMSH|" + b"x" * 30, b"\x0bMSH|" + b"y" * 30 + b"\x1c\r") == [b"MSH|" + b"y" * 30]
    with pytest.raises(FrameTooLong):
        fed(Framer(40), b"\x0bMSH|" + b"x" * 30, b"\x0bnot a message" + b"y" * 30)


def test_what_is_held_is_told() -> None:
    framer = Framer(100)
    framer.feed(b"\x0bMSH|half")
    assert framer.held == len(b"MSH|half")
    framer.feed(b"\x1c\r")
    assert framer.held == 0
