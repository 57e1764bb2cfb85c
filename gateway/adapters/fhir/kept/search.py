"""A search over kept resources: its parameters into the store's words, and back into links (R4, search)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from gateway.adapters.fhir.search_dates import PREFIXES, searched_date
from gateway.adapters.http.exchange import Fault, own_id
from gateway.mappings.fhir.capability import DATE, OFFERED, REFERENCE, Parameter
from gateway.mappings.fhir.literals import reference_token
from gateway.store.instants import instant, micros
from gateway.store.resources import (
    MAX_CONDITIONS,
    MAX_EXCLUSIONS,
    MAX_UNLESS,
    Condition,
    Range,
    ResourceOrder,
    ResourceSearch,
)

DEFAULT_COUNT = 50
MAX_COUNT = 100
MAX_VALUES = 50
MAX_PARAMETERS = 50
MAX_VALUE = 1024

_SPLIT = re.compile(r"(?<!\\),")
_ESCAPED = re.compile(r"\\([,|$\\])")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_AFTER = re.compile(r"(\d{1,19})\.([A-Za-z0-9.-]{1,64})")
_BOUNDING = tuple(prefix for prefix in PREFIXES if prefix not in ("ne", "ap"))
_CODES = frozenset({"status", "use", "gender", "active"})
"""Parameters whose values are codes without a system of their own."""
_PLAIN = frozenset({"_format", "_pretty"})
_PLAIN_NAME = re.compile(r"[A-Za-z_-]{1,64}")
"""What is told of an unknown parameter; anything else may be a value gone astray."""
_LAST = "~"
"""Behind every date, as texts are compared."""


@dataclass(frozen=True, slots=True)
class Include:
    """What a search brings along: what `parameter` of a match of `type` refers to, of one type with `target`."""

    type: str
    parameter: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class KeptSearch:
    """What to look for, and the parameters that were understood, for the self link. `nothing`: nothing can match."""

    search: ResourceSearch
    includes: tuple[Include, ...] = ()
    used: tuple[tuple[str, str], ...] = ()
    nothing: bool = False
    counts: bool = True
    """Whether the client wants the total."""
    only_counts: bool = False

    def link(self, address: str, after: tuple[datetime, str] | None = None) -> str:
        """The search's own address, or that of the page that begins after a resource (written, id)."""
        pairs = [pair for pair in self.used if pair[0] != "_after" or after is None]
        if after is not None:
            pairs.append(("_after", f"{micros(after[0])}.{after[1]}"))
        return f"{address}?{urlencode(pairs)}" if pairs else address


@dataclass(frozen=True, slots=True)
class _Given:
    """One parameter of the address, taken apart."""

    name: str
    modifier: str
    values: tuple[str, ...]
    type: str
    parameter: Parameter

    @property
    def where(self) -> str:
        return self.name


def kept_search(client: str, type_: str, pairs: Iterable[tuple[str, str]], *, strict: bool = False) -> KeptSearch:
    """The search that `pairs` ask for. An unknown parameter, and an order, a summary, a total or an `_include` that is
    not offered, is left aside and missing from the self link (R4, search, 3.1.1.4); when strict it is refused.
    Fault 400 for that, and for any other value that is not understood.
    """
    found = KeptSearch(ResourceSearch(client, type_, limit=DEFAULT_COUNT))
    for number, (written, value) in enumerate(pairs):
        if number >= MAX_PARAMETERS or len(value) > MAX_VALUE * 4:
            raise Fault(400, f"Give at most {MAX_PARAMETERS} parameters, each of a few thousand characters")
        name, modifier = _named(written)
        control = _CONTROLS.get(name)
        parameter = OFFERED[type_].search.get(name)
        if control is not None:
            if modifier:
                raise _no_modifier(name)
            before, found = found, control(found, value)
            if found is before:
                _unsupported(name, strict=strict)
                continue
        elif parameter is not None:
            found = _narrowed(found, _Given(name, modifier, _values(name, value), type_, parameter))
        elif strict and name not in _PLAIN:
            text = f"A search parameter is not supported for {type_}"
            raise Fault(400, text, code="not-supported", where=written if _PLAIN_NAME.fullmatch(written) else type_)
        else:
            continue
        found = replace(found, used=(*found.used, (written, value)))
    return _ordered(found)


def _unsupported(name: str, *, strict: bool) -> None:
    if strict:
        raise Fault(400, "This value is not supported", code="not-supported", where=name)


