"""Dialect files: what they may say, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.encounter.model import EncounterClass
from gateway.mappings.hl7v2.dialect import Dialect, DialectError, load_dialects
from gateway.mappings.hl7v2.fields import GROUPS, TABLES
from gateway.mappings.hl7v2.path import Path as Er7Path
from gateway.mappings.hl7v2.transforms import Applied
from gateway.yamlfile import Mistake


def mistakes(directory: Path, text: str) -> list[Mistake]:
    (directory / "site.yaml").write_text(text)
    with pytest.raises(DialectError) as raised:
        load_dialects(directory)
    return list(raised.value.mistakes)


def test_the_dialects_that_come_with_the_gateway(dialects: dict[str, Dialect]) -> None:
    wanted = "base epic oracle-health meditech athenahealth eclinicalworks encoder solventum-360 optum-encoder"
    assert dialects.keys() == set(wanted.split())
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
    (disposition,) = visit["disposition"].alternatives
    assert (disposition.path, disposition.transforms) == ("PV1-36", (Applied(name="digits"),))
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
            "fields.patient.name.with[0]",
            "'upper'",
            "comma-names",
        ),
        ("fields:\n  charges:\n    code: FT1[2]-7\n", 3, "fields.charges.code", "one occurrence", "FT1-"),
        ("fields: 1\n", 1, "fields", "not a mapping", "name: value"),
        ("tables:\n  sex: {F: W}\n", 2, "tables.sex.F", "'W' is not a value", "write one of"),
        ("tables:\n  encounter_class:\n    I: inpatent\n", 3, "tables.encounter_class.I", "'inpatent'", "inpatient?"),
        (
            "fields:\n  patient:\n    address: {from: PID-11, with: [upper]}\n",
            3,
            "fields.patient.address.with",
            "several",
            "leave",
        ),
        ("tables:\n  nonsense: {}\n", 2, "tables.nonsense", "no field uses it", "write one of"),
        ("tables:\n  encounterclass: {}\n", 2, "tables.encounterclass", "no field", "did you mean encounter_class?"),
        ("tables:\n  No Name: {}\n", 2, "tables.No Name", "not the name of a table", "lower-case"),
        (
            "fields:\n  visit:\n    type: {from: PV1-18, table: kinds}\n",
            3,
            "fields.visit.type.table",
            "'kinds'",
            "tables.",
        ),
        (
            "fields:\n  visit:\n    encounter_class: {from: PV1-18, table: kinds}\ntables:\n  kinds:\n    X: opd\n",
            6,
            "tables.kinds.X",
            "'opd' is not a value",
            "outpatient",
        ),
        (
            "fields:\n  charges:\n    code: {from: FT1-25, table: kinds}\n",
            3,
            "fields.charges.code.table",
            "several",
            "out",
        ),
        ("fields:\n  visit:\n    type: {with: [upper]}\n", 3, "fields.visit.type.from", "is missing", "from:"),
        (
            "fields:\n  visit:\n    type: [{when: {present: PV1-2}}]\n",
            3,
            "fields.visit.type[0].path",
            "missing",
            "path:",
        ),
        (
            "fields:\n  visit:\n    type: [{path: PV1-2, whem: {}}]\n",
            3,
            "fields.visit.type[0].whem",
            "not known",
            "when?",
        ),
        (
            "fields:\n  visit:\n    type: {from: PV1-2, when: {}}\n",
            3,
            "fields.visit.type.when",
            "not a condition",
            "FT1-",
        ),
        (
            "fields:\n  visit:\n    type: {from: PV1-2, when: {PV1-18: []}}\n",
            3,
            "fields.visit.type.when.PV1-18",
            "empty",
            "one",
        ),
        (
            "fields:\n  visit:\n    type: {from: PV1-2, when: {PV118: A}}\n",
            3,
            "fields.visit.type.when.PV118",
            "'PV118' is not a path",
            "PID-3",
        ),
        (
            "fields:\n  visit:\n    type: {from: PV1-2, when: {PV1-18: {nor: A}}}\n",
            3,
            "fields.visit.type.when.PV1-18.nor",
            "not known",
            "not",
        ),
        (
            "fields:\n  charges:\n    units: {from: FT1-10, when: {absent: 'FT1[2]-4'}}\n",
            3,
            "fields.charges.units.when.absent",
            "one occurrence",
            "FT1-",
        ),
        (
            "fields:\n  visit:\n    admitted: {value: '20260101'}\n",
            3,
            "fields.visit.admitted.value",
            "constant",
            "path",
        ),
        (
            "fields:\n  visit:\n    encounter_class: [PV1-2, {value: opd}]\n",
            3,
            "fields.visit.encounter_class[1].value",
            "'opd'",
            "outpatient",
        ),
        (
            "fields:\n  charges:\n    units: [FT1-10, {value: one}]\n",
            3,
            "fields.charges.units[1].value",
            "'one'",
            "sender",
        ),
        ("fields:\n  visit:\n    type: [PV1-2, B-1]\n", 3, "fields.visit.type[1]", "'B-1' is not a path", "SEG"),
        (
            f"fields:\n  visit:\n    type: [{', '.join(['PV1-2'] * 9)}]\n",
            3,
            "fields.visit.type",
            "more than 8",
            "leave",
        ),
        (
            "fields:\n  visit:\n    type: {from: PV1-2, with: [{pad: x}]}\n",
            3,
            "fields.visit.type.with[0]",
            "fit",
            "{pad: 2}",
        ),
        (
            "fields:\n  visit:\n    type: {from: PV1-2, with: [pad]}\n",
            3,
            "fields.visit.type.with[0]",
            "no parameter",
            "pad",
        ),
        (
            "fields:\n  visit:\n    type: {from: PV1-2, with: [{upper: 2}]}\n",
            3,
            "fields.visit.type.with[0]",
            "takes no",
            "upper alone",
        ),
        (
            "fields:\n  visit:\n    type: {from: PV1-2, with: [{date: MM/DD}]}\n",
            3,
            "fields.visit.type.with[0]",
            "fit",
            "YYYY",
        ),
        ("snapshot: {BAR: [diagnosis]}\n", 1, "snapshot.BAR[0]", "'diagnosis'", "did you mean diagnoses?"),
        ("snapshot: {BRA: [diagnoses]}\n", 1, "snapshot.BRA", "not known", "BAR"),
        ("snapshot: [BAR]\n", 1, "snapshot", "not a mapping", "name: value"),
        ("credits: {match: [cod]}\n", 1, "credits.match[0]", "'cod'", "did you mean code?"),
        ("credits: {}\n", 1, "credits.match", "missing", "code, start"),
        ("only: {charge: {FT1-6: CG}}\n", 1, "only.charge", "not known", "did you mean charges?"),
        ("only: {charges: FT1-6}\n", 1, "only.charges", "not a condition", "FT1-25.3"),
        ("confirm: {fields.charges.cod: where it is}\n", 1, "confirm.fields.charges.cod", "not a setting", "fields."),
        ("confirm: {key: }\nkey: [a]\n", 2, "key[0]", "'a' is not known", "account"),
        ("charge_codes:\n  X1: 71046\n", 2, "charge_codes.X1", "not a mapping", "name: value"),
        ("charge_codes:\n  X1: {code: '1', system: cbt}\n", 2, "charge_codes.X1.system", "'cbt'", "cpt"),
        ("charge_codes:\n  X1: {system: cpt}\n", 2, "charge_codes.X1.code", "is missing", "code"),
        ("extends: base\nextends: base\n", 2, "extends", "twice", "keep one"),
        ("a: [1\nb: 2\n", 2, "", "not YAML", "indentation"),
        ("final: &x [DFT]\nregistration: *x\n", 2, "registration", "alias", "write the value out"),
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
        (b"a: " + b"x" * 1_100_000, ": is larger than 1 MiB"),
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
