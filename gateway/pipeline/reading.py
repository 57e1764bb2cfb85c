"""From a kept message's bytes to what it says: a reader for each format. What a mapping must look up is read here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import orjson

from gateway.encounter.change import Change
from gateway.encounter.merge import Merges
from gateway.logs import logger
from gateway.lookup import CHARGE_CODES, Lookup
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir.drawing import drawn
from gateway.mappings.fhir.mapping import map_resource, query_numbers
from gateway.mappings.fhir.resource import UNKNOWN_ELEMENT, Issue, read, validate
from gateway.mappings.fhir.source import FhirSource
from gateway.mappings.hl7v2.er7 import Er7Error, Er7Message
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.mapping import map_message
from gateway.message import Message, MessageState
from gateway.pipeline.shelf import Kept, Shelf
from gateway.review.model import Query
from gateway.store.queries import QuerySearch

log = logger("reading")

UNKNOWN_FEED = "unknown-feed"
_REFERRING = frozenset({"Encounter", "Claim", "DocumentReference"})
ISSUES_TOLD = 3
MAX_SEGMENTS = 5_000
"""Work grows with segments, and nothing else goes on meanwhile: a message of more is set aside for a person."""


class Looked(Kept, Protocol):
    """The part of the store that mappings look things up in."""

    async def queries(self, search: QuerySearch) -> list[Query]: ...


class Hl7Reader:
    """Reads HL7 v2 by the profile of the feed that it came from."""

    def __init__(self, profiles: Mapping[str, FeedProfile]) -> None:
        self.profiles = profiles
        """By the feed's name, without what analysts added to their tables."""
        self._profiles = profiles
        self._lookups: Sequence[Lookup] = ()

    def read_by(self, profiles: Mapping[str, FeedProfile]) -> None:
        """Read by these from now on."""
        self.profiles = profiles
        self._profiles = with_lookups(profiles, self._lookups)

    def add(self, lookups: Sequence[Lookup]) -> None:
        """Read with these entries in the feeds' tables from now on, in place of those that were added before."""
        self._lookups = tuple(lookups)
        self._profiles = with_lookups(self.profiles, self._lookups)

    @property
    def in_force(self) -> Mapping[str, FeedProfile]:
        """By the feed's name, with what analysts added to their tables."""
        return self._profiles

    async def __call__(self, message: Message) -> Change | Merges | Unused:
        return self.read(message)

    def read(self, message: Message) -> Change | Merges | Unused:
        """What the message says. MappingError when it cannot be used."""
        profile = self._profiles.get(message.feed)
        if profile is None:
            raise MappingError(UNKNOWN_FEED, "", f"feed {message.feed} is no longer configured")
        try:
            er7 = Er7Message.parse(message.payload, profile.charset)
        except Er7Error as error:
            raise MappingError("no-message", "MSH", str(error)) from error
        if len(er7) > MAX_SEGMENTS:
            raise MappingError(
                "too-long", "", f"{len(er7)} segments; at most {MAX_SEGMENTS} are worked on as one message"
            )
        return _of_feed(map_message(er7, profile, message.id), profile.name)


def with_lookups(profiles: Mapping[str, FeedProfile], lookups: Sequence[Lookup]) -> Mapping[str, FeedProfile]:
    """The profiles with the entries that analysts added to their tables. One that the dialect has no more place for,
    since it was edited, is passed over and logged.
    """
    added: dict[str, dict[str, dict[str, object]]] = {}
    for lookup in lookups:
        profile = profiles.get(lookup.feed)
        if profile is None or lookup.value is None:
            continue
        if not _has_place(profile, lookup):
            log.warning("reading.lookup_without_table", feed=lookup.feed, code=lookup.table)
            continue
        value: object = orjson.loads(lookup.value) if lookup.table == CHARGE_CODES else lookup.value
        added.setdefault(lookup.feed, {}).setdefault(lookup.table, {})[lookup.code] = value
    return {
        name: replace(profile, dialect=profile.dialect.with_tables(added[name])) if name in added else profile
        for name, profile in profiles.items()
    }


