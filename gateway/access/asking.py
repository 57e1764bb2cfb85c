"""One request of somebody: who it is, from where, under which number. So that the audit trail can tell all three.

A service that writes an event about the request takes `origin` into the event's detail; from then on the request counts
as told. What no service has told, the door tells itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.access.compartment import PatientNumber
from gateway.access.roles import Permission, Role
from gateway.access.scopes import Scopes


class Recognised(Protocol):
    """Someone who was recognised, and what they may do. `npi`: the providers they speak for; `feeds`: the feeds that
    they may send HL7 v2 to.
    """

    @property
    def name(self) -> str: ...
    @property
    def roles(self) -> frozenset[Role]: ...
    @property
    def permissions(self) -> frozenset[Permission]: ...
    @property
    def npi(self) -> tuple[str, ...]: ...
    @property
    def feeds(self) -> tuple[str, ...]: ...


@dataclass(slots=True)
class Asking:
    """A caller in one request. To services it is the caller."""

    caller: Recognised
    address: str
    """The address at the other end of the connection: a proxy's, where one stands before the gateway."""
    request: str
    """The request's X-Request-Id."""
    asked: str = field(default="", repr=False)
    """The parameters of a search, as far as they may be told (`gateway.adapters.http.witnessed`)."""
    told: bool = False
    """Whether an event tells of the request."""
    within: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list, repr=False)
    """What is read beside what is written, as by entries of a Bundle: each address, and what it shows. The door tells
    them one by one."""

    @property
    def name(self) -> str:
        return self.caller.name

    @property
    def roles(self) -> frozenset[Role]:
        return self.caller.roles

    @property
    def permissions(self) -> frozenset[Permission]:
        return self.caller.permissions

    @property
    def npi(self) -> tuple[str, ...]:
        return self.caller.npi

    @property
    def feeds(self) -> tuple[str, ...]:
        return self.caller.feeds

    @property
    def scopes(self) -> Scopes | None:
        return getattr(self.caller, "scopes", None)

    @property
    def patients(self) -> frozenset[PatientNumber] | None:
        return getattr(self.caller, "patients", None)

    def origin(self) -> dict[str, object]:
        """For the detail of an event: `address`, `request`, and `query` when it is a search."""
        said = {"address": self.address, "request": self.request, "query": self.asked}
        return {name: value for name, value in said.items() if value}


def origin(caller: object) -> Mapping[str, object]:
    """Where the caller's request comes from, for the event that tells of it: the request is told from now on.

    Nothing for a caller outside a request.
    """
    if not isinstance(caller, Asking):
        return {}
    caller.told = True
    return caller.origin()


def read_within(caller: object, url: str, resource: Mapping[str, Any]) -> None:
    """The caller's request reads `resource` at `url`, among other things. Nothing for a caller outside a request."""
    if isinstance(caller, Asking):
        caller.within.append((url, resource))