def criteria(client: str, type_: str, text: str) -> tuple[Condition, ...]:
    """The conditions of an If-None-Exist header (R4, conditional create). Fault 400 or 412 (412 is for matches)."""
    try:
        pairs = parse_qsl(text.removeprefix("?"), strict_parsing=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Fault(400, "Write If-None-Exist as a search: identifier=system|value", where="If-None-Exist") from None
    found = kept_search(client, type_, pairs, strict=True)
    search = found.search
    plain = ResourceSearch(client, type_, conditions=search.conditions, narrow=search.narrow, limit=search.limit)
    if search != plain or found.includes or not 0 < len(search.conditions) <= MAX_UNLESS:
        raise Fault(
            400,
            f"If-None-Exist takes 1 to {MAX_UNLESS} parameters that are codes, identifiers or references",
            code="not-supported",
            where="If-None-Exist",
        )
    return search.conditions


def _named(written: str) -> tuple[str, str]:
    """`patient:identifier` and `patient.identifier` are one."""
    name, _, modifier = written.partition(":")
    if not modifier and name.endswith(".identifier"):
        return name.removesuffix(".identifier"), "identifier"
    return name, modifier


def _values(name: str, value: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in _SPLIT.split(value) if part.strip())
    if not parts or len(parts) > MAX_VALUES or not value.isprintable() or max(map(len, parts)) > MAX_VALUE:
        raise Fault(400, f"Give 1 to {MAX_VALUES} values, separated by commas", where=name)
    return parts


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


# Parameters by their type


def _narrowed(found: KeptSearch, given: _Given) -> KeptSearch:
    if given.name == "_id":
        return _ids(found, given)
    if given.name == "_lastUpdated":
        return _last_updated(found, given)
    if given.parameter.type == DATE:
        return _dated(found, given)
    read = _reference if given.parameter.type == REFERENCE else _token
    condition, excluding = read(given)
    search = found.search
    if excluding:
        search = replace(search, exclusions=(*search.exclusions, condition))
    else:
        search = replace(search, conditions=(*search.conditions, condition))
    if len(search.conditions) > MAX_CONDITIONS or len(search.exclusions) > MAX_EXCLUSIONS:
        raise Fault(400, "The search has too many conditions; give fewer", code="too-costly", where=given.where)
    return replace(found, search=search)


def _token(given: _Given) -> tuple[Condition, bool]:
    if given.modifier not in ("", "not"):
        raise _no_modifier(given.where)
    tokens = tuple(_token_of(given, value) for value in given.values)
    return Condition(given.name, tokens), given.modifier == "not"


def _token_of(given: _Given, value: str) -> str:
    system, bar, code = value.rpartition("|")
    if not _plain(code):
        raise Fault(400, "Give a code or value, with or without its system", where=given.where)
    if given.name in _CODES or not bar:
        return _plain(code)
    return f"{_plain(system)}|{_plain(code)}"


def _reference(given: _Given) -> tuple[Condition, bool]:
    kinds = given.parameter.target
    if given.modifier == "identifier" or (not given.modifier and all("|" in value for value in given.values)):
        tokens = tuple(_token_of(given, value) for value in given.values)
        return Condition(f"{given.name}:identifier", tokens), False
    if given.modifier == "not":
        kinds_of = kinds
    elif given.modifier and given.modifier not in kinds:
        raise _no_modifier(given.where)
    else:
        kinds_of = (given.modifier,) if given.modifier else kinds
    tokens = tuple(token for value in given.values for token in _references(given, value, kinds_of))
    return Condition(given.name, tokens), given.modifier == "not"


def _references(given: _Given, value: str, kinds: Sequence[str]) -> list[str]:
    text = _plain(value)
    if "/" not in text and _ID.fullmatch(text):
        return [f"{kind}/{text}" for kind in kinds]
    token = reference_token(text)
    if token is None:
        raise Fault(400, "Give Type/id, or an id, or with :identifier a number with its system", where=given.where)
    return [token]


def _no_modifier(name: str) -> Fault:
    return Fault(400, "This modifier is not supported here", code="not-supported", where=name)


def _ids(found: KeptSearch, given: _Given) -> KeptSearch:
    if given.modifier:
        raise _no_modifier(given.where)
    ids = tuple(value for value in given.values if _ID.fullmatch(value))
    before = found.search.ids
    both = tuple(id_ for id_ in ids if not before or id_ in before)
    return replace(found, search=replace(found.search, ids=both), nothing=found.nothing or not both)


def _bounds(given: _Given) -> tuple[datetime | None, datetime | None]:
    """From when on, and before when. Fault 400."""
    if given.modifier:
        raise _no_modifier(given.where)
    return searched_date(_one(given), given.where, _BOUNDING).bounds()


def _last_updated(found: KeptSearch, given: _Given) -> KeptSearch:
    search = found.search
    begin, end = _bounds(given)
    begins = [moment for moment in (search.changed_from, begin) if moment is not None]
    ends = [moment for moment in (search.changed_before, end) if moment is not None]
    bounded = replace(search, changed_from=max(begins, default=None), changed_before=min(ends, default=None))
    return replace(found, search=bounded)


def _dated(found: KeptSearch, given: _Given) -> KeptSearch:
    begin, end = _bounds(given)
    before = found.search.range
    if before is not None and before.name != given.name:
        raise Fault(400, "Search by one date only", code="too-costly", where=given.where)
    span = before or Range(given.name, "", _LAST)
    # Values are kept to the second: one that begins within a second begins with it.
    first = max(span.first, begin.isoformat()[:19] if begin is not None else "")
    last = min(span.end, end.isoformat()[:19] if end is not None else _LAST)
    return replace(found, search=replace(found.search, range=Range(given.name, first, last)))


def _one(given: _Given) -> str:
    if len(given.values) != 1:
        raise Fault(400, "Give one value", where=given.where)
    return given.values[0]


# What says how the results come. One that gives the search back as it was does not support the value.


def _count(found: KeptSearch, value: str) -> KeptSearch:
    count = own_id(value)
    if count is None:
        raise Fault(400, "_count takes a number", where="_count")
    limited = replace(found.search, limit=max(1, min(count, MAX_COUNT)))
    return replace(found, search=limited, only_counts=found.only_counts or count == 0)


def _sort(found: KeptSearch, value: str) -> KeptSearch:
    first = value.split(",", 1)[0].strip()
    known = {order.value: order for order in ResourceOrder}
    if first not in known or value.strip() not in (first, f"{first},_id"):
        return found
    return replace(found, search=replace(found.search, order=known[first]))


def _after(found: KeptSearch, value: str) -> KeptSearch:
    match = _AFTER.fullmatch(value)
    moment = own_id(match[1]) if match is not None else None
    if match is None or moment is None:
        raise Fault(400, "Follow the next link as it was given", where="_after")
    try:
        return replace(found, search=replace(found.search, after=(instant(moment), match[2])))
    except OverflowError:
        raise Fault(400, "Follow the next link as it was given", where="_after") from None


def _include(found: KeptSearch, value: str) -> KeptSearch:
    """`Claim:encounter`, `Claim:provider:Organization`, or `*`."""
    type_ = found.search.type
    offered = OFFERED[type_].includes
    kind, _, rest = value.partition(":")
    name, _, target = rest.partition(":")
    if value == "*":
        wanted = tuple(Include(type_, one) for one in offered)
    elif kind == type_ and (name in offered or name == "*"):
        wanted = tuple(Include(type_, one, target) for one in offered if name in ("*", one))
    else:
        return found
    return replace(found, includes=tuple(dict.fromkeys((*found.includes, *wanted))))


def _total(found: KeptSearch, value: str) -> KeptSearch:
    if value not in ("none", "estimate", "accurate"):
        return found
    return replace(found, counts=value != "none")


def _summary(found: KeptSearch, value: str) -> KeptSearch:
    if value not in ("count", "false"):
        return found
    return replace(found, only_counts=found.only_counts or value == "count")


_CONTROLS: Mapping[str, Callable[[KeptSearch, str], KeptSearch]] = {
    "_count": _count,
    "_sort": _sort,
    "_after": _after,
    "_include": _include,
    "_total": _total,
    "_summary": _summary,
}


def _ordered(found: KeptSearch) -> KeptSearch:
    """The narrowest condition first: the search begins with it when few resources can have it."""
    ranked = sorted(found.search.conditions, key=lambda condition: _width(found.search.type, condition))
    narrow = bool(ranked) and _width(found.search.type, ranked[0]) < _WIDE
    return replace(found, search=replace(found.search, conditions=tuple(ranked), narrow=narrow))


_WIDE = 2


def _width(type_: str, condition: Condition) -> int:
    if condition.name == "identifier" or condition.name.endswith(":identifier"):
        return 0
    parameter = OFFERED[type_].search.get(condition.name)
    narrow = parameter is not None and parameter.type == REFERENCE and parameter.target[:1] != ("Organization",)
    return 1 if narrow else _WIDE
