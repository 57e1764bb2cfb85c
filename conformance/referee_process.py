"""The referee in a process of its own: one message may take its time, and no longer."""

from __future__ import annotations

import multiprocessing
from multiprocessing.pool import Pool
from types import TracebackType
from typing import Self

from conformance.hl7_referee import Judgement, Remark, Weight, judge

SECONDS = 10.0
START_SECONDS = 60.0
"""How long the process may take to begin with its first message."""


class Referee:
    """Judges messages one at a time. A message that takes longer than `seconds` is given up, and said to be."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def judge(self, payload: bytes) -> Judgement:
        """What the standard says of the message."""
        if self._pool is None:
            self._pool = multiprocessing.get_context("spawn").Pool(1)
            self._pool.apply_async(_ready).get(START_SECONDS)
        try:
            return self._pool.apply_async(judge, (payload,)).get(self._seconds)
        except multiprocessing.TimeoutError:
            self._end()
            text = f"not judged within {self._seconds:g} seconds"
            return Judgement(None, None, (Remark("readable", Weight.WARNING, "", text),))

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()
            self._pool = None


def _ready() -> bool:
    return True
