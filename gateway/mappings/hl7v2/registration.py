"""What every family says of patient, visit and payers: PID, PV1, GT1, IN1 (chapter 3; chapter 6 for the last two)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from gateway.encounter.change import Change, Content, Items, Places
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import Coverage, Document, Guarantor, Patient, Provider, Visit
from gateway.mappings.hl7v2.actions import DELETED, UNCHANGED, action_of, listed
from gateway.mappings.hl7v2.charges import Charges
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.mapped import FeedProfile, MappingError
from gateway.mappings.hl7v2.moment import moment
from gateway.mappings.hl7v2.plan import Values
from gateway.mappings.hl7v2.reading import Reading

_COVERAGES = TypeAdapter(tuple[Coverage, ...])
_ACTION = 55
_NUMBERS = {"account": "account", "visit": "number"}
"""What a feed's key calls the encounter's numbers, and their canonical fields."""


@dataclass(slots=True)
class Registration:
    """The parts of a Change that registration segments say, and what identifies the encounter."""

    key: EncounterKey
    identifiers: tuple[Identifier, ...]
    mapping: str
    """The version of the mapping that reads the message."""
    patient: Patient | None = None
    visit: Visit | None = None
    guarantor: Guarantor | None = None
    providers: tuple[Provider, ...] | None = None
    coverages: Items[Coverage] | None = None
    places: list[Places] = field(default_factory=list)

    def leave_out(self, names: Collection[str]) -> None:
        """Say nothing of these fields of the visit."""
        if self.visit is None:
            return
        said = {name: getattr(self.visit, name) for name in self.visit.model_fields_set - set(names)}
        self.visit = Visit.model_validate(said) if said else None
        self.places = [kept for places in self.places if (kept := _without(places, names))]

    def keep_person(self) -> None:
        """Say nothing of the visit but its numbers, and nothing of who takes part in it."""
        self.leave_out(Visit.model_fields.keys() - _NUMBERS.values())
        self.providers = None
        self.places = [places for places in self.places if places.group != "providers"]

    def keep_numbers(self) -> None:
        """Say nothing but the encounter's and the patient's numbers."""
        self.patient = self.visit = self.guarantor = self.providers = self.coverages = None
        names = Visit.model_fields.keys() - _NUMBERS.values()
        numbers = (_without(places, names) for places in self.places if places.group == "visit")
        self.places = [places for places in numbers if places]

    def change(
        self,
        message_id: int,
        reading: Reading,
        coded: CodedParts | None = None,
        *,
        event: str,
        cancels: tuple[str, ...] = (),
        charges: Charges | None = None,
        documents: Items[Document] | None = None,
        contents: tuple[Content, ...] = (),
        places: Sequence[Places] = (),
    ) -> Change:
        """The Change that these and the family's own parts make."""
        at = moment(reading)
        if charges is None and reading.message.positions("FT1"):
            reading.problem(
                "charges-not-taken", "FT1[1]", "charges are taken from DFT messages only; have them sent so"
            )
        return Change(
            message=message_id,
            key=self.key,
            identifiers=self.identifiers,
            patient=self.patient,
            guarantor=self.guarantor,
            visit=self.visit,
            coding=coded.coding if coded else None,
            providers=self.providers,
            coverages=self.coverages,
            diagnoses=coded.diagnoses if coded else None,
            procedures=coded.procedures if coded else None,
            charges=charges.items if charges else None,
            documents=documents,
            contents=contents,
            places=(*self.places, *(coded.places if coded else ()), *places),
            problems=tuple(reading.problems),
            at=at,
            mapping=self.mapping,
            event=event,
            cancels=cancels,
            counted=charges.counted if charges else 0,
            passed_over=charges.passed_over if charges else 0,
            match=charges.match if charges else (),
        )


def _without(places: Places, names: Collection[str]) -> Places | None:
    """The places of a visit without those of the fields `names`; those of anything else as they are."""
    if places.group != "visit" or not any(name in names for name in places.fields):
        return places
    fields = {name: place for name, place in places.fields.items() if name not in names}
    return replace(places, fields=fields) if fields else None


def has_number(reading: Reading, source: FeedProfile) -> bool:
    """Whether the message has one of the numbers that the feed keys encounters by."""
    said, _ = source.dialect.numbers.once(reading)
    return any(isinstance(said.get(_NUMBERS[choice]), Identifier) for choice in source.key or source.dialect.key)


