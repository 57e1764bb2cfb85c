"""A promise tells its callbacks at once, can be awaited, and is cancelled with whoever awaits it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.promise import Promise, promised


async def test_callbacks_run_in_the_same_breath_and_in_their_order() -> None:
    promise: Promise[int] = Promise()
    heard: list[tuple[str, int]] = []
    for name in "abc":
        promise.add_done_callback(lambda told, name=name: heard.append((name, told.result())))  # type: ignore[misc]
    promise.set_result(7)
    assert heard == [("a", 7), ("b", 7), ("c", 7)]
    promise.add_done_callback(lambda told: heard.append(("late", told.result())))
    assert heard[-1] == ("late", 7)


async def test_it_is_awaited_before_and_after_it_is_told() -> None:
    promise: Promise[str] = Promise()
    waiting = asyncio.gather(promise, promise)
    await asyncio.sleep(0)
    promise.set_result("kept")
    assert list(await waiting) == ["kept", "kept"]
    assert await promise == "kept"


async def test_a_fault_is_raised_where_it_is_awaited() -> None:
    promise: Promise[str] = Promise()
    promise.set_exception(ValueError("no"))
    assert isinstance(promise.exception(), ValueError)
    with pytest.raises(ValueError, match="no"):
        await promise


async def test_whoever_awaits_it_and_is_cancelled_cancels_it() -> None:
    promise: Promise[str] = Promise()
    ended: list[bool] = []
    promise.add_done_callback(lambda told: ended.append(told.cancelled()))

    async def wait() -> str:
        return await promise

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert promise.cancelled()
    assert ended == [True]
    assert not promise.cancel()


async def test_it_is_told_once() -> None:
    promise: Promise[int] = Promise()
    with pytest.raises(asyncio.InvalidStateError):
        promise.result()
    promise.set_result(1)
    with pytest.raises(asyncio.InvalidStateError):
        promise.set_result(2)
    with pytest.raises(asyncio.InvalidStateError):
        promise.set_exception(ValueError())


async def test_a_callback_that_fails_keeps_nobody_else_from_hearing() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    promise: Promise[int] = Promise()
    heard: list[int] = []
    promise.add_done_callback(lambda _: 1 / 0)
    promise.add_done_callback(lambda promise: heard.append(promise.result()))
    promise.set_result(3)
    assert heard == [3]
    assert isinstance(told[0]["exception"], ZeroDivisionError)


async def test_work_as_a_promise_ends_as_the_work_does() -> None:
    async def work(fault: Exception | None) -> str:
        await asyncio.sleep(0)
        if fault is not None:
            raise fault
        return "done"

    assert await promised(work(None)) == "done"
    with pytest.raises(OSError, match="gone"):
        await promised(work(OSError("gone")))
    endless: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    promise = promised(endless)
    promise.cancel()
    await asyncio.sleep(0)
    assert endless.cancelled()
