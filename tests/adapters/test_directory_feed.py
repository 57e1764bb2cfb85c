"""A feed of files: whole ones, in order, each message kept once, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from test_mllp_feed import Keeper, adt

from gateway.adapters.directory import inbox as inbox_module
from gateway.adapters.directory.feed import DirectoryFeed
from gateway.adapters.directory.inbox import Inbox
from gateway.clock import Ids, SystemClock
from gateway.config.transport import Files
from gateway.intake.intake import Backlog, Intake
from gateway.intake.reception import Reception
from gateway.message import Message
from gateway.store import open_store
from gateway.store.interface import MessageQuery, StoreFault, Unstorable

SETTLE = 5.0
LIMIT = 4096
MAX_FILE = 100_000


@dataclass
class Read:
    """A directory that is read when the test says so."""

    path: Path
    feed: DirectoryFeed
    keeper: Keeper
    backlog: Backlog
    seconds: float = 0.0
    refused: list[str] = field(default_factory=list)

    def put(self, name: str, content: bytes) -> Path:
        (self.path / name).write_bytes(content)
        return self.path / name

    async def settled(self) -> int:
        """Look, wait until files have settled, and look again: how many were dealt with then."""
        await self.feed.look()
        self.seconds += SETTLE
        return await self.feed.look()

    async def kept(self) -> list[Message]:
        return list(reversed(await self.keeper.inner.messages(MessageQuery(limit=1000))))

    async def controls(self) -> list[str]:
        return [message.control for message in await self.kept()]

    def names(self, below: str = ".") -> list[str]:
        return sorted(entry.name for entry in (self.path / below).iterdir() if not entry.is_dir())


@asynccontextmanager
async def reading(path: Path, high_water: int = 10_000, **settings: object) -> AsyncIterator[Read]:
    store = open_store("sqlite://")
    await store.open()
    keeper, backlog, clock = Keeper(store), Backlog(high_water), SystemClock()
    keeper.door.set()
    reception = Reception("files", Intake(keeper, backlog, clock, Ids()), clock)  # type: ignore[arg-type]
    files = Files(settle_seconds=SETTLE, **settings)  # type: ignore[arg-type]
    inbox = Inbox(path, files.pattern, MAX_FILE)
    inbox.prepare()
    refused: list[str] = []
    feed = DirectoryFeed("files", inbox, reception, files, LIMIT, refused.append)
    backlog.listen(feed.congestion)
    read = Read(path, feed, keeper, backlog, refused=refused)
    feed.now = lambda: read.seconds
    try:
        yield read
    finally:
        await feed.stop()
        await store.close()


BATCH = b"FHS|^~\\&|EPIC\rBHS|^~\\&|EPIC\r%bBTS|%d\rFTS|1\r"


async def test_a_file_is_kept_and_moved_to_done(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        read.put("a.hl7", adt("C1"))
        assert await read.settled() == 1
        (message,) = await read.kept()
        whole = await read.keeper.inner.message(message.id)
        assert whole is not None
        assert (whole.feed, whole.control, whole.payload) == ("files", "C1", adt("C1"))
        assert (read.names(), read.names("done"), read.names("failed")) == ([], ["a.hl7"], [])
        assert (tmp_path / "done" / "a.hl7").read_bytes() == adt("C1")


async def test_files_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        for name in ("c", "a", "b"):
            read.put(name, adt(f"C-{name}"))
        assert await read.settled() == 3
        assert await read.controls() == ["C-a", "C-b", "C-c"]


async def test_a_file_is_left_alone_while_it_grows(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        path = read.put("a.hl7", adt("C1")[:50])
        await read.feed.look()
        read.seconds += SETTLE - 1
        path.write_bytes(adt("C1"))
        assert await read.feed.look() == 0
        read.seconds += SETTLE - 1
        assert await read.feed.look() == 0
        read.seconds += 1
        assert await read.feed.look() == 1
        assert await read.controls() == ["C1"]


async def test_a_file_of_the_same_size_written_again_is_not_whole_yet(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        path = read.put("a.hl7", adt("C1"))
        await read.feed.look()
        read.seconds += SETTLE
        path.write_bytes(adt("C2"))
        os.utime(path, ns=(1, 1))
        assert await read.feed.look() == 0


async def test_a_file_that_changes_while_it_is_read_is_taken_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(tmp_path) as read:
        path = read.put("a.hl7", adt("C1"))
        await read.feed.look()
        read.seconds += SETTLE
        look = read.feed._inbox.look

        def then_it_grows() -> object:
            found = look()
            path.write_bytes(adt("C1") + b"NTE|1\r")
            return found

        monkeypatch.setattr(read.feed._inbox, "look", then_it_grows)
        assert await read.feed.look() == 0
        monkeypatch.setattr(read.feed._inbox, "look", look)
        assert await read.settled() == 1
        assert (await read.kept())[0].control == "C1"


@pytest.mark.parametrize("name", [".hidden", "a.tmp", "a.hl7.PART", "a.filepart", "a.hl7~"])
async def test_files_by_the_names_of_unfinished_ones_are_not_taken_until_they_are_renamed(
    tmp_path: Path, name: str
) -> None:
    async with reading(tmp_path) as read:
        path = read.put(name, adt("C1"))
        assert await read.settled() == 0
        path.rename(tmp_path / "a.hl7")
        assert await read.settled() == 1


async def test_only_what_fits_the_pattern_is_taken(tmp_path: Path) -> None:
    async with reading(tmp_path, pattern="*.hl7") as read:
        read.put("a.hl7", adt("C1"))
        read.put("b.txt", adt("C2"))
        (tmp_path / "c.hl7").mkdir()
        assert await read.settled() == 1
        assert read.names() == ["b.txt"]


async def test_a_batch_is_kept_message_by_message(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        read.put("a", BATCH % (b"".join(adt(f"C{n}") for n in range(200)), 200))
        assert await read.settled() == 1
        assert await read.controls() == [f"C{n}" for n in range(200)]


async def test_line_feeds_are_line_ends_in_files(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        read.put("a", (BATCH % (adt("C1") + adt("C2"), 2)).replace(b"\r", b"\n"))
        assert await read.settled() == 1
        assert await read.controls() == ["C1", "C2"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BATCH % (adt("C1") + adt("C2"), 3), "BTS[1]-1: 3 messages were announced, 2 came"),
        (b"BHS|^~\\&|A\r" + adt("C1"), "BHS is not closed by BTS"),
        (BATCH % (adt("C1") + adt("C2", text="x" * LIMIT), 2), "message 2 has"),
        (b"", "no message"),
        (b"Dear colleague,\r\nJANE DOE\r\n", "no message"),
        (adt("C1") * 2 + b"x" * MAX_FILE, "are the limit"),
    ],
)
async def test_a_file_that_is_not_whole_fails_and_nothing_of_it_is_kept(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    async with reading(tmp_path) as read:
        read.put("a.hl7", content)
        read.put("b.hl7", adt("C9"))
        assert await read.settled() == 2
        assert await read.controls() == ["C9"]
        assert read.names("failed") == ["a.hl7", "a.hl7.reason"]
        assert (tmp_path / "failed" / "a.hl7").read_bytes() == content
        said = (tmp_path / "failed" / "a.hl7.reason").read_text()
        assert reason in said
        assert "DOE" not in said
        assert "M1" not in said
        assert read.refused == ["files"]


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(adt("C1"))
    path = tmp_path / "in"
    path.mkdir()
    async with reading(path) as read:
        (path / "a.hl7").symlink_to(secret)
        (path / "b.hl7").symlink_to(tmp_path / "nowhere")
        os.mkfifo(path / "c.hl7")
        assert await read.settled() == 3
        assert await read.kept() == []
        assert (path / "failed" / "a.hl7").is_symlink()
        assert "links" in (path / "failed" / "a.hl7.reason").read_text()
        assert secret.read_bytes() == adt("C1")
        assert read.names() == []


async def test_done_and_failed_must_be_directories_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "done").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError, match="of its own"):
        Inbox(tmp_path / "in").prepare()


async def test_nothing_that_was_moved_before_is_overwritten(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        for number in range(3):
            read.put("a.hl7", adt(f"C{number}"))
            await read.settled()
        assert read.names("done") == ["a.hl7", "a.hl7.2", "a.hl7.3"]
        for _ in range(2):
            read.put("bad", b"")
            await read.settled()
        assert read.names("failed") == ["bad", "bad.2", "bad.2.reason", "bad.reason"]


async def test_a_very_long_name_can_be_moved(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        read.put("a" * 255, b"")
        assert await read.settled() == 1
        assert read.names("failed") == ["a" * 200, "a" * 200 + ".reason"]


async def test_a_file_half_taken_when_the_gateway_died_is_taken_again_and_kept_once(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        payload = BATCH % (b"".join(adt(f"C{n}") for n in range(100)), 100)
        read.put("a", payload)
        await read.feed.look()
        read.seconds += SETTLE
        taking = asyncio.ensure_future(read.feed.look())
        while len(await read.kept()) < 64:
            assert not taking.done()
            await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait([taking])
        assert read.names() == ["a"]
        assert await read.feed.look() == 1
        assert sorted(await read.controls()) == sorted(f"C{n}" for n in range(100))
        assert read.names("done") == ["a"]


async def test_a_store_that_fails_leaves_the_file_where_it_is(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        read.put("a", adt("C1"))
        read.put("b", adt("C2"))
        read.keeper.fault = StoreFault("down")
        assert await read.settled() == 0
        assert read.names() == ["a", "b"]
        read.keeper.fault = None
        assert await read.feed.look() == 2
        assert await read.controls() == ["C1", "C2"]


async def test_what_no_store_can_keep_fails(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        read.put("a", adt("C1"))
        read.keeper.fault = Unstorable("too large")
        assert await read.settled() == 1
        assert "message 1 of 1" in (tmp_path / "failed" / "a.reason").read_text()


async def test_a_directory_that_is_away_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.mkdir()
    async with reading(path) as read:
        path.rename(tmp_path / "away")
        assert await read.settled() == 0
        (tmp_path / "away").rename(path)
        read.put("a", adt("C1"))
        assert await read.settled() == 1


async def test_too_much_unprocessed_work_holds_the_files_back(tmp_path: Path) -> None:
    async with reading(tmp_path, high_water=20) as read:
        for number in range(10):
            read.put(f"f{number}", BATCH % (b"".join(adt(f"C{number}-{n}") for n in range(10)), 10))
        await read.feed.look()
        read.seconds += SETTLE
        looking = asyncio.ensure_future(read.feed.look())
        await asyncio.wait([looking], timeout=0.3)
        assert read.backlog.congested
        assert not looking.done()
        assert len(await read.kept()) == 20
        while not looking.done():
            read.backlog.done(20)
            await asyncio.sleep(0)
        assert await looking == 10
        assert len(await read.kept()) == 100


async def test_a_crowd_of_files_is_taken_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "AT_ONCE", 3)
    async with reading(tmp_path) as read:
        for number in range(7):
            read.put(f"f{number}", adt(f"C{number}"))
        while read.names():
            await read.settled()
        assert await read.controls() == [f"C{number}" for number in range(7)]


async def test_it_looks_by_itself_once_started(tmp_path: Path) -> None:
    async with reading(tmp_path, poll_seconds=0.001) as read:
        read.put("a", adt("C1"))
        await read.feed.start()
        end = asyncio.get_running_loop().time() + 5
        while read.names() and asyncio.get_running_loop().time() < end:
            read.seconds += SETTLE
            await asyncio.sleep(0.002)
        assert await read.controls() == ["C1"]
        await read.feed.stop()
