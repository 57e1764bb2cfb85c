"""What was made of what, as Provenance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.mappings.fhir.provenance import ACTIONS, provenance
from gateway.mappings.fhir.resource import read, validate, write

AT = datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC)
OWN = "urn:x-coding-review-gateway:"


def made(action: str, **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"actor": "feed:epic", "subject": "encounter/MAIN::1", "encounter": "MAIN::1", "message": 9}
    found = provenance(seq=17, at=AT, action=action, **(said | more))
    assert read(write(found)) == found
    assert validate(found) == []
    return found


def numbers(references: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["identifier"]["system"].removeprefix(OWN), one["identifier"]["value"]) for one in references]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("actor", ["feed:epic", "client:portal", "user:jo", "gateway"])
def test_every_transformation_has_a_valid_provenance(action: str, actor: str) -> None:
    found = made(action, actor=actor)
    assert found["id"] == "17"
    assert found["recorded"] == "2026-03-04T12:00:00.123+00:00"
    assert {"system": OWN + "audit-action", "code": action} in found["activity"]["coding"]
    parts = [agent["type"]["coding"][0]["code"] for agent in found["agent"]]
    assert parts[0] == "assembler"
    assert len(parts) == (1 if actor == "gateway" else 2)


def test_a_message_is_what_an_encounter_was_made_from() -> None:
    found = made("encounter.changed", detail={"version": 3})
    assert numbers(found["target"]) == [("encounter", "MAIN::1")]
    assert [entity["role"] for entity in found["entity"]] == ["revision", "source"]
    assert numbers([entity["what"] for entity in found["entity"]]) == [("encounter", "MAIN::1"), ("message", "9")]
    assert found["activity"]["coding"][0]["code"] == "UPDATE"


def test_a_merge_is_told_of_the_encounter_that_stays() -> None:
    found = made("encounter.merged", detail={"into": "MAIN::2"})
    assert numbers(found["target"]) == [("encounter", "MAIN::2")]
    assert ("encounter", "MAIN::1") in numbers([entity["what"] for entity in found["entity"]])


def test_an_answer_names_the_query() -> None:
    found = made("query.answered", subject="query/41", actor="client:portal")
    assert ("subject", "query/41") in numbers([entity["what"] for entity in found["entity"]])


def test_a_claim_was_made_of_its_encounter_s_messages() -> None:
    detail = {"approved_by": "user:sam", "version": 1}
    found = made("claim.released", subject="claim/C1", message=9, sources=[7, 8, 9], actor="gateway", detail=detail)
    assert numbers(found["target"]) == [("claim", "C1")]
    sources = [entity["what"] for entity in found["entity"] if entity["role"] == "source"]
    assert numbers(sources) == [("encounter", "MAIN::1"), ("message", "9"), ("message", "7"), ("message", "8")]
    assert [agent["type"]["coding"][0]["code"] for agent in found["agent"]] == ["assembler", "verifier"]
    assert found["activity"]["coding"][0]["code"] == "CREATE"


def test_what_transforms_nothing_has_none() -> None:
    with pytest.raises(KeyError):
        made("encounter.read")
