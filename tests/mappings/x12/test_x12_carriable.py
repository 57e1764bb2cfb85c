"""What keeps a claim from being written as an 837P: told all at once, each with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Billing
from gateway.encounter.billable import Billable
from gateway.mappings.x12.carriable_837p import carriable, npi_valid
from gateway.mappings.x12.countries import ALPHA_2, country
from gateway.mappings.x12.reader import read
from gateway.mappings.x12.writer import Segment, Value, problems, render

Edit = Callable[[dict[str, Any]], None]


def at(path: str, value: object) -> Edit:
    """Sets `a.0.b` in the claim's JSON; deletes it when the value is ...."""

    def edit(tree: dict[str, Any]) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        node: Any = tree
        for step in steps:
            node = node[step]
        if value is ...:
            del node[last]
        else:
            node[last] = value

    return edit


def problems_after(fixtures: Path, edit: Edit, name: str = "office_visit") -> set[tuple[str, str]]:
    billed = Billable.model_validate_json((fixtures / "x12" / f"{name}.json").read_bytes())
    tree = billed.model_dump(mode="json", exclude_defaults=True)
    edit(tree)
    return {(p.rule, p.where) for p in carriable(Billable.model_validate(tree), Billing())}


CASES: list[tuple[Edit, str, str]] = [
    (at("kind", "institutional"), "x12-kind", "kind"),
    (at("patient.name.family", ...), "x12-missing", "patient.name.family"),
    (at("patient.name", ...), "x12-missing", "patient.name.family"),
    (at("patient.birth_date", ...), "x12-missing", "patient.birth_date"),
    (at("patient.sex", ...), "x12-missing", "patient.sex"),
    (at("patient.sex", "A"), "x12-sex", "patient.sex"),
    (at("patient.address", ...), "x12-missing", "patient.address.line"),
    (at("patient.address.city", "   "), "x12-missing", "patient.address.city"),
    (at("patient.address.city", "Zürich"), "x12-character", "patient.address.city"),
    (at("patient.address.line", "12 A:B"), "x12-delimiter", "patient.address.line"),
    (at("patient.address.line", "X" * 56), "x12-length", "patient.address.line"),
    (at("patient.address.postal_code", "6270"), "x12-postal-code", "patient.address.postal_code"),
    (at("coverages", []), "x12-coverage", "coverages"),
    (at("coverages.0.payer", ...), "x12-missing", "coverages[0].payer"),
    (at("coverages.0.payer_name", ...), "x12-missing", "coverages[0].payer_name"),
    (at("coverages.0.member_id", ...), "x12-missing", "coverages[0].member_id"),
    (at("coverages.0.relationship", ...), "x12-missing", "coverages[0].relationship"),
    (at("coverages.0.relationship", "uncle"), "x12-relationship", "coverages[0].relationship"),
    (at("diagnoses", []), "x12-missing", "diagnoses"),
    (at("diagnoses.0.code", "E11.9"), "x12-diagnosis-form", "diagnoses[0].code"),
    (at("diagnoses.0.system", "icd-9-cm"), "x12-diagnosis-system", "diagnoses[0].system"),
    (at("diagnoses.0.system", ...), "x12-diagnosis-system", "diagnoses[0].system"),
    (at("lines", []), "x12-lines", "lines"),
    (at("lines.1.code", ...), "x12-missing", "lines[1].code"),
    (at("lines.1.code", "9921"), "x12-procedure-form", "lines[1].code"),
    (at("lines.0.modifiers", ["25", "LT", "59", "XS", "76"]), "x12-modifiers", "lines[0].modifiers"),
    (at("lines.0.modifiers", ["2"]), "x12-modifiers", "lines[0].modifiers"),
    (at("lines.0.amount", ...), "x12-missing", "lines[0].amount"),
    (at("lines.0.amount", "-1"), "x12-amount", "lines[0].amount"),
    (at("lines.0.amount", "1.005"), "x12-amount", "lines[0].amount"),
    (at("lines.0.units", "0"), "x12-units", "lines[0].units"),
    (at("lines.0.units", ...), "x12-missing", "lines[0].units"),
    (at("lines.0.start", ...), "x12-missing", "lines[0].start"),
    (at("lines.0.end", "2025-03-01"), "x12-dates", "lines[0].end"),
    (at("lines.0.pointers", []), "x12-pointers", "lines[0].pointers"),
    (at("lines.0.pointers", [3]), "x12-pointers", "lines[0].pointers"),
    (at("lines.0.pointers", [0]), "x12-pointers", "lines[0].pointers"),
    (at("lines.0.pointers", [1, 1]), "x12-pointers", "lines[0].pointers"),
    (at("lines.0.code", "00790"), "x12-anesthesia", "lines[0].units"),
    (at("lines.0.place_of_service", ...), "x12-missing", "lines[0].place_of_service"),
    (at("lines.1.place_of_service", ...), "x12-place", "lines[1].place_of_service"),
    (at("lines.0.place_of_service", "1A"), "x12-place", "lines[0].place_of_service"),
    (at("lines.0.rendering.npi", "1245319598"), "x12-npi", "lines[0].rendering.npi"),
    (at("providers.0.npi", "9999999999"), "x12-npi", "providers[referring].npi"),
]


@pytest.mark.parametrize(("edit", "rule", "where"), CASES, ids=[f"{rule} {where}" for _, rule, where in CASES])
def test_each_fault_is_found_at_its_place(fixtures: Path, edit: Edit, rule: str, where: str) -> None:
    assert (rule, where) in problems_after(fixtures, edit)


@pytest.mark.parametrize("name", ["office_visit", "dependent_child", "inpatient_visits"])
def test_a_sound_claim_has_no_problem(fixtures: Path, name: str) -> None:
    assert problems_after(fixtures, lambda tree: None, name) == set()


