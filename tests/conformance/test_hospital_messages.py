"""The synthetic hospital's messages: valid numbers and codes, readable by parsers that are not the gateway's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

import hl7
import pytest
import simple_icd_10_cm
from fhir.resources.R4B.claim import Claim
from fhir.resources.R4B.documentreference import DocumentReference
from fhir.resources.R4B.encounter import Encounter

from conformance import day, ehr, ehr_fhir, encoder
from conformance.hospital import HOSPITAL_NPI, Visit, at, npi

TODAY = date(2026, 3, 10)
SENT = at(TODAY, 8, 30)
VISITS = [
    make(TODAY)
    for make in (
        day.routine,
        day.over_fhir,
        day.high_value,
        day.wrong_code,
        day.new_coder,
        day.missing_note,
        day.unclear_record,
    )
]
by_number = pytest.mark.parametrize("visit", VISITS, ids=lambda visit: visit.number)


def luhn(digits: str) -> bool:
    doubled = [2 * int(d) if place % 2 else int(d) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def test_npi_has_the_published_example() -> None:
    assert npi("123456789") == "1234567893" == HOSPITAL_NPI


@by_number
def test_numbers_and_codes_are_valid(visit: Visit) -> None:
    assert luhn("80840" + visit.clinician.npi)
    for code in {*visit.diagnoses, *visit.working}:
        assert simple_icd_10_cm.is_valid_item(ehr.dotted(code))
        assert simple_icd_10_cm.is_leaf(ehr.dotted(code))
    for item in visit.items:
        assert set(item.diagnoses) <= set(visit.diagnoses)
        assert len(item.code) == 5
        assert visit.began.date() <= visit.day_of(item) <= visit.ended.date() < TODAY


def test_visits_and_people_are_told_apart() -> None:
    assert len({visit.number for visit in VISITS}) == len({visit.account for visit in VISITS}) == len(VISITS)
    assert len({visit.person.mrn for visit in VISITS}) == len(VISITS)


@pytest.mark.parametrize("build", [ehr.dft, encoder.final_codes, lambda v, c, s: ehr.adt("A03", v, c, s)])
@by_number
def test_an_independent_parser_reads_the_same(visit: Visit, build: Callable[[Visit, str, datetime], bytes]) -> None:
    message = hl7.parse(build(visit, "C7", SENT).decode())
    assert str(message["MSH"][0][10]) == "C7"
    assert str(message["PID"][0][18]).split("^")[0] == visit.account
    assert str(message["PV1"][0][19]).split("^")[0] == visit.number
    assert str(message["PID"][0][5]).startswith(f"{visit.person.family}^{visit.person.given}")


@by_number
def test_charges_carry_codes_amounts_and_pointers(visit: Visit) -> None:
    message = hl7.parse(ehr.dft(visit, "C8", SENT).decode())
    charges = message["FT1"]
    assert [str(charge[7]).split("^")[0] for charge in charges] == [item.code for item in visit.items]
    assert sum(Decimal(str(charge[11]).split("&")[0]) for charge in charges) == visit.total
    assert [str(charge[19]).count("^^I10C") for charge in charges] == [len(item.diagnoses) for item in visit.items]
    assert all(visit.clinician.npi in str(charge[20]) for charge in charges)


@by_number
def test_a_note_arrives_whole(visit: Visit) -> None:
    for note in visit.notes:
        message = hl7.parse(ehr.mdm(visit, note, "C9", SENT).decode())
        lines = [str(obx[5]) for obx in message["OBX"]]
        assert "\n".join(line.replace("\\T\\", "&").replace("\\S\\", "^") for line in lines) == note.text


def test_final_codes_may_differ_from_the_visits() -> None:
    message = hl7.parse(encoder.final_codes(VISITS[0], "C10", SENT, diagnoses=["E11"], coder="x").decode())
    assert [(str(dg1[3]).split("^")[0], str(dg1[6])) for dg1 in message["DG1"]] == [("E11", "F")]
    assert str(message["EVN"][0][5]) == "x"


def test_delimiters_in_text_are_escaped() -> None:
    assert ehr.escape("a|b^c&d~e\\f\r\ng\rh") == "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f\\.br\\g\\.br\\h"


@by_number
def test_resources_are_valid_r4(visit: Visit) -> None:
    encounter = Encounter.model_validate(ehr_fhir.encounter(visit))
    claim = Claim.model_validate(ehr_fhir.claim(visit, created=SENT))
    assert encounter.id == f"enc-{visit.number}"
    assert claim.total is not None
    assert Decimal(str(claim.total.value)) == visit.total
    for note in visit.notes:
        DocumentReference.model_validate(ehr_fhir.document(visit, note))
