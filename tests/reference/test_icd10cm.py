from __future__ import annotations

import csv
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reference.icd10cm import CodeSetFault, CodeState, Icd10Cm, Release, compile_icd10cm
from gateway.reference.icd10cm_files import flagged, number_of, packaged_lists, read_release

DAY = date(2026, 5, 1)
CODES = (
    "A00",
    "A000",
    "I10",
    "M1A",
    "M1A0",
    "M1A00X0",
    "QA00101",
    "S020",
    "S020XXA",
    "S020XXB",
    "T36",
    "T360X1",
    "T360X1A",
)


def release(published: str, starts: date, *codes: str) -> Release:
    return Release(f"release {published}", published, starts, flagged(codes))


@pytest.fixture
def small() -> Icd10Cm:
    return Icd10Cm([release("2026-04", date(2025, 10, 1), *CODES)])


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Icd10Cm:
    return Icd10Cm.load(tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize(
    ("code", "state", "needs_seventh"),
    [
        ("I10", CodeState.BILLABLE, False),
        ("A000", CodeState.BILLABLE, False),
        ("A00", CodeState.HEADER, False),
        ("M1A0", CodeState.HEADER, True),
        ("S020", CodeState.HEADER, True),
        ("S020XXA", CodeState.BILLABLE, False),
        ("S020XX", CodeState.UNKNOWN, False),
        ("S020XXZ", CodeState.UNKNOWN, False),
        ("T360X1", CodeState.HEADER, True),
        ("T36", CodeState.HEADER, False),
        ("QA00101", CodeState.BILLABLE, False),
        ("i10", CodeState.UNKNOWN, False),
        ("I10.", CodeState.UNKNOWN, False),
        ("", CodeState.UNKNOWN, False),
        ("A0", CodeState.UNKNOWN, False),
        ("S020XXAB", CodeState.UNKNOWN, False),
        ("É10", CodeState.UNKNOWN, False),
        ("A00\0", CodeState.UNKNOWN, False),
    ],
)
def test_states(small: Icd10Cm, code: str, state: CodeState, needs_seventh: bool) -> None:
    status = small.status(code, DAY)
    assert (status.state, status.needs_seventh) == (state, needs_seventh)
    assert status.in_force
    assert status.release == "release 2026-04"


@given(st.sets(st.from_regex(r"[A-Z][0-9A-B]{2,6}", fullmatch=True), min_size=1, max_size=60))
def test_a_code_is_billable_when_none_begins_with_it(codes: set[str]) -> None:
    loaded = Icd10Cm([release("2026-04", date(2025, 10, 1), *codes)])
    for code in codes:
        header = any(other != code and other.startswith(code) for other in codes)
        assert loaded.status(code, DAY).state is (CodeState.HEADER if header else CodeState.BILLABLE)
        longer = f"{code}Z"
        if longer not in codes:
            assert loaded.status(longer, DAY).state is CodeState.UNKNOWN


def test_releases_stand_side_by_side() -> None:
    loaded = Icd10Cm(
        [release("2026-10", date(2026, 10, 1), "A01", "A010"), release("2026-04", date(2025, 10, 1), "A01", "B02")]
    )
    assert loaded.status("A01", date(2026, 9, 30)).state is CodeState.BILLABLE
    assert loaded.status("A01", date(2026, 10, 1)).state is CodeState.HEADER
    assert loaded.status("B02", date(2026, 10, 1)).state is CodeState.UNKNOWN
    later = loaded.status("A010", date(2031, 1, 1))
    assert (later.release, later.in_force) == ("release 2026-10", True)


def test_before_the_oldest_release_it_says_which_was_asked(small: Icd10Cm) -> None:
    earlier = small.status("I10", date(2018, 1, 1))
    assert (earlier.in_force, earlier.before_icd10cm, earlier.release) == (False, False, "release 2026-04")
    assert small.status("I10", date(2015, 9, 30)).before_icd10cm
    assert not small.status("I10", date(2015, 10, 1)).before_icd10cm


def test_of_two_lists_of_a_year_the_later_one_is_asked() -> None:
    starts = date(2025, 10, 1)
    loaded = Icd10Cm([release("2026-04", starts, "A01"), release("2025-10", starts, "B01")])
    assert loaded.status("A01", DAY).state is CodeState.BILLABLE


def test_compiled_once_and_read_back(tmp_path: Path) -> None:
    first = Icd10Cm.load(tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = Icd10Cm.load(tmp_path)
    assert file.stat().st_mtime_ns == written
    assert file.stat().st_size < 1_000_000
    assert list(again.releases[0].entries) == list(first.releases[0].entries)


def test_compile_to_a_named_file(tmp_path: Path) -> None:
    target = compile_icd10cm(tmp_path / "deep" / "icd10cm-2026-04.codes")
    assert read_release(target).starts <= date(2026, 10, 1)
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("damage", [b"", b"nonsense", b'{"format":"other"}\n', b"[1]\n"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    Icd10Cm.load(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    with pytest.raises(CodeSetFault, match="delete it"):
        Icd10Cm.load(tmp_path)


def test_one_changed_byte_is_found(tmp_path: Path) -> None:
    target = compile_icd10cm(tmp_path / "x.codes")
    content = bytearray(target.read_bytes())
    content[-1] ^= 1
    target.write_bytes(bytes(content))
    with pytest.raises(CodeSetFault, match="damaged"):
        read_release(target)


def test_loading_does_not_import_the_package(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gateway.reference.icd10cm import Icd10Cm; "
        f"Icd10Cm.load(Path({str(tmp_path)!r})); print('simple_icd_10_cm' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert ran.stdout.strip() == "False"


def test_no_release_is_a_fault() -> None:
    with pytest.raises(CodeSetFault):
        Icd10Cm([])


def test_number_of_keeps_the_order() -> None:
    numbers = [number_of(code) for code in CODES]
    assert None not in numbers
    assert numbers == sorted(numbers, key=lambda number: number or 0)


def test_every_billable_code_of_the_medicare_code_editor(whole: Icd10Cm, shared_data: Path) -> None:
    """CMS's own list of what may be billed, version 43.1: not one code more or less."""
    with (shared_data / "reference" / "mce" / "i10dx_mce43.1.csv").open() as rows:
        active = {
            row["code"]
            for row in csv.DictReader(rows)
            if row["start_date"] <= "20260401" <= (row["end_date"] or "99999999")
        }
    disagreeing = {code for code in active if whole.status(code, date(2026, 4, 1)).state is not CodeState.BILLABLE}
    assert disagreeing == set()
    billable = sum(1 for entry in whole.releases[0].entries if entry & 0xFF == 2)
    assert billable == len(active) == 74_719


def test_the_list_agrees_with_the_tabular_xml(whole: Icd10Cm, shared_data: Path) -> None:
    """Leaves of the XML, 7th characters and placeholders added, hold every billable code; headings are headings."""
    leaves, headings = _tabular(shared_data / "reference" / "icd10cm" / "icd10c-tabular-April-1-2026.xml")
    entries = {entry >> 8: entry & 0xFF for entry in whole.releases[0].entries}
    by_code = {number.to_bytes(7, "big").rstrip(b"\0").decode(): flag for number, flag in entries.items()}
    billable = {code for code, flag in by_code.items() if flag == 2}
    assert billable <= leaves
    assert headings == by_code.keys() - billable
    left_out = leaves - billable
    assert len(left_out) < 100, "combinations that the classification itself excludes"
    assert all(len(code) == 7 for code in left_out)


def test_the_packaged_list_is_named_by_its_month() -> None:
    newest = packaged_lists()[-1]
    assert newest.label.startswith("ICD-10-CM FY")
    assert (newest.starts.month, newest.starts.day) == (10, 1)


def _tabular(path: Path) -> tuple[set[str], set[str]]:
    leaves: set[str] = set()
    headings: set[str] = set()

    def walk(diag: ET.Element, sevenths: list[str]) -> None:
        code = (diag.findtext("name") or "").replace(".", "")
        own = diag.find("sevenChrDef")
        sevenths = [e.get("char") or "" for e in own.findall("extension")] if own is not None else sevenths
        children = diag.findall("diag")
        for child in children:
            walk(child, sevenths)
        if children or (sevenths and len(code) < 7):
            headings.add(code)
        if not children:
            leaves.update(f"{code:X<6}{seventh}" for seventh in sevenths) if sevenths and len(code) < 7 else leaves.add(
                code
            )

    for diag in ET.parse(path).getroot().findall("chapter/section/diag"):  # noqa: S314
        walk(diag, [])
    return leaves, headings
