"""The canonical values: frozen, strict, and the same after a round trip through their stored form."""

from __future__ import annotations

import json

import pytest
from encounter_making import KEY, charge, encounters, final
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Charge, Diagnosis, Encounter, Patient
from gateway.encounter.problem import Problem

texts = st.text(max_size=12)
named = st.text(min_size=1, max_size=12)


@given(encounters)
@settings(max_examples=60, deadline=None)
def test_the_stored_form_reads_back_as_the_same_encounter(encounter: Encounter) -> None:
    assert Encounter.from_json(encounter.to_json()) == encounter


@given(encounters)
@settings(max_examples=30, deadline=None)
def test_the_stored_form_is_stable(encounter: Encounter) -> None:
    assert Encounter.from_json(encounter.to_json()).to_json() == encounter.to_json()


def test_what_nobody_said_is_not_stored() -> None:
    stored = json.loads(Encounter(key=KEY, charges=(charge("c1"),), diagnoses=(final("I10", 1),)).to_json())
    assert "guarantor" not in stored
    assert "revenue_code" not in stored["charges"][0]
    assert "description" not in stored["diagnoses"][0]
    assert stored["charges"][0]["amount"] == "168.00"


def test_a_value_is_frozen_and_refuses_names_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        charge("c1").amount = None  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Charge.model_validate({"id": "c1", "price": "1"})
    with pytest.raises(ValidationError):
        Patient.model_validate({"sex": ["F"]})


def test_nothing_is_assumed_of_what_was_not_said() -> None:
    said = {name for name, value in Charge(id="c1") if value not in (None, ())}
    assert said == {"id", "kind"}
    assert Encounter(key=KEY).coding.final is None
    assert Diagnosis(id="d", code="I10").system is None


@given(named, texts, named)
def test_a_key_is_written_and_read_back(facility: str, authority: str, number: str) -> None:
    key = EncounterKey(facility, authority, number)
    assert EncounterKey.parse(str(key)) == key


@given(named, texts, named, named, texts, named)
def test_two_keys_are_never_written_alike(a: str, b: str, c: str, d: str, e: str, f: str) -> None:
    one, other = EncounterKey(a, b, c), EncounterKey(d, e, f)
    assert (str(one) == str(other)) is (one == other)


@given(named, texts, named)
def test_a_written_key_is_fit_for_an_address(facility: str, authority: str, number: str) -> None:
    written = str(EncounterKey(facility, authority, number))
    assert written.isascii()
    assert not set(written) & set("/?# &\"'<>")
    assert written.count(":") == 2


@pytest.mark.parametrize("text", ["", "MAIN", "MAIN:A1", ":X:A1", "MAIN:X:", "a:b:c:d"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="facility:authority:number"):
        EncounterKey.parse(text)


@pytest.mark.parametrize(
    ("where", "segment"),
    [("FT1[2]-10", "FT1"), ("PID-7", "PID"), ("Claim.item[0].net", "Claim"), ("DG1", "DG1"), ("", "")],
)
def test_a_problem_names_the_segment_that_it_stands_in(where: str, segment: str) -> None:
    assert Problem("rule", where, "text").segment == segment
