"""The service lines of an inbound Claim, and who provided them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from gateway.encounter.model import Charge, CodeSystem, Provider, ProviderRole
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import code_of, codings, day, provider
from gateway.mappings.fhir.source import Reading


class Member(NamedTuple):
    """A member of the care team. `role` is None when the claim says none, or one that no claim form has."""

    role: ProviderRole | None
    provider: Provider | None
    unspecific: bool
    """No role, or `primary`: then a line that names only this member was provided by it."""


CareTeam = Mapping[int, Member]


def care_team(reading: Reading) -> CareTeam:
    """The care team by sequence."""
    team: dict[int, Member] = {}
    for element in reading.resource.many("careTeam"):
        sequence = element.integer("sequence")
        if sequence is None:
            raise MappingError("required", element.place("sequence"), "is required")
        said = [code for _, code in codings(element.one("role"))]
        role = next((systems.CARE_TEAM[code] for code in said if code in systems.CARE_TEAM), None)
        who = provider(reading, element.one("provider"), role or ProviderRole.RENDERING)
        team[sequence] = Member(role, who, not said or "primary" in said)
    return team


def read_charges(
    reading: Reading, prefix: str, diagnoses: Mapping[int, str | None], team: CareTeam
) -> tuple[Charge, ...]:
    """A charge for each line: the same line keeps its id."""
    charges = []
    for item, name in lines(reading.resource, prefix):
        reading.about = name
        charges.append(_charge(reading, item, name, diagnoses, team))
    reading.about = prefix
    _check_total(reading, charges)
    return tuple(charges)


def lines(resource: Element, prefix: str) -> list[tuple[Element, str]]:
    """Each line with its charge's id: its trace number (Da Vinci PAS), which is what FT1-2 says of the same charge in
    HL7 v2, or else the claim's prefix and the line's sequence. MappingError when two lines have one.
    """
    named: dict[str, Element] = {}
    taken: set[int] = set()
    for item in resource.many("item"):
        sequence = item.integer("sequence")
        if sequence is None or sequence in taken:
            raise MappingError("value", item.place("sequence"), "each line has a sequence of its own")
        taken.add(sequence)
        name = _trace(item) or f"{prefix}{sequence}"
        if named.setdefault(name, item) is not item:
            raise MappingError("value", item.place("extension"), "each line has a trace number of its own")
    return [(item, name) for name, item in named.items()]


def _trace(item: Element) -> str | None:
    traces = (e for e in item.many("extension") if e.text("url") == systems.ITEM_TRACE_EXTENSION)
    return next((value for e in traces if (value := e.one("valueIdentifier").text("value"))), None)


def _charge(reading: Reading, item: Element, name: str, diagnoses: Mapping[int, str | None], team: CareTeam) -> Charge:
    start, end = _dates(reading, item)
    if item.many("detail"):
        reading.problem(
            "detail", item.place("detail"), "its services are not taken: have each sent as a line of its own"
        )
    said: dict[str, Any] = {
        **_service(reading, item),
        "modifiers": tuple(code for concept in item.many("modifier") for _, code in codings(concept)[:1]),
        "units": item.one("quantity").number("value"),
        "amount": _amount(reading, item),
        "start": start,
        "end": end,
        "diagnoses": _pointers(reading, item, diagnoses),
        "providers": _providers(item, team),
        "place_of_service": _place_of_service(reading, item.one("locationCodeableConcept")),
    }
    return Charge(
        id=name,
        source=reading.source.feed,
        origin=reading.origin(item),
        **{key: value for key, value in said.items() if value not in (None, ())},
    )


def _service(reading: Reading, item: Element) -> dict[str, Any]:
    """The billable code with its system, the sender's own code beside it, and the revenue code."""
    said: dict[str, Any] = {}
    for uri, code in codings(item.one("productOrService")):
        system = systems.CODE_SYSTEM_READ.get(uri or "")
        if system in (CodeSystem.CPT, CodeSystem.HCPCS):
            said.setdefault("code", code)
            said.setdefault("system", systems.service_system(code) or system)
        elif uri == systems.REVENUE_CODE:
            said.setdefault("revenue_code", code)
        elif uri != systems.DATA_ABSENT:
            said.setdefault("local_code", code)
    revenue = codings(item.one("revenue"))
    if revenue:
        said["revenue_code"] = code_of(item.one("revenue"), systems.REVENUE_CODE) or revenue[0][1]
    if not said:
        reading.problem("code-unknown", item.place("productOrService"), "gives no code of a service")
    return said


def _dates(reading: Reading, item: Element) -> tuple[Any, Any]:
    period = item.one("servicedPeriod")
    if period:
        return day(reading, period, "start"), day(reading, period, "end")
    return day(reading, item, "servicedDate"), None


def _amount(reading: Reading, item: Element) -> Decimal | None:
    """Item.net; or, by its definition, quantity x unit price x factor when it is left out. Both must agree."""
    net, price = _dollars(reading, item.one("net")), _dollars(reading, item.one("unitPrice"))
    quantity, factor = item.one("quantity").number("value"), item.number("factor")
    if price is None or quantity is None:
        return net
    product = price * quantity * (Decimal(1) if factor is None else factor)
    # A factor is a rounded number as often as not: only a difference that no rounding explains is one.
    if net is not None and abs(net - product) >= Decimal("0.01"):
        text = "is not quantity times unit price: which is the line's must be made sure"
        reading.problem("charge-amount-differs", item.place("net"), text)
    return product if net is None else net


def _dollars(reading: Reading, money: Element) -> Decimal | None:
    if money.text("currency") not in (None, "USD"):
        reading.problem("currency", money.path, "is not in US dollars")
        return None
    return money.number("value")


def _pointers(reading: Reading, item: Element, diagnoses: Mapping[int, str | None]) -> tuple[str, ...]:
    codes = []
    for sequence in item.integers("diagnosisSequence"):
        code = diagnoses.get(sequence)
        if code is None:
            reading.problem("pointer", item.place("diagnosisSequence"), "points to no diagnosis of the claim")
        else:
            codes.append(code)
    return tuple(dict.fromkeys(codes))


def _providers(item: Element, team: CareTeam) -> tuple[Provider, ...]:
    members = [team[sequence] for sequence in item.integers("careTeamSequence") if sequence in team]
    if len(members) == 1 and members[0].unspecific:
        return (members[0].provider,) if members[0].provider else ()
    return tuple(m.provider for m in members if m.role is not None and m.provider is not None)


def _place_of_service(reading: Reading, concept: Element) -> str | None:
    pairs = codings(concept)
    if not pairs:
        return None
    code = code_of(concept, *systems.PLACE_OF_SERVICE_READ)
    if code is None:
        reading.problem("code-unknown", concept.path, "is not of CMS's place of service codes")
    return code


def _check_total(reading: Reading, charges: list[Charge]) -> None:
    total = reading.resource.one("total").number("value")
    if total is not None and total != sum((charge.amount or Decimal(0) for charge in charges), Decimal(0)):
        reading.problem("total", "Claim.total", "differs from the sum of the lines")
