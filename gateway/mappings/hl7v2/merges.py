"""Merges, moves and changes of numbers: ADT^A18, A34 to A36, A40 to A45, A47, A49 to A51 (chapter 3, 3.3.18, 3.3.34 to
3.3.36, 3.3.40 to 3.3.45, 3.3.47, 3.3.49 to 3.3.51, 3.6.2): what MRG names is retired, what PID and PV1 name survives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gateway.encounter.identity import Identifier
from gateway.encounter.merge import Merge, MergeKind, Merges
from gateway.encounter.model import Patient
from gateway.encounter.renumbering import same_number
from gateway.mappings.hl7v2 import kinds
from gateway.mappings.hl7v2.mapped import FeedProfile, MappingError
from gateway.mappings.hl7v2.moment import moment
from gateway.mappings.hl7v2.numbers_matched import match_numbers, survives
from gateway.mappings.hl7v2.path import Path
from gateway.mappings.hl7v2.reading import At, Reading


class Group(NamedTuple):
    """One MRG, counted from 1, with the positions of the segments that belong to it."""

    number: int
    positions: dict[str, int]


class Side(NamedTuple):
    """Where one number of a pair stands: a field of the dialect, or a place of the standard."""

    group: str
    name: str


class Rule(NamedTuple):
    """What an event does with the numbers of a group. An optional one is left out where a number is not said."""

    kind: MergeKind
    retired: str
    surviving: Side | str
    subject: Side | None = None
    optional: bool = False


_ACCOUNT, _VISIT = Side("visit", "account"), Side("visit", "number")
_PATIENT = Rule(MergeKind.PATIENT, "MRG-1", Side("patient", "identifiers"))
_OF_ACCOUNT = Rule(MergeKind.ACCOUNT, "MRG-3", _ACCOUNT)
_OF_VISIT = Rule(MergeKind.VISIT, "MRG-5", _VISIT)

EVENTS: dict[str, tuple[Rule, ...]] = {
    "A18": (_PATIENT, _OF_ACCOUNT._replace(optional=True)),
    "A34": (_PATIENT,),
    "A35": (_OF_ACCOUNT,),
    "A36": (_PATIENT, _OF_ACCOUNT),
    "A40": (_PATIENT,),
    "A41": (_OF_ACCOUNT,),
    "A42": (_OF_VISIT,),
    "A43": (_PATIENT,),
    "A44": (_PATIENT._replace(kind=MergeKind.MOVE_ACCOUNT, subject=_ACCOUNT),),
    "A45": (_OF_ACCOUNT._replace(kind=MergeKind.MOVE_VISIT, subject=_VISIT),),
    "A47": (_PATIENT,),
    "A49": (_OF_ACCOUNT,),
    "A50": (_OF_VISIT,),
    "A51": (Rule(MergeKind.VISIT, "MRG-6", "PV1-50"),),
}
"""Trigger event -> the pairs that each MRG makes, in order."""

_SUBJECTS = {MergeKind.MOVE_ACCOUNT: "MRG-3", MergeKind.MOVE_VISIT: "MRG-5"}
"""Where MRG names what is moved, too."""
_SUBJECT_TYPES = {MergeKind.MOVE_ACCOUNT: "AN", MergeKind.MOVE_VISIT: "VN"}
_TYPES = {MergeKind.ACCOUNT: "AN", MergeKind.MOVE_VISIT: "AN", MergeKind.VISIT: "VN"}
"""The type of numbers that stand alone: one on each side, whoever gave them. Patients have lists of numbers."""


def merge(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Merges:
    """All pairs of the message, in its order. MappingError, and none of them counts, when one cannot be."""
    pairs: list[Merge] = []
    groups = list(_groups(reading))
    for group in groups:
        found = [pair for rule in EVENTS[trigger] for pair in _Pairing(reading, source, group, rule).pairs()]
        pairs += [pair for pair in found if not _is_known(pair, pairs)]
    patient = _patient(reading, source, groups)
    return Merges(message_id, source.facility, tuple(pairs), at=moment(reading), patient=patient)


def _groups(reading: Reading) -> Iterator[Group]:
    """Each MRG with the PID before it and the PV1 that belongs to it: after it and before the next, or, where the
    message has but one MRG, wherever it stands.
    """
    message = reading.message
    merged, persons, visits = message.positions("MRG"), message.positions("PID"), message.positions("PV1")
    if not merged:
        raise MappingError("merge-incomplete", "MRG", "the message has no MRG segment: nothing is retired by it")
    if len(persons) > len(merged):
        text = f"{len(persons)} patients and {len(merged)} MRG segments: which is whose cannot be told"
        raise MappingError("merge-incomplete", "MRG", text)
    for number, position in enumerate(merged, start=1):
        end = merged[number] if number < len(merged) else len(message)
        own = [p for p in visits if position < p < end] or (visits if len(merged) == 1 else [])
        person = [p for p in persons if p < position][-1:] or (persons if len(merged) == 1 else [])
        positions = {"MRG": position}
        if person:
            positions["PID"] = person[0]
        if own:
            positions["PV1"] = own[0]
        yield Group(number, positions)


class _Pairing:
    """The pairs that one rule makes of one group."""

    def __init__(self, reading: Reading, source: FeedProfile, group: Group, rule: Rule) -> None:
        self._reading = reading
        self._source = source
        self._group = group
        self._rule = rule
        self._where = self._named(rule.retired)

    def pairs(self) -> Iterator[Merge]:
        kind = self._rule.kind
        type = _TYPES.get(kind)
        retired, _ = self._numbers(self._rule.retired, type)
        surviving, place = self._numbers(self._rule.surviving, type)
        if not retired or not surviving:
            if not self._rule.optional:
                where = self._where if not retired else self._written(self._rule.surviving)
                raise MappingError("merge-incomplete", where, "one of the two numbers of the pair is missing")
            return
        subject, moved = self._subject()
        for old, new in self._matched(retired, surviving):
            yield Merge(kind, old, new, subject=subject, where=self._where, survives_at=place, subject_at=moved)

    def _matched(self, retired: list[Identifier], surviving: list[Identifier]) -> list[tuple[Identifier, Identifier]]:
        if all(survives(old, surviving) for old in retired):
            if self._rule.optional:
                return []
            raise MappingError("merge-into-itself", self._where, "the number that is retired is the one that survives")
        if self._rule.kind in _TYPES:
            return [(retired[0], surviving[0])]
        pairs = match_numbers(retired, surviving)
        if pairs is None:
            text = "no surviving number, or several, of the same assigning authority and type as the retired one"
            raise MappingError("merge-unmatched", self._where, text)
        return pairs

    def _subject(self) -> tuple[Identifier | None, str]:
        """What is moved, and its place. MappingError when it is not said, or when MRG calls it something else."""
        kind = self._rule.kind
        if self._rule.subject is None:
            return None, ""
        said, place = self._numbers(self._rule.subject, _SUBJECT_TYPES[kind])
        before, old_place = self._numbers(_SUBJECTS[kind], _SUBJECT_TYPES[kind])
        subject = next(iter(said or before), None)
        if subject is None:
            raise MappingError("move-unknown", self._named(_SUBJECTS[kind]), "the message does not say what it moves")
        if said and before and said[0].value != before[0].value:
            text = "what is moved has another number after it than before: send its merge in a message of its own"
            raise MappingError("move-unclear", self._named(_SUBJECTS[kind]), text)
        return subject, place if said else old_place

    def _numbers(self, place: Side | str, type: str | None) -> tuple[list[Identifier], str]:
        """The numbers at the first path of `place` that says any, and that path."""
        for path in self._paths(place):
            position = self._group.positions.get(path.segment)
            fields = self._reading.message.fields(position) if position is not None else []
            raw = fields[path.field] if len(fields) > path.field else ""
            found = _read(type)(self._reading, raw, At(component=path.component - 1)) if raw else None
            if isinstance(found, tuple):
                return list(found), self._at(path)
            if isinstance(found, Identifier):
                return [found], self._at(path)
        return [], ""

    def _at(self, path: Path) -> str:
        """The place as it stands in the message: which of several segments of the kind it is."""
        positions = self._reading.message.positions(path.segment)
        if len(positions) == 1:
            return path.text
        number = positions.index(self._group.positions[path.segment]) + 1
        return f"{path.segment}[{number}]-{path.text.partition('-')[2]}"

    def _paths(self, place: Side | str) -> list[Path]:
        if isinstance(place, str):
            return [Path.parse(place)]
        rule = self._source.dialect.fields.get(place.group, {}).get(place.name)
        return [Path.parse(path) for path in rule.paths] if rule else []

    def _named(self, place: str) -> str:
        return place.replace("MRG-", f"MRG[{self._group.number}]-")

    def _written(self, place: Side | str) -> str:
        return ", ".join(path.text for path in self._paths(place))


def _read(type: str | None) -> Callable[[Reading, str, At], object]:
    return kinds.identifiers if type is None else kinds.identifier(type, ours=True)


def _is_known(pair: Merge, pairs: list[Merge]) -> bool:
    """Whether the message said the pair before. MappingError when it said the opposite."""
    for each in pairs:
        if each.kind is not pair.kind or each.subject != pair.subject:
            continue
        if same_number(each.retired, pair.surviving) and same_number(each.surviving, pair.retired):
            raise MappingError("merge-reversed", pair.where, "the message retires a number that it lets survive, too")
        if same_number(each.retired, pair.retired) and same_number(each.surviving, pair.surviving):
            return True
    return False


def _patient(reading: Reading, source: FeedProfile, groups: list[Group]) -> Patient | None:
    """What the message says of the surviving patient, where it is about one and the feed's ADT counts."""
    persons = {group.positions.get("PID") for group in groups}
    position = persons.pop() if len(persons) == 1 else None
    if position is None or "ADT" not in source.dialect.registration:
        return None
    values, _ = source.dialect.plans["patient"].read(reading, reading.message.fields(position))
    values.pop("identifiers", None)
    return Patient.model_validate(values) if values else None
