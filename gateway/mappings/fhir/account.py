"""Account: the payers and the guarantor of a visit, as the Account that Encounter.account names has them."""

from __future__ import annotations

from typing import Any

from gateway.encounter.model import Coverage, Guarantor
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.coverage import coverage
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import address, codings, person_name
from gateway.mappings.fhir.source import Reading


def account_coverages(reading: Reading) -> tuple[tuple[Coverage, ...], bool]:
    """The coverages of the visit's account, by priority, and whether these are all; those that are not here are
    noticed.
    """
    entries = [entry for account in _accounts(reading) for entry in account.many("coverage")]
    found = [coverage(reading, entry.one("coverage"), entry.integer("priority")) for entry in entries]
    said = {cover.id: cover for cover in found if cover is not None}
    return tuple(sorted(said.values(), key=lambda cover: (cover.rank is None, cover.rank or 0))), None not in found


def guarantor(reading: Reading) -> Guarantor | None:
    """Who answers for the account: the first guarantor who is not on hold and whose time is not over."""
    for entry in (entry for account in _accounts(reading) for entry in account.many("guarantor")):
        if entry.flag("onHold") or entry.one("period").text("end"):
            continue
        person = reading.contained(entry.one("party"), "Patient", "RelatedPerson")
        if person:
            return _guarantor(person)
    return None


def _guarantor(person: Element) -> Guarantor:
    said: dict[str, Any] = {
        "name": person_name(person),
        "relationship": "self" if person.text("resourceType") == "Patient" else _relationship(person),
        "address": address(person),
    }
    return Guarantor(**{name: value for name, value in said.items() if value is not None})


def _relationship(person: Element) -> str | None:
    codes = [code for kind in person.many("relationship") for _, code in codings(kind)]
    known = [systems.ROLE_RELATIONSHIP[code] for code in codes if code in systems.ROLE_RELATIONSHIP]
    return known[0] if known else "other" if codes else None


def _accounts(reading: Reading) -> list[Element]:
    return [found for r in reading.resource.many("account") if (found := reading.contained(r, "Account"))]
