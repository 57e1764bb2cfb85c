"""The event loop that the gateway runs on: uvloop where there is one, else Python's own.

Measured: a resource over HTTP costs a fifth less on uvloop, a message over MLLP the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    import uvloop
except ImportError:  # Windows has none
    new_loop = asyncio.new_event_loop
else:
    new_loop = uvloop.new_event_loop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """What `asyncio.run` does."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)
