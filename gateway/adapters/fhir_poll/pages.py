"""A page of a search's results, as it was sent: what matched, what came along, and where the next one is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from gateway.adapters.fhir_poll.faults import PollFault, Trouble
from gateway.config.polled import PolledType
from gateway.mappings.fhir.source import reference_name

Resource = dict[str, Any]

ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
"""R4, datatypes: id."""
_REFERENCE = re.compile(r"([A-Z][A-Za-z]{1,63})/[A-Za-z0-9.-]{1,64}")
_MOMENT = re.compile(r"[0-9TZ:.+-]{4,40}")
MOST_LINK = 8192
READ_ALONG = frozenset(kind.value for kind in PolledType) - {"Claim", "DocumentReference"}
"""The types of what others refer to, that is read where it did not come along."""


@dataclass(frozen=True, slots=True)
class Page:
    matches: tuple[Resource, ...] = field(repr=False)
    included: tuple[Resource, ...] = field(repr=False)
    next: str | None
    by_time: bool
    """The server says that it sorts by `_lastUpdated`: its self link repeats what it heeded (R4, search, 3.1.1.4)."""
    passed_over: int
    """Entries that are no resource of a type that is taken; what an OperationOutcome says is one of them."""
    withheld: int = 0
    """Matches of the whole search beyond those on this page, by its `total`; 0 when there is none."""


def page_of(bundle: Resource, kind: str, base: str) -> Page:
    """What `bundle` holds for a search of `kind` at the server `base`. PollFault when it is no set of results."""
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") not in ("searchset", None):
        raise PollFault(Trouble.NOT_FHIR, "the answer is no set of results")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise PollFault(Trouble.NOT_FHIR, "the answer is no set of results")
    found = [one for one in (_resource(entry) for entry in entries) if one is not None]
    matches = [localised(one, base) for one, mode in found if one["resourceType"] == kind and mode != "include"]
    included = [
        localised(one, base)
        for one, mode in found
        if one["resourceType"] in READ_ALONG and (one["resourceType"] != kind or mode == "include")
    ]
    links = _links(bundle)
    return Page(
        tuple(_newest_each(matches)),
        tuple(_newest_each(included)),
        _whole(links.get("next"), base),
        _sorts(links.get("self", "")),
        len(entries) - len(matches) - len(included),
        _withheld(bundle.get("total"), entries),
    )


def _resource(entry: object) -> tuple[Resource, str | None] | None:
    """An entry's resource and its mode; None for what has no id, or is nothing that is taken."""
    resource = entry.get("resource") if isinstance(entry, dict) else None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return None
    if not isinstance(resource.get("id"), str) or not ID.fullmatch(resource["id"]):
        return None
    mode = _mode(entry)
    return None if mode == "outcome" else (resource, mode)


def _withheld(total: object, entries: list[Any]) -> int:
    """Rather too few: whatever is not said to have come along counts as a match. An empty page keeps nothing back."""
    modes = [_mode(entry) for entry in entries]
    sent = len(modes) - modes.count("include") - modes.count("outcome")
    return max(total - sent, 0) if type(total) is int and sent else 0


def _mode(entry: object) -> str | None:
    search = entry.get("search") if isinstance(entry, dict) else None
    mode = search.get("mode") if isinstance(search, dict) else None
    return mode if isinstance(mode, str) else None


def _newest_each(resources: list[Resource]) -> Iterator[Resource]:
    """Each resource once, as it came last: a page may have changed while it was written."""
    yield from {(one["resourceType"], one["id"]): one for one in resources}.values()


def _links(bundle: Resource) -> dict[str, str]:
    links = bundle.get("link")
    found = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return {
        link["relation"]: link["url"]
        for link in found
        if isinstance(link.get("relation"), str) and isinstance(link.get("url"), str) and len(link["url"]) <= MOST_LINK
    }


def _whole(link: str | None, base: str) -> str | None:
    """A link that may be relative (R4, Bundle: to the base). PollFault when it is no address."""
    try:
        return urljoin(base + "/", link) if link else None
    except ValueError:
        raise PollFault(Trouble.ASTRAY, "the link to the next page is no address") from None


def _sorts(url: str) -> bool:
    try:
        return parse_qs(urlsplit(url).query).get("_sort") == ["_lastUpdated"]
    except ValueError:
        return False


def localised(resource: Resource, base: str) -> Resource:
    """The resource with references to other resources of the same server written as `Type/id`: so they are found among
    what is kept of it. All else is as it came.
    """
    written: Resource = _localised(resource, base.rstrip("/") + "/")
    return written


def _localised(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return {
            name: inner.removeprefix(prefix)
            if name == "reference" and isinstance(inner, str)
            else _localised(inner, prefix)
            for name, inner in value.items()
        }
    return [_localised(item, prefix) for item in value] if isinstance(value, list) else value


def referred(resource: Resource) -> list[str]:
    """The literal references to what is read along, each once, without versions, in the order in which they stand."""
    return list(dict.fromkeys(_referred(resource)))


def _referred(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        text = value.get("reference")
        name = reference_name(text) if isinstance(text, str) else ""
        matched = _REFERENCE.fullmatch(name)
        if matched is not None and matched[1] in READ_ALONG:
            yield name
        for inner in value.values():
            yield from _referred(inner)
    elif isinstance(value, list):
        for item in value:
            yield from _referred(item)


def updated(resource: Resource) -> datetime | None:
    """`meta.lastUpdated`, aware; None where it does not say one."""
    said = _meta(resource).get("lastUpdated")
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def version_of(resource: Resource) -> str | None:
    """What tells this version from others: `meta.versionId`, or else `meta.lastUpdated`."""
    meta = _meta(resource)
    version, moment = meta.get("versionId"), meta.get("lastUpdated")
    if isinstance(version, str) and ID.fullmatch(version):
        return f"_history/{version}"
    return f"@{moment}" if isinstance(moment, str) and _MOMENT.fullmatch(moment) else None


def _meta(resource: Resource) -> Resource:
    meta = resource.get("meta")
    return meta if isinstance(meta, dict) else {}
