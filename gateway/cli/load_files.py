"""Files of FHIR resources as what is to be loaded: each resource under an id, its references within the file turned to
`Type/id`. JSON files hold one resource or one Bundle, NDJSON files a resource a line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read, write

LARGEST_FILE = 512 * 1024 * 1024
LARGEST_LINE = 64 * 1024 * 1024
NDJSON = (".ndjson", ".jsonl")
SUFFIXES = (".json", *NDJSON)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_URN = re.compile(r"urn:(?:uuid|oid):([A-Za-z0-9.-]{1,64})")
_REFERRED_FIRST = (
    "Organization",
    "Location",
    "Practitioner",
    "PractitionerRole",
    "Patient",
    "RelatedPerson",
    "Coverage",
    "Account",
    "Binary",
    "Encounter",
    "Condition",
    "Procedure",
)
"""In this order: what others refer to stands when they are processed. All other types come last."""

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read, and why. Holds nothing of what it says."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loadable:
    """A file and what it is of, as its first resource says."""

    path: Path
    kind: str
    size: int = field(compare=False)


def rank(kind: str) -> int:
    """Where a type stands in the order of loading."""
    return _REFERRED_FIRST.index(kind) if kind in _REFERRED_FIRST else len(_REFERRED_FIRST)


def found(paths: Iterable[Path]) -> list[Loadable]:
    """The files, those in directories too, in the order of loading: what others refer to first. OSError."""
    files = dict.fromkeys(file for path in paths for file in _files(path))
    loadable = [Loadable(file, _first_kind(file), file.stat().st_size) for file in files]
    return sorted(loadable, key=lambda one: (rank(one.kind), str(one.path)))


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
    else:
        yield path


def _first_kind(path: Path) -> str:
    """The type in an NDJSON file's first line; empty for a file of another form."""
    if path.suffix.lower() not in NDJSON:
        return ""
    with path.open("rb") as file:
        line = file.readline(LARGEST_LINE)
    try:
        return str(read(line).get("resourceType", "")) if line.strip() else ""
    except MappingError:
        return ""


def resources(path: Path) -> Iterator[Resource | Unread]:
    """Each resource of a file, ready to be put under its id. OSError when it cannot be read."""
    if path.suffix.lower() in NDJSON:
        yield from _lines(path)
        return
    if path.stat().st_size > LARGEST_FILE:
        yield Unread(path.name, f"the file is larger than {LARGEST_FILE} bytes")
        return
    try:
        content = read(path.read_bytes())
    except MappingError as error:
        yield Unread(path.name, error.text)
        return
    yield from _unbundled(content) if content.get("resourceType") == "Bundle" else (identified(content),)


def _lines(path: Path) -> Iterator[Resource | Unread]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LARGEST_LINE + 1), b""), 1):
            if len(line) > LARGEST_LINE:
                yield Unread(f"{path.name}:{number}", f"the line is longer than {LARGEST_LINE} bytes")
                return
            if line.strip():
                try:
                    yield identified(read(line))
                except MappingError as error:
                    yield Unread(f"{path.name}:{number}", error.text)


def _unbundled(bundle: Resource) -> Iterator[Resource]:
    """The entries' resources, what others refer to first. References by fullUrl become references by type and id."""
    said = bundle.get("entry")
    entries = said if isinstance(said, list) else []
    named: list[tuple[str | None, Resource]] = []
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            url = entry.get("fullUrl")
            named.append((url if isinstance(url, str) else None, identified(resource, url)))
    known = {url: f"{one.get('resourceType')}/{one['id']}" for url, one in named if url is not None}
    for _, resource in sorted(named, key=lambda pair: rank(str(pair[1].get("resourceType")))):
        yield _turned(resource, known)


def identified(resource: Resource, full_url: object = None) -> Resource:
    """The resource with an id: its own, or the one in its `urn:uuid:`, or else one that its content gives, the same
    each time.
    """
    own = resource.get("id")
    if isinstance(own, str) and _ID.fullmatch(own):
        return resource
    urn = _URN.fullmatch(full_url) if isinstance(full_url, str) else None
    return {**resource, "id": urn[1] if urn else hashlib.sha256(write(resource)).hexdigest()[:40]}


def _turned(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            name: known.get(inner, inner) if name == "reference" and isinstance(inner, str) else _turned(inner, known)
            for name, inner in value.items()
        }
    return [_turned(item, known) for item in value] if isinstance(value, list) else value
