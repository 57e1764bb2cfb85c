"""Merges, moves and changed numbers: which number gives way to which, and what is set aside with its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.encounter.identity import Identifier
from gateway.encounter.merge import Merge, MergeKind, Merges
from gateway.encounter.model import PersonName
from gateway.encounter.renumbering import same_number
from gateway.mappings.hl7v2.mapping import MAPPED, FeedProfile, MappingError
from gateway.mappings.hl7v2.merges import EVENTS
from gateway.mappings.hl7v2.numbers_matched import match_numbers

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Maps


def number(value: str, authority: str | None = None, type: str | None = None) -> Identifier:
    return Identifier(value=value, authority=authority, type=type)


def pid(patients: str, account: str = "") -> str:
    return f"PID|1||{patients}||DOE^JANE|||||||||||||{account}"


def pv1(visit: str = "", alternate: str = "") -> str:
    return f"PV1|1|I|||||||||||||||||{visit}{'|' * 31}{alternate}"


def merges(mapped: object) -> Merges:
    assert isinstance(mapped, Merges)
    return mapped


def pairs(mapped: object) -> list[tuple[MergeKind, str, str, str | None, str]]:
    return [
        (p.kind, p.retired.value, p.surviving.value, p.subject.value if p.subject else None, p.where)
        for p in merges(mapped).pairs
    ]


PATIENT, ACCOUNT, VISIT = MergeKind.PATIENT, MergeKind.ACCOUNT, MergeKind.VISIT
MOVE_ACCOUNT, MOVE_VISIT = MergeKind.MOVE_ACCOUNT, MergeKind.MOVE_VISIT
SEGMENTS = (pid("P2^^^H^MR", "A2^^^HAR"), "MRG|P1^^^H^MR||A1^^^HAR||V1^^^H|X1^^^H", pv1("V2^^^H", "X2^^^H"))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("A18", [(PATIENT, "P1", "P2", None, "MRG[1]-1"), (ACCOUNT, "A1", "A2", None, "MRG[1]-3")]),
        ("A34", [(PATIENT, "P1", "P2", None, "MRG[1]-1")]),
        ("A35", [(ACCOUNT, "A1", "A2", None, "MRG[1]-3")]),
        ("A36", [(PATIENT, "P1", "P2", None, "MRG[1]-1"), (ACCOUNT, "A1", "A2", None, "MRG[1]-3")]),
        ("A40", [(PATIENT, "P1", "P2", None, "MRG[1]-1")]),
        ("A41", [(ACCOUNT, "A1", "A2", None, "MRG[1]-3")]),
        ("A42", [(VISIT, "V1", "V2", None, "MRG[1]-5")]),
        ("A43", [(PATIENT, "P1", "P2", None, "MRG[1]-1")]),
        ("A47", [(PATIENT, "P1", "P2", None, "MRG[1]-1")]),
        ("A49", [(ACCOUNT, "A1", "A2", None, "MRG[1]-3")]),
        ("A50", [(VISIT, "V1", "V2", None, "MRG[1]-5")]),
        ("A51", [(VISIT, "X1", "X2", None, "MRG[1]-6")]),
    ],
)
def test_what_each_event_pairs(
    maps: Maps, event: str, expected: list[tuple[MergeKind, str, str, str | None, str]]
) -> None:
    mapped = merges(maps(f"ADT^{event}", f"EVN|{event}|20260120090000", *SEGMENTS))
    assert pairs(mapped) == expected
    assert (mapped.message, mapped.facility) == (7, "MAIN")
    assert mapped.at == datetime.fromisoformat("2026-01-20T09:00:00-06:00")
    assert mapped.patient is not None
    assert mapped.patient.name == PersonName(family="DOE", given="JANE")


def test_every_event_of_the_table_is_mapped() -> None:
    assert {f"ADT^{event}" for event in EVENTS} <= MAPPED.keys()


def test_accounts_and_visits_have_their_types_and_the_feeds_authority(maps: Maps, base: FeedProfile) -> None:
    (account,) = merges(maps("ADT^A41", *SEGMENTS, source=replace(base, authority="OURS"))).pairs
    assert (account.retired, account.surviving) == (number("A1", "OURS", "AN"), number("A2", "OURS", "AN"))
    (visit,) = merges(maps("ADT^A42", *SEGMENTS)).pairs
    assert visit.retired == number("V1", "H", "VN")
    (patient,) = merges(maps("ADT^A40", *SEGMENTS)).pairs
    assert patient.surviving == number("P2", "H", "MR")


def test_an_account_moves_to_another_patient(maps: Maps) -> None:
    mapped = maps("ADT^A44", pid("P2^^^H^MR", "A1"), "MRG|P1^^^H^MR||A1")
    assert pairs(mapped) == [(MOVE_ACCOUNT, "P1", "P2", "A1", "MRG[1]-1")]
    assert pairs(maps("ADT^A44", pid("P2^^^H^MR"), "MRG|P1^^^H^MR||A1")) == pairs(mapped)


def test_visits_move_to_another_account(maps: Maps) -> None:
    mapped = maps("ADT^A45", pid("P1", "A2"), "MRG|P1||A1||V1", pv1("V1"), "MRG|P1||A1||V5", pv1("V5"))
    assert pairs(mapped) == [
        (MOVE_VISIT, "A1", "A2", "V1", "MRG[1]-3"),
        (MOVE_VISIT, "A1", "A2", "V5", "MRG[2]-3"),
    ]


@pytest.mark.parametrize(
    ("event", "places"),
    [
        ("A40", [("MRG[1]-1", "PID-3", "")]),
        ("A35", [("MRG[1]-3", "PID-18", "")]),
        ("A44", [("MRG[1]-1", "PID-3", "PID-18")]),
        ("A51", [("MRG[1]-6", "PV1-50", "")]),
    ],
)
def test_every_number_of_a_pair_has_its_place(maps: Maps, event: str, places: list[tuple[str, str, str]]) -> None:
    before = "A1" if event == "A44" else "A0"
    found = merges(
        maps(f"ADT^{event}", pid("P2^^^H^MR", "A1"), f"MRG|P1^^^H^MR||{before}||V1|X1", pv1("V2", "X2"))
    ).pairs
    assert [(pair.where, pair.survives_at, pair.subject_at) for pair in found] == places


def test_several_patients_are_merged_in_one_message(maps: Maps) -> None:
    mapped = maps("ADT^A40", pid("P2^^^H"), "MRG|P1^^^H", pid("P4^^^H"), "MRG|P3^^^H", pid("P4^^^H"), "MRG|P3^^^H")
    assert pairs(mapped) == [(PATIENT, "P1", "P2", None, "MRG[1]-1"), (PATIENT, "P3", "P4", None, "MRG[2]-1")]
    assert merges(mapped).patient is None, "whose name it is cannot be said of both"


def test_several_numbers_give_way_to_one_patient(maps: Maps) -> None:
    mapped = maps("ADT^A40", pid("P9^^^H"), "MRG|P1^^^H", "MRG|P2^^^H")
    assert [pair[1:3] for pair in pairs(mapped)] == [("P1", "P9"), ("P2", "P9")]
    assert merges(mapped).patient is not None


@pytest.mark.parametrize(
    ("surviving", "retired", "expected"),
    [
        ("P2^^^H^MR~S1^^^SSA^SS", "P1^^^H^MR~S1^^^SSA^SS", [("P1", "P2")]),
        ("P2^^^H^MR~Q2^^^K^MR", "P1^^^H^MR~Q1^^^K^MR", [("P1", "P2"), ("Q1", "Q2")]),
        ("P2^^^H^MR", "P1^^^H^MR~P0^^^H^MR", [("P1", "P2"), ("P0", "P2")]),
        ("P2^^^H^MR~S1^^^SSA^SS", "P1^^^H^MR~E1^^^EHIS^PI", [("P1", "P2")]),
        ("P2^^^H", "P1^^^H^MR", [("P1", "P2")]),
        ("P2^^^^MR", "P1", [("P1", "P2")]),
        ("P2^^^&1.2.3&ISO", "P1^^^&1.2.3&ISO", [("P1", "P2")]),
    ],
)
def test_numbers_of_one_authority_and_type_belong_together(
    maps: Maps, surviving: str, retired: str, expected: list[tuple[str, str]]
) -> None:
    mapped = maps("ADT^A40", pid(surviving), f"MRG|{retired}")
    assert [pair[1:3] for pair in pairs(mapped)] == expected


def test_what_one_side_leaves_out_the_other_says(maps: Maps) -> None:
    (pair,) = merges(maps("ADT^A40", pid("P2^^^H^MR"), "MRG|P1")).pairs
    assert pair == Merge(PATIENT, number("P1", "H", "MR"), number("P2", "H", "MR"), where="MRG[1]-1")


def test_old_senders_write_the_number_in_pid_2(maps: Maps) -> None:
    mapped = maps("ADT^A34", "PID|1|P2||", "MRG|P1")
    assert [pair[1:3] for pair in pairs(mapped)] == [("P1", "P2")]


@pytest.mark.parametrize(
    ("event", "segments", "code", "where"),
    [
        ("A40", (pid("P2"),), "merge-incomplete", "MRG"),
        ("A40", (pid("P2"), "MRG|"), "merge-incomplete", "MRG[1]-1"),
        ("A40", (pid(""), "MRG|P1"), "merge-incomplete", "PID-3, PID-2"),
        ("A40", (pid("P2"), pid("P4"), "MRG|P1"), "merge-incomplete", "MRG"),
        ("A41", (pid("P2", "A2"), "MRG|P1"), "merge-incomplete", "MRG[1]-3"),
        ("A42", (pid("P2"), "MRG|||||V1"), "merge-incomplete", "PV1-19"),
        ("A40", (pid("P1^^^H"), "MRG|P1^^^H"), "merge-into-itself", "MRG[1]-1"),
        ("A40", (pid("P1^^^H^MR~S1^^^SSA"), "MRG|P1^^^H"), "merge-into-itself", "MRG[1]-1"),
        ("A41", (pid("P1", "A1"), "MRG|P1||A1"), "merge-into-itself", "MRG[1]-3"),
        ("A41", (pid("P1", "A1^^^HAR"), "MRG|P1||A1"), "merge-into-itself", "MRG[1]-3"),
        ("A40", (pid("P2^^^H"), "MRG|P1^^^H", pid("P3^^^H"), "MRG|P3^^^H"), "merge-into-itself", "MRG[2]-1"),
        ("A40", (pid("P2^^^H"), "MRG|P1^^^K"), "merge-unmatched", "MRG[1]-1"),
        ("A40", (pid("P2^^^H^MR~S2^^^H^SS"), "MRG|P1"), "merge-unmatched", "MRG[1]-1"),
        ("A40", (pid("P2^^^H"), "MRG|P1^^^H", pid("P1^^^H"), "MRG|P2^^^H"), "merge-reversed", "MRG[2]-1"),
        ("A44", (pid("P2"), "MRG|P1"), "move-unknown", "MRG[1]-3"),
        ("A44", (pid("P2", "A2"), "MRG|P1||A1"), "move-unclear", "MRG[1]-3"),
        ("A45", (pid("P2", "A2"), "MRG|P1||A1||V1", pv1("V2")), "move-unclear", "MRG[1]-5"),
    ],
)
def test_what_cannot_be_is_set_aside_with_its_reason(
    maps: Maps, event: str, segments: tuple[str, ...], code: str, where: str
) -> None:
    with pytest.raises(MappingError) as raised:
        maps(f"ADT^{event}", *segments)
    assert (raised.value.code, raised.value.where) == (code, where)
    assert "P1" not in raised.value.text


def test_a_merge_without_a_readable_moment_counts_from_its_arrival(maps: Maps) -> None:
    assert merges(maps("ADT^A40", "EVN|A40|2011061312240637", *SEGMENTS, msh7="")).at is None


identifiers = st.builds(
    number, st.sampled_from("ABC"), st.sampled_from([None, "H", "K"]), st.sampled_from([None, "MR", "PI"])
)


@given(st.lists(identifiers, max_size=4), st.lists(identifiers, max_size=4))
def test_pairs_never_retire_a_number_that_survives(retired: list[Identifier], surviving: list[Identifier]) -> None:
    for old, new in match_numbers(retired, surviving) or []:
        assert old.value != new.value or not same_number(old, new)
        assert (old.authority, old.type) == (new.authority, new.type)
        assert new.value in {each.value for each in surviving}
