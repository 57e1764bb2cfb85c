"""Which types of message a feed takes, from its settings to the answer that a sender reads."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from gateway.config.message_types import MessageTypes
from gateway.intake.intake import Intake
from gateway.intake.reception import Reception
from gateway.message import Message, Received
from gateway.settings import ConfigErrors, load


@pytest.mark.parametrize(
    ("refuse", "only", "type", "taken"),
    [
        ([], ["ADT"], "ADT^A01", True),
        ([], ["ADT"], "DFT^P03", False),
        ([], ["ADT^A01"], "ADT^A02", False),
        ([], ["ADT^A01"], "ADT", False),
        (["ADT"], [], "ADT^A01", False),
        (["ADT"], [], "ADT", False),
        (["ADT^A60"], [], "ADT^A01", True),
        (["ADT^A60"], ["ADT"], "ADT^A60", False),
        (["ORU"], [], "", True),
        ([], ["ORU"], "", False),
    ],
)
def test_what_is_taken(refuse: list[str], only: list[str], type: str, taken: bool) -> None:
    types = MessageTypes.of(refuse, only)
    assert types is not None
    assert types.take(type) is taken


def test_a_feed_takes_everything_unless_it_says_otherwise() -> None:
    assert MessageTypes.of((), ()) is None


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 1, 20, tzinfo=UTC)


class Kept:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.types: list[str] = []

    def new_id(self) -> int:
        return 17

    def accept(self, received: Received, *, message_id: int) -> asyncio.Future[Message]:
        self.types.append(received.type)
        keeping: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        keeping.set_exception(RuntimeError("kept"))
        return keeping


async def test_what_is_refused_is_answered_and_not_kept() -> None:
    kept = Kept()
    receiver = Reception("f", cast(Intake, kept), Clock(), types=MessageTypes.of(["ADT^A60"], ["ADT", "DFT"]))
    answer = await receiver.receive(b"MSH|^~\\&|A|B|C|D|2026||ADT^A60|C7|P|2.5.1\r")
    assert b"\rMSA|AR|C7\r" in answer
    assert b"\rERR||MSH^1^9|200^Unsupported message type^HL70357|E||||the feed does not take" in answer
    old = await receiver.receive(b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|C8|P|2.3\r")
    assert b"\rMSA|AR|C8|" in old
    assert kept.types == []
    with pytest.raises(RuntimeError, match="kept"):
        await receiver.receive(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|C9|P|2.5.1\r")
    assert kept.types == ["ADT^A01"]


def settings(directory: Path, feed: str) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(f"feeds:\n  - name: adt\n    listen: mllp://127.0.0.1:0\n{feed}")
    return path


def test_a_feed_says_it_in_its_settings(tmp_path: Path) -> None:
    text = "    refuse: [ADT^A60]\n    only: [ADT, DFT]\n    snapshot: {BAR: [diagnoses], DFT: [charges, coverages]}\n"
    (feed,) = load(settings(tmp_path, text), {}).feeds
    assert (feed.refuse, feed.only) == (("ADT^A60",), ("ADT", "DFT"))
    assert feed.snapshot == {"BAR": {"diagnoses"}, "DFT": {"charges", "coverages"}}


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("    refuse: [adt]\n", "refuse"),
        ("    only: ['ADT^']\n", "only"),
        ("    snapshot: {ADX: [charges]}\n", "snapshot"),
        ("    snapshot: {ADT: [claims]}\n", "snapshot"),
    ],
)
def test_a_mistake_is_told_with_its_key(tmp_path: Path, line: str, key: str) -> None:
    with pytest.raises(ConfigErrors) as raised:
        load(settings(tmp_path, line), {})
    (mistake,) = raised.value.mistakes
    assert key in str(mistake)
