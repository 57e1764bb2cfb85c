"""Dialect files: what they may say, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.encounter.model import EncounterClass
from gateway.mappings.hl7v2.dialect import Dialect, DialectError, load_dialects
from gateway.mappings.hl7v2.fields import GROUPS, TABLES
from gateway.mappings.hl7v2.path import Path as Er7Path
from gateway.yamlfile import Mistake


def mistakes(directory: Path, text: str) -> list[Mistake]:
    (directory / "site.yaml").write_text(text)
    with pytest.raises(DialectError) as raised:
        load_dialects(directory)
    return list(raised.value.mistakes)


def test_the_dialects_that_come_with_the_gateway(dialects: dict[str, Dialect]) -> None:
    assert {"base", "epic"} <= dialects.keys()
    assert dialects["base"].key == ("account", "visit")
    assert dialects["epic"].key == ("account",)
    assert dialects["epic"].fields["charges"]["code"].paths == ("FT1-25",)
    assert dialects["epic"].fields["patient"] == dialects["base"].fields["patient"]
    assert dialects["epic"].lookups["encounter_class"]["I"] is EncounterClass.INPATIENT
    assert dialects["epic"].lookups["encounter_class"]["HOV"] is EncounterClass.OUTPATIENT


def test_base_places_every_canonical_field_and_fills_every_table(dialects: dict[str, Dialect]) -> None:
    base = dialects["base"]
    for group, fields in GROUPS.items():
        unplaced = fields.fields.keys() - base.fields[group].keys()
        assert unplaced <= {"filing", "place_of_service"}, group
    assert TABLES.keys() - base.tables.keys() == {"filing"}
    for fields in base.fields.values():
        for rule in fields.values():
            assert all(Er7Path.parse(path).text == path for path in rule.paths)


def test_a_dialect_is_frozen(dialects: dict[str, Dialect]) -> None:
    with pytest.raises(ValueError, match="frozen"):
        dialects["base"].key = ("visit",)  # type: ignore[misc]


def test_short_and_long_forms_of_a_field(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "extends: epic\nfields:\n  visit:\n    type: PV2-3\n    service: [PV1-10, PV1-11]\n    location:\n"
        "    disposition: {from: PV1-36, with: [digits]}\n"
    )
    visit = load_dialects(tmp_path)["site"].fields["visit"]
    assert visit["type"].paths == ("PV2-3",)
    assert visit["service"].paths == ("PV1-10", "PV1-11")
    assert visit["location"].paths == ()
    assert (visit["disposition"].paths, visit["disposition"].transforms) == (("PV1-36",), ("digits",))
    assert visit["account"].paths == ("PID-18",)


def test_codes_that_look_like_numbers_or_truth_values_stay_text(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("extends: base\ntables:\n  relationship: {01: spouse, NO: other, 1_0: child}\n")
    table = load_dialects(tmp_path)["site"].lookups["relationship"]
    assert (table["01"], table["NO"], table["1_0"]) == ("spouse", "other", "child")


@pytest.mark.parametrize(
    ("text", "line", "key", "told", "remedy"),
    [
        ("extends: bass\n", 1, "extends", "no dialect 'bass'", "base"),
        ("extends: site\n", 1, "extends", "circle", "extend base"),
        ("extends: base\nfeilds: {}\n", 2, "feilds", "not a setting", "did you mean fields?"),
        ("extends: base\nkey: [acount]\n", 2, "key[0]", "'acount' is not known", "account"),
        ("extends: base\nkey: account\n", 2, "key", "not a list", "[account, visit]"),
        ("extends: base\nfinal: [ADT, XYZ]\n", 2, "final[1]", "'XYZ'", "write one of"),
        ("fields:\n  patiant: {}\n", 2, "fields.patiant", "not known", "did you mean patient?"),
        ("fields:\n  patient:\n    nmae: PID-5\n", 3, "fields.patient.nmae", "not known", "did you mean name?"),
        ("fields:\n  patient:\n\n    name: PID5\n", 4, "fields.patient.name", "'PID5' is not a path", "PID-3[1].1"),
        ("fields:\n  patient:\n    name: {of: PID-5}\n", 3, "fields.patient.name.of", "not known", "from"),
        (
            "fields:\n  patient:\n    sex: {from: PID-8, with: [uper]}\n",
            3,
            "fields.patient.sex.with[0]",
            "'uper'",
            "upper",
        ),
        (
            "fields:\n  patient:\n    name: {from: PID-5, with: [upper]}\n",
            3,
            "fields.patient.name.with",
            "several",
            "leave",
        ),
        ("fields:\n  charges:\n    code: FT1[2]-7\n", 3, "fields.charges.code", "one occurrence", "FT1-"),
        ("fields: 1\n", 1, "fields", "not a mapping", "name: value"),
        ("tables:\n  sex: {F: W}\n", 2, "tables.sex.F", "'W' is not a value", "write one of"),
        ("tables:\n  encounter_class:\n    I: inpatent\n", 3, "tables.encounter_class.I", "'inpatent'", "inpatient?"),
        ("tables:\n  nonsense: {}\n", 2, "tables.nonsense", "not known", "write one of"),
        ("charge_codes:\n  X1: {code: '1', system: cbt}\n", 2, "charge_codes.X1.system", "'cbt'", "cpt"),
        ("charge_codes:\n  X1: {system: cpt}\n", 2, "charge_codes.X1.code", "is missing", "code"),
        ("extends: base\nextends: base\n", 2, "extends", "twice", "keep one"),
        ("a: [1\nb: 2\n", 2, "", "not YAML", "indentation"),
        ("final: &x [DFT]\nreplace: *x\n", 2, "replace", "alias", "write the value out"),
        ("- 1\n", 1, "", "not a mapping", "key: value"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_remedy(
    tmp_path: Path, text: str, line: int, key: str, told: str, remedy: str
) -> None:
    (mistake,) = mistakes(tmp_path, text)
    file = str(tmp_path / "site.yaml")
    assert (mistake.file, mistake.line, mistake.key) == (file, line, key)
    assert told in mistake.text
    assert remedy in mistake.remedy
    assert str(mistake).startswith(f"{file}:{line}: {key}")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path, "extends: base\nkey: []\nfields:\n  visit:\n    type: X\n    foo: PV1-1\ntables: {sex: {F: Q}}\n"
    )
    assert [(m.line, m.key) for m in found] == [
        (2, "key"),
        (5, "fields.visit.type"),
        (6, "fields.visit.foo"),
        (7, "tables.sex.F"),
    ]


def test_a_circle_of_dialects(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("extends: site\n")
    assert [Path(m.file).name for m in mistakes(tmp_path, "extends: other\n")] == ["other.yaml", "site.yaml"]


def test_a_site_cannot_take_a_name_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "epic.yaml").write_text("extends: base\n")
    with pytest.raises(DialectError, match=r"epic\.yaml: the name epic is taken\n    rename the file"):
        load_dialects(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe\x00", ":1: is not UTF-8 text"),
        (b"a: " + b"x" * 300_000, ": is larger than 256 KiB"),
        (b"[" * 5000, ":1: is nested too deeply"),
    ],
)
def test_files_that_are_no_dialects_at_all(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "site.yaml").write_bytes(content)
    with pytest.raises(DialectError, match=rf"site\.yaml{told}"):
        load_dialects(tmp_path)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DialectError, match="is not a directory\n    name the directory"):
        load_dialects(tmp_path / "none")
