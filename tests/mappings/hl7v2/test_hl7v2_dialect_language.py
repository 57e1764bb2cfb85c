"""What a dialect can say: conditions, constants, tables of its own, which segments count; and its version."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.encounter.change import Change
from gateway.encounter.model import Charge, CodeSystem, EncounterClass, ProviderRole
from gateway.mappings.hl7v2.dialect import Dialect, DialectError, load_dialects
from gateway.mappings.hl7v2.mapping import FeedProfile

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Says, Site


def charges(change: Change) -> tuple[Charge, ...]:
    assert change.charges is not None
    return change.charges.items


def ft1(number: int = 1, *, f6: str = "CG", f7: str = "", f25: str = "99213^^CPT", f26: str = "", f20: str = "") -> str:
    return f"FT1|{number}|T{number}||20260120||{f6}|{f7}|||1||||||||||{f20}|||||{f25}|{f26}"


@pytest.mark.parametrize(
    ("when", "f25", "taken"),
    [
        ("{FT1-25.3: [CPT, C4, HCPCS]}", "99213^^CPT", "99213"),
        ("{FT1-25.3: [CPT, C4, HCPCS]}", "99213^^c4", "99213"),
        ("{FT1-25.3: [CPT, C4, HCPCS]}", "99213", "71046"),
        ("{FT1-25.3: {not: CPT}}", "99213^^CPT", "71046"),
        ("{FT1-25.3: {not: [CDM]}}", "99213", "99213"),
        ("{present: FT1-25.3}", "99213", "71046"),
        ("{absent: [FT1-25.3, FT1-26]}", "99213", "99213"),
        ("{PV1-2: O}", "99213", "99213"),
        ("{PV1-2: I}", "99213", "71046"),
        ("{MSH-3: CDM, present: PV1-2}", "99213", "99213"),
        ("{MSH-3: CDM, absent: PV1-2}", "99213", "71046"),
        ("{FT1-6: CG}", "99213", "99213"),
        ("{FT1-6: CD}", "99213", "71046"),
        ("{PR1-3: X1}", "99213", "99213"),
        ("{PR1-3: X2}", "99213", "71046"),
    ],
)
def test_a_place_counts_under_its_condition(says: Says, site: Site, when: str, f25: str, taken: str) -> None:
    source = site(f"fields:\n  charges:\n    code:\n    - {{path: FT1-25, when: {when}}}\n    - FT1-7\n")
    change = says("PV1|1|O", ft1(f7="71046^^CPT", f25=f25), "PR1|1||X1", "FT1|2|T2", "PR1|2||X2", source=source)
    assert charges(change)[0].code == taken


def test_what_was_read_before_does_not_pass_over_the_condition(says: Says, site: Site) -> None:
    source = site("fields:\n  charges:\n    rendering: {from: [FT1-20], when: {FT1-6: CG}}\n")
    change = says(ft1(f20="1^A^B"), ft1(2, f6="PY", f20="1^A^B"), ft1(3, f20="1^A^B"), source=source)
    assert [[p.role for p in charge.providers] for charge in charges(change)] == [
        [ProviderRole.RENDERING],
        [],
        [ProviderRole.RENDERING],
    ]


def test_a_constant_where_nothing_else_says_it(says: Says, site: Site) -> None:
    source = site(
        "fields:\n  charges:\n    place_of_service:\n"
        "    - ZFT-1\n    - {value: '22', when: {PV1-2: O}}\n    - value: '21'\n"
    )
    for segments, expected in (
        (("PV1|1|O", ft1(), "ZFT|11"), ("11", "ZFT[1]-1[1].1")),
        (("PV1|1|O", ft1()), ("22", "dialect.fields.charges.place_of_service")),
        (("PV1|1|I", ft1()), ("21", "dialect.fields.charges.place_of_service")),
    ):
        change = says(*segments, source=source)
        found = charges(change)[0].place_of_service, change.origins()["charges[0].place_of_service"]
        assert found == expected


@pytest.mark.parametrize(("field", "value", "read"), [("units", "2", Decimal(2)), ("revenue_code", "0450", "0450")])
def test_a_constant_is_read_as_its_kind(says: Says, site: Site, field: str, value: str, read: object) -> None:
    source = site(f"fields:\n  charges:\n    {field}: [{{value: '{value}'}}]\n")
    assert getattr(charges(says(ft1(), source=source))[0], field) == read


def test_a_table_of_its_own_before_the_fields_table(says: Says, site: Site) -> None:
    source = site(
        "fields:\n  visit:\n    encounter_class: [{path: PV1-18, table: kinds, when: {present: PV1-18}}, PV1-2]\n"
        "tables:\n  kinds: {OBV: observation, ER: emergency}\n"
    )
    seen = says("PV1|1|O||||||||||||||||OBV", source=source)
    assert seen.visit is not None
    assert seen.visit.encounter_class is EncounterClass.OBSERVATION
    assert seen.origins()["visit.encounter_class"] == "table kinds via PV1[1]-18[1].1"
    usual = says("PV1|1|O", source=source)
    assert usual.visit is not None
    assert usual.visit.encounter_class is EncounterClass.OUTPATIENT
    assert usual.origins()["visit.encounter_class"] == "table encounter_class via PV1[1]-2[1].1"


def test_a_code_that_a_table_of_its_own_does_not_have(says: Says, site: Site) -> None:
    source = site(
        "fields:\n  visit:\n    place_of_service: {from: PV1-3, table: locations, with: [upper]}\n"
        "tables:\n  locations: {CLN: '11'}\n"
    )
    known, unknown = says("PV1|1|O|cln^2", source=source), says("PV1|1|O|er^2", source=source)
    assert known.visit is not None
    assert known.visit.place_of_service == "11"
    (problem,) = unknown.problems
    assert (problem.rule, problem.where) == ("code-unmapped", "PV1-3")
    assert (problem.table, problem.value) == ("locations", "ER")


@pytest.mark.parametrize(
    ("segments", "table", "value"),
    [
        (("PV1|1|ZZ",), "encounter_class", "ZZ"),
        (("DG1|1||J18.9^^WHO",), "diagnosis_system", "WHO"),
        (("DG1|1|WHO|J18.9",), "diagnosis_system", "WHO"),
        (("PR1|1||99213^^Cpt-5",), "procedure_system", "Cpt-5"),
        ((ft1(f25="", f7="HOUSE1"),), "charge_codes", "HOUSE1"),
        ((ft1(f25="99213^^Cpt-5"),), "charge_codes", "99213"),
        ((ft1(f25="99213^^Cpt-5"),), "procedure_system", "Cpt-5"),
    ],
)
def test_a_code_that_no_table_has_is_named_and_can_be_mapped(
    says: Says, base: FeedProfile, segments: tuple[str, ...], table: str, value: str
) -> None:
    assert (table, value) in {(p.table, p.value) for p in says(*segments).problems}
    meaning: object = {"diagnosis_system": "icd-10-cm", "procedure_system": "cpt"}.get(table, "outpatient")
    if table == "charge_codes":
        meaning = {"code": "99213", "system": "cpt"}
    mapped = replace(base, dialect=base.dialect.with_tables({table: {value: meaning}}))
    after = says(*segments, source=mapped)
    assert value not in {p.value for p in after.problems if p.table == table}
    assert all(p.rule != "charge-unmapped" for p in after.problems)


@pytest.mark.parametrize("value", ["Q" * 81, "A\x07B"])
def test_what_cannot_be_a_code_is_not_repeated(says: Says, value: str) -> None:
    (problem,) = says(f"PV1|1|{value}").problems
    assert (problem.table, problem.value) == (None, None)


def test_only_the_segments_that_count(says: Says, site: Site) -> None:
    source = site("only: {charges: {FT1-6: [CG, CD], MSH-3: {not: [SUPPLY]}}}\n")
    change = says(ft1(1), ft1(2, f6="SU"), ft1(3), source=source)
    assert [charge.id for charge in charges(change)] == ["T1", "T3"]
    assert (change.counted, change.passed_over) == (3, 1)
    assert change.problems == ()
    assert change.origins()["charges[1].code"] == "FT1[3]-25[1].1"


def test_a_segment_beside_the_anchor_is_the_items_own(says: Says) -> None:
    change = says("IN1|1|P1|A", "IN2||||", "IN1|2|P2|B", "IN2|" + "|" * 60 + "M2")
    assert change.coverages is not None
    assert [coverage.member_id for coverage in change.coverages.items] == [None, "M2"]
    assert change.origins()["coverages[1].member_id"] == "IN2[2]-61[1].1"


def test_a_name_with_commas(says: Says, site: Site) -> None:
    source = site("fields:\n  charges:\n    rendering: {from: [FT1-20], with: [comma-names]}\n")
    (provider,) = charges(says(ft1(f20="DOC1^Albert, Brian S^^"), source=source))[0].providers
    assert provider.name is not None
    assert (provider.name.family, provider.name.given, provider.name.middle) == ("Albert", "Brian", "S")
    (other,) = charges(says(ft1(f20="DOC1^Albert, MD^Brian"), source=source))[0].providers
    assert other.name is not None
    assert other.name.family == "Albert, MD"


def test_a_rule_is_replaced_whole_by_what_extends_it(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "extends: base\nfields:\n  visit:\n    type: {from: PV1-2, when: {PV1-2: I}}\n"
        "charge_codes:\n  A: {code: '1', system: cpt, revenue_code: '0450'}\n  B: {code: '2', system: cpt}\n"
    )
    (tmp_path / "two.yaml").write_text(
        "extends: one\nfields:\n  visit:\n    type: {from: PV1-18}\n"
        "charge_codes:\n  A: {code: '3', system: cpt}\n  B:\n"
    )
    two = load_dialects(tmp_path)["two"]
    (place,) = two.fields["visit"]["type"].alternatives
    assert (place.path, place.when) == ("PV1-18", ())
    assert two.charge_codes["A"].revenue_code is None
    assert "B" not in two.charge_codes


def test_a_version_names_what_is_said_and_nothing_else(tmp_path: Path, dialects: dict[str, Dialect]) -> None:
    def version(text: str) -> str:
        (tmp_path / "site.yaml").write_text(text)
        return load_dialects(tmp_path)["site"].version

    base = dialects["base"].version
    assert len(base) == 12
    assert int(base, 16) >= 0
    assert version("extends: base\n") == base
    assert version("description: ours\nextends: base\nconfirm: {key: the account}\n") == base
    said = {
        base,
        version("extends: base\nfields: {visit: {type: PV2-3}}\n"),
        version("extends: base\ntables: {sex: {W: F}}\n"),
        version("extends: base\ncharge_codes: {A: {code: '1', system: cpt}}\n"),
        version("extends: base\nsnapshot: {BAR: []}\n"),
        version("extends: base\nfinal: []\n"),
        version("extends: base\nonly: {charges: {FT1-6: CG}}\n"),
    }
    assert len(said) == 7


def test_entries_over_the_tables_of_a_dialect(base: FeedProfile) -> None:
    dialect = base.dialect
    with_entries = dialect.with_tables(
        {
            "procedure_system": {"xyz": "cpt", "c4": None},
            "charge_codes": {"4010022": {"code": "71046", "system": "cpt"}},
        }
    )
    assert with_entries.lookups["procedure_system"]["XYZ"] is CodeSystem.CPT
    assert "C4" not in with_entries.lookups["procedure_system"]
    assert with_entries.charge_codes["4010022"].code == "71046"
    assert with_entries.version != dialect.version
    assert "XYZ" not in dialect.lookups["procedure_system"], "the dialect itself stays"
    assert with_entries.with_tables({"charge_codes": {"4010022": None}}).charge_codes == {}


@pytest.mark.parametrize(
    "entries", [{"procedure_system": {"XYZ": "cbt"}}, {"no_table": {"A": "b"}}, {"charge_codes": {"A": {"code": "1"}}}]
)
def test_entries_that_no_table_can_have(base: FeedProfile, entries: dict[str, dict[str, object]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        base.dialect.with_tables(entries)


def test_which_of_the_senders_codes_mean_a_value(base: FeedProfile) -> None:
    dialect = base.dialect.with_tables(
        {"charge_codes": {"A1": {"code": "71046", "system": "cpt"}, "B2": {"code": "71046", "system": "cpt"}}}
    )
    assert dialect.sources("charge_codes", "71046") == ("A1", "B2")
    assert dialect.sources("diagnosis_use", "final") == ("F",)
    assert dialect.sources("charge_codes", "99999") == ()
    assert dialect.meanings("sex") == ("F", "M", "U")
    assert "MB" in (dialect.meanings("filing") or ())
    with pytest.raises(ValueError, match="not a value of filing"):
        dialect.with_tables({"filing": {"MCRB": "Medicare"}})
    assert "charge_codes" in dialect.table_names


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("", "99213", ("99213", None, None)),
        ("    system: {value: C4}\n", "99213", ("99213", "cpt", None)),
        ("    system: FT1-26\n", "99213||HCPCS", ("99213", None, None)),
        ("    system: ZFT-1\n", "99213", ("99213", "hcpcs", None)),
        ("    system: {value: I10}\n", "99213", (None, None, "99213")),
        ("    system: {value: C4}\n", "99213^^HCPCS", ("99213", "hcpcs", None)),
    ],
)
def test_the_system_of_a_code_that_says_none(
    says: Says, site: Site, system: str, code: str, expected: tuple[str | None, str | None, str | None]
) -> None:
    source = site(f"fields:\n  charges:\n    code: FT1-25\n{system}tables:\n  procedure_system: {{I10: icd-10-pcs}}\n")
    [charge] = charges(says(ft1(f25=code), "ZFT|HCPCS", source=source))
    assert (charge.code, charge.system, charge.local_code) == expected


def test_a_code_that_the_charge_table_means_otherwise_is_told(says: Says, site: Site) -> None:
    source = site("charge_codes: {'71045': {code: '71046', system: cpt}}\n")
    change = says(ft1(f25="71045"), source=source)
    assert [problem.rule for problem in change.problems] == ["charge-code-ambiguous"]
    assert [problem.rule for problem in says(ft1(f25="71045^^C4"), source=source).problems] == []


def test_what_the_analyst_maps_in_a_table_of_its_own(says: Says, site: Site) -> None:
    source = site(
        "fields:\n  visit:\n    encounter_class: {from: PV1-18, table: kinds}\ntables:\n  kinds: {A: inpatient}\n"
    )
    assert source.dialect.meanings("kinds") == tuple(EncounterClass)
    mapped = replace(source, dialect=source.dialect.with_tables({"kinds": {"B": "observation"}}))
    change = says("PV1|1|O||||||||||||||||B", source=mapped)
    assert change.visit is not None
    assert change.visit.encounter_class is EncounterClass.OBSERVATION
    with pytest.raises(ValueError, match="opd"):
        source.dialect.with_tables({"kinds": {"B": "opd"}})


def test_a_table_of_another_field_that_gives_what_the_field_cannot_be(site: Site) -> None:
    with pytest.raises(
        DialectError, match=r"the table gives 'self', which the field cannot be\n    write one of F, M, U"
    ):
        site("fields:\n  patient:\n    sex: {from: PID-8, table: relationship}\n")


def test_a_time_in_utc_that_says_no_offset(says: Says, site: Site) -> None:
    source = site("fields:\n  charges:\n    start: {from: FT1-4.1, with: [utc]}\n")
    late = "FT1|1|T1||202601210330||CG|||||||||||||||||||99213^^CPT"
    assert charges(says(late, source=source))[0].start == date(2026, 1, 20)
    assert charges(says(late))[0].start == date(2026, 1, 21)
