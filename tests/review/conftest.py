"""The two clean encounters that the tests change."""

from __future__ import annotations

import pytest
from review_making import load

from gateway.encounter.model import Encounter


@pytest.fixture
def outpatient() -> Encounter:
    """Professional, finished, coded: nothing is wrong with it."""
    return load("outpatient")


@pytest.fixture
def inpatient() -> Encounter:
    """Institutional, finished, coded: nothing is wrong with it."""
    return load("inpatient")
