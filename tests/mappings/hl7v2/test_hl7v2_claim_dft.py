"""A released claim as DFT^P03: our own reader and two others read it as it was meant; no value can forge anything."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.encounter.billable import Billable, Line
from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import (
    Charge,
    ChargeKind,
    ClaimKind,
    CodeSystem,
    Coverage,
    Diagnosis,
    DiagnosisUse,
    EncounterClass,
    Patient,
    PersonName,
    Procedure,
    Provider,
    ProviderRole,
    Visit,
)
from gateway.mappings.hl7v2.claim_dft import CLASSES, Parties, claim_dft, dft_problems
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapping import FeedProfile, map_message
from gateway.mappings.x12.problem import Unwritable
from gateway.release.model import Claim

RELEASED = datetime(2026, 1, 21, 4, 30, tzinfo=UTC)
ZONE = ZoneInfo("America/Chicago")
PARTIES = Parties("GATEWAY", "MAIN", "BILLING", "HOSP")
CONTROL = "C0000000000ABC-1"
EXAMPLES = ("office_visit", "dependent_child", "inpatient_visits")


def claim_of(billed: Billable, **changes: object) -> Claim:
    claim = Claim(
        id=1,
        number="C0000000000ABC",
        version=1,
        encounter=str(billed.key),
        kind=billed.kind,
        destination="billing",
        fingerprint="f",
        billed=billed,
        approved_by="policy",
        released=RELEASED,
    )
    return claim.model_copy(update=changes)


def written(billed: Billable, **changes: object) -> bytes:
    return claim_dft(claim_of(billed, **changes), CONTROL, PARTIES, ZONE)


def fields(payload: bytes, name: str) -> list[list[str]]:
    """The fields of each segment of that name, `[n]` being field n; MSH counts from the separator."""
    segments = [line.split("|") for line in payload.decode().split("\r") if line.startswith(name)]
    return [[s[0], "|", *s[1:]] for s in segments] if name == "MSH" else segments


OKAFOR = Provider(
    role=ProviderRole.RENDERING, npi="1417000038", name=PersonName(family="OKAFOR", given="ADAEZE", suffix="MD")
)


def billable(*lines: Line, **parts: object) -> Billable:
    return Billable.model_validate(
        {
            "key": EncounterKey("MAIN", "MAIN", "A77"),
            "kind": ClaimKind.PROFESSIONAL,
            "patient": Patient(name=PersonName(family="DOE", given="JANE"), birth_date=date(1961, 6, 15), sex="F"),
            "visit": Visit(
                encounter_class=EncounterClass.OUTPATIENT,
                account=Identifier(value="A77", authority="MAIN", type="AN"),
                number=Identifier(value="V9", authority="MAIN", type="VN"),
                admitted=datetime(2026, 1, 20, 5, 30, tzinfo=UTC),
            ),
            "coverages": (Coverage(id="1", payer=Identifier(value="00952"), payer_name="MEDICARE", member_id="M1"),),
            "diagnoses": tuple(
                Diagnosis(id=code, code=code, system=CodeSystem.ICD10CM, use=DiagnosisUse.FINAL)
                for code in ("E119", "I10")
            ),
            "lines": lines or (LINE,),
            **parts,
        }
    )


LINE = Line(
    charge="T1",
    code="99214",
    modifiers=("25", "LT"),
    units=Decimal(2),
    amount=Decimal("150.50"),
    start=date(2026, 1, 20),
    pointers=(2, 1),
    place_of_service="11",
    rendering=OKAFOR,
)


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, fixtures: Path) -> Billable:
    return Billable.model_validate_json((fixtures / "x12" / f"{request.param}.json").read_bytes())


# ---- what stands where


def test_a_line_stands_where_the_standard_has_it() -> None:
    (ft1,) = fields(written(billable()), "FT1")
    assert ft1[1] == "1"
    assert ft1[2] == "C0000000000ABC-1"
    assert ft1[4] == "20260120"
    assert ft1[5] == "20260120223000-0600"
    assert ft1[6] == "CG"
    assert ft1[7] == ft1[25] == "99214^^C4"
    assert ft1[10] == "2"
    assert ft1[11] == "150.50&USD"
    assert ft1[12] == "75.25&USD"
    assert ft1[19] == "I10^^I10C~E11.9^^I10C"
    assert ft1[20] == "1417000038^OKAFOR^ADAEZE^^MD^^^^NPI&2.16.840.1.113883.4.6&ISO^^^^NPI"
    assert ft1[26] == "25~LT"


def test_what_the_standard_has_no_field_for_stands_in_zcl() -> None:
    line = LINE.model_copy(update={"revenue_code": "0450"})
    (zcl,) = fields(written(billable(line, kind=ClaimKind.INSTITUTIONAL)), "ZCL")
    assert zcl == ["ZCL", "1", "C0000000000ABC", "1", "1", "", "I", "0450", "11", "T1"]


def test_the_header_names_the_delivery_and_the_claim_s_release() -> None:
    (msh,) = fields(written(billable()), "MSH")
    assert msh[2:7] == ["^~\\&", "GATEWAY", "MAIN", "BILLING", "HOSP"]
    assert msh[7] == "20260120223000-0600"
    assert msh[9:13] == ["DFT^P03^DFT_P03", CONTROL, "T", "2.5.1"]
    assert msh[18] == "UNICODE UTF-8"


@pytest.mark.parametrize(("code", "system"), [("99214", "C4"), ("0001U", "C4"), ("G0439", "HCPCS"), ("J1885", "HCPCS")])
def test_the_code_says_its_system(code: str, system: str) -> None:
    (ft1,) = fields(written(billable(LINE.model_copy(update={"code": code}))), "FT1")
    assert ft1[25] == f"{code}^^{system}"


def test_a_line_without_a_procedure_is_named_by_its_revenue_code() -> None:
    line = LINE.model_copy(update={"code": None, "modifiers": (), "revenue_code": "0120"})
    (ft1,) = fields(written(billable(line, kind=ClaimKind.INSTITUTIONAL)), "FT1")
    assert (ft1[7], ft1[25:]) == ("0120^^HL70456", [])


def test_an_amount_that_is_no_multiple_says_nothing_of_one_unit() -> None:
    line = LINE.model_copy(update={"units": Decimal(3), "amount": Decimal("100.00")})
    (ft1,) = fields(written(billable(line)), "FT1")
    assert (ft1[11], ft1[12]) == ("100.00&USD", "")


def test_a_void_credits_what_was_charged() -> None:
    payload = written(billable(), frequency="8", version=2, replaces="PCN42")
    (ft1,), (zcl,) = fields(payload, "FT1"), fields(payload, "ZCL")
    assert (ft1[2], ft1[6]) == ("C0000000000ABC-1", "CD")
    assert zcl[2:6] == ["C0000000000ABC", "2", "8", "PCN42"]


def test_a_correction_is_not_written_as_more_charges() -> None:
    with pytest.raises(Unwritable, match="dft-correction"):
        written(billable(), frequency="7", version=2)


def test_claim_wide_parts_stand_in_the_order_of_the_structure() -> None:
    procedure = Procedure(
        id="1",
        code="0SRC0J9",
        system=CodeSystem.ICD10PCS,
        performed=date(2026, 1, 20),
        providers=(OKAFOR.model_copy(update={"role": ProviderRole.OPERATING}),),
    )
    payload = written(billable(LINE, LINE, procedures=(procedure,), drg="470", kind=ClaimKind.INSTITUTIONAL))
    names = [line[:3] for line in payload.decode().split("\r") if line]
    assert names == ["MSH", "EVN", "PID", "PV1", "FT1", "ZCL", "FT1", "ZCL", "PR1", "DG1", "DG1", "DRG", "IN1"]
    assert fields(payload, "PR1")[0][3] == "0SRC0J9^^I10P"
    assert fields(payload, "PR1")[0][11].startswith("1417000038^OKAFOR")
    assert [dg1[3] for dg1 in fields(payload, "DG1")] == ["E11.9^^I10C", "I10^^I10C"]


def test_days_are_the_facility_s_own() -> None:
    (pv1,) = fields(written(billable()), "PV1")
    assert (pv1[2], pv1[19], pv1[44]) == ("O", "V9^^^MAIN^VN", "20260119233000-0600")


def test_every_class_of_encounter_is_read_back(base: FeedProfile) -> None:
    for said, code in CLASSES.items():
        visit = Visit(encounter_class=said, number=Identifier(value="V9"))
        assert fields(written(billable(visit=visit)), "PV1")[0][2] == code
        change = map_message(Er7Message.parse(written(billable(visit=visit))), base, 1)
        assert isinstance(change, Change)
        assert change.visit is not None
        assert change.visit.encounter_class is said


# ---- what cannot be written


@pytest.mark.parametrize(
    ("change", "rule", "where"),
    [
        ({"code": None}, "dft-code", "lines[0].code"),
        ({"start": None}, "dft-date", "lines[0].start"),
        ({"units": Decimal("NaN")}, "dft-number", "lines[0].units"),
        ({"amount": Decimal("Infinity")}, "dft-number", "lines[0].amount"),
        ({"pointers": (3,)}, "dft-pointers", "lines[0].pointers"),
        (
            {"rendering": Provider(role=ProviderRole.RENDERING, organization="A CLINIC")},
            "dft-provider",
            "lines[0].rendering",
        ),
    ],
)
def test_what_keeps_a_claim_from_being_written_is_told(change: dict[str, object], rule: str, where: str) -> None:
    billed = billable(LINE.model_copy(update=change))
    (found,) = dft_problems(billed)
    assert (found.rule, found.where, found.subject) == (rule, where, "T1")
    with pytest.raises(Unwritable, match=rule):
        written(billed)


def test_nothing_to_bill_is_no_message() -> None:
    assert [found.rule for found in dft_problems(billable(lines=()))] == ["dft-lines"]


def test_a_whole_claim_has_no_problem(example: Billable) -> None:
    assert dft_problems(example) == ()


# ---- read back

SITE = """\
extends: base
fields:
  charges: {revenue_code: [ZCL-7], place_of_service: [ZCL-8]}
