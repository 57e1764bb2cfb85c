"""Arbitrary encounters and changes, and small ones to tell a story with."""

from __future__ import annotations

from datetime import UTC, date, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import strategies as st

from gateway.encounter.change import Change, Items, Mode, Places
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import (
    Address,
    Charge,
    ChargeKind,
    CodeSystem,
    Coding,
    Coverage,
    Diagnosis,
    DiagnosisUse,
    Document,
    DocumentKind,
    DocumentStatus,
    Encounter,
    EncounterClass,
    Guarantor,
    Patient,
    PersonName,
    Procedure,
    Provider,
    ProviderRole,
    Visit,
    VisitStatus,
)
from gateway.encounter.problem import Problem

KEY = EncounterKey("MAIN", "HOSP", "A1001")
DAY = date(2026, 11, 18)

T = TypeVar("T")


def charge(id: str, code: str | None = "99213", amount: str = "168.00", **said: Any) -> Charge:
    """One unit of `code`, on the same day as all others."""
    given = {"units": Decimal(1), "amount": Decimal(amount), "start": DAY, "diagnoses": ("I10",), **said}
    return Charge(id=id, code=code, **given)


def credit(id: str, code: str = "99213", amount: str = "-168.00", **said: Any) -> Charge:
    return charge(id, code, amount, kind=ChargeKind.CREDIT, **{"diagnoses": (), **said})


def final(code: str, rank: int, **said: Any) -> Diagnosis:
    return Diagnosis(id=f"final-{code}", code=code, use=DiagnosisUse.FINAL, rank=rank, **said)


def working(code: str, **said: Any) -> Diagnosis:
    return Diagnosis(id=f"working-{code}", code=code, **said)


def change(message: int = 1, **said: Any) -> Change:
    return Change(message=message, key=KEY, **said)


def _said(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


words = st.text(max_size=8)
ids = st.sampled_from(["a", "b", "c", "claim/1", "claim/2"])
codes = st.sampled_from(["I10", "E119", "E785", "99213", "36415"])
days = st.dates(date(1900, 1, 1), date(2100, 1, 1))
moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-6)), timezone(timedelta(hours=5.5))]))
decimals = st.decimals(-10_000, 10_000, places=2) | st.decimals(-100, 100, places=0)
identifiers = st.builds(
    Identifier, value=st.text(min_size=1, max_size=6), authority=_said(words), type=_said(st.sampled_from(["AN", "VN"]))
)
names = st.builds(PersonName, family=_said(words), given=_said(words), middle=_said(words), suffix=_said(words))
addresses = st.builds(Address, line=_said(words), city=_said(words), state=_said(words), postal_code=_said(words))
providers = st.builds(
    Provider,
    role=st.sampled_from(ProviderRole),
    npi=_said(words),
    name=_said(names),
    organization=_said(words),
    identifiers=st.lists(identifiers, max_size=2).map(tuple),
)
several_providers = st.lists(providers, max_size=2).map(tuple)
patients = st.builds(
    Patient,
    identifiers=st.lists(identifiers, max_size=2).map(tuple),
    name=_said(names),
    birth_date=_said(days),
    sex=_said(st.sampled_from("FMU")),
    address=_said(addresses),
    phone=_said(words),
)
visits = st.builds(
    Visit,
    status=_said(st.sampled_from(VisitStatus)),
    encounter_class=_said(st.sampled_from(EncounterClass)),
    place_of_service=_said(words),
    admitted=_said(moments),
    discharged=_said(moments),
    account=_said(identifiers),
    number=_said(identifiers),
)
guarantors = st.builds(Guarantor, name=_said(names), relationship=_said(words), address=_said(addresses))
codings = st.builds(Coding, coder=_said(words), coded=_said(moments), final=_said(st.booleans()), drg=_said(words))
coverages = st.builds(
    Coverage,
    id=ids,
    rank=_said(st.integers(1, 3)),
    payer=_said(identifiers),
    member_id=_said(words),
    subscriber=_said(names),
)
diagnoses = st.builds(
    Diagnosis,
    id=ids,
    code=codes,
    system=_said(st.sampled_from(CodeSystem)),
    use=st.sampled_from(DiagnosisUse),
    rank=_said(st.integers(1, 30)),
    description=_said(words),
    source=_said(words),
    origin=_said(words),
)
procedures = st.builds(
    Procedure, id=ids, code=codes, performed=_said(days), modifiers=st.just(()), providers=several_providers
)
charges = st.builds(
    Charge,
    id=ids,
    kind=st.sampled_from(ChargeKind),
    code=_said(codes),
    modifiers=st.lists(st.sampled_from(["25", "59"]), max_size=2).map(tuple),
    units=_said(st.sampled_from([Decimal(1), Decimal(-1), Decimal("2.5")])),
    amount=_said(decimals | st.sampled_from([Decimal(100), Decimal(-100)])),
    start=_said(st.sampled_from([DAY, DAY + timedelta(days=1)])),
    diagnoses=st.lists(codes, max_size=3).map(tuple),
    providers=several_providers,
    revenue_code=_said(words),
    place_of_service=_said(words),
    reverses=_said(ids),
    source=_said(words),
    origin=_said(words),
)
documents = st.builds(
    Document,
    id=ids,
    kind=st.sampled_from(DocumentKind),
    status=st.sampled_from(DocumentStatus),
    author=_said(providers),
    written=_said(moments),
    size=_said(st.integers(0, 10_000)),
)
problems = st.builds(
    Problem,
    rule=st.sampled_from(["charge-unmapped", "code-unknown"]),
    where=st.sampled_from(["FT1[1]-25", "FT1[2]-10", "DG1[1]-3", "Claim.item[0]"]),
    text=words,
    code=_said(ids),
)


def _listed(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, max_size=4).map(tuple)


encounters = st.builds(
    Encounter,
    key=st.builds(EncounterKey, words.filter(bool), words, words.filter(bool)),
    identifiers=_listed(identifiers),
    patient=patients,
    guarantor=_said(guarantors),
    visit=visits,
    coverages=_listed(coverages),
    providers=_listed(providers),
    diagnoses=_listed(diagnoses),
    procedures=_listed(procedures),
    charges=_listed(charges),
    documents=_listed(documents),
    coding=codings,
    problems=_listed(problems),
)


def _items(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Items[Any] | None]:
    within = st.sampled_from([("",), ("claim/",), ("a", "b")])
    return _said(st.builds(Items, _listed(strategy), st.sampled_from(Mode), within))


places = st.builds(
    Places,
    group=st.sampled_from(["patient", "visit", "coding", "charges[0]", "diagnoses[1]"]),
    segment=st.sampled_from(["PID", "PV1", "FT1[1]", "DG1[2]"]),
    fields=st.dictionaries(st.sampled_from(["code", "units", "name"]), words, max_size=2),
)
changes = st.builds(
    Change,
    message=st.integers(1, 3),
    key=st.just(KEY),
    identifiers=_listed(identifiers),
    patient=_said(patients),
    guarantor=_said(guarantors),
    visit=_said(visits),
    coding=_said(codings),
    providers=_said(_listed(providers)),
    coverages=_items(coverages),
    diagnoses=_items(diagnoses),
    procedures=_items(procedures),
    charges=_items(charges),
    documents=_items(documents),
    places=_listed(places),
    problems=_listed(problems),
)
