"""References between the entries of a transaction or batch, turned to what the entries are kept as (R4, RESTful API,
transactions: resolving references).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.source import reference_name

_POINTING = frozenset({"reference", "url", "uri"})
"""Elements that may name another entry: a Reference's, and of an Attachment the Binary's."""
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]{2,40}\?.{1,1024}")


@dataclass(frozen=True, slots=True)
class Named:
    """An entry's resource, and what it is kept as: `Patient/1042`. `full_url` is the entry's."""

    index: int
    resource: Mapping[str, Any]
    kept: str
    full_url: str | None = None


def names(entries: Iterable[Named]) -> dict[str, str]:
    """By each name that an entry's resource has in the Bundle: what it is kept as.

    MappingError `ambiguous` when two have one name.
    """
    found: dict[str, str] = {}
    for entry in entries:
        kind, id_ = entry.resource.get("resourceType"), entry.resource.get("id")
        own = [entry.full_url, f"{kind}/{id_}" if isinstance(id_, str) else None]
        for name in dict.fromkeys(name for name in own if name):
            if found.setdefault(name, entry.kept) != entry.kept:
                place = f"Bundle.entry[{entry.index}]"
                raise MappingError("ambiguous", place, "has a name that another entry has, too")
    return found


def turned(value: Any, known: Mapping[str, str]) -> Any:
    """`value` with its references to other entries turned; what they do not name stays as it is."""
    if isinstance(value, dict):
        return {name: _turned(name, inner, known) for name, inner in value.items()}
    return [turned(item, known) for item in value] if isinstance(value, list) else value


def _turned(name: str, inner: Any, known: Mapping[str, str]) -> Any:
    if name not in _POINTING or not isinstance(inner, str):
        return turned(inner, known)
    return known.get(inner) or known.get(reference_name(inner), inner)


def conditional(value: Any) -> set[str]:
    """The references that name what they mean by a search: `Patient?identifier=urn:x|7` (R4, transactions)."""
    return {text for text in _references(value) if _CONDITIONAL.fullmatch(text)}


def dangling(value: Any) -> bool:
    """Whether a reference by `urn:uuid` or `urn:oid` is left, which only the Bundle could have resolved."""
    return any(text.startswith(("urn:uuid:", "urn:oid:")) for text in _references(value))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "reference" and isinstance(inner, str):
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
