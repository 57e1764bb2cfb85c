"""What one setting says against another, and against what is on the disk."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pydantic import SecretStr, TypeAdapter, ValidationError

from gateway.access.roles import Role
from gateway.config.addresses import Endpoint, HttpListen
from gateway.config.model import Config, Http
from gateway.config.transport import Directory, Listen, OverHttp
from gateway.settings.certificates import check_certificates
from gateway.settings.document import PLACEHOLDER, Document
from gateway.settings.smart import check_smart
from gateway.yamlfile import Loc, below

_FEED: TypeAdapter[object] = TypeAdapter(Listen)
_HTTP: TypeAdapter[Endpoint] = TypeAdapter(HttpListen)
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised here, not bound


def check(document: Document) -> None:
    """Tell every mistake that no single setting shows."""
    for one in _CHECKS:
        one(document)


def _names(document: Document) -> None:
    """Feeds and clients share their names: both are sources of messages."""
    for sections in (("feeds", "clients"), ("destinations",), ("ehrs",)):
        first: dict[str, Loc] = {}
        for section in sections:
            for loc, item in document.items(section):
                name = item.get("name")
                if not isinstance(name, str):
                    continue
                if name in first:
                    text = f"the name stands already on line {document.line(first[name])}"
                    document.tell((*loc, "name"), text, "give each a name of its own")
                first.setdefault(name, (*loc, "name"))


def _ports(document: Document) -> None:
    taken: list[tuple[Endpoint, str]] = []
    http = below(document.data.get("http"), "listen")
    served = _endpoint(_HTTP, http) if http is not None else Http().listen
    if served is not None and served.port:
        taken.append((served, "HTTP" if http is not None else "HTTP, by default,"))
    for loc, feed in document.items("feeds"):
        listen = _listen(feed.get("listen"))
        if not isinstance(listen, Endpoint) or not listen.port:
            continue
        clash = next((owner for other, owner in taken if _clash(listen, other)), None)
        if clash is not None:
            document.tell((*loc, "listen"), f"{clash} listens on this port already", "give each a port of its own")
        name = feed.get("name")
        taken.append((listen, f"the feed {name}" if isinstance(name, str) else "another feed"))


def _endpoint(form: TypeAdapter[Endpoint], value: object) -> Endpoint | None:
    try:
        return form.validate_python(value)
    except ValidationError:
        return None  # told where the models are


def _listen(value: object) -> object:
    try:
        return _FEED.validate_python(value)
    except ValidationError:
        return None


def _clash(one: Endpoint, other: Endpoint) -> bool:
    hosts = {"127.0.0.1" if end.host == "localhost" else end.host for end in (one, other)}
    return one.port == other.port and (len(hosts) == 1 or bool(hosts & _WILDCARDS))


def _directories(document: Document) -> None:
    """Each directory that a feed reads is there, and is one feed's alone."""
    taken: dict[str, str] = {}
    for loc, feed in document.items("feeds"):
        listen = _listen(feed.get("listen"))
        if not isinstance(listen, Directory):
            continue
        path = document.folder / listen.path
        if not path.is_dir():
            document.tell((*loc, "listen"), "there is no such directory", f"make {path}")
        real, name = os.path.realpath(path), feed.get("name")
        if real in taken:
            document.tell((*loc, "listen"), f"{taken[real]} reads this directory already", "give each one of its own")
        taken.setdefault(real, f"the feed {name}" if isinstance(name, str) else "another feed")


def _rights(document: Document) -> None:
    """What a client may send to is a feed that listens over HTTP, and the client is a feed by its role."""
    listening = {feed.get("name"): _listen(feed.get("listen")) for _, feed in document.items("feeds")}
    for loc, client in document.items("clients"):
        feeds, roles = client.get("feeds"), client.get("roles")
        if not isinstance(feeds, list) or not feeds:
            continue
        if isinstance(roles, list) and Role.FEED not in roles:
            document.tell((*loc, "feeds"), "only a client of the role feed sends messages", "add feed to its roles")
        for index, name in enumerate(feeds):
            if isinstance(name, str) and not isinstance(listening.get(name), OverHttp):
                text = "listens elsewhere than over HTTP" if name in listening else "there is no such feed"
                document.tell((*loc, "feeds", index), text, "name a feed with listen: http")


