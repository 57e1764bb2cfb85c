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
from gateway.mappings.fhir.mapping import map_resource, query_numbers, references, resource_numbers
from gateway.mappings.fhir.outcome import ERROR, FATAL
from gateway.mappings.fhir.resource import read, validate
from gateway.mappings.fhir.source import FhirSource, Numbers
from gateway.mappings.hl7v2.er7 import Er7Error, Er7Message
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.mapping import map_message
from gateway.message import Message
from gateway.review.model import Query
from gateway.store.interface import QuerySearch, ResourceVersion

log = logger("reading")

UNKNOWN_FEED = "unknown-feed"
ISSUES_TOLD = 3
MAX_SEGMENTS = 5_000
"""Work grows with segments, and nothing else goes on meanwhile: a message of more is set aside for a person."""


class Looked(Protocol):
    """The part of the store that mappings look things up in."""

    async def resource(self, type: str, id: str, version: int | None = None) -> ResourceVersion | None: ...

    async def message(self, id: int) -> Message | None: ...

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
        self._refuse_invalid(resource)
        return map_resource(
            resource, await self._informed(source, resource), message.id, logical_id=_logical_id(message.type)
        )

    @staticmethod
    def _refuse_invalid(resource: dict[str, Any]) -> None:
        wrong = [issue for issue in validate(resource) if issue.severity in (ERROR, FATAL)]
        if wrong:
            told = "; ".join(f"{issue.expression} {issue.diagnostics}" for issue in wrong[:ISSUES_TOLD])
            more = f" (and {len(wrong) - ISSUES_TOLD} more)" if len(wrong) > ISSUES_TOLD else ""
            raise MappingError("invalid", wrong[0].expression or "", told + more)

    async def _informed(self, source: FhirSource, resource: dict[str, Any]) -> FhirSource:
        """The source with the numbers behind the resource's references, and the queries that it answers."""
        known: dict[str, Numbers] = {}
        for reference in references(resource):
            numbers = await self._numbers(source, reference)
            if numbers is not None:
                known[reference] = numbers
        asked = {
            query.number: query
            for number in query_numbers(resource)
            for query in await self._store.queries(QuerySearch(number=number))
        }
        return replace(source, references=known, queries=asked) if known or asked else source

    async def _numbers(self, source: FhirSource, reference: str) -> Numbers | None:
        """The numbers of an Encounter that the same client wrote here before."""
        kind, _, id = reference.rpartition("/")
        kind = kind.rpartition("/")[2]
        if kind != "Encounter":
            return None
        written = await self._store.resource(kind, id)
        if written is None or written.client != source.feed:
            return None
        kept = await self._store.message(written.message)
        return None if kept is None or not kept.payload else resource_numbers(read(kept.payload), source)


def _answering(message: Message) -> FhirSource | None:
    """The source of an answer to a query. Who answers need be no feed: the query names the encounter."""
    kind = message.type.rpartition(" ")[2].partition("/")[0]
    return FhirSource(feed=message.feed, facility="") if kind in ("Task", "QuestionnaireResponse") else None


def _logical_id(type: str) -> str | None:
    """`PUT Claim/123` -> `123`: the id under which the gateway keeps the resource."""
    return type.partition("/")[2] or None