"""


@pytest.fixture(scope="module")
def billing_system(tmp_path_factory: pytest.TempPathFactory) -> FeedProfile:
    """A receiver as our own reader would be one: the base dialect, and the two fields of ZCL."""
    directory = tmp_path_factory.mktemp("dialects")
    (directory / "billing.yaml").write_text(SITE)
    return FeedProfile("billing", "MAIN", ZONE, load_dialects(directory)["billing"])


def read_back(payload: bytes, source: FeedProfile) -> tuple[Charge, ...]:
    change = map_message(Er7Message.parse(payload), source, 1)
    assert isinstance(change, Change)
    assert change.charges is not None
    return change.charges.items


def as_line(charge: Charge) -> tuple[object, ...]:
    who = charge.providers[0] if charge.providers else None
    return (
        charge.code,
        charge.modifiers,
        charge.units,
        charge.amount,
        charge.start,
        charge.end,
        charge.diagnoses,
        who and (who.npi, who.name),
        charge.revenue_code,
        charge.place_of_service,
    )


def as_meant(billed: Billable, line: Line) -> tuple[object, ...]:
    who = line.rendering
    return (
        line.code,
        line.modifiers,
        line.units,
        line.amount,
        line.start,
        line.end if line.end != line.start else None,
        tuple(billed.diagnoses[pointer - 1].code for pointer in line.pointers),
        who and (who.npi, who.name),
        line.revenue_code,
        line.place_of_service,
    )


def test_our_reader_reads_the_lines_back(example: Billable, billing_system: FeedProfile) -> None:
    charges = read_back(written(example), billing_system)
    assert [charge.kind for charge in charges] == [ChargeKind.CHARGE] * len(example.lines)
    for charge, line in zip(charges, example.lines, strict=True):
        if line.rendering is not None:
            assert as_line(charge) == as_meant(example, line)


_words = (
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufffd"), max_size=20)
    | st.text('|^~\\&"#ABC\\X0DH', max_size=12)
).map(str.strip)
_said = _words.map(lambda text: text or None)
_names = st.builds(PersonName, family=_words.filter(bool), given=_said, middle=_said, suffix=_said)
_money = st.decimals(0, 999_999, places=2)
_codes = st.from_regex(r"\A[0-9]{5}\Z|\A[A-V][0-9]{4}\Z", fullmatch=True)
_modifiers = st.lists(st.from_regex(r"[0-9A-Z]{2}", fullmatch=True), max_size=4, unique=True).map(tuple)
_people = st.builds(
    Provider, role=st.just(ProviderRole.RENDERING), npi=st.sampled_from(["1417000038", None]), name=_names
)
_days = st.dates(date(1990, 1, 1), date(2100, 1, 1))


def _lines(diagnoses: int) -> st.SearchStrategy[Line]:
    return st.builds(
        Line,
        charge=_words,
        code=_codes,
        modifiers=_modifiers,
        units=st.decimals(1, 1_000, places=3),
        amount=_money,
        start=_days,
        end=st.none() | _days,
        pointers=st.lists(st.integers(1, diagnoses), min_size=1, max_size=4, unique=True).map(tuple),
        revenue_code=st.none() | st.from_regex(r"0[0-9]{3}", fullmatch=True),
        place_of_service=st.none() | st.from_regex(r"[0-9]{2}", fullmatch=True),
        rendering=st.none() | _people,
    )


@st.composite
def _billables(draw: st.DrawFn) -> Billable:
    codes = draw(
        st.lists(st.from_regex(r"[A-T][0-9][0-9A-B]{1,5}", fullmatch=True), min_size=1, max_size=6, unique=True)
    )
    diagnoses = tuple(Diagnosis(id=c, code=c, system=CodeSystem.ICD10CM, use=DiagnosisUse.FINAL) for c in codes)
    coverage = Coverage(
        id="1", payer=Identifier(value=draw(_words) or "P"), payer_name=draw(_said), member_id=draw(_said)
    )
    return billable(
        *draw(st.lists(_lines(len(codes)), min_size=1, max_size=5)),
        patient=Patient(name=draw(_names)),
        visit=Visit(account=Identifier(value=draw(_words) or "A", authority=draw(_said))),
        coverages=(coverage,),
        diagnoses=diagnoses,
    )


@settings(max_examples=150, deadline=None)
@given(billed=_billables())
def test_whatever_a_claim_says_is_read_back_as_it_was_meant(billed: Billable, billing_system: FeedProfile) -> None:
    payload = written(billed)
    charges = read_back(payload, billing_system)
    assert [as_line(charge) for charge in charges] == [as_meant(billed, line) for line in billed.lines]
    names = [line[:4] for line in payload.decode().split("\r")[:-1]]
    expected = ["MSH|", "EVN|", "PID|", "PV1|", *["FT1|", "ZCL|"] * len(billed.lines)]
    assert names == [*expected, *["DG1|"] * len(billed.diagnoses), "IN1|"], "no value can forge a segment"
    assert written(billed) == payload


# ---- two other readers


def test_hl7apy_finds_the_structure_and_the_types_valid(example: Billable) -> None:
    """Of a claim that knows its payers' plans: IN1-2 is required, and nothing stands for one that nobody said."""
    planned = tuple(each.model_copy(update={"plan": each.plan or "PPO"}) for each in example.coverages)
    whole = written(example.model_copy(update={"coverages": planned}))
    payload = "\r".join(line for line in whole.decode().split("\r") if not line.startswith("ZCL"))
    message = parse_message(payload, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
    assert message.validate()
    assert len(message.dft_p03_financial) == len(example.lines)


def test_python_hl7_reads_the_same_fields(example: Billable) -> None:
    message = hl7.parse(written(example).decode())
    for segment, line in zip(message.segments("FT1"), example.lines, strict=True):
        assert str(segment[25][0][0]) == (line.code or "")
        assert Decimal(str(segment[11][0][0][0])) == line.amount
        assert [str(each[0]).replace(".", "") for each in segment[19]] == [
            example.diagnoses[pointer - 1].code for pointer in line.pointers
        ]
    assert str(message.segment("PID")[5][0][0]) == example.patient.name.family
    assert len(message.segments("ZCL")) == len(example.lines)
