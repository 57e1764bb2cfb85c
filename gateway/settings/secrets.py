"""Secrets stand in the environment or in files of their own; the configuration only says where."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from gateway.settings.document import PLACEHOLDER, Document
from gateway.yamlfile import Loc

TOKEN_MIN = 16
_SECRET_FILE_LIMIT = 64 * 1024
_BEARER = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750, section 2.1: b64token."""

_UNKNOWN = SecretStr("")
"""Stands for a secret that a mistake was told about, so that it is not told as missing too."""


def resolve(document: Document) -> None:
    """Put each secret into the data as a SecretStr, in place of what says where it is."""
    for loc, client in document.items("clients"):
        token = _named(document, loc, client, "token")
        if "smart" in client:
            if "token" in client:
                remedy = "keep one of the two: a token, or smart with the client's public keys"
                document.spoil((*loc, "smart"), "stands beside a token", remedy)
        elif token is None and "token" not in client:
            remedy = "name the variable that holds it: token_env: EHR_TOKEN (or token_file: PATH)"
            document.tell((*loc, "token_env"), "the client has no token", remedy)
            client["token"] = _UNKNOWN
        elif token is not None:
            _check_token(document, *token)
    for loc, destination in document.items("destinations"):
        if destination.get("kind") == "fhir-claim":
            token = _named(document, loc, destination, "token")
            if token is not None:
                _check_characters(document, *token)
    for loc, ehr in document.items("ehrs"):
        token = _named(document, loc, ehr, "token")
        if token is not None:
            _check_characters(document, *token)
    for loc, feed in document.items("feeds"):
        poll = feed.get("poll")
        if isinstance(poll, dict):
            token = _named(document, (*loc, "poll"), poll, "token")
            if token is not None:
                _check_characters(document, *token)
            resolve_smart(document, (*loc, "poll"), poll)
    for section in ("feeds", "destinations", "ehrs"):
        for loc, item in document.items(section):
            resolve_smart(document, loc, item)
    alerts = document.data.get("alerts")
    if isinstance(alerts, dict):
        token = _named(document, ("alerts",), alerts, "token")
        if token is not None:
            _check_characters(document, *token)
    _audit_key(document)
    _store_key(document)


def resolve_smart(document: Document, loc: Loc, owner: dict[str, object]) -> None:
    """The private key of `smart` in the group at `loc`, by which we prove who we are to somebody's server."""
    smart = owner.get("smart")
    if not isinstance(smart, dict):
        return
    found = _named(document, (*loc, "smart"), smart, "key")
    if found is None and "key" not in smart:
        remedy = "name the file that holds it: key_file: PATH (or its variable: key_env: NAME)"
        document.tell((*loc, "smart", "key_file"), "there is no private key", remedy)
        smart["key"] = _UNKNOWN


def _named(document: Document, loc: Loc, owner: dict[str, object], name: str) -> tuple[Loc, str] | None:
    """The secret that `NAME_env`, `NAME_file` or `NAME: ${VARIABLE}` says, and where; None without, or by mistake.

    Either way the owner is left with `NAME` only.
    """
    ways = [key for key in (f"{name}_env", f"{name}_file", name) if owner.get(key) is not None]
    said = {key: owner.pop(key) for key in (f"{name}_env", f"{name}_file", name) if key in owner}
    if not ways:
        return None
    owner[name] = _UNKNOWN
    place = (*loc, ways[0])
    if len(ways) > 1:
        document.spoil((*loc, ways[1]), f"stands beside {ways[0]}", "say in one way where the secret is")
        return None
    value = said[ways[0]]
    if not isinstance(value, str):
        document.spoil(place, "is not a text", "write a name or a path, in quotes if need be")
        return None
    secret = _READERS[ways[0].removeprefix(name)](document, place, value)
    if secret is None:
        return None
    owner[name] = SecretStr(secret)
    return place, secret


