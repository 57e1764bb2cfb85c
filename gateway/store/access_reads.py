"""What a store answers about access."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from gateway.store.access import AccessToken
from gateway.store.instants import instant
from gateway.store.statements import Read, read

ACCESS_TOKEN = read("SELECT digest, client, scope, expires FROM access_tokens WHERE digest = $1")

Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class AccessReads(ABC):
    """The part of a store's reading half that access is decided on."""

    @abstractmethod
    async def _rows(self, read: Read, *values: Value) -> Sequence[Sequence[Any]]:
        """Run a short look-up."""

    async def access_token(self, digest: bytes) -> AccessToken | None:
        rows = await self._rows(ACCESS_TOKEN, digest)
        if not rows:
            return None
        found, client, scope, expires = rows[0]
        return AccessToken(found, client, scope, instant(expires))
