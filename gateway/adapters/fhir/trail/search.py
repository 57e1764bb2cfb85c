"""A search for AuditEvents or Provenances: its parameters into places, moments and actions of the trail (R4, search).

The trail has one index, by encounter. `entity` and `target` with an encounter's key, a claim's number, and `patient` go
by it; `date` is a range of places, found by bisection. All else is looked for among a bounded number of places: a page
may then be short, or empty, and have a next link.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self
from urllib.parse import urlencode

from gateway.adapters.fhir.search_dates import searched_date
from gateway.adapters.http.exchange import Fault, own_id
from gateway.audit.events import Action
from gateway.clock import moment_of
from gateway.encounter.identity import EncounterKey
from gateway.mappings.fhir import audit, provenance, systems
from gateway.store.interface import StoredEvent
from gateway.store.trail import LAST_PLACE, SLACK, EventSearch

DEFAULT_COUNT = 50
MAX_COUNT = 200
MAX_VALUES = 50
MAX_ENCOUNTERS = 200
"""Encounters that one search looks at."""

_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


class Numbers(Protocol):
    """What numbers lead to, in the store."""

    async def encounters_with(self, values: Sequence[str], authority: str | None = None) -> list[str]: ...

    async def encounters_of_claim(self, number: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class TrailSearch:
    """What to look for. `used` are the parameters that were understood, for the self link; `ids` are places that were
    named; `without` are moments that do not count.
    """

    search: EventSearch
    ids: tuple[int, ...] | None = None
    without: tuple[tuple[datetime, datetime], ...] = ()
    codes: tuple[tuple[str, tuple[audit.Token, ...]], ...] = ()
    """By parameter: the tokens of which an event must say one."""
    nothing: bool = False
    counted: bool = True
    """Whether the total is wanted, where it can be told."""
    only_counts: bool = False
    """Whether the total is all that is wanted."""
    used: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def link(self, address: str, after: int | None = None) -> str:
        """The search's own address, or that of the page that goes on from place `after`."""
        pairs = [pair for pair in self.used if pair[0] != "_after" or after is None]
        if after is not None:
            pairs.append(("_after", str(after)))
        return f"{address}?{urlencode(pairs)}" if pairs else address

    def whole(self) -> Self:
        """The same from its first page on, in the largest pages."""
        return replace(self, search=replace(self.search, after=0, before=LAST_PLACE, limit=MAX_COUNT))

    def going_on(self, after: int) -> Self:
        """The same from the place `after` on, whichever way it goes."""
        asked = self.search
        return replace(self, search=replace(asked, before=after) if asked.newest_first else replace(asked, after=after))

    @property
    def first(self) -> bool:
        """Whether this is the first page."""
        return not any(name == "_after" for name, _ in self.used)

    def counts(self, stored: StoredEvent) -> bool:
        """Whether an event fits that was found by the store."""
        event = stored.event
        if any(begin <= event.at < end for begin, end in self.without):
            return False
        said = audit.tokens(event.action, event.detail) if self.codes else {}
        return all(_says(said[name], asked) for name, asked in self.codes)

    def holds(self, stored: StoredEvent) -> bool:
        """Whether an event that was read by its id fits the other parameters."""
        event, asked = stored.event, self.search
        return (
            (asked.actions is None or event.action in asked.actions)
            and (not asked.actors or event.actor in asked.actors)
            and (not asked.subjects or event.subject in asked.subjects)
            and (not asked.messages or event.message in asked.messages)
            and (asked.encounters is None or event.encounter in asked.encounters)
            and (asked.since is None or event.at >= asked.since)
            and (asked.until is None or event.at < asked.until)
            and self.counts(stored)
        )


Reading = Callable[[TrailSearch, str, str, Numbers, datetime], Awaitable[TrailSearch]]
"""The search, the parameter's name and value, what numbers lead to, the present."""