def register(reading: Reading, source: FeedProfile, family: str) -> Registration:
    """What the message's registration segments say; only the numbers when the dialect lets no more of `family` count.

    MappingError when none of the numbers that may key an encounter is there, or when it keys several encounters.
    """
    dialect = source.dialect
    whole = family in dialect.registration
    visit, places = (dialect.plans["visit"] if whole else dialect.numbers).once(reading)
    patient, patient_places = dialect.plans["patient"].once(reading)
    key, numbers = _key(reading, visit, source), _identifiers(visit, patient)
    registered = Registration(key, numbers, dialect.version, places=[*places])
    if whole:
        registered.places += patient_places
        registered.visit = Visit.model_validate(visit) if visit else None
        registered.patient = _patient(patient)
        _participants(reading, source, registered, family)
    return registered


def _key(reading: Reading, visit: Values, source: FeedProfile) -> EncounterKey:
    choices = source.key or source.dialect.key
    for choice in choices:
        name = _NUMBERS[choice]
        number = visit.get(name)
        if isinstance(number, Identifier):
            _refuse_several(reading, source, name)
            return EncounterKey(source.facility, number.authority or "", number.value)
    wanted = " or ".join(choices)
    text = (
        f"the message has no number for an encounter's key ({wanted}): have the sender send it, "
        "or say in the dialect's fields.visit where it stands"
    )
    raise MappingError("no-encounter-number", _where(source), text)


def _refuse_several(reading: Reading, source: FeedProfile, name: str) -> None:
    """MappingError when segments of one kind name different encounters: whose the charges are cannot be told."""
    where, said = source.dialect.numbers.everywhere(reading, name)
    numbers = {each.value for each in said if isinstance(each, Identifier)}
    if len(numbers) > 1:
        text = f"the message names {len(numbers)} encounters; have the sender send one in a message"
        raise MappingError("several-encounters", where, text)


def _where(source: FeedProfile) -> str:
    rules = source.dialect.fields.get("visit", {})
    choices = source.key or source.dialect.key
    names = [_NUMBERS[choice] for choice in choices if _NUMBERS[choice] in rules]
    return ", ".join(path for name in names for path in rules[name].paths)


def _identifiers(visit: Values, patient: Values) -> tuple[Identifier, ...]:
    numbers = [visit.get(name) for name in _NUMBERS.values()]
    known = patient.get("identifiers")
    return tuple(n for n in numbers if isinstance(n, Identifier)) + (known if isinstance(known, tuple) else ())


def _patient(values: Values) -> Patient | None:
    if values.get("identifiers", ()) is None:
        values["identifiers"] = ()
    return Patient.model_validate(values) if values else None


def _participants(reading: Reading, source: FeedProfile, registered: Registration, family: str) -> None:
    plans = source.dialect.plans
    guarantor, places = plans["guarantor"].once(reading)
    if guarantor:
        registered.guarantor = Guarantor.model_validate(guarantor)
        registered.places += places
    providers, places = plans["providers"].once(reading)
    if providers:
        registered.providers = tuple(p for value in providers.values() for p in _people(value))
        registered.places += places
    replaced = "coverages" in source.replaces(family)
    registered.coverages = _coverages(reading, source, registered.places, replaced=replaced)


def _people(value: object) -> tuple[Provider, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, Provider) else ()


def _coverages(
    reading: Reading, source: FeedProfile, places: list[Places], *, replaced: bool
) -> Items[Coverage] | None:
    """The coverages of the message: all there are, where the feed sends them so; else each beside those before.

    One that stands again word for word, as with each charge of a DFT, is the same. IN1-55 (from version 2.9) may add,
    update, delete or leave one alone.
    """
    plan = source.dialect.plans["coverages"]
    said: list[Values] = []
    removed: list[str] = []
    known: set[frozenset[tuple[str, object]]] = set()
    several, emptied = len(reading.message.positions("IN1")) > 1, False
    for number, span, values, mask in plan.each(reading):
        if values.keys() <= {"rank"}:
            continue
        if several:
            as_said = frozenset(values.items())
            if as_said in known:
                continue
            known.add(as_said)
        if all(value is None for name, value in values.items() if name != "rank"):
            emptied = True
            continue
        id = f"IN1[{number}]" if replaced else _coverage_id(values, number)
        action = action_of(reading, span[0], _ACTION)
        if action == DELETED:
            removed.append(id)
            emptied = True
        elif action != UNCHANGED or replaced:
            places += plan.places(mask, len(said), number)
            said.append({"id": id, **values})
    gone = () if replaced else tuple(removed)
    return listed(_COVERAGES.validate_python(said), gone, replaced=replaced, emptied=emptied)


def _coverage_id(values: Values, number: int) -> str:
    """Names a coverage by payer and plan: said again, it takes its own place."""
    payer = values.get("payer")
    named = (payer.value if isinstance(payer, Identifier) else values.get("payer_name"), values.get("plan"))
    return "/".join(str(part) for part in named if part) or f"IN1[{number}]"
