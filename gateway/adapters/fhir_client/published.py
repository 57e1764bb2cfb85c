"""The public keys by which others' servers know us (RFC 7517)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.access.keys import SigningKey
from gateway.config.addresses import Settings
from gateway.config.smart import SmartClient


def clients_in(value: object) -> Iterator[SmartClient]:
    """Every SmartClient in the settings, wherever it stands."""
    if isinstance(value, SmartClient):
        yield value
    elif isinstance(value, Settings):
        for name in type(value).model_fields:
            yield from clients_in(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from clients_in(item)


def signing_key(settings: SmartClient) -> tuple[SigningKey, str]:
    """Our private key towards one server, and its kid there. KeyFault when it cannot be used."""
    key = SigningKey.load(settings.key.get_secret_value().encode())
    return key, settings.key_id or key.thumbprint


def published(settings: Settings) -> list[dict[str, Any]]:
    """Each public key once, as a JWK."""
    found: dict[str, dict[str, Any]] = {}
    for client in clients_in(settings):
        key, kid = signing_key(client)
        found.setdefault(kid, key.public(kid))
    return list(found.values())