async def _date(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    date = searched_date(value, name)
    if date.prefix == "ne":
        return replace(found, without=(*found.without, (date.begins, date.ends)))
    if date.prefix == "ap":
        around = abs(now - date.begins) / 10
        since: datetime | None = _within(date.begins, -around)
        until: datetime | None = _within(date.ends, around)
    else:
        since, until = date.bounds()
    asked = found.search
    narrowed = replace(
        asked,
        since=max(filter(None, (asked.since, since)), default=None),
        until=min(filter(None, (asked.until, until)), default=None),
    )
    return replace(found, search=narrowed)


def _within(moment: datetime, by: timedelta) -> datetime:
    """`moment` moved, within the years that there are."""
    try:
        return moment + by
    except OverflowError:
        return _EARLIEST if by < timedelta(0) else _LATEST


async def _coded(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    """A token of what AuditEvents say: the actions that may say one of them; whether they do, the event shows."""
    wanted = [part.rpartition("|") for part in _values(name, value)]

    asked = tuple((system, code) for system, _, code in wanted)
    before = found.search.actions
    kept = tuple(
        action.value
        for action in Action
        if (before is None or action.value in before)
        and any(_says(said[name], asked) for said in audit.possible(action))
    )
    narrowed = replace(found.search, actions=kept)
    return replace(found, search=narrowed, codes=(*found.codes, (name, asked)), nothing=found.nothing or not kept)


def _says(said: Iterable[audit.Token], asked: Iterable[audit.Token]) -> bool:
    return any(code == wanted and system in ("", of) for system, wanted in asked for of, code in said)


async def _agent(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    parts = [_identifier(part) for part in _values(name, value)]
    actors = tuple(number for system, number in parts if system in ("", systems.ACTOR))
    return replace(found, search=replace(found.search, actors=actors), nothing=found.nothing or not actors)


async def _entity(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    """An encounter's key, a message's number, or the subject of an event, as `Claim/7`."""
    system, number = _identifier(_one(name, value))
    if system == systems.ENCOUNTER_KEY or (not system and _is_key(number)):
        return _among(found, [_key(number)])
    message = own_id(number)
    if message is not None and system in ("", audit.MESSAGE):
        return replace(found, search=_about(found.search, message))
    if system in ("", audit.SUBJECT):
        return replace(found, search=replace(found.search, subjects=(number,)))
    return replace(found, nothing=True)


def _about(asked: EventSearch, message: int) -> EventSearch:
    """Events that name a message: from when its id was given on, the oldest first unless it is said otherwise."""
    given = moment_of(message) - SLACK if message >> 22 else None
    since = max(filter(None, (asked.since, given)), default=None)
    return replace(asked, messages=(message,), since=since, newest_first=False)


async def _target(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    """An encounter by its key, a claim by its number."""
    given = _one(name, value)
    system, number = _identifier(given.removeprefix("Encounter/").removeprefix("Claim/"))
    claim = given.startswith("Claim/") or system == systems.CLAIM_NUMBER
    if claim:
        released = replace(found.search, subjects=(f"claim/{number}",), actions=(Action.CLAIM_RELEASED.value,))
        return _among(replace(found, search=released), await numbers.encounters_of_claim(number))
    if system not in ("", systems.ENCOUNTER_KEY):
        return replace(found, nothing=True)
    changes = replace(found.search, actions=provenance.CHANGES)
    return _among(replace(found, search=changes), [_key(number)])


async def _patient(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    """The encounters that a patient's number leads to."""
    authority, number = _identifier(_one(name, value).removeprefix("Patient/"))
    keys = await numbers.encounters_with([number], authority or None)
    if len(keys) > MAX_ENCOUNTERS:
        raise Fault(422, f"The number leads to more than {MAX_ENCOUNTERS} encounters: ask for one of them", where=name)
    return _among(found, keys)


async def _ids(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    ids = tuple(id_ for part in _values(name, value) if (id_ := own_id(part)) is not None)
    return replace(found, ids=tuple(dict.fromkeys(ids)))


async def _count(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    count = own_id(value)
    if count is None:
        raise Fault(400, "_count takes a number", where=name)
    limited = replace(found.search, limit=max(1, min(count, MAX_COUNT)))
    return replace(found, search=limited, only_counts=found.only_counts or count == 0)


async def _sort(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    """Another order than the trail's own is left aside."""
    if value.removeprefix("-") not in ("date", "recorded", "_lastUpdated"):
        return found
    return replace(found, search=replace(found.search, newest_first=value.startswith("-")))


async def _after(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    """Read last: which way it goes on hangs on the order."""
    after = own_id(value)
    if after is None:
        raise Fault(400, "Follow the next link as it was given", where=name)
    return found.going_on(after)


async def _summary(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    """A summary of another sort than the total is left aside."""
    if value not in ("count", "false"):
        return found
    return replace(found, only_counts=found.only_counts or value == "count")


async def _total(found: TrailSearch, name: str, value: str, numbers: Numbers, now: datetime) -> TrailSearch:
    """Exact or none: there is no estimate."""
    if value not in ("none", "estimate", "accurate"):
        return found
    return replace(found, counted=value != "none")


_BOTH: Mapping[str, Reading] = {
    "_id": _ids,
    "_lastUpdated": _date,
    "_count": _count,
    "_sort": _sort,
    "_summary": _summary,
    "_total": _total,
    "_after": _after,
}
AUDIT_EVENT: Mapping[str, Reading] = {
    **_BOTH,
    "date": _date,
    "action": _coded,
    "type": _coded,
    "subtype": _coded,
    "outcome": _coded,
    "agent": _agent,
    "agent:identifier": _agent,
    "entity": _entity,
    "entity:identifier": _entity,
    "patient": _patient,
    "patient:identifier": _patient,
    "patient.identifier": _patient,
}
PROVENANCE: Mapping[str, Reading] = {
    **_BOTH,
    "recorded": _date,
    "target": _target,
    "target:identifier": _target,
    "patient": _patient,
    "patient:identifier": _patient,
    "patient.identifier": _patient,
}
"""A parameter that is not here is left aside, as R4 asks, and missing from the self link; refused when the client asked
for strict handling. A reading that gives the search back as it was does not support the value: the same is done. A
modifier that is not here is refused."""

_IGNORED = frozenset({"_format", "_pretty"})
_REPEATABLE = frozenset({"date", "recorded", "_lastUpdated"})
_LAST = {"_sort": 1, "_after": 2}
"""Parameters that hang on those before them."""


async def trail_search(
    asked: Iterable[tuple[str, str]],
    readings: Mapping[str, Reading],
    numbers: Numbers,
    now: datetime,
    *,
    actions: tuple[str, ...] | None = None,
    strict: bool = False,
) -> TrailSearch:
    """The search that `asked` is; of `actions` only, where they are given. Fault 400 or 422."""
    found = TrailSearch(EventSearch(actions=actions, limit=DEFAULT_COUNT))
    seen: set[str] = set()
    for name, value in sorted(asked, key=lambda pair: _LAST.get(pair[0], 0)):
        read = readings.get(name)
        if read is None:
            _passed_over(name, readings, strict=strict)
            continue
        if name in seen and name not in _REPEATABLE:
            raise Fault(400, "Give this parameter once, its values separated by commas", where=name)
        seen.add(name)
        after = await read(found, name, value, numbers, now)
        if after is not found:
            found = replace(after, used=(*found.used, (name, value)))
        elif strict:
            raise Fault(400, "This value is not supported", code="not-supported", where=name)
    return found


def _passed_over(name: str, readings: Mapping[str, Reading], *, strict: bool) -> None:
    known, modified, _ = name.partition(":")
    if modified and known in readings:
        raise Fault(400, "This modifier is not supported", code="not-supported", where=known)
    if strict and name not in _IGNORED:
        raise Fault(400, "A search parameter is not supported here", code="not-supported")


def _among(found: TrailSearch, keys: Sequence[str]) -> TrailSearch:
    """Of these encounters, and of those that were asked for before."""
    before = found.search.encounters
    kept = tuple(key for key in keys if before is None or key in before)
    return replace(found, search=replace(found.search, encounters=kept), nothing=found.nothing or not kept)


def _values(name: str, value: str) -> list[str]:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts or len(parts) > MAX_VALUES or not value.isprintable():
        raise Fault(400, f"Give 1 to {MAX_VALUES} values", where=name)
    return parts


def _one(name: str, value: str) -> str:
    parts = _values(name, value)
    if len(parts) != 1:
        raise Fault(400, "Give one value", where=name)
    return parts[0]


def _identifier(text: str) -> tuple[str, str]:
    """The system, empty where there is none, and the value."""
    system, _, value = text.rpartition("|")
    return system, value


def _is_key(text: str) -> bool:
    return text.count(":") == 2


def _key(text: str) -> str:
    """An encounter's key as the trail has it; a text that is none leads to nothing."""
    try:
        return str(EncounterKey.parse(text))
    except ValueError:
        return text
