"""Bundles taken apart: each Encounter, Claim, DocumentReference and answer with all that it refers to inside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.resource import write
from gateway.mappings.fhir.source import reference_name

MAX_ENTRIES = 500
MAX_CONTAINED = 200
"""How many supporting resources one entry may draw in."""
MAX_DRAWN = 64 * 1024 * 1024
"""Bytes of JSON that all entries together may draw in: one large Patient under many Claims would multiply."""

_MAIN = ("Encounter", "Claim", "DocumentReference", "QuestionnaireResponse", "Task")
"""In this order they are processed: a Claim may then refer to an Encounter of the same Bundle."""

_SUPPORTING = frozenset(
    {
        "Account",
        "Condition",
        "Coverage",
        "Encounter",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
        "QuestionnaireResponse",
        "RelatedPerson",
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry to process. `index` is its place in the Bundle, for the response; `method` and `url` are those of its
    request, absent in a collection.
    """

    index: int
    resource: dict[str, Any]
    method: str | None = None
    url: str | None = None
    full_url: str | None = None


def unbundle(bundle: dict[str, Any]) -> list[Entry]:
    """The main resources of a transaction, batch or collection, each self-contained, in the order of processing.

    Supporting resources that an entry refers to, by fullUrl, `urn:uuid:` or `Type/id`, are put into its `contained`,
    and the references turned to them; in a batch too, whose entries otherwise stand alone. What the Bundle doesn't
    hold stays as it is. Raises MappingError: `structure`, `unsupported` for another type of Bundle, `limit`.
    """
    root = Element(bundle, "Bundle")
    if root.text("resourceType") != "Bundle":
        raise MappingError("structure", "resourceType", "should be Bundle")
    if root.text("type") not in systems.BUNDLE_TYPE:
        raise MappingError("unsupported", "Bundle.type", "only transactions, batches and collections are taken apart")
    entries = root.many("entry")
    if len(entries) > MAX_ENTRIES:
        raise MappingError("limit", "Bundle.entry", f"more than {MAX_ENTRIES} entries")
    shelf = _shelf(entries)
    budget = _Budget()
    found = [entry for index, element in enumerate(entries) if (entry := _entry(index, element, shelf, budget))]
    return sorted(found, key=lambda entry: _MAIN.index(entry.resource["resourceType"]))


def _shelf(entries: list[Element]) -> dict[str, dict[str, Any]]:
    """Every name by which a resource of the Bundle may be referred to."""
    shelf: dict[str, dict[str, Any]] = {}
    for entry in entries:
        resource = entry.one("resource")
        kind, id_ = resource.text("resourceType"), resource.text("id")
        names = [entry.text("fullUrl")]
        if kind and id_:
            names.append(f"{kind}/{id_}")
        request = entry.one("request")
        if request.text("method") == "PUT":
            names.append(request.text("url"))
        for name in names:
            if name and shelf.setdefault(name, resource.data) is not resource.data:
                raise MappingError("ambiguous", entry.path, "has a name that another entry has, too")
    return shelf


class _Budget:
    """What may still be drawn in, in bytes."""

    def __init__(self) -> None:
        self._left = MAX_DRAWN
        self._weights: dict[int, int] = {}

    def spend(self, resource: dict[str, Any], path: str) -> None:
        """MappingError `limit` once it is used up."""
        weight = self._weights.get(id(resource))
        if weight is None:
            weight = self._weights[id(resource)] = len(write(resource))
        self._left -= weight
        if self._left < 0:
            raise MappingError("limit", path, "the Bundle's entries refer to too much")


def _entry(index: int, element: Element, shelf: dict[str, dict[str, Any]], budget: _Budget) -> Entry | None:
    resource = element.one("resource")
    if resource.text("resourceType") not in _MAIN:
        return None
    request = element.one("request")
    method = request.text("method")
    if method not in (None, "POST", "PUT"):
        raise MappingError("unsupported", request.place("method"), "only POST and PUT entries are taken")
    whole = _Gathering(resource.data, shelf, budget, element.path).whole()
    return Entry(index, whole, method, request.text("url"), element.text("fullUrl"))


class _Gathering:
    """Draws what one resource refers to into its `contained`, each once, however often it is referred to."""

    def __init__(self, main: dict[str, Any], shelf: dict[str, dict[str, Any]], budget: _Budget, path: str) -> None:
        self._main = main
        self._shelf = shelf
        self._budget = budget
        self._path = path
        self._ids: dict[int, str] = {}
        self._waiting: list[dict[str, Any]] = []
        contained = main.get("contained")
        self._inner = contained if isinstance(contained, list) else []
        self._taken = {inner.get("id") for inner in self._inner if isinstance(inner, dict)}

    def whole(self) -> dict[str, Any]:
        """The resource with its contained resources; the one that came is left as it was."""
        result: dict[str, Any] = self._turned(self._main)
        drawn: list[dict[str, Any]] = []
        while self._waiting:
            resource = self._waiting.pop(0)
            self._budget.spend(resource, self._path)
            turned: dict[str, Any] = self._turned(resource)
            drawn.append({**turned, "id": self._ids[id(resource)]})
            drawn += self._own_contained(turned)
            if len(drawn) > MAX_CONTAINED:
                raise MappingError("limit", self._path, f"refers to more than {MAX_CONTAINED} other resources")
        if drawn:
            result["contained"] = [*result.get("contained", []), *drawn]
        return result

    def _own_contained(self, resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """A drawn resource brings what it contains: a contained resource can't contain another (R4, references)."""
        inner = resource.pop("contained", None)
        for each in inner if isinstance(inner, list) else ():
            if isinstance(each, dict):
                if each.get("id") in self._taken:
                    raise MappingError("ambiguous", self._path, "draws in two contained resources of one id")
                self._taken.add(each.get("id"))
                yield each

    def _turned(self, value: Any) -> Any:
        """`value` with the references to resources on the shelf turned to `#id`."""
        if isinstance(value, dict):
            return {name: self._reference(name, inner) for name, inner in value.items()}
        return [self._turned(item) for item in value] if isinstance(value, list) else value

    def _reference(self, name: str, inner: Any) -> Any:
        if name != "reference" or not isinstance(inner, str):
            return self._turned(inner)
        found = self._shelf.get(reference_name(inner))
        if found is None or found is self._main or found.get("resourceType") not in _SUPPORTING:
            return inner
        if id(found) not in self._ids:
            self._ids[id(found)] = self._free_id()
            self._waiting.append(found)
        return f"#{self._ids[id(found)]}"

    def _free_id(self) -> str:
        number = len(self._ids) + 1
        while f"entry-{number}" in self._taken:
            number += 1
        self._taken.add(f"entry-{number}")
        return f"entry-{number}"
