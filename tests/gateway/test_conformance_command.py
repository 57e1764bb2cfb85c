"""`gateway conformance`: the sheet that an analyst and a vendor sign, in each of its forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from gateway_world import environment, write_configuration
from typer.testing import CliRunner

from conformance import report_html, report_junit, report_text
from conformance.feed_purposes import PURPOSES, purpose
from conformance.feed_report import RULES, FeedReport
from conformance.hl7_referee import Judgement, Remark, Weight, judge
from conformance.hl7_structures import structures
from conformance.referee_process import Referee
from gateway.cli.commands import app
from gateway.clock import SystemClock
from gateway.trial.tried import Fate, Tried

MESSAGES = Path(__file__).parents[2] / "fixtures" / "hl7v2"
GOOD = (MESSAGES / "adt_a03.hl7").read_bytes()


def remarks(payload: bytes) -> set[tuple[str, str]]:
    return {(remark.rule, remark.place) for remark in judge(payload).remarks}


def changed(old: bytes, new: bytes, payload: bytes = GOOD) -> bytes:
    assert old in payload
    return payload.replace(old, new)


# The referee


def test_a_sound_message_has_no_error() -> None:
    judged = judge((MESSAGES / "mdm_t02.hl7").read_bytes())
    assert (judged.version, judged.structure) == ("2.5.1", "MDM_T02")
    assert [remark for remark in judged.remarks if remark.weight is Weight.ERROR] == []


def test_a_segment_that_is_required_or_out_of_place_is_told() -> None:
    without = b"\n".join(line for line in GOOD.splitlines() if not line.startswith(b"EVN"))
    assert ("segment-required", "EVN") in remarks(without)
    assert ("segment-unexpected", "FT1") in remarks(GOOD.strip() + b"\nFT1|1|||20260101||CG\n")
    assert ("segment-known", "ARV[1]") in remarks(GOOD.strip() + b"\nARV|1\n")
    twice = GOOD.strip() + b"\n" + next(line for line in GOOD.splitlines() if line.startswith(b"EVN"))
    assert {rule for rule, place in remarks(twice) if place == "EVN"} & {"segment-unexpected", "segment-repeats"}


def test_a_field_is_told_with_the_occurrence_of_its_segment() -> None:
    two = GOOD.strip() + b"\nNTE|1\nDG1||||||\nDG1|1|||||A" + b"|" * 40 + b"beyond\n"
    found = remarks(two)
    assert ("field-required", "DG1[1]-1") in found
    assert ("field-known", "DG1[2]-46") in found
    assert not [place for rule, place in found if rule == "field-required" and place == "DG1[2]-1"]


def test_site_defined_segments_and_delimiters_of_their_own_are_no_fault() -> None:
    assert judge(GOOD.strip() + b"\nZPV|anything|goes^here\n").remarks == judge(GOOD).remarks
    own = GOOD.replace(b"|", b"$").replace(b"^", b"@").replace(b"MSH$@~", b"MSH$@~")
    assert judge(own).remarks == judge(GOOD).remarks
    later = changed(b"|^~\\&|", b"|^~\\&#|")
    assert {r.rule for r in judge(later).remarks} == {r.rule for r in judge(GOOD).remarks}


@pytest.mark.parametrize(
    ("said", "judged", "weight"),
    [(b"2.9", "2.8.2", Weight.WARNING), (b"2.3.3", "2.3.1", Weight.WARNING), (b"", "2.5.1", Weight.ERROR)],
)
def test_another_version_goes_to_the_nearest_with_a_note(said: bytes, judged: str, weight: Weight) -> None:
    result = judge(changed(b"|2.5.1", b"|" + said))
    assert result.version == judged
    assert [remark.weight for remark in result.remarks if remark.rule == "version"] == [weight]


def test_an_event_leads_to_the_structure_that_it_shares() -> None:
    assert structures("ADT", "A08", "") == ("ADT_A01", "ADT_A08")
    assert structures("ADT", "A40", "ADT_A40") == ("ADT_A40", "ADT_A39")
    assert structures("DFT", "P03", "DFT_P03") == ("DFT_P03",)
    assert judge((MESSAGES / "adt_a08.hl7").read_bytes()).structure == "ADT_A01"
    odd = judge(changed(b"ADT^A03^ADT_A03", b"ADT^A03^ADT_XYZ"))
    assert (odd.structure, {r.rule for r in odd.remarks} >= {"structure-known"}) == ("ADT_A03", True)


@pytest.mark.parametrize(
    "payload", [b"", b"nothing", b"MSH", b"MSH|^~\\&|", b"MSH|^~\\&|||||||\xff\xfe^\x00|||2.5\rPID"]
)
def test_whatever_the_bytes_are_there_is_a_judgement(payload: bytes) -> None:
    judged = judge(payload)
    assert judged.remarks
    assert {remark.rule for remark in judged.remarks} <= RULES.keys()


def test_real_messages_are_all_judged(shared_data: Path) -> None:
    """One in ten of each sender's: none is too odd for it."""
    files = sorted((shared_data / "v2").glob("*/*.hl7"))[::20]
    assert len(files) > 20
    for file in files:
        judged = judge(file.read_bytes())
        assert judged.version is not None, file.name
        assert {remark.rule for remark in judged.remarks} <= RULES.keys(), file.name
        assert not [remark for remark in judged.remarks if "could not be judged" in remark.text], file.name


