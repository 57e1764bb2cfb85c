from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from review_making import change, load

from gateway.encounter.model import EncounterClass
from gateway.review.sampling import Sample, SampleUnit, chosen, chosen_positions, unit


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    of = draw(st.integers(1, 200))
    return Sample(name="s", take=draw(st.integers(1, of)), of=of, seed=draw(st.text(min_size=1, max_size=20)))


@settings(max_examples=60)
@given(samples(), st.text(max_size=30), st.integers(0, 5))
def test_exactly_so_many_of_each_frame(sample: Sample, whose: str, number: int) -> None:
    frame = f"{whose}/{number}"
    assert sum(chosen(sample, frame, position) for position in range(sample.of)) == sample.take


@given(samples(), st.text(max_size=30))
def test_the_draw_is_the_same_again(sample: Sample, frame: str) -> None:
    again = Sample.model_validate_json(sample.model_dump_json())
    chosen_positions.cache_clear()
    first = [chosen(sample, frame, position) for position in range(sample.of)]
    chosen_positions.cache_clear()
    assert [chosen(again, frame, position) for position in range(sample.of)] == first


def test_the_draw_can_be_made_without_this_program() -> None:
    """Rank SHA-256 over `["seed","name","frame",position]`: the smallest digests are chosen."""
    sample = Sample(name="pre-bill", take=2, of=5, seed="2026Q4")
    texts = [f'["2026Q4","pre-bill","jdoe/0",{position}]' for position in range(5)]
    ranked = sorted(range(5), key=lambda position: hashlib.sha256(texts[position].encode()).hexdigest())
    assert [chosen(sample, "jdoe/0", position) for position in range(5)] == [p in ranked[:2] for p in range(5)]


def test_seed_name_and_frame_each_change_the_draw() -> None:
    draws = {
        chosen_positions(seed, name, frame, 20, 100)
        for seed, name, frame in [("a", "s", "f"), ("b", "s", "f"), ("a", "t", "f"), ("a", "s", "g"), ("as", "", "f")]
    }
    assert len(draws) == 5


@pytest.mark.parametrize("position", [-1, 5])
def test_beyond_the_frame_there_is_no_place(position: int) -> None:
    with pytest.raises(ValueError, match="no position"):
        chosen(Sample(name="s", take=1, of=5, seed="x"), "f", position)


@pytest.mark.parametrize(
    ("per", "who"),
    [
        (SampleUnit.ALL, "-"),
        (SampleUnit.CODER, "asmith"),
        (SampleUnit.FACILITY, "MAIN"),
        (SampleUnit.PAYER, "MEDICARE"),
        (SampleUnit.ENCOUNTER_CLASS, "outpatient"),
    ],
)
def test_whose_frames_count_an_encounter(per: SampleUnit, who: str) -> None:
    sample = Sample(name="s", take=1, of=20, seed="q4", per=per)
    assert unit(sample, load("outpatient")) == f"q4 1-of-20 {who}"


def test_every_unit_is_read() -> None:
    encounter = change(change(load("outpatient"), "coding", coder=None), "visit", encounter_class=None)
    for per in SampleUnit:
        assert unit(Sample(name="s", take=1, of=2, seed="x", per=per), encounter)
    assert EncounterClass.OUTPATIENT == "outpatient"


def test_another_size_or_seed_begins_its_own_frames() -> None:
    encounter = load("outpatient")
    sample = Sample(name="s", take=1, of=20, seed="x")
    units = {
        unit(sample.model_copy(update=update), encounter) for update in ({}, {"take": 2}, {"of": 21}, {"seed": "y"})
    }
    assert len(units) == 4


def test_more_than_the_frame_cannot_be_taken() -> None:
    with pytest.raises(ValidationError, match="6 cannot be taken of 5"):
        Sample(name="s", take=6, of=5, seed="x")
