"""Whole messages: what each family says, and what it leaves alone."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.encounter.apply import apply
from gateway.encounter.change import Change, Mode
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.merge import Merges
from gateway.encounter.model import (
    Address,
    CodeSystem,
    DiagnosisUse,
    DocumentKind,
    DocumentStatus,
    Encounter,
    EncounterClass,
    PersonName,
    ProviderRole,
    VisitStatus,
)
from gateway.mappings.hl7v2.dialect import Dialect, load_dialects
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapping import MAPPED, FeedProfile, Mapped, MappingError, Unused, map_message

FixtureChange = Callable[[str, FeedProfile], Change]
KEY = EncounterKey("MAIN", "HAR", "900417")


def test_an_admission_says_patient_visit_payers_and_first_diagnoses(
    fixture_change: FixtureChange, epic: FeedProfile
) -> None:
    change = fixture_change("adt_a01", epic)
    assert change.key == KEY
    assert change.identifiers == (
        Identifier(value="900417", authority="HAR", type="AN"),
        Identifier(value="V880012", authority="EPIC", type="VN"),
        Identifier(value="MRN4471", authority="GENERAL", type="MR"),
        Identifier(value="999001111", authority="USSSA", type="SS"),
    )
    assert change.patient is not None
    assert change.patient.name == PersonName(family="QUILL", given="MARIGOLD", middle="T", suffix="JR")
    assert (change.patient.birth_date, change.patient.sex) == (date(1958, 7, 4), "F")
    assert change.patient.phone == "2175550142"
    assert change.patient.address == Address(
        line="12 ELM ST", line2="APT 4", city="SPRINGFIELD", state="IL", postal_code="62704", country="US"
    )
    assert change.visit is not None
    assert change.visit.status is VisitStatus.ACTIVE
    assert change.visit.encounter_class is EncounterClass.INPATIENT
    assert (change.visit.service, change.visit.type, change.visit.location) == ("MED", "IP", "4W")
    assert change.visit.admitted == datetime(2026, 1, 12, 15, 30, tzinfo=UTC)
    assert "discharged" not in change.visit.model_fields_set
    assert change.problems == ()


def test_an_admissions_providers_coverages_and_diagnoses(fixture_change: FixtureChange, epic: FeedProfile) -> None:
    change = fixture_change("adt_a01", epic)
    assert change.providers is not None
    assert [(p.role, p.npi, p.name.family if p.name else None) for p in change.providers] == [
        (ProviderRole.ATTENDING, "1234567893", "ADLER"),
        (ProviderRole.REFERRING, "1987654328", "ROWE"),
        (ProviderRole.CONSULTING, None, "CONN"),
        (ProviderRole.CONSULTING, "1555000110", "STONE"),
        (ProviderRole.ADMITTING, "1234567893", "ADLER"),
    ]
    assert change.coverages is not None
    assert change.coverages.mode is Mode.REPLACE
    first, second = change.coverages.items
    assert (first.rank, first.member_id, first.group_number, first.plan) == (1, "XKR550012", "GRP77", "PPO1")
    assert first.payer == Identifier(value="60054", authority="NAIC")
    assert (first.payer_name, first.relationship, first.subscriber_sex) == ("BLUE PRAIRIE", "spouse", "M")
    assert first.subscriber == PersonName(family="QUILL", given="ROBIN")
    assert first.subscriber_birth_date == date(1956, 1, 30)
    assert (second.rank, second.member_id, second.relationship) == (2, "1EG4TE5MK73", "self")
    assert change.guarantor is not None
    assert change.guarantor.relationship == "spouse"
    assert change.diagnoses is not None
    assert [(d.code, d.system, d.use) for d in change.diagnoses.items] == [
        ("J189", CodeSystem.ICD10CM, DiagnosisUse.ADMITTING),
        ("R059", CodeSystem.ICD10CM, DiagnosisUse.WORKING),
    ]
    assert change.diagnoses.items[0].description == "Pneumonia, unspecified organism"
    assert change.coding is None


def test_an_update_sets_deletes_and_leaves_alone(fixture_change: FixtureChange, epic: FeedProfile) -> None:
    before = apply(None, fixture_change("adt_a01", epic))
    change = fixture_change("adt_a08", epic)
    after = apply(before, change)
    assert change.visit is not None
    assert "status" not in change.visit.model_fields_set
    assert (after.visit.status, after.visit.location, after.visit.service) == (VisitStatus.ACTIVE, "5E", "CARD")
    assert after.visit.type is None, "an explicit delete"
    assert after.patient.phone is None, "an explicit delete"
    assert (after.patient.sex, after.patient.birth_date) == ("F", date(1958, 7, 4)), "empty fields say nothing"
    assert after.patient.name == PersonName(family="QUILL", given="MARIGOLD")
    assert after.patient.address == Address(line="77 OAK AV", city="SPRINGFIELD", state="IL", postal_code="62704")
    assert after.coverages == before.coverages
    assert after.diagnoses == before.diagnoses


def test_a_discharge_has_its_time_in_the_feeds_calendar(fixture_change: FixtureChange, epic: FeedProfile) -> None:
    visit = fixture_change("adt_a03", epic).visit
    assert visit is not None
    assert visit.status is VisitStatus.DISCHARGED
    assert visit.disposition == "01"
    assert visit.discharged is not None
    assert visit.discharged.isoformat() == "2026-01-16T18:30:00-06:00"


def test_charges_say_everything_that_a_line_needs(fixture_change: FixtureChange, epic: FeedProfile) -> None:
    change = fixture_change("dft_p03", epic)
    assert change.charges is not None
    assert change.charges.mode is Mode.ADD
    assert len(change.charges.items) == 11
    first, fifth = change.charges.items[0], change.charges.items[4]
    assert (first.id, first.code, first.system, first.local_code) == ("TX7701", "99223", CodeSystem.CPT, "P99223")
    assert (first.modifiers, first.units, first.amount) == (("25",), Decimal(1), Decimal("91.50"))
    assert (first.start, first.end) == (date(2026, 1, 12), None)
    assert first.diagnoses == ("J189", "I10")
    assert [(p.role, p.npi) for p in first.providers] == [
        (ProviderRole.RENDERING, "1555000110"),
        (ProviderRole.ORDERING, "1234567893"),
    ]
    assert (first.source, first.origin) == ("epic-adt", "7 FT1[1]")
    assert (fifth.modifiers, fifth.diagnoses) == ((), ("J189", "E119"))
    assert change.diagnoses is not None
    assert [(d.id, d.use) for d in change.diagnoses.items] == [
        (f"working-{code}", DiagnosisUse.WORKING) for code in ("J189", "R079", "J9601", "I10", "E119")
    ]
    assert change.procedures is None, "each PR1 is its charge's own"
    assert change.coding is None
    assert change.problems == ()


def test_every_value_has_its_place(fixture_change: FixtureChange, epic: FeedProfile) -> None:
    places = fixture_change("dft_p03", epic).origins()
    assert places["charges[1].code"] == "FT1[2]-25[1].1"
    assert places["charges[1].start"] == "FT1[2]-4[1].1"
    assert places["charges[1].providers.rendering"] == "FT1[2]-20[1]"
    assert places["visit.account"] == "PID[1]-18[1]"
    assert places["visit.number"] == "PV1[1]-19[1]"
    assert places["patient.birth_date"] == "PID[1]-7[1].1"
    assert places["coverages[0].member_id"] == "IN1[1]-36[1].1"
    assert places["diagnoses[1].code"] == "DG1[4]-3[1].1"
    assert places["diagnoses[3].code"] == "FT1[1]-19[2].1"
    assert "charges[4].modifiers" not in places, "what is not said has no place"
    assert "charges[1].end" not in places


def test_the_same_shape_of_message_shares_its_places(fixture_change: FixtureChange, epic: FeedProfile) -> None:
    first, second = fixture_change("dft_p03", epic).places, fixture_change("dft_p03", epic).places
    assert [a is b for a, b in zip(first, second, strict=True)].count(True) >= 20


def test_final_codes_replace_and_say_who_coded(fixture_change: FixtureChange, base: FeedProfile) -> None:
    change = fixture_change("bar_p05", base)
    assert change.key == KEY
    assert change.diagnoses is not None
    assert change.diagnoses.mode is Mode.REPLACE
    assert [(d.code, d.use, d.rank, d.present_on_admission) for d in change.diagnoses.items] == [
        ("J189", DiagnosisUse.ADMITTING, 1, None),
        ("J159", DiagnosisUse.FINAL, 1, "Y"),
        ("E119", DiagnosisUse.FINAL, 2, "Y"),
        ("N179", DiagnosisUse.FINAL, 3, "N"),
    ]
    assert change.procedures is not None
    assert change.procedures.mode is Mode.REPLACE
    (procedure,) = change.procedures.items
    assert (procedure.code, procedure.system) == ("02HV33Z", CodeSystem.ICD10PCS)
    assert procedure.performed == date(2026, 1, 14)
    assert [(p.role, p.npi) for p in procedure.providers] == [(ProviderRole.OPERATING, "1555000110")]
    assert change.coding is not None
    assert (change.coding.coder, change.coding.encoder, change.coding.drg) == ("CODER12", "ENCODER", "193")
    assert change.coding.coded == datetime(2026, 1, 19, 16, 15, tzinfo=UTC)
    assert change.coding.final is True


def test_the_older_form_has_neither_evn_nor_pv1(fixture_change: FixtureChange, base: FeedProfile) -> None:
    change = fixture_change("bar_p01", base)
    assert change.key == EncounterKey("MAIN", "", "900417")
    assert change.diagnoses is not None
    assert [(d.code, d.system, d.use) for d in change.diagnoses.items] == [
        ("J159", CodeSystem.ICD10CM, DiagnosisUse.FINAL),
        ("E119", CodeSystem.ICD10CM, DiagnosisUse.FINAL),
    ]
    assert change.coding is not None
    assert (change.coding.final, change.coding.drg) == (True, "193")
    assert change.coding.coded == datetime(2026, 1, 19, 16, 10, tzinfo=UTC)


def test_a_feeds_authority_stands_for_the_messages(fixture_change: FixtureChange, base: FeedProfile) -> None:
    assert fixture_change("bar_p01", replace(base, authority="HAR")).key == KEY


def test_a_document_with_text_and_a_file(fixture_change: FixtureChange, epic: FeedProfile) -> None:
    change = fixture_change("mdm_t02", epic)
    assert change.documents is not None
    note, scan = change.documents.items
    assert (note.id, note.kind, note.status) == (
        "DOC5512",
        DocumentKind.DISCHARGE_SUMMARY,
        DocumentStatus.FINAL,
    )
    assert note.author is not None
    assert (note.author.role, note.author.npi) == (ProviderRole.AUTHOR, "1555000110")
    assert note.written == datetime(2026, 1, 17, 14, 30, tzinfo=UTC)
    assert (scan.id, scan.content_type, scan.kind) == ("DOC5512~1", "application/pdf", DocumentKind.DISCHARGE_SUMMARY)
    text, pdf = change.contents
    assert text.body.decode() == (
        "DISCHARGE SUMMARY\nAdmitted with pneumonia & cough.\nPlan:\n1. Follow up in 2 weeks | sooner if worse."
    )
    assert pdf.body == b"%PDF-1.4\n%%EOF\n"
    assert [note.digest, scan.digest] == [text.digest, pdf.digest]
    assert change.patient is None, "a document's sender does not decide about the patient"
    assert change.visit is None
    assert Identifier(value="V880012", authority="EPIC", type="VN") in change.identifiers


def test_a_stay_from_admission_to_final_codes(
    fixture_change: FixtureChange, epic: FeedProfile, base: FeedProfile, fixtures: Path
) -> None:
    encounter: Encounter | None = None
    for name, source in (
        ("adt_a01", epic),
        ("adt_a08", epic),
        ("adt_a03", epic),
        ("dft_p03", epic),
        ("mdm_t02", epic),
        ("bar_p05", base),
    ):
        encounter = apply(encounter, fixture_change(name, source))
    assert encounter is not None
    expected = json.loads((fixtures / "hl7v2" / "encounter.json").read_bytes())
    stored = json.loads(encounter.to_json())
    for entry, source in zip(stored["history"], (epic, epic, epic, epic, epic, base), strict=True):
        assert entry[2] == source.dialect.version, "the mapping that read the message"
        entry[2] = ""
    assert stored == expected


@pytest.mark.parametrize(
    ("key", "segments", "expected"),
    [
        (("account", "visit"), ("PID|1|||||||||||||||||A1", "PV1|1|I|||||||||||||||||V1"), "A1"),
        (("visit", "account"), ("PID|1|||||||||||||||||A1", "PV1|1|I|||||||||||||||||V1"), "V1"),
        (("account", "visit"), ("PID|1", "PV1|1|I|||||||||||||||||V1"), "V1"),
        (("account",), ("PID|1", "PV1|1|I|||||||||||||||||V1"), None),
        (("account", "visit"), ("PID|1", "PV1|1|I"), None),
        (("account", "visit"), ('PID|1|||||||||||||||||""', "PV1|1|I"), None),
        (("visit",), ("PID|1|||||||||||||||||A1",), None),
    ],
)
def test_the_number_that_keys_an_encounter(
    base: FeedProfile, key: tuple[str, ...], segments: tuple[str, ...], expected: str | None
) -> None:
    payload = "\r".join(("MSH|^~\\&|E|F|G|H|20260101||ADT^A08|1|P|2.5", *segments)).encode()
    source = replace(base, key=key)
    if expected is None:
        with pytest.raises(MappingError) as raised:
            map_message(Er7Message.parse(payload), source, 1)
        assert raised.value.code == "no-encounter-number"
        assert raised.value.where in ("PID-18", "PV1-19", "PID-18, PV1-19")
    else:
        mapped = map_message(Er7Message.parse(payload), source, 1)
        assert isinstance(mapped, Change)
        assert mapped.key.number == expected


@pytest.mark.parametrize(
    ("type", "reason"),
    [
        ("ACK^A01", "ACK^A01 is not used"),
        ("ACK", "the message type in MSH-9 is not used"),
        ("ORU^R32", "ORU^R32 is not used"),
        ("ADT^A24", "ADT^A24 is not used"),
        ("SMITH^JOHN", "the message type in MSH-9 is not used"),
    ],
)
def test_a_type_that_nothing_uses(base: FeedProfile, type: str, reason: str) -> None:
    payload = f"MSH|^~\\&|E|F|G|H|20260101||{type}|1|P|2.5\rPID|1|||||||||||||||||A1\r".encode()
    assert map_message(Er7Message.parse(payload), base, 1) == Unused(reason)


def test_a_message_that_does_not_say_its_type_is_set_aside(base: FeedProfile) -> None:
    payload = b"MSH|^~\\&|E|F|G|H|20260101|||1|P|2.5\rPID|1|||||||||||||||||A1\r"
    with pytest.raises(MappingError, match="no-type at MSH-9"):
        map_message(Er7Message.parse(payload), base, 1)


@pytest.mark.parametrize(
    ("key", "segments", "where"),
    [
        (("visit",), ("PV1|1|O|||||||||||||||||V1", "DG1|1", "PV1|2|O|||||||||||||||||V2"), "PV1-19"),
        (("visit",), ("PV1|1|O|||||||||||||||||V1", "PV1|2|O|||||||||||||||||V1^^^X"), None),
        (("visit",), ("PV1|1|O|||||||||||||||||V1", "PV1|2|O"), None),
        (("account",), ("PV1|1|O|||||||||||||||||V1", "PV1|2|O|||||||||||||||||V2"), None),
        (("account",), ("PID|2|||||||||||||||||A2",), "PID-18"),
    ],
)
def test_a_message_about_several_encounters_is_set_aside(
    base: FeedProfile, key: tuple[str, ...], segments: tuple[str, ...], where: str | None
) -> None:
    head = ("MSH|^~\\&|E|F|G|H|20260101||BAR^P01|1|P|2.5", "PID|1|||||||||||||||||A1")
    message = Er7Message.parse("\r".join((*head, *segments)).encode())
    source = replace(base, key=key)
    if where is None:
        assert isinstance(map_message(message, source, 1), Change)
        return
    with pytest.raises(MappingError) as raised:
        map_message(message, source, 1)
    assert (raised.value.code, raised.value.where) == ("several-encounters", where)


def test_charges_that_are_keyed_by_their_own_numbers_stay_apart(base: FeedProfile, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extends: base\nkey: [visit]\nfields: {visit: {number: [FT1-23]}}\n")
    source = replace(base, dialect=load_dialects(tmp_path)["own"])
    head = "MSH|^~\\&|E|F|G|H|20260101||DFT^P03|1|P|2.5\rPID|1||M1\r"
    one, other = (f"FT1|1|||20260101||CG|99213|||1|90||||||||||||{number}\r" for number in ("X1", "X2"))
    with pytest.raises(MappingError, match="several-encounters at FT1-23"):
        map_message(Er7Message.parse((head + one + other).encode()), source, 1)
    assert isinstance(map_message(Er7Message.parse((head + one + one).encode()), source, 1), Change)


def test_a_coverage_that_stands_again_is_the_same(base: FeedProfile) -> None:
    insured = "IN1|1|PLAN|P1|PAYER||||||||||||DOE^J|SEL"
    segments = ("MSH|^~\\&|E|F|G|H|20260101||DFT^P11|1|P|2.5", "PID|1|||||||||||||||||A1")
    change = map_message(Er7Message.parse("\r".join((*segments, insured, insured)).encode()), base, 1)
    assert isinstance(change, Change)
    assert change.coverages is not None
    assert [c.id for c in change.coverages.items] == ["IN1[1]"]


@pytest.mark.parametrize(
    ("said", "relationship"),
    [
        ("SEL", "self"),
        ("SPO", "spouse"),
        ("CHD", "child"),
        ("MTH", "child"),
        ("PAR^Parent^HL70063", "child"),
        ("SIB", "other"),
    ],
)
def test_what_the_insured_is_to_the_patient(base: FeedProfile, said: str, relationship: str) -> None:
    segments = ("MSH|^~\\&|E|F|G|H|20260101||ADT^A01|1|P|2.5", "PID|1|||||||||||||||||A1")
    insured = f"IN1|1|PLAN|P1|PAYER||||||||||||DOE^J|{said}"
    change = map_message(Er7Message.parse("\r".join((*segments, insured)).encode()), base, 1)
    assert isinstance(change, Change)
    assert change.coverages is not None
    assert change.coverages.items[0].relationship == relationship


def test_too_many_repetitions_of_a_field_are_not_worked_through(base: FeedProfile) -> None:
    numbers = "~".join(f"{n}^^^A^MR" for n in range(300))
    payload = f"MSH|^~\\&|E|F|G|H|20260101||ADT^A01|1|P|2.5\rPID|1||{numbers}|||||||||||||||A1\r".encode()
    change = map_message(Er7Message.parse(payload), base, 1)
    assert isinstance(change, Change)
    assert [(p.rule, p.where) for p in change.problems] == [("value-unreadable", "PID-3")]


def test_admitting_diagnoses_alone_say_nothing_of_coding(base: FeedProfile) -> None:
    head = ("MSH|^~\\&|E|F|G|H|20260101||BAR^P01|1|P|2.5", "EVN|P01|20260101|||OPER", "PID|1|||||||||||||||||A1")
    said = []
    for use in ("A", "W", "F", ""):
        segments = (*head, f"DG1|1||J18.9^^I10|||{use}")
        change = map_message(Er7Message.parse("\r".join(segments).encode()), base, 1)
        assert isinstance(change, Change)
        said.append(change.coding.final if change.coding else None)
    assert said == [None, False, True, True]


def test_who_coded_is_the_abstractor_before_the_operator_and_never_the_clinician(base: FeedProfile) -> None:
    head = "MSH|^~\\&|E|F|G|H|20260101||BAR^P05|1|P|2.5\rEVN|P05|20260102|||OPER\rPID|1|||||||||||||||||A1\r"
    diagnosis = "DG1|1||J18.9^^I10|||F||||||||||CLIN\r"
    for more, coder in (("", "OPER"), ("ABS|||||||20260103|CODER9\r", "CODER9")):
        change = map_message(Er7Message.parse((head + diagnosis + more).encode()), base, 1)
        assert isinstance(change, Change)
        assert change.coding is not None
        assert change.coding.coder == coder


def test_an_event_that_only_evn_names(base: FeedProfile) -> None:
    payload = b"MSH|^~\\&|E|F|G|H|20260101||ADT|1|P|2.2\rEVN|A01\rPID|1|||||||||||||||||A1\r"
    mapped = map_message(Er7Message.parse(payload), base, 1)
    assert isinstance(mapped, Change)
    assert mapped.visit is not None
    assert mapped.visit.status is VisitStatus.ACTIVE


def test_a_batch_is_refused_with_the_reason(base: FeedProfile) -> None:
    one = b"MSH|^~\\&|E|F|G|H|20260101||ADT^A01|1|P|2.5\rPID|1|||||||||||||||||A1\r"
    with pytest.raises(MappingError, match="batch at"):
        map_message(Er7Message.parse(one + one), base, 1)


def test_unreadable_values_are_problems_and_stay_absent(base: FeedProfile) -> None:
    segments = (
        "MSH|^~\\&|E|F|G|H|20260101||ADT^A01|1|P|2.5",
        "PID|1||M1||DOE^J||19991350|Q||||||||||A1",
        "PV1|1|QQ|W|||||||||||||||||||||||||||||||||||||||||202613010000|2026",
    )
    change = map_message(Er7Message.parse("\r".join(segments).encode()), base, 1)
    assert isinstance(change, Change)
    assert change.patient is not None
    assert not {"birth_date", "sex"} & change.patient.model_fields_set
    assert change.visit is not None
    assert not {"encounter_class", "admitted", "discharged"} & change.visit.model_fields_set
    assert [(p.rule, p.where) for p in change.problems] == [
        ("code-unmapped", "PV1-2"),
        ("value-unreadable", "PV1-44"),
        ("value-unreadable", "PV1-45"),
        ("value-unreadable", "PID-7"),
        ("code-unmapped", "PID-8"),
    ]
    told = " ".join(p.text for p in change.problems)
    assert "1999" not in told
    assert "QQ" not in told


def test_a_birth_date_is_not_moved_by_a_time_zone(base: FeedProfile) -> None:
    payload = b"MSH|^~\\&|E|F|G|H|20260101||ADT^A01|1|P|2.5\rPID|1||M1||||198808180126+0215|||||||||||A1\r"
    change = map_message(Er7Message.parse(payload), base, 1)
    assert isinstance(change, Change)
    assert change.patient is not None
    assert change.patient.birth_date == date(1988, 8, 18)


def test_undecodable_characters_are_reported(base: FeedProfile) -> None:
    payload = b"MSH|^~\\&|E|F|G|H|20260101||ADT^A01|1|P|2.5\rPID|1||M1||D\x81E|||||||||||||A1\r"
    change = map_message(Er7Message.parse(payload), base, 1)
    assert isinstance(change, Change)
    assert [(p.rule, p.where) for p in change.problems] == [("charset", "MSH-18")]


REFUSED = frozenset(
    {
        *("no-encounter-number", "no-document", "no-type", "batch", "several-encounters", "several-patients"),
        *("merge-incomplete", "merge-unmatched", "merge-into-itself", "merge-reversed", "move-unknown", "move-unclear"),
    }
)
"""All the reasons that a whole message can be set aside for."""


def _mapped(message: Er7Message, source: FeedProfile) -> Mapped | str:
    try:
        return map_message(message, source, 1)
    except MappingError as error:
        return error.code


@pytest.mark.parametrize("name", ["base", "epic"])
def test_shared_messages_are_changes_merges_unused_or_refused(
    shared_data: Path, dialects: dict[str, Dialect], base: FeedProfile, name: str
) -> None:
    source = replace(base, dialect=dialects[name])
    outcomes: Counter[str] = Counter()
    with (shared_data / "v2" / "index.csv").open(newline="", encoding="utf-8") as index:
        rows = list(csv.DictReader(index))
    for row in rows:
        message = Er7Message.parse((shared_data / "v2" / row["path"]).read_bytes())
        mapped = _mapped(message, source)
        outcomes[mapped if isinstance(mapped, str) else type(mapped).__name__] += 1
        if isinstance(mapped, Change):
            encounter = apply(apply(None, mapped), mapped)
            assert Encounter.from_json(encounter.to_json()) == encounter, row["path"]
            assert len(mapped.origins()) >= 1
            charged = int(row["FT1"]) if row["type_event"].startswith("DFT") else 0
            assert mapped.counted == charged, row["path"]
            assert mapped.counted == (len(mapped.charges.items) if mapped.charges else 0)
            assert ("charges-not-taken" in {p.rule for p in mapped.problems}) is (int(row["FT1"]) > charged)
            assert mapped.event == (message.get("MSH-9.2") or message.get("EVN-1"))
        elif isinstance(mapped, Merges):
            assert mapped.pairs
        elif isinstance(mapped, Unused):
            assert row["type_event"] not in MAPPED or row["type_event"] in SOMETIMES_UNUSED, row["path"]
    assert outcomes.keys() - {"Change", "Merges", "Unused"} <= REFUSED
    assert outcomes["Change"] >= 90
    assert outcomes["Merges"] >= 11


SOMETIMES_UNUSED = frozenset({"ADT^A28", "ADT^A29", "ADT^A31", "ORU^R01"})
"""What says nothing of an encounter where it names none."""
