"""A released claim as an 837P: accepted by the referee, and right where the referee does not look."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pyx12.params import ParamsBase
from pyx12.x12n_document import x12n_document

from gateway.config.model import Billing
from gateway.encounter.billable import Billable
from gateway.mappings.x12.carriable_837p import carriable
from gateway.mappings.x12.claim_837p import Submission, decimal, write_837p
from gateway.mappings.x12.envelope import MAX_CONTROL, Envelope, control_number
from gateway.mappings.x12.problem import Unwritable
from gateway.mappings.x12.reader import Interchange, read

ENVELOPE = Envelope(
    "GATEWAY", "CLEARINGHOUSE", "T", 4711, datetime(2025, 3, 5, 15, 30, tzinfo=UTC), ZoneInfo("America/Chicago")
)
EXAMPLES = ("office_visit", "dependent_child", "inpatient_visits")
NUMBER = "C0000000000ABC"


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, fixtures: Path) -> Billable:
    return load(fixtures, request.param)


def load(fixtures: Path, name: str) -> Billable:
    return Billable.model_validate_json((fixtures / "x12" / f"{name}.json").read_bytes())


def written(billed: Billable, frequency: str = "1", replaces: str | None = None) -> bytes:
    return write_837p(Submission(billed, NUMBER, frequency, replaces), Billing(), ENVELOPE)


def parsed(data: bytes) -> Interchange:
    (interchange,) = read(data)
    return interchange


@pytest.mark.parametrize(("frequency", "replaces"), [("1", None), ("7", "PCN42"), ("8", "PCN42")])
def test_the_referee_accepts_it(example: Billable, frequency: str, replaces: str | None, tmp_path: Path) -> None:
    file = tmp_path / "claim.837"
    file.write_bytes(written(example, frequency, replaces))
    acknowledgement = StringIO()
    assert x12n_document(ParamsBase(), str(file), acknowledgement, None), acknowledgement.getvalue()


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_what_it_was(name: str, fixtures: Path) -> None:
    expected = (fixtures / "x12" / f"{name}.837").read_text().replace("\n", "")
    assert written(load(fixtures, name)).decode() == expected


def test_the_same_claim_gives_the_same_bytes(example: Billable) -> None:
    again = Billable.model_validate_json(example.model_dump_json())
    assert written(example) == written(again)


def test_the_total_is_the_sum_of_the_lines(example: Billable) -> None:
    interchange = parsed(written(example))
    (claim,) = interchange.named("CLM")
    assert Decimal(claim.element(2)) == sum(Decimal(line.element(2)) for line in interchange.named("SV1"))


def test_each_level_names_its_parent_and_whether_it_has_children(example: Billable) -> None:
    levels = parsed(written(example)).named("HL")
    parents = {level.element(2) for level in levels}
    assert [level.element(1) for level in levels] == [str(n) for n in range(1, len(levels) + 1)]
    assert [level.element(2) for level in levels] == ["", *(str(n) for n in range(1, len(levels)))]
    for level in levels:
        assert level.element(4) == ("1" if level.element(1) in parents else "0")


def test_every_pointer_leads_to_a_diagnosis(example: Billable) -> None:
    interchange = parsed(written(example))
    (diagnoses,) = interchange.named("HI")
    count = len(diagnoses.elements) - 1
    for line in interchange.named("SV1"):
        pointers = interchange.components(line.element(7))
        assert 1 <= len(pointers) <= 4
        assert all(1 <= int(pointer) <= count for pointer in pointers)


def test_a_line_carries_its_first_four_pointers(fixtures: Path) -> None:
    billed = load(fixtures, "office_visit")
    codes = ("R059", "K8000", "A000", "M1711")
    more = tuple(billed.diagnoses[0].model_copy(update={"id": code, "code": code}) for code in codes)
    line = billed.lines[0].model_copy(update={"pointers": (5, 1, 2, 6, 3)})
    pointing = billed.model_copy(update={"diagnoses": billed.diagnoses[:2] + more, "lines": (line,)})
    assert carriable(pointing, Billing()) == ()
    interchange = parsed(written(pointing))
    (service,) = interchange.named("SV1")
    assert interchange.components(service.element(7)) == ("5", "1", "2", "6")


def test_the_trailers_count_right(example: Billable) -> None:
    interchange = parsed(written(example))
    ids = [segment.id for segment in interchange.segments]
    (trailer,) = interchange.named("SE")
    assert int(trailer.element(1)) == ids.index("SE") - ids.index("ST") + 1
    (header,), (end,) = interchange.named("ISA"), interchange.named("IEA")
    assert header.element(13) == end.element(2) == "000004711"


def test_a_patient_who_is_not_the_subscriber_has_a_loop_of_their_own(fixtures: Path) -> None:
    interchange = parsed(written(load(fixtures, "dependent_child")))
    assert [name.element(1) for name in interchange.named("NM1")].count("QC") == 1
    assert interchange.named("PAT")[0].element(1) == "19"
    primary, other = interchange.named("SBR")
    assert (primary.element(1), primary.element(2), other.element(1), other.element(2)) == ("P", "", "S", "19")


def test_a_stay_says_when_it_began_and_ended_in_the_facilitys_days(fixtures: Path) -> None:
    dates = {d.element(1): d.element(3) for d in parsed(written(load(fixtures, "inpatient_visits"))).named("DTP")}
    assert dates["435"] == "20250227"
    assert dates["096"] == "20250302"


def test_a_replacement_names_the_claim_that_it_replaces(fixtures: Path) -> None:
    interchange = parsed(written(load(fixtures, "office_visit"), "7", "PCN42"))
    assert [ref.element(2) for ref in interchange.named("REF") if ref.element(1) == "F8"] == ["PCN42"]
    assert interchange.components(interchange.named("CLM")[0].element(5)) == ("11", "B", "7")


@pytest.mark.parametrize(
    ("number", "frequency", "replaces", "rule"),
    [
        (NUMBER, "7", None, "x12-replaces"),
        (NUMBER, "8", "", "x12-replaces"),
        (NUMBER, "2", None, "x12-frequency"),
        ("X" * 21, "1", None, "x12-number"),
        ("A*B", "1", None, "x12-number"),
    ],
)
def test_a_version_that_cannot_be_is_not_written(
    fixtures: Path, number: str, frequency: str, replaces: str | None, rule: str
) -> None:
    submission = Submission(load(fixtures, "office_visit"), number, frequency, replaces)
    with pytest.raises(Unwritable, match=rule):
        write_837p(submission, Billing(), ENVELOPE)


def test_a_value_with_a_delimiter_is_never_written_and_never_told(fixtures: Path) -> None:
    billed = load(fixtures, "office_visit")
    name = billed.patient.name.model_copy(update={"family": "CAN~ARY"})  # type: ignore[union-attr]
    forged = billed.model_copy(update={"patient": billed.patient.model_copy(update={"name": name})})
    with pytest.raises(Unwritable) as refused:
        written(forged)
    assert "ARY" not in str(refused.value)
    assert {(p.rule, p.where) for p in carriable(forged, Billing())} == {("x12-delimiter", "patient.name.family")}


@pytest.mark.parametrize(
    ("number", "text"), [("150.00", "150"), ("27.50", "27.5"), ("0", "0"), ("1E+3", "1000"), ("100", "100")]
)
def test_decimals_have_no_exponent_and_no_idle_zeros(number: str, text: str) -> None:
    assert decimal(Decimal(number)) == text


def test_control_numbers_of_a_burst_differ_and_stay() -> None:
    burst = [(123_456_789 << 22) + n for n in range(5_000)]
    apart = [(123_456_789 + n) << 22 for n in range(5_000)]
    numbers = [control_number(id) for id in burst]
    assert len(set(numbers)) == len(burst)
    assert len({control_number(id) for id in apart}) == len(apart)
    assert numbers == [control_number(id) for id in burst]
    assert all(1 <= number <= MAX_CONTROL for number in numbers)
