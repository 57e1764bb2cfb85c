"""A stream whose next item can be looked at before it is taken."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Over any iterable, asynchronous or not. `peek` and `take` give None at the end."""

    def __init__(self, source: AsyncIterable[T] | Iterable[T]) -> None:
        self._source: AsyncIterator[T] = _stream(source)
        self._next: T | None = None

    async def peek(self) -> T | None:
        if self._next is None:
            self._next = await anext(self._source, None)
        return self._next

    async def take(self) -> T | None:
        item = await self.peek()
        self._next = None
        return item


async def _stream(source: AsyncIterable[T] | Iterable[T]) -> AsyncIterator[T]:
    if isinstance(source, AsyncIterable):
        async for item in source:
            yield item
    else:
        for item in source:
            yield item
