"""What the settings of SMART Backend Services say against the rest, and against the files that they name."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from gateway.access.keys import LARGEST_SET, KeyFault, KeySet
from gateway.access.roles import Permission, Role, permissions
from gateway.config.addresses import LOOPBACK, Endpoint
from gateway.config.model import Http
from gateway.settings.document import Document
from gateway.yamlfile import Loc, below


def check_smart(document: Document) -> None:
    """Tell each registration that cannot work, or would not protect."""
    registered = False
    for loc, client in document.items("clients"):
        smart = client.get("smart")
        if isinstance(smart, dict):
            registered = True
            _check_keys(document, (*loc, "smart"), smart)
            _check_patients(document, (*loc, "smart"), smart, client.get("roles"))
    if registered:
        _check_address(document)


def _check_keys(document: Document, loc: Loc, smart: dict[str, object]) -> None:
    named = smart.get("jwks")
    if not isinstance(named, str):
        return
    path = document.folder / named
    try:
        KeySet.read(read_key_file(path))
    except KeyFault as fault:
        document.tell((*loc, "jwks"), fault.text, fault.remedy)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        document.tell((*loc, "jwks"), f"the file cannot be read ({reason})", f"put the client's JWK Set into {path}")


def read_key_file(path: Path) -> bytes:
    """At most a little more than a key set may have. OSError when it cannot be read."""
    with path.open("rb") as file:
        return file.read(LARGEST_SET + 1)


def _check_patients(document: Document, loc: Loc, smart: dict[str, object], roles: object) -> None:
    """Who may see some patients only must not change what is billed for others."""
    if smart.get("patients") is None or not isinstance(roles, list):
        return
    known = frozenset(Role(role) for role in roles if isinstance(role, str) and role in set(Role))
    beyond = permissions(known) - {Permission.QUERY_READ, Permission.QUERY_ANSWER}
    if beyond:
        remedy = "give it the role provider only, or take the setting out"
        document.tell((*loc, "patients"), "limits a client whose roles reach beyond single patients", remedy)


def _check_address(document: Document) -> None:
    """Assertions are made out to our own address: it must be known from here, and never from a request."""
    http = document.data.get("http")
    said = http if isinstance(http, dict) else {}
    try:
        listen: object = (
            Http.model_validate({"listen": said["listen"], "plain": True}).listen if "listen" in said else None
        )
    except ValidationError:
        return  # told where the models are
    beyond = isinstance(listen, Endpoint) and listen.host not in LOOPBACK
    if beyond and below(http, "base_url") is None:
        remedy = "write how clients reach the gateway: base_url: https://gateway.example"
        text = "clients with smart are registered, and their assertions must name our address"
        document.tell(("http", "base_url"), text, remedy)
