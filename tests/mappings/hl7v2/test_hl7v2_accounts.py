"""BAR events, and lists that are snapshots or say by action codes what is different."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.encounter.apply import apply
from gateway.encounter.change import Change, Mode
from gateway.encounter.model import Encounter
from gateway.mappings.hl7v2.mapping import FeedProfile, MappingError

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Maps

PID = "PID|1||M1^^^H^MR||DOE^JANE|||||||||||||A1"


def dg1(code: str, action: str = "", named: str = "", use: str = "F", rank: str = "") -> str:
    said = {1: "1", 3: code if code == '""' else f"{code}^^I10", 6: use, 15: rank, 20: named, 21: action}
    return "DG1|" + "|".join(said.get(n, "") for n in range(1, 22))


def pr1(code: str, action: str = "", named: str = "") -> str:
    said = {1: "1", 3: code if code == '""' else f"{code}^^I10P", 5: "20260114", 19: named, 20: action}
    return "PR1|" + "|".join(said.get(n, "") for n in range(1, 21))


def in1(payer: str, plan: str = "P1", action: str = "") -> str:
    return f"IN1|1|{plan}|{payer}|Payer{'|' * 51}{action}"


def change(mapped: object) -> Change:
    assert isinstance(mapped, Change)
    return mapped


def coded(maps: Maps, *messages: tuple[str, ...], source: FeedProfile | None = None) -> Encounter:
    """The encounter that messages (type, segments...) make, one after the other."""
    encounter: Encounter | None = None
    more = {"source": source} if source else {}
    for number, (type, *segments) in enumerate(messages, start=1):
        encounter = apply(encounter, change(maps(type, PID, *segments, message=number, **more)))
    assert encounter is not None
    return encounter


def codes(encounter: Encounter) -> list[str]:
    return [each.code for each in (*encounter.diagnoses, *encounter.procedures)]


@pytest.fixture
def additive(base: FeedProfile) -> FeedProfile:
    """A feed whose lists are never all there is."""
    return replace(base, snapshot={"BAR": frozenset(), "ADT": frozenset(), "DFT": frozenset()})


@pytest.mark.parametrize("event", ["P01", "P05", "P10"])
def test_an_encoder_says_all_its_codes(maps: Maps, event: str) -> None:
    encounter = coded(
        maps,
        ("BAR^P05", dg1("J18.9"), dg1("E11.9"), pr1("02HV33Z")),
        (f"BAR^{event}", dg1("J15.9"), pr1("0BH17EZ")),
    )
    assert codes(encounter) == ["J159", "0BH17EZ"]
    assert encounter.coding.final is True


def test_a_feed_may_add_where_its_dialect_replaces(maps: Maps, base: FeedProfile) -> None:
    source = replace(base, snapshot={"BAR": frozenset({"procedures"})})
    encounter = coded(
        maps, ("BAR^P05", dg1("J18.9"), pr1("02HV33Z")), ("BAR^P05", dg1("E11.9"), pr1("0BH17EZ")), source=source
    )
    assert codes(encounter) == ["J189", "E119", "0BH17EZ"]


def test_an_update_of_codes_says_only_what_is_different(maps: Maps) -> None:
    """P12, whatever BAR means elsewhere."""
    encounter = coded(
        maps,
        ("BAR^P05", dg1("J18.9", rank="1"), dg1("E11.9", rank="2"), pr1("02HV33Z"), pr1("0BH17EZ")),
        ("BAR^P12", dg1("J18.9", "D"), dg1("J15.9", "A", rank="1"), dg1("E11.9", "X"), pr1("02HV33Z", "D")),
    )
    assert codes(encounter) == ["E119", "J159", "0BH17EZ"]
    assert [d.rank for d in encounter.diagnoses] == [2, 1], "what is unchanged keeps all that is known of it"
    assert encounter.coding.final is True


def test_a_working_diagnosis_in_an_update_leaves_the_coding_final(maps: Maps) -> None:
    encounter = coded(maps, ("BAR^P05", dg1("J18.9")), ("BAR^P12", dg1("R05.9", "A", use="W")))
    assert encounter.coding.final is True
    assert coded(maps, ("BAR^P05", dg1("J18.9", use="W"))).coding.final is False


def test_an_update_may_change_the_code_of_what_it_names(maps: Maps, additive: FeedProfile) -> None:
    encounter = coded(
        maps,
        ("BAR^P05", dg1("J18.9", "A", "7^ENC"), dg1("E11.9", "A", "8^ENC"), pr1("02HV33Z", "A", "9^ENC")),
        ("BAR^P12", dg1("J15.9", "U", "7^ENC"), pr1("0BH17EZ", "U", "9^ENC")),
        ("BAR^P12", dg1("E11.9", "D", "8^ENC")),
        source=additive,
    )
    assert codes(encounter) == ["J159", "0BH17EZ"]


def test_one_name_for_two_diagnoses_is_not_believed(maps: Maps, additive: FeedProfile) -> None:
    encounter = coded(maps, ("BAR^P05", dg1("J18.9", "A", "1"), dg1("E11.9", "A", "1")), source=additive)
    assert codes(encounter) == ["J189", "E119"]


def test_what_is_taken_away_goes_under_its_code_too(maps: Maps, additive: FeedProfile) -> None:
    encounter = coded(maps, ("BAR^P05", dg1("J18.9"), pr1("02HV33Z")), source=additive)
    assert codes(encounter) == ["J189", "02HV33Z"]
    gone = change(maps("BAR^P12", PID, dg1("J18.9", "d", "7"), pr1("02HV33Z", "D", "9"), source=additive))
    assert codes(apply(encounter, gone)) == []
    assert gone.problems == ()


def test_in_a_snapshot_what_is_unchanged_stays_and_what_is_deleted_goes(maps: Maps) -> None:
    encounter = coded(
        maps,
        ("BAR^P05", dg1("J18.9"), dg1("E11.9"), dg1("I10")),
        ("BAR^P05", dg1("J18.9", "X"), dg1("E11.9", "D"), dg1("N17.9", "A")),
    )
    assert codes(encounter) == ["J189", "N179"]


def test_a_snapshot_that_only_takes_away_replaces_nothing(maps: Maps) -> None:
    encounter = coded(maps, ("BAR^P05", dg1("J18.9"), dg1("E11.9")), ("BAR^P05", dg1("E11.9", "D")))
    assert codes(encounter) == ["J189"]


def test_a_snapshot_of_nothing_empties_the_list(maps: Maps) -> None:
    encounter = coded(
        maps, ("BAR^P05", dg1("J18.9"), pr1("02HV33Z")), ("BAR^P05", dg1('""', use='""'), pr1('""')), ("BAR^P05",)
    )
    assert codes(encounter) == []
    said = change(maps("DFT^P03", PID, dg1('""')))
    assert [problem.rule for problem in said.problems] == ["diagnosis-unmapped"]


@pytest.mark.parametrize("event", ["P02", "P06"])
def test_the_end_of_an_account_leaves_what_was_given(maps: Maps, event: str) -> None:
    charge = "FT1|1|T1||20260120||CG|99213^^CPT|||1|90"
    encounter = coded(maps, ("DFT^P03", charge), ("BAR^P05", dg1("J18.9")), (f"BAR^{event}", "PV1|1|O"))
    assert [c.id for c in encounter.charges] == ["T1"]
    assert codes(encounter) == ["J189"]
    purged = [("account-purged", "EVN-1")] if event == "P02" else []
    assert [(p.rule, p.where) for p in encounter.problems] == purged
    said = change(maps(f"BAR^{event}", PID, "PV1|1|O"))
    assert (said.event, said.patient, said.visit) == (event, None, None)
    assert [i.value for i in said.identifiers] == ["A1", "M1"]


def test_several_accounts_in_one_message_are_set_aside(maps: Maps) -> None:
    with pytest.raises(MappingError, match="several-encounters"):
        maps("BAR^P02", PID, PID.replace("A1", "A2"))


def payers(encounter: Encounter) -> list[str | None]:
    return [each.payer.value if each.payer else None for each in encounter.coverages]


def test_coverages_are_all_there_are_or_added(maps: Maps, additive: FeedProfile) -> None:
    first, second = ("ADT^A08", in1("60054"), in1("04112")), ("ADT^A08", in1("87726"))
    assert payers(coded(maps, first, second)) == ["87726"]
    assert payers(coded(maps, first, second, source=additive)) == ["60054", "04112", "87726"]
    again = ("ADT^A08", in1("04112"))
    assert payers(coded(maps, first, second, again, source=additive)) == ["60054", "04112", "87726"]


def test_coverages_with_action_codes(maps: Maps, additive: FeedProfile) -> None:
    first = ("ADT^A08", in1("60054"), in1("04112"))
    assert payers(coded(maps, first, ("ADT^A08", in1("60054", action="D")), source=additive)) == ["04112"]
    assert payers(coded(maps, first, ("ADT^A08", in1("60054", action="X")), source=additive)) == ["60054", "04112"]
    assert payers(coded(maps, first, ("ADT^A08", in1("60054", action="D"), in1("04112")))) == ["04112"]
    assert payers(coded(maps, first, ("ADT^A08", in1("60054", action="D")))) == []


def test_a_coverage_of_deletes_empties_the_snapshot(maps: Maps) -> None:
    first = ("ADT^A08", in1("60054"))
    assert payers(coded(maps, first, ("ADT^A08", 'IN1|1|""|""|""'))) == []
    assert payers(coded(maps, first, ("ADT^A08",))) == ["60054"]


def test_charges_are_added_or_all_there_are(maps: Maps, base: FeedProfile) -> None:
    def dft(*ids: str) -> tuple[str, ...]:
        return ("DFT^P03", *(f"FT1|1|{id}||20260120||CG|99213^^CPT|||1|90" for id in ids))

    assert [c.id for c in coded(maps, dft("T1", "T2"), dft("T3")).charges] == ["T1", "T2", "T3"]
    source = replace(base, snapshot={"DFT": frozenset({"charges"})})
    encounter = coded(maps, dft("T1", "T2"), dft("T3"), source=source)
    assert [c.id for c in encounter.charges] == ["T3"]
    assert encounter.tally == (3, 0, 2, 0)


def test_a_list_of_a_message_has_its_mode(maps: Maps, base: FeedProfile) -> None:
    said = change(maps("BAR^P05", PID, dg1("J18.9")))
    assert said.diagnoses is not None
    assert said.diagnoses.mode is Mode.REPLACE
    assert base.replaces("BAR") == {"coverages", "diagnoses", "procedures"}
    assert base.replaces("MDM") == frozenset()
    assert replace(base, snapshot={"BAR": frozenset()}).replaces("ADT") == {"coverages"}