def _has_place(profile: FeedProfile, lookup: Lookup) -> bool:
    if lookup.table not in profile.dialect.table_names:
        return False
    meanings = None if lookup.table == CHARGE_CODES else profile.dialect.meanings(lookup.table)
    return meanings is None or lookup.value in meanings


def _of_feed(read: Change | Merges | Unused, feed: str) -> Change | Merges | Unused:
    """What was read, with the feed named whose tables lack a code."""
    if not isinstance(read, Change) or not read.problems:
        return read
    return replace(read, problems=tuple(replace(p, feed=feed) if p.table is not None else p for p in read.problems))


class FhirReader:
    """Reads FHIR: the whole validation, then the mapping, with what the resource refers to."""

    def __init__(self, sources: Mapping[str, FhirSource], store: Looked) -> None:
        self._sources = sources
        self._store = store

    def read_by(self, sources: Mapping[str, FhirSource]) -> None:
        """Read by these from now on."""
        self._sources = sources

    async def __call__(self, message: Message) -> Change | Unused:
        source = self._sources.get(message.feed) or _answering(message)
        if source is None:
            raise MappingError(UNKNOWN_FEED, "", f"client {message.feed} is no longer configured as a feed")
        resource = read(message.payload)
        if resource.get("resourceType") == "Bundle":
            return Unused("the Bundle's entries are messages of their own")
        # What was found sound once stays so: a later release that looks closer must not undo what was made of it.
        unknown = self._checked(resource) if message.state is MessageState.RECEIVED else ()
        whole, informed = await self._informed(source, resource, message)
        said = map_resource(whole, informed, message.id, logical_id=_logical_id(message.type))
        return replace(said, notices=(*unknown, *said.notices)) if isinstance(said, Change) and unknown else said

    @staticmethod
    def _checked(resource: dict[str, Any]) -> tuple[str, ...]:
        """What R4 only warns of. MappingError with what it refuses."""
        issues = validate(resource)
        wrong = [issue for issue in issues if issue.refuses]
        if wrong:
            told = "; ".join(f"{issue.expression} {issue.diagnostics}" for issue in wrong[:ISSUES_TOLD])
            more = f" (and {len(wrong) - ISSUES_TOLD} more)" if len(wrong) > ISSUES_TOLD else ""
            raise MappingError("invalid", wrong[0].expression or "", told + more)
        return tuple(dict.fromkeys(map(_noticed, issues[:ISSUES_TOLD])))

    async def _informed(
        self, source: FhirSource, resource: dict[str, Any], message: Message
    ) -> tuple[dict[str, Any], FhirSource]:
        """The resource with what the same client has kept of what it refers to; and the source with the contents of its
        attachments, what it takes the place of, and the queries that it answers.
        """
        shelf = Shelf(self._store, source.feed)
        name = message.type.rpartition(" ")[2]
        # A supporting resource says nothing by itself, whatever it refers to.
        kept = await shelf.reached(resource, name) if resource["resourceType"] in _REFERRING else {}
        former = await shelf.former(resource, message)
        asked = {
            query.number: query
            for number in query_numbers(resource)
            for query in await self._store.queries(QuerySearch(numbers=(number,)))
        }
        contents = await shelf.contents(resource)
        informed = replace(
            source,
            queries=asked,
            contents=contents,
            absent=shelf.absent,
            former=tuple(drawn(each, kept) for each in former),
        )
        return drawn(resource, kept), informed


def _noticed(issue: Issue) -> str:
    """An issue for the message's reason, which more people see than its payload: the name of an element that nobody
    knows may be anything, and only where it stands is told.
    """
    if issue.diagnostics == UNKNOWN_ELEMENT:
        return f"{issue.expression.rpartition('.')[0]} has an element that R4 does not know: it is not used"
    return f"{issue.expression} {issue.diagnostics}"


def _answering(message: Message) -> FhirSource | None:
    """The source of an answer to a query. Who answers need be no feed: the query names the encounter."""
    kind = message.type.rpartition(" ")[2].partition("/")[0]
    return FhirSource(feed=message.feed, facility="") if kind in ("Task", "QuestionnaireResponse") else None


def _logical_id(type: str) -> str | None:
    """`PUT Claim/123` -> `123`: the id under which the gateway keeps the resource."""
    return type.partition("/")[2] or None
