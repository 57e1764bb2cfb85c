"""The clients that prove who they are by signed assertions (SMART Backend Services), as the configuration has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.access.compartment import PatientNumber
from gateway.access.keys import KeyFault, KeySet, PublicKey
from gateway.access.scopes import Scope, Scopes
from gateway.config.model import Client, Config
from gateway.settings.smart import read_key_file
from gateway.yamlfile import Mistakes


class KeysUnreachable(Exception):
    """A client's keys cannot be had now. The text names the cause, and nothing of what was received."""


class ClientKeys(Protocol):
    """The public keys of one client, wherever they are."""

    async def find(self, kid: str, algorithm: str) -> PublicKey | None:
        """The key of this name and algorithm; None when the client has none. Raises KeysUnreachable."""
        ...


class KeptKeys:
    """Keys in a file, as they were when the configuration was read."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def find(self, kid: str, algorithm: str) -> PublicKey | None:
        return self._keys.find(kid, algorithm)


@dataclass(frozen=True, slots=True)
class Registration:
    """A client, its keys, and what it may be granted at most."""

    client: Client
    keys: ClientKeys = field(repr=False)
    scopes: Scopes
    jwks_url: str | None = None
    patients: frozenset[PatientNumber] | None = field(default=None, repr=False)


Registrations = Mapping[str, Registration]
"""By client id, which is the client's name."""


def registrations(config: Config, fetched: Callable[[str], ClientKeys]) -> Registrations:
    """`fetched` gives the keys at an address. Raises Mistakes when a file of keys cannot be used any more."""
    found: dict[str, Registration] = {}
    for index, client in enumerate(config.clients):
        if client.smart is None:
            continue
        try:
            found[client.name] = _registration(client, fetched)
        except (KeyFault, OSError):
            text, remedy = "the file of keys cannot be used", "let `gateway check` tell what is wrong with it"
            raise Mistakes([config.mistake(("clients", index, "smart", "jwks"), text, remedy)]) from None
    return found


def _registration(client: Client, fetched: Callable[[str], ClientKeys]) -> Registration:
    smart = client.smart
    assert smart is not None  # noqa: S101 - asked before
    if smart.jwks is not None:
        keys: ClientKeys = KeptKeys(KeySet.read(read_key_file(smart.jwks)))
    else:
        keys = fetched(smart.jwks_url or "")
    numbers = (PatientNumber.parse(text) for text in smart.patients or ())
    patients = frozenset(number for number in numbers if number is not None)
    return Registration(
        client=client,
        keys=keys,
        scopes=Scopes.of(Scope.parse(text) for text in smart.scopes),
        jwks_url=smart.jwks_url,
        patients=patients if smart.patients is not None else None,
    )
