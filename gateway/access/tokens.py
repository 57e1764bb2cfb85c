"""Bearer tokens: who calls, and what they may do. Known tokens are kept as digests only."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gateway.access.compartment import PatientNumber
from gateway.access.roles import Permission, Role, permissions
from gateway.access.scopes import Scopes

HEADER_LIMIT = 4096


class Secret(Protocol):
    """A text that does not show itself."""

    def get_secret_value(self) -> str: ...


class Registered(Protocol):
    """A client as the configuration knows it."""

    @property
    def name(self) -> str: ...
    @property
    def roles(self) -> frozenset[Role]: ...
    @property
    def token(self) -> Secret | None: ...
    @property
    def npi(self) -> tuple[str, ...]: ...
    @property
    def feeds(self) -> tuple[str, ...]: ...


C = TypeVar("C", bound=Registered)


@dataclass(frozen=True, slots=True)
class Caller(Generic[C]):
    """Who calls. `permissions` is all that the roles grant; `npi` limits a provider's queries where it names any.

    `scopes` and `patients` limit further what the roles grant; None for no such limit.
    """

    name: str
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    npi: tuple[str, ...]
    client: C = field(repr=False, compare=False)
    scopes: Scopes | None = None
    patients: frozenset[PatientNumber] | None = field(default=None, repr=False)

    @property
    def actor(self) -> str:
        """As audit events name the caller."""
        return f"client:{self.name}"

    @property
    def feeds(self) -> tuple[str, ...]:
        """The feeds that the caller may send HL7 v2 to."""
        return self.client.feeds

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


class Callers(Generic[C]):
    """The clients by the SHA-256 digests of their tokens.

    What a caller presents is compared with every known digest in constant time: how long an answer takes says nothing
    about a token.
    """

    def __init__(self, clients: Iterable[C]) -> None:
        """ValueError when a token is empty, or two clients have the same; the text names clients only."""
        self._known: dict[bytes, Caller[C]] = {}
        for client in clients:
            if client.token is None:
                continue
            token = client.token.get_secret_value()
            if not token:
                raise ValueError(f"the client {client.name} has an empty token")
            digest = _digest(token)
            if digest in self._known:
                raise ValueError(f"the clients {self._known[digest].name} and {client.name} have the same token")
            self._known[digest] = caller_of(client)

    def __repr__(self) -> str:
        return f"Callers({len(self._known)})"

    def authenticate(self, authorization: str | None) -> Caller[C] | None:
        """The caller of an `Authorization: Bearer TOKEN` header (RFC 6750, section 2.1); None when it is nobody."""
        token = bearer(authorization)
        if token is None:
            return None
        presented = _digest(token)
        found: Caller[C] | None = None
        for digest, caller in self._known.items():
            if hmac.compare_digest(digest, presented):
                found = caller
        return found


def caller_of(client: C, scopes: Scopes | None = None, patients: frozenset[PatientNumber] | None = None) -> Caller[C]:
    """`client` as a caller, with what its roles grant."""
    return Caller(client.name, client.roles, permissions(client.roles), client.npi, client, scopes, patients)


def bearer(authorization: str | None) -> str | None:
    """The token in an Authorization header; None when there is none."""
    if authorization is None or len(authorization) > HEADER_LIMIT:
        return None
    scheme, _, token = authorization.partition(" ")
    return token.strip(" ") or None if scheme.lower() == "bearer" else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
