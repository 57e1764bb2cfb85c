"""ORU^R01: reports as evidence: what kind, how final, which words, whose encounter."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.encounter.apply import apply
from gateway.encounter.change import Change
from gateway.encounter.model import Document, DocumentKind, DocumentStatus
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapping import MappingError, Unused
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.results import Observations

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Maps

PID = "PID|1||M1^^^H^MR||DOE^JANE|||||||||||||A1"
PV1 = "PV1|1|I|||||||||||||||||V1^^^H"


def obr(filler: str = "F77", code: str = "2345-7^Glucose panel^LN", section: str = "", status: str = "F") -> str:
    return f"OBR|1|P1|{filler}|{code}|||202601200800|||||||||||||||202601200915||{section}|{status}|||||||777&HART&LEE"


def obx(value: str = "98", kind: str = "NM", name: str = "2345-7^Glucose^LN", status: str = "F", **more: str) -> str:
    said = {"units": "mg/dL", "normal": "70-99", "flag": "", **more}
    return f"OBX|1|{kind}|{name}||{value}|{said['units']}|{said['normal']}|{said['flag']}|||{status}"


def change(mapped: object) -> Change:
    assert isinstance(mapped, Change)
    return mapped


def documents(mapped: object) -> tuple[Document, ...]:
    said = change(mapped).documents
    assert said is not None
    return said.items


def text(mapped: object) -> str:
    (content,) = change(mapped).contents
    assert content.content_type == "text/plain"
    return content.body.decode()


def test_a_report_with_its_values(maps: Maps) -> None:
    mapped = maps(
        "ORU^R01",
        PID,
        PV1,
        obr(section="CH"),
        obx(flag="N"),
        obx("121", flag="H", name="2951-2^Sodium^LN", units="mmol/L", normal="135-145"),
        "NTE|1||Drawn late~Repeat \\T\\ confirm",
        obx(">^100", kind="SN", name="x^Ratio", units="", normal=""),
        obx("260385009^Negative^SCT~A^Absent", kind="CWE", name="y^Culture", units="", normal=""),
    )
    (report,) = documents(mapped)
    assert (report.id, report.kind, report.status) == (
        "F77-2345-7",
        DocumentKind.LABORATORY_REPORT,
        DocumentStatus.FINAL,
    )
    assert (report.type, report.title, report.origin) == ("2345-7", "Glucose panel", "7 OBR[1]")
    assert report.written == datetime(2026, 1, 20, 15, 15, tzinfo=UTC)
    assert report.author is not None
    assert report.author.name is not None
    assert report.author.name.family == "HART"
    assert text(mapped) == (
        "Glucose: 98 mg/dL (reference 70-99) [N]\n"
        "Sodium: 121 mmol/L (reference 135-145) [H]\n"
        "Drawn late\nRepeat & confirm\n"
        "Ratio: >100\n"
        "Culture: Negative, Absent"
    )
    said = change(mapped)
    assert (said.patient, said.visit, said.diagnoses, said.charges) == (None, None, None, None)
    assert [i.value for i in said.identifiers] == ["A1", "V1", "M1"]
    assert said.origins()["documents[0].kind"] == "OBR[1]-24[1]"
    assert said.origins()["documents[0].digest"] == "OBX[1]-5[1]"


def test_reported_text_has_headings_where_the_name_changes(maps: Maps) -> None:
    mapped = maps(
        "ORU^R01",
        PID,
        obr(code="71046^Chest, two views^C4", section="RAD"),
        obx("The lungs are clear.", kind="TX", name="F^FINDINGS"),
        obx("Heart size \\T\\ shape normal.~No effusion.", kind="FT", name="F^FINDINGS"),
        obx("No acute disease.\\.br\\Stable.", kind="TX", name="I^IMPRESSION"),
    )
    assert documents(mapped)[0].kind is DocumentKind.IMAGING_REPORT
    assert text(mapped) == (
        "FINDINGS:\nThe lungs are clear.\nHeart size & shape normal.\nNo effusion.\n"
        "IMPRESSION:\nNo acute disease.\nStable."
    )


@pytest.mark.parametrize(
    ("code", "section", "kind"),
    [
        ("x^CBC^L", "HM", DocumentKind.LABORATORY_REPORT),
        ("x^Biopsy^L", "SP", DocumentKind.PATHOLOGY_REPORT),
        ("11526-1^Pathology study^LN", "", DocumentKind.PATHOLOGY_REPORT),
        ("18748-4^Imaging study^LN", "LAB", DocumentKind.IMAGING_REPORT),
        ("x^Vital signs^L", "", DocumentKind.OTHER),
        ("x^Vital signs^L", "NRS", DocumentKind.OTHER),
    ],
)
def test_what_a_report_is_good_for(maps: Maps, code: str, section: str, kind: DocumentKind) -> None:
    assert documents(maps("ORU^R01", PID, obr(code=code, section=section), obx()))[0].kind is kind


@pytest.mark.parametrize(
    ("order", "observations", "expected"),
    [
        ("F", ["F", "F"], DocumentStatus.FINAL),
        ("", ["F"], DocumentStatus.FINAL),
        ("F", [], DocumentStatus.FINAL),
        ("f", ["f"], DocumentStatus.FINAL),
        ("F", ["F", "P"], DocumentStatus.PRELIMINARY),
        ("P", ["F"], DocumentStatus.PRELIMINARY),
        ("F", ["F", "X"], DocumentStatus.FINAL),
        ("C", ["F"], DocumentStatus.AMENDED),
        ("F", ["C", "F"], DocumentStatus.AMENDED),
        ("", [""], DocumentStatus.PRELIMINARY),
        ("F", ["D"], DocumentStatus.CANCELLED),
        ("F", ["W", "D"], DocumentStatus.CANCELLED),
        ("X", [], DocumentStatus.CANCELLED),
        ("I", [], DocumentStatus.PRELIMINARY),
        ("?", [], DocumentStatus.PRELIMINARY),
    ],
)
def test_a_report_is_as_final_as_the_least_of_it(
    maps: Maps, order: str, observations: list[str], expected: DocumentStatus
) -> None:
    mapped = maps("ORU^R01", PID, obr(status=order), *(obx(status=each) for each in observations))
    assert documents(mapped)[0].status is expected


def test_what_was_posted_as_wrong_is_not_told(maps: Maps) -> None:
    mapped = maps("ORU^R01", PID, obr(), obx("98"), obx("444", status="W"), obx("555", status="D"))
    assert text(mapped) == "Glucose: 98 mg/dL (reference 70-99)"


def test_a_correction_takes_the_place_of_the_report(maps: Maps) -> None:
    first = apply(None, change(maps("ORU^R01", PID, obr(status="P"), obx("98", status="P"))))
    second = apply(first, change(maps("ORU^R01", PID, obr(status="C"), obx("89", status="C"), message=8)))
    (report,) = second.documents
    assert (report.status, report.id) == (DocumentStatus.AMENDED, first.documents[0].id)
    assert report.digest != first.documents[0].digest


def test_a_final_status_alone_keeps_the_words(maps: Maps) -> None:
    first = apply(None, change(maps("ORU^R01", PID, obr(status="P"), obx(status="P"))))
    (report,) = apply(first, change(maps("ORU^R01", PID, obr(status="F"), message=8))).documents
    assert (report.status, report.digest) == (DocumentStatus.FINAL, first.documents[0].digest)


def test_each_order_is_a_report_and_keeps_its_files(maps: Maps) -> None:
    pdf = "^AP^PDF^Base64^" + base64.b64encode(b"%PDF-1").decode()
    mapped = maps(
        "ORU^R01",
        PID,
        obr("F1", "A^Alpha"),
        obx("one", kind="TX", name=""),
        obr("F2", "B^Beta"),
        obx(pdf, kind="ED"),
        obx(pdf, kind="ED", status="D"),
        obr("F2", "B^Beta"),
        obx("three", kind="TX", name=""),
        obx(pdf, kind="ED"),
    )
    found = documents(mapped)
    assert [d.id for d in found] == ["F1-A", "F2-B", "F2-B-3", "F2-B-3~1"]
    assert [d.content_type for d in found] == ["text/plain", "application/pdf", "text/plain", "application/pdf"]
    assert {d.digest for d in found} == {content.digest for content in change(mapped).contents}
    assert change(mapped).problems == ()


def test_a_file_that_cannot_be_decoded_is_told(maps: Maps) -> None:
    mapped = change(maps("ORU^R01", PID, obr(), obx(), obx("^AP^PDF^Base64^$$", kind="ED")))
    assert [(p.rule, p.where) for p in mapped.problems] == [("attachment-unreadable", "OBX[2]-5")]


def test_observations_without_an_order_are_a_report_of_no_kind(maps: Maps) -> None:
    mapped = maps("ORU^R01", PID, obx("Echo shows nothing.", kind="TX", name=""))
    (report,) = documents(mapped)
    assert (report.kind, report.status, report.origin) == (DocumentKind.OTHER, DocumentStatus.FINAL, "7 OBX[1]")
    assert text(mapped) == "Echo shows nothing."


def test_rtf_becomes_text(maps: Maps) -> None:
    rtf = "{\\E\\rtf1\\E\\b Bold\\E\\b0\\E\\par next}"
    assert text(maps("ORU^R01", PID, obr(), obx(rtf, kind="FT", name="x^Report"))) == "Bold\nnext"


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        (("PID|1||M1", obr(), obx()), "ORU^R01 names no account or visit that its results belong to"),
        ((obr(), obx()), "ORU^R01 names no account or visit that its results belong to"),
        ((PID, PV1), "ORU^R01 holds no result: it has neither OBR nor OBX"),
    ],
)
def test_results_that_are_not_used(maps: Maps, segments: tuple[str, ...], reason: str) -> None:
    assert maps("ORU^R01", *segments) == Unused(reason)


def test_results_of_several_patients_are_set_aside(maps: Maps) -> None:
    with pytest.raises(MappingError) as raised:
        maps("ORU^R01", PID, obr(), obx(), "PID|2||M2", obr(), obx())
    assert raised.value.code == "several-patients"


def test_a_date_that_is_none_is_told(maps: Maps) -> None:
    mapped = change(maps("ORU^R01", PID, obr().replace("202601200915", "soon"), obx()))
    assert [(p.rule, p.where) for p in mapped.problems] == [("value-unreadable", "OBR[1]-22")]
    assert documents(mapped)[0].written == datetime(2026, 1, 20, 14, 0, tzinfo=UTC)


@given(st.lists(st.text(alphabet='ABF^&~\\|"TXCWESN1.', max_size=30), max_size=6))
def test_any_observation_is_read_without_an_exception(rows: list[str]) -> None:
    lines = "".join(f"OBX|{row}\rNTE|{row}\r" for row in rows)
    message = Er7Message.parse(f"MSH|^~\\&|A|B|C|D|20260120||ORU^R01\rOBR|1\r{lines}".encode())
    found = Observations(Reading(message, UTC), message.positions("OBX"), message.names)
    assert isinstance(found.text(), str)
    assert isinstance(found.status(""), DocumentStatus)