@pytest.mark.parametrize(
    ("country", "state", "postal_code", "rules"),
    [
        ("GBR", ..., "SW1A 1AA", set()),
        ("GB", ..., "SW1A 1AA", set()),
        ("can", "ON", "M5V 2T6", set()),
        ("IRL", ..., ..., set()),
        ("PRI", "PR", "009010001", set()),
        ("USA", ..., "62701", {("x12-missing", "patient.address.state")}),
        ("GUM", "GU", "969", {("x12-postal-code", "patient.address.postal_code")}),
        ("XYZ", ..., ..., {("x12-length", "patient.address.country")}),
    ],
)
def test_an_address_abroad_has_its_country(
    fixtures: Path, country: str, state: object, postal_code: object, rules: set[tuple[str, str]]
) -> None:
    def move(tree: dict[str, Any]) -> None:
        at("patient.address.country", country)(tree)
        at("patient.address.state", state)(tree)
        at("patient.address.postal_code", postal_code)(tree)

    assert problems_after(fixtures, move) == rules


@pytest.mark.parametrize(("said", "written"), [("GBR", "GB"), ("irl", "IE"), ("DE", "DE"), (" ", None), (None, None)])
def test_a_country_has_two_letters(said: str | None, written: str | None) -> None:
    assert country(said) == written


def test_each_country_stands_once() -> None:
    assert len(ALPHA_2) == len(set(ALPHA_2.values())) == 249


@pytest.mark.parametrize("phone", ["217-555-0100", "5550100", "2175550100 x3"])
def test_the_contacts_telephone_has_ten_digits(fixtures: Path, phone: str) -> None:
    billed = Billable.model_validate_json((fixtures / "x12" / "office_visit.json").read_bytes())
    found = carriable(billed, Billing(contact_phone=phone))
    assert [(problem.rule, problem.where) for problem in found] == [("x12-telephone", "billing.contact_phone")]


def test_fifty_lines_are_carried_and_fifty_one_are_not(fixtures: Path) -> None:
    def lines(count: int) -> Edit:
        return lambda tree: tree.update(lines=[tree["lines"][1] for _ in range(count)])

    assert problems_after(fixtures, lines(50)) == set()
    assert ("x12-lines", "lines") in problems_after(fixtures, lines(51))


def test_twelve_diagnoses_are_carried_and_thirteen_are_not(fixtures: Path) -> None:
    def diagnoses(count: int) -> Edit:
        return lambda tree: tree.update(
            diagnoses=[{**tree["diagnoses"][0], "id": f"d{n}", "code": f"E{100 + n}"} for n in range(count)]
        )

    assert problems_after(fixtures, diagnoses(12)) == set()
    assert ("x12-diagnoses", "diagnoses") in problems_after(fixtures, diagnoses(13))


def test_the_order_of_payers_is_never_guessed(fixtures: Path) -> None:
    found = problems_after(fixtures, at("coverages.1.rank", 1), "dependent_child")
    assert ("x12-coverage-order", "coverages") in found


def test_medicare_behind_another_payer_needs_its_reason(fixtures: Path) -> None:
    found = problems_after(fixtures, at("coverages.1.filing", "MB"), "dependent_child")
    assert ("x12-medicare-secondary", "coverages[1]") in found


def test_the_site_s_own_mistakes_are_found_too(fixtures: Path) -> None:
    billed = Billable.model_validate_json((fixtures / "x12" / "office_visit.json").read_bytes())
    billing = Billing(npi="1234567890", postal_code="62701", tax_id="12-345", name="GENERAL*HOSPITAL")
    rules = {(p.rule, p.where) for p in carriable(billed, billing)}
    assert {
        ("x12-npi", "billing.npi"),
        ("x12-postal-code", "billing.postal_code"),
        ("x12-tax-id", "billing.tax_id"),
        ("x12-delimiter", "billing.name"),
    } <= rules


def test_no_problem_tells_a_patient_s_value(fixtures: Path) -> None:
    billed = Billable.model_validate_json((fixtures / "x12" / "office_visit.json").read_bytes())
    name = billed.patient.name.model_copy(update={"family": "CANARY^" + "X" * 80})  # type: ignore[union-attr]
    forged = billed.model_copy(update={"patient": billed.patient.model_copy(update={"name": name})})
    found = carriable(forged, Billing())
    assert found
    assert not any("CANARY" in part for p in found for part in (p.text, p.remedy, p.where, p.subject))


@pytest.mark.parametrize(("npi", "valid"), [("1234567893", True), ("1234567890", False), ("123456789", False)])
def test_an_npi_is_checked_by_its_digit(npi: str, valid: bool) -> None:
    assert npi_valid(npi) is valid


@given(st.text(min_size=1, max_size=20))
def test_whatever_a_value_holds_is_sent_unaltered_or_not_at_all(text: str) -> None:
    segments = [Segment("NM1", ("IL", "1", Value("patient.name.family", "the name", text, 60), "END"))]
    if problems(segments):
        return
    body = render(segments).decode()
    assert body == f"NM1*IL*1*{text.strip(' ')}*END~"
    assert body.count("~") == 1


@given(st.text(alphabet="*^:~", min_size=1, max_size=3), st.text(alphabet="ABC", max_size=3))
def test_no_delimiter_is_ever_sent_within_a_value(marks: str, around: str) -> None:
    found = problems([Segment("N3", (Value("patient.address.line", "the address", around + marks + around, 55),))])
    assert [problem.rule for problem in found] == ["x12-delimiter"]


def test_the_reader_is_of_one_mind_with_the_writer(fixtures: Path) -> None:
    data = (fixtures / "x12" / "office_visit.837").read_bytes()
    (interchange,) = read(data)
    assert interchange.to_bytes() == data