def _from_environment(document: Document, place: Loc, name: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        document.spoil(place, "is not the name of a variable", "name the variable, without $ and without the secret")
        return None
    secret = document.environ.get(name, "").strip()
    if not secret:
        state = "is empty" if name in document.environ else "is not set"
        remedy = f"set {name} in the gateway's environment before it starts"
        document.spoil(place, f"the environment variable {name} {state}", remedy)
        return None
    return secret


def _from_file(document: Document, place: Loc, name: str) -> str | None:
    path = document.folder / Path(name)
    try:
        with path.open("rb") as file:
            content = file.read(_SECRET_FILE_LIMIT)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        document.spoil(place, f"the file cannot be read ({reason})", f"put the secret into {path}")
        return None
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        document.spoil(place, "the file is empty, or not text", f"put the secret into {path}")
        return None
    return secret


def _written(document: Document, place: Loc, value: str) -> str | None:
    """In the file itself only as a placeholder."""
    if not PLACEHOLDER.fullmatch(document.written.get(place, "")):
        remedy = f"put it into an environment variable and name that: {place[-1]}_env: NAME"
        document.spoil(place, "a secret does not belong in this file", remedy)
        return None
    return value.strip()


_NAMES = frozenset({"token", "key", "store_key", "password", "secret"})


def stands_plainly(document: Document) -> bool:
    """Whether a secret may stand in the file itself: such a text is kept nowhere else. One that is no YAML may."""
    if not document.readable:
        return True
    store = document.written.get(("store",), document.data.get("store"))
    try:
        password = urlsplit(store).password if isinstance(store, str) else None
    except ValueError:
        return True
    return (password is not None and not PLACEHOLDER.fullmatch(password)) or _plain(document, document.data, ())


def _plain(document: Document, value: object, loc: Loc) -> bool:
    if isinstance(value, dict):
        return any(_plain(document, item, (*loc, key)) for key, item in value.items())
    if isinstance(value, list):
        return any(_plain(document, item, (*loc, index)) for index, item in enumerate(value))
    named = bool(loc) and loc[-1] in _NAMES and isinstance(value, str)
    return named and not PLACEHOLDER.fullmatch(document.written.get(loc, ""))


_READERS = {"_env": _from_environment, "_file": _from_file, "": _written}


def _check_token(document: Document, place: Loc, token: str) -> None:
    if len(token) < TOKEN_MIN:
        remedy = f"use {TOKEN_MIN} characters or more, as `openssl rand -hex 32` makes"
        document.spoil(place, f"the token is shorter than {TOKEN_MIN} characters", remedy)
    else:
        _check_characters(document, place, token)


def _check_characters(document: Document, place: Loc, token: str) -> None:
    if token and not _BEARER.fullmatch(token):
        remedy = "use letters, digits and -._~+/ only, as `openssl rand -hex 32` makes"
        document.spoil(place, "the token has characters that a bearer token cannot have", remedy)


def _audit_key(document: Document) -> None:
    audit = document.data.get("audit")
    if not isinstance(audit, dict):
        return
    file = audit.pop("key_file", None)  # a path of its own right: the key is made there when it is absent
    found = _named(document, ("audit",), audit, "key")
    if file is not None:
        audit["key_file"] = file
    if found is None:
        return
    place, pem = found
    if file is not None:
        document.spoil(place, "stands beside key_file", "say in one way where the key is")
    elif "PRIVATE KEY-----" not in pem:
        remedy = "put the PEM text into the variable, as `openssl genpkey -algorithm ed25519` makes it"
        document.spoil(place, "the audit key is not PEM", remedy)


def _store_key(document: Document) -> None:
    """From the environment only, under one name that operators can rely on."""
    if "store_key" in document.data:
        document.data.pop("store_key")
        document.spoil(("store_key",), "is not set in this file", "set GATEWAY_STORE_KEY in the environment")
    key = document.environ.get("GATEWAY_STORE_KEY")
    if key is None:
        return
    if len(key) < TOKEN_MIN:
        state = "is empty" if not key else f"is shorter than {TOKEN_MIN} characters"
        remedy = f"set {TOKEN_MIN} characters or more to encrypt the database, or unset it"
        document.spoil(("GATEWAY_STORE_KEY",), f"the environment variable GATEWAY_STORE_KEY {state}", remedy)
    else:
        document.data["store_key"] = SecretStr(key)
