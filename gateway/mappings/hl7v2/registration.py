"""What every family says of patient, visit and payers: PID, PV1, GT1, IN1 (chapter 3; chapter 6 for the last two)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from gateway.encounter.change import Change, Content, Items, Mode, Places
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import Charge, Coverage, Document, Guarantor, Patient, Provider, Visit
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.mapped import FeedProfile, MappingError
from gateway.mappings.hl7v2.plan import Values
from gateway.mappings.hl7v2.reading import Reading

_COVERAGES = TypeAdapter(tuple[Coverage, ...])
_NUMBERS = {"account": "account", "visit": "number"}
"""What a feed's key calls the encounter's numbers, and their canonical fields."""


@dataclass(slots=True)
class Registration:
    """The parts of a Change that registration segments say, and what identifies the encounter."""

    key: EncounterKey
    identifiers: tuple[Identifier, ...]
    patient: Patient | None = None
    visit: Visit | None = None
    guarantor: Guarantor | None = None
    providers: tuple[Provider, ...] | None = None
    coverages: Items[Coverage] | None = None
    places: list[Places] = field(default_factory=list)

    def change(
        self,
        message_id: int,
        reading: Reading,
        coded: CodedParts | None = None,
        *,
        charges: Items[Charge] | None = None,
        documents: Items[Document] | None = None,
        contents: tuple[Content, ...] = (),
        places: Sequence[Places] = (),
    ) -> Change:
        """The Change that these and the family's own parts make."""
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
            charges=charges,
            documents=documents,
            contents=contents,
            places=(*self.places, *(coded.places if coded else ()), *places),
            problems=tuple(reading.problems),
        )


def register(reading: Reading, source: FeedProfile, family: str) -> Registration:
    """What the message's registration segments say; only the numbers when the dialect lets no more of `family` count.

    MappingError when none of the numbers that may key an encounter is there, or when it keys several encounters.
    """
    dialect = source.dialect
    whole = family in dialect.registration
    visit, places = (dialect.plans["visit"] if whole else dialect.numbers).once(reading)
    patient, patient_places = dialect.plans["patient"].once(reading)
    registered = Registration(_key(reading, visit, source), _identifiers(visit, patient), places=[*places])
    if whole:
        registered.places += patient_places
        registered.visit = Visit.model_validate(visit) if visit else None
        registered.patient = _patient(patient)
        _participants(reading, source, registered)
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


def _participants(reading: Reading, source: FeedProfile, registered: Registration) -> None:
    plans = source.dialect.plans
    guarantor, places = plans["guarantor"].once(reading)
    if guarantor:
        registered.guarantor = Guarantor.model_validate(guarantor)
        registered.places += places
    providers, places = plans["providers"].once(reading)
    if providers:
        registered.providers = tuple(p for value in providers.values() for p in _people(value))
        registered.places += places
    registered.coverages = _coverages(reading, source, registered.places)


def _people(value: object) -> tuple[Provider, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, Provider) else ()


def _coverages(reading: Reading, source: FeedProfile, places: list[Places]) -> Items[Coverage] | None:
    """The coverages of the message take the place of those before: IN1 is sent as a snapshot.

    One that stands again word for word, as with each charge of a DFT, is the same.
    """
    plan = source.dialect.plans["coverages"]
    said: list[Values] = []
    known: set[frozenset[tuple[str, object]]] = set()
    several = len(reading.message.positions("IN1")) > 1
    for number, _, values, mask in plan.each(reading):
        if values.keys() <= {"rank"}:
            continue
        if several:
            as_said = frozenset(values.items())
            if as_said in known:
                continue
            known.add(as_said)
        places += plan.places(mask, len(said), number)
        said.append({"id": f"IN1[{number}]", **values})
    return Items(_COVERAGES.validate_python(said), Mode.REPLACE) if said else None