def test_a_message_that_takes_too_long_is_given_up_and_the_next_one_judged() -> None:
    long = (MESSAGES / "dft_p03.hl7").read_bytes()
    with Referee(seconds=0.000_001) as hasty:
        [given_up] = hasty.judge(long).remarks
    assert "not judged within" in given_up.text
    with Referee() as referee:
        assert referee.judge(long) == judge(long)


# The profile and the sheet


def test_what_a_purpose_asks_depends_on_the_event() -> None:
    assert purpose("ADT^A01") == PURPOSES["ADT"]
    assert {wanted.path for wanted in purpose("ADT^A08")} == {"patient.identifiers", "visit.account|visit.number"}
    assert all(wanted.path.startswith("patient.") for wanted in purpose("ADT^A28"))
    assert purpose("ADT^A40") == purpose("ORU^R01") == ()


def run(directory: Path, *words: str) -> Any:
    write_configuration(directory)
    around = {**environment(), "GATEWAY_CONFIG": str(directory / "gateway.yaml")}
    return CliRunner().invoke(app, ["conformance", "--feed", "epic-adt", *words], env=around)


def test_the_sheet_in_all_its_forms(tmp_path: Path) -> None:
    broken = tmp_path / "broken.hl7"
    broken.write_bytes(changed(b"900417", b"", changed(b"V880012", b"")))
    junit, html = tmp_path / "junit.xml", tmp_path / "sheet.html"
    files = [str(MESSAGES / "dft_p03.hl7"), str(MESSAGES / "adt_a01.hl7"), str(broken)]
    result = run(tmp_path, *files, "--junit", str(junit), "--html", str(html))
    assert result.exit_code == 1
    told = result.stdout
    assert "DOES NOT CONFORM" in told
    assert "3: " in told
    assert "2 of 3      The message has the number that keys its encounter" in told
    assert "is not in table HL70396" in told
    assert "analyst  ____" in told
    suites = ET.parse(junit).getroot()  # noqa: S314 - our own file
    assert suites.get("tests") == str(len(suites.findall(".//testcase")))
    assert len(suites.findall("testsuite")) == 3
    failed = suites.findall(".//testcase[@name='key-number']/failure")
    assert [each.get("type") for each in failed] == ["key-number"]
    page = html.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    for written in (told, page, junit.read_text()):
        for private in ("QUILL", "MRN4471", "MARIGOLD", "19580704", "PO BOX 9"):
            assert private not in written


def test_values_are_shown_only_when_that_is_asked(tmp_path: Path) -> None:
    text = tmp_path / "sheet.txt"
    result = run(tmp_path, "--show-values", "--text", str(text), str(MESSAGES / "adt_a01.hl7"))
    assert "PO BOX 9" in text.read_text()
    assert "this sheet holds patient data" in text.read_text()
    assert "PO BOX 9" not in result.stdout


def test_a_feed_or_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    around = {**environment(), "GATEWAY_CONFIG": str(tmp_path / "gateway.yaml")}
    file = str(MESSAGES / "adt_a01.hl7")
    unknown = CliRunner().invoke(app, ["conformance", "--feed", "ehr-fhir", file], env=around)
    assert (unknown.exit_code, "no HL7 v2 feed" in unknown.output) == (2, True)
    nothing = tmp_path / "nothing.hl7"
    nothing.write_bytes(b"")
    empty = run(tmp_path, str(nothing))
    assert (empty.exit_code, "DOES NOT CONFORM" in empty.output) == (1, True)


def hostile() -> FeedReport:
    bad = '<script>alert("x")</script>&\x00\x1b[31m]]>'
    report = FeedReport(bad, bad, bad, SystemClock().now(), show_values=True, files=[bad], file_problems=[bad])
    tried = Tried(bad, 1, bad, bad, Fate.PROCESSED, None)
    remark = Remark("table-value", Weight.ERROR, bad, bad, bad)
    report.add(tried, Judgement("2.5", "ADT_A01", (remark,)), [])
    return report


def test_nothing_in_a_message_can_break_out_of_the_sheet() -> None:
    page = report_html.page(hostile())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    suites = ET.fromstring(report_junit.junit(hostile()))  # noqa: S314 - our own text
    assert len(suites.findall("testsuite")) == 2
    assert "\x1b" not in report_text.text(hostile())


def test_a_sheet_without_errors_conforms() -> None:
    report = FeedReport("f", "base", "1", SystemClock().now())
    assert not report.conforms
    warned = Remark("length", Weight.WARNING, "PID[2]-5", "is longer than 3")
    report.add(Tried("a", 1, "ADT^A08", "1", Fate.PROCESSED, None), Judgement("2.5", "ADT_A01", (warned, warned)), [])
    assert report.conforms
    assert (report.rules["length"].places, report.rules["length"].failed) == ({"PID-5": 2}, 1)
    assert report_text.verdict(report) == "CONFORMS: 1 messages, no error"
