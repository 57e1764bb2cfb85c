"""Resources of one visit, a source that sends them, and a query about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.mappings.fhir.resource import read
from gateway.mappings.fhir.source import FhirSource
from gateway.review.model import Indicator, Option, Query, QueryDraft, QueryKind

Load = Callable[[str], dict[str, Any]]


@pytest.fixture
def load(fixtures: Path) -> Load:
    """Reads one of the repository's FHIR fixtures, anew each time."""
    return lambda name: read((fixtures / "fhir" / f"{name}.json").read_bytes())


@pytest.fixture
def query() -> Query:
    draft = QueryDraft(
        kind=QueryKind.MULTIPLE_CHOICE,
        title="Type of diabetes",
        question="Which condition was treated?",
        indicators=(Indicator(text="Glucose 288 mg/dL on 2026-03-02", document="DOC-31"),),
        options=(Option(text="Type 2 diabetes with hyperglycemia"), Option(text="Hyperglycemia without diabetes")),
        provider="1234567893",
    )
    asked = datetime(2026, 3, 4, 12, tzinfo=UTC)
    due = datetime(2026, 3, 11, 12, tzinfo=UTC)
    return Query(
        id=41,
        number="Q-41",
        encounter="MAIN:AUTH:A-9001",
        draft=draft,
        asked_by="user:jo",
        asked=asked,
        due=due,
        changed=asked,
    )


@pytest.fixture
def source(query: Query) -> FhirSource:
    return FhirSource(
        feed="ehr",
        facility="MAIN",
        authority="AUTH",
        zone=ZoneInfo("America/Chicago"),
        queries={query.number: query},
    )
