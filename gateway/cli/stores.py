"""Commands that work on the store itself, beside a gateway that runs or without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.cli.options import fail
from gateway.config.model import Config
from gateway.store import open_store
from gateway.store.interface import Store, StoreFault

T = TypeVar("T")


def with_store(settings: Config, work: Callable[[Store], Awaitable[T]]) -> T:
    """Run `work` on the configured store, in this process. Ends the command when the store cannot be used."""
    key = settings.store_key.get_secret_value() if settings.store_key else None

    async def run() -> T:
        store = open_store(settings.store, key)
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except StoreFault as fault:
        fail(f"the store cannot be used: {fault}", 3)