def _ehrs(document: Document) -> None:
    """An EHR's encounters are told by sources that there are, and some encounter can reach each EHR."""
    sources = {item.get("name") for section in ("feeds", "clients") for _, item in document.items(section)}
    all_taken: Loc | None = None
    for loc, ehr in document.items("ehrs"):
        if all_taken is not None:
            text = f"no encounter comes to it: the EHR on line {document.line(all_taken)} takes those of all feeds"
            document.tell(loc, text, "name the feeds of that one, or put it last")
            continue
        feeds = ehr.get("feeds")
        if not feeds:
            all_taken = loc
        for index, name in enumerate(feeds if isinstance(feeds, list) else ()):
            if isinstance(name, str) and name not in sources:
                text = "there is no feed or client of this name"
                document.tell((*loc, "feeds", index), text, "name a source of encounters")


def _tokens(document: Document) -> None:
    first: dict[str, Loc] = {}
    for loc, client in document.items("clients"):
        token = client.get("token")
        secret = token.get_secret_value() if isinstance(token, SecretStr) else ""
        if not secret:
            continue
        if secret in first:
            line = document.line(first[secret])
            document.tell(
                (*loc, "token"), f"has the same token as the client on line {line}", "give each client its own"
            )
        first.setdefault(secret, (*loc, "token"))


def _files(document: Document) -> None:
    review, dialects = document.data.get("review"), document.data.get("dialects")
    if isinstance(review, str) and not (document.folder / review).is_file():
        document.tell(("review",), "there is no such file", f"write the policy to {document.folder / review}")
    if isinstance(dialects, str) and not (document.folder / dialects).is_dir():
        document.tell(("dialects",), "there is no such directory", f"make {document.folder / dialects}")
    keys = below(document.data.get("audit"), "public_keys")
    for index, path in enumerate(keys if isinstance(keys, list) else ()):
        if isinstance(path, str) and not (document.folder / path).is_file():
            document.tell(("audit", "public_keys", index), "there is no such file", "name the .pub file of the key")


def _receivers(document: Document) -> None:
    """The files of certificates towards the receivers of claims."""
    for loc, destination in document.items("destinations"):
        for name in ("ca", "certificate", "key"):
            path = below(destination.get("tls"), name)
            if isinstance(path, str) and not (document.folder / path).is_file():
                document.tell((*loc, "tls", name), "there is no such file", f"put it at {document.folder / path}")


_STORE_FORMS = "write sqlite:///PATH, or postgresql://USER@HOST/DATABASE"


def _store(document: Document) -> None:
    """The database's address; relative paths are made absolute, a password out of the environment is put in."""
    url = document.data.get("store", Config.model_fields["store"].default)
    if not isinstance(url, str):
        return
    written = document.written.get(("store",), url)
    if url.startswith("sqlite:"):
        _sqlite(document, url)
    elif url.startswith("postgresql://"):
        _postgresql(document, url, written)
    else:
        document.tell(("store",), "is not a database that the gateway can use", _STORE_FORMS)


def _sqlite(document: Document, url: str) -> None:
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.startswith(":memory:") or "?" in path:
        remedy = "write sqlite:/// and the file's path, as sqlite:///var/gateway.db or sqlite:////srv/gateway.db"
        document.tell(("store",), "does not name a SQLite file", remedy)
    else:
        file = os.path.normpath(document.folder / unquote(path))
        document.data["store"] = f"sqlite:///{quote(file)}"


def _postgresql(document: Document, url: str, written: str) -> None:
    try:
        said = urlsplit(written)
        named = PLACEHOLDER.fullmatch(said.password or "")
        whole = said if named else urlsplit(url)
        complete = bool(whole.hostname) and len(whole.path) > 1 and (named or whole.port != 0)
    except ValueError:
        document.tell(("store",), "is not an address", _STORE_FORMS)
        return
    if (said.password is not None and named is None) or "password" in parse_qs(said.query):
        remedy = "take it out and set PGPASSWORD in the environment, or write postgresql://USER:${NAME}@HOST/DATABASE"
        document.spoil(("store",), "a password does not belong in this file", remedy)
    elif not complete:
        document.tell(("store",), "names no host or no database", _STORE_FORMS)
    elif named:
        document.data["store"] = _with_password(document, written, named.group())


def _with_password(document: Document, written: str, placeholder: str) -> str:
    """A password may have any character, an address may not: it is percent-encoded where it goes in."""
    before, _, after = written.partition(f":{placeholder}@")
    password = quote(_filled(document, placeholder), safe="")
    return f"{_filled(document, before)}:{password}@{_filled(document, after)}"


def _filled(document: Document, text: str) -> str:
    return PLACEHOLDER.sub(lambda match: document.environ.get(match.group(1), ""), text)


_CHECKS: tuple[Callable[[Document], None], ...] = (
    _names,
    _ports,
    _directories,
    check_certificates,
    _rights,
    _ehrs,
    _tokens,
    check_smart,
    _files,
    _receivers,
    _store,
)
