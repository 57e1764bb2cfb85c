"""Where a resource comes from, how its references are looked up, and which encounter it speaks of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from gateway.config.model import KeyChoice
from gateway.encounter.change import Content, Places
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import Charge, Diagnosis, Procedure
from gateway.encounter.problem import Problem
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.query import IssuedQuery


class Numbers(NamedTuple):
    """The numbers of an encounter: its hospital account and its visit, each with its assigning authority."""

    account: Identifier | None = None
    visit: Identifier | None = None


@dataclass(frozen=True, slots=True)
class FhirSource:
    """A feed that speaks FHIR. `key` says which number makes the billable encounter: the first that is there.

    What a resource must be read with, the caller loads beside it: `queries` the provider queries by number; `contents`
    what stands behind the addresses of attachments, by the address as it is written (`attachment_addresses` of
    `mapping` names them); `former` the resources that this one takes the place of: its own earlier versions, and claims
    that it supersedes. What it refers to is put into it (`drawing`).
    """

    feed: str
    facility: str
    key: tuple[KeyChoice, ...] = (KeyChoice.ACCOUNT, KeyChoice.VISIT)
    authority: str | None = None
    authorities: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    queries: Mapping[str, IssuedQuery] = field(default_factory=dict)
    contents: Mapping[str, Content] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    """Why the content behind an address could not be fetched, where that is known."""
    former: tuple[dict[str, Any], ...] = ()


def binary_id(url: str) -> str:
    """The id of the Binary that holds what was fetched from an attachment's address: kept under it, the content is
    found by the address alone.
    """
    return f"url-{hashlib.sha256(url.encode()).hexdigest()[:48]}"


def reference_name(text: str) -> str:
    """A literal reference without its version: `Encounter/123/_history/2` is `Encounter/123`."""
    return text.split("/_history/", 1)[0]


class Reading:
    """One resource being read: its source, its contained resources, and the problems found on the way."""

    __slots__ = ("_contained", "about", "logical_id", "message", "notices", "problems", "resource", "source")

    def __init__(self, resource: dict[str, Any], source: FhirSource, message: int, logical_id: str | None) -> None:
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            raise MappingError("structure", "resourceType", "is required")
        self.resource = Element(resource, kind)
        self.source = source
        self.message = message
        self.logical_id = logical_id or self.resource.text("id")
        self.problems: list[Problem] = []
        self.notices: dict[str, None] = {}
        """What is good to know of the message, and holds nothing; each once."""
        self.about: str | None = None
        """The id of the charge, diagnosis or procedure being read, or what the ids of all of them begin with."""
        self._contained: dict[str, Element] = {}
        for inner in self.resource.many("contained"):
            name = inner.text("id")
            if name:
                self._contained[name] = inner

    def problem(self, rule: str, where: str, text: str) -> None:
        """Note something that could not be used as it stands. It holds the claim until it is mended or resolved."""
        self.problems.append(Problem(rule, where, text, self.about))

    def attribute(self, name: str, since: int) -> None:
        """The problems from `since` on are those of the item `name`, and end with it."""
        self.problems[since:] = [replace(problem, code=name) for problem in self.problems[since:]]

    def contains(self, *kinds: str) -> list[Element]:
        """The contained resources of these types."""
        return [inner for inner in self._contained.values() if inner.text("resourceType") in kinds]

    def origin(self, element: Element) -> str:
        """The place of a list item, as its `origin` keeps it."""
        return f"{self.message} {element.path}"

    def contained(self, reference: Element, *kinds: str) -> Element:
        """The contained resource that `reference` points to, if it is of one of `kinds`; else an empty element.

        What it names and is not here is noticed, unless a business identifier stands in its place.
        """
        text = reference.text("reference") or ""
        found = self._contained.get(text[1:]) if text.startswith("#") else None
        if found is None or found.text("resourceType") not in kinds:
            self._notice_absent(reference, text, kinds)
            return Element({}, reference.path)
        return found

    def _notice_absent(self, reference: Element, text: str, kinds: tuple[str, ...]) -> None:
        kind = reference_name(text).rpartition("/")[0].rpartition("/")[2]
        if kind in kinds and "?" not in text and not reference.one("identifier"):
            self.notices[f"{reference.path} refers to a {kind} that its sender has not written here"] = None

    def authority(self, identifier: Element) -> str | None:
        """The assigning authority of an account or visit number: the feed's, or else the identifier's own."""
        return self.source.authority or self.called(assigner(identifier))

    def called(self, authority: str | None) -> str | None:
        """The authority as HL7 v2 calls it, where the source says so."""
        return self.source.authorities.get(authority, authority) if authority is not None else None


def assigner(identifier: Element) -> str | None:
    """The authority that an identifier names: its system, or else the assigner's name."""
    return identifier.text("system") or identifier.one("assigner").text("display")


class Named(NamedTuple):
    """A business identifier: of a reference, or of a conditional reference's query. `system` may be an assigner."""

    system: str | None
    value: str


def logical_identifier(reference: Element) -> Named | None:
    """The business identifier that a reference carries, beside or inside its literal form.

    Transactions may write the literal form as a search, `Practitioner?identifier=system|value` (R4, RESTful API,
    transactions).
    """
    identifier = reference.one("identifier")
    value = identifier.text("value")
    if value:
        return Named(assigner(identifier), value)
    text = reference.text("reference") or ""
    kind, _, token = text.partition("?identifier=")
    system, bar, value = unquote(token).partition("|")
    if not kind or not token or "&" in token:
        return None
    return Named(system or None, value) if bar and value else None


def item_places(group: str, items: Sequence[Charge | Diagnosis | Procedure]) -> list[Places]:
    """Where the values of a list's items stand: each in the element that its item was read from."""
    places = []
    for index, item in enumerate(items):
        element = (item.origin or "").partition(" ")[2]
        names = item.model_fields_set - {"id", "source", "origin"}
        places.append(Places(f"{group}[{index}]", element, dict.fromkeys(sorted(names), ""), ""))
    return places


def key_of(numbers: Numbers, source: FhirSource, where: str) -> EncounterKey:
    """The encounter's key by the source's choice. MappingError when none of the chosen numbers is there."""
    by_choice = {KeyChoice.ACCOUNT: numbers.account, KeyChoice.VISIT: numbers.visit}
    for choice in source.key:
        number = by_choice[choice]
        if number is not None:
            return EncounterKey(source.facility, number.authority or "", number.value)
    wanted = " or ".join(choice.value for choice in source.key)
    raise MappingError("unresolved", where, f"gives no {wanted} number, by which this source counts encounters")
