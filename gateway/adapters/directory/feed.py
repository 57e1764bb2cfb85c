"""Takes the files of a directory: when they are whole, in the order of their names, each message kept, then moved.

A file is taken as a whole or not at all: what does not keep the counts of its batch goes to `failed`, and nothing of it
is kept. After a crash in the middle of a file it is taken again; what was kept then is recognised, and not kept twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from gateway.adapters.directory.inbox import Found, Inbox, Unfit
from gateway.config.transport import Files
from gateway.intake.reception import TAKEN, Answer, Outcome
from gateway.logs import logger
from gateway.mappings.hl7v2.batch import Batch, split_batch

log = logger("directory")

TOGETHER = 64
"""Messages of a file that are kept at a time."""
_TOLD = 10


class Reception(Protocol):
    """Keeps a message; what became of it."""

    def take(self, message: bytes) -> Awaitable[Answer]: ...


class NotKept(Exception):
    """The store fails now: the file stays where it is."""


class DirectoryFeed:
    """One feed's directory. `refused` is told of each file that fails."""

    def __init__(
        self,
        name: str,
        inbox: Inbox,
        reception: Reception,
        settings: Files,
        max_message: int,
        refused: Callable[[str], None] = lambda feed: None,
    ) -> None:
        self.name = name
        self._inbox = inbox
        self._reception = reception
        self._settings = settings
        self._max_message = max_message
        self._refused = refused
        self._seen: dict[str, tuple[Found, float]] = {}
        """By name: the file as it last was, and since when."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._in_trouble = False
        self._task: asyncio.Task[None] | None = None
        self.now: Callable[[], float] = lambda: asyncio.get_running_loop().time()

    async def start(self) -> None:
        """Begin to look. OSError when the gateway may not work in the directory."""
        await asyncio.to_thread(self._inbox.prepare)
        self._task = asyncio.create_task(self._run(), name=f"directory-{self.name}")

    async def stop(self) -> None:
        """Look no more. A file that is half taken is taken again at the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def congestion(self, congested: bool) -> None:
        """Pause between messages, or go on."""
        if congested:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._settings.poll_seconds)

    async def look(self) -> int:
        """One look: how many files were taken or failed. A fault leaves the rest to the next look."""
        dealt = 0
        try:
            for found in self._whole(await asyncio.to_thread(self._inbox.look)):
                dealt += await self._deal(found)
        except (OSError, NotKept) as fault:
            self._trouble(fault)
        else:
            if self._in_trouble:
                self._in_trouble = False
                log.info("directory.recovered", feed=self.name)
        return dealt

    def _trouble(self, fault: Exception) -> None:
        """Told once, not at each look."""
        if not self._in_trouble:
            self._in_trouble = True
            log.error("directory.stopped", feed=self.name, fault=type(fault).__name__)

    def _whole(self, files: list[Found]) -> list[Found]:
        """Those that have not changed for the time that a file takes to settle."""
        now = self.now()
        seen = {found.name: self._seen.get(found.name, (found, now)) for found in files}
        self._seen = {f.name: seen[f.name] if seen[f.name][0] == f else (f, now) for f in files}
        return [f for f in files if now - self._seen[f.name][1] >= self._settings.settle_seconds]

    async def _deal(self, found: Found) -> bool:
        """Take one file, or fail it; False when it is not whole after all."""
        try:
            content = await asyncio.to_thread(self._inbox.read, found)
            if content is None:
                self._seen.pop(found.name, None)
                return False
            await self._take(await asyncio.to_thread(split_batch, content))
        except Unfit as unfit:
            log.warning("directory.file_failed", feed=self.name)
            self._refused(self.name)
            await asyncio.to_thread(self._inbox.failed, found, unfit.reason)
        else:
            await asyncio.to_thread(self._inbox.done, found)
        self._seen.pop(found.name, None)
        return True

    async def _take(self, batch: Batch) -> None:
        """Keep the messages, in their order. Raises Unfit before any is kept, but for what only the store can tell."""
        self._check(batch)
        for start in range(0, len(batch.messages), TOGETHER):
            await self._flowing.wait()
            taking: list[Awaitable[Answer]] = [
                self._reception.take(message) for message in batch.messages[start : start + TOGETHER]
            ]
            answers = await asyncio.gather(*taking)
            if any(answer.outcome is Outcome.FAILED for answer in answers):
                raise NotKept
            refused = [number for number, answer in enumerate(answers, start + 1) if answer.outcome not in TAKEN]
            if refused:
                raise Unfit(f"message {refused[0]} of {len(batch.messages)} holds what the store cannot keep")

    def _check(self, batch: Batch) -> None:
        if batch.envelope and not batch.sound:
            said = [f"{problem.where or 'the file'}: {problem.text}" for problem in batch.problems[:_TOLD]]
            raise Unfit("the batch is not whole, and nothing of it is kept\n" + "\n".join(said))
        if not batch.messages and not batch.envelope:
            raise Unfit("; ".join(problem.text for problem in batch.problems) or "the file holds no message")
        for number, message in enumerate(batch.messages, 1):
            if len(message) > self._max_message:
                reason = f"message {number} has {len(message)} bytes; {self._max_message} are the limit"
                raise Unfit(f"{reason}; nothing of the file is kept")
