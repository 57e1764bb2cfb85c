"""HL7's own R4 examples and Da Vinci CDex's, of the types that clients write: all are taken, and each is told of what
was made of it. Nothing in them is refused but what is broken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_world import FEED, World, running

from gateway.access.roles import Role
from gateway.mappings.fhir.capability import KEPT
from gateway.mappings.fhir.resource import read, validate
from gateway.message import MessageState

FHIR = {"Content-Type": "application/fhir+json"}
WITHOUT_ENCOUNTER = {"required", "unresolved"}
"""The rules by which an example is set aside: it names no encounter, or one that was not sent, or has no number."""


def examples(folder: Path) -> list[tuple[str, bytes, dict[str, Any]]]:
    found = [(path.name, path.read_bytes()) for path in sorted(folder.rglob("*.json"))]
    parsed = [(name, payload, json.loads(payload)) for name, payload in found]
    return [each for each in parsed if each[2].get("resourceType") in KEPT]


@pytest.mark.parametrize("folder", ["hl7-r4-official", "davinci-cdex"])
async def test_each_is_taken_and_told_of(tmp_path: Path, shared_data: Path, folder: str) -> None:
    found = examples(shared_data / "fhir" / folder)
    assert found
    async with running(tmp_path) as world:
        refused = [name for name, payload, body in found if not await taken(world, payload, body)]
        assert refused == []
        await world.settled()
        for message in await world.messages(feed=FEED):
            rule = (message.reason or "").partition(" ")[0].rstrip(":")
            if message.state is MessageState.SET_ASIDE:
                assert rule in WITHOUT_ENCOUNTER, (message.type, message.reason)
            elif message.state is MessageState.UNUSED:
                assert message.reason, message.type
            else:
                assert message.state in (MessageState.PROCESSED, MessageState.REPLAYED), (message.type, message.reason)


async def taken(world: World, payload: bytes, body: dict[str, Any]) -> bool:
    path = f"/fhir/{body['resourceType']}/{body['id']}"
    answer = await world.http(Role.FEED).put(path, content=payload, headers=FHIR)
    return answer.status_code in (200, 201)


async def test_the_broken_example_is_refused_with_its_reason(tmp_path: Path, shared_data: Path) -> None:
    """Questions without a linkId, which R4 requires."""
    payload = (shared_data / "fhir" / "hl7-r4-official" / "Questionnaire-qs1.json").read_bytes()
    issues = [issue for issue in validate(read(payload)) if issue.refuses]
    assert {issue.diagnostics for issue in issues} == {"is required"}
    assert all(issue.expression.endswith(".linkId") for issue in issues)
    async with running(tmp_path) as world:
        answer = await world.http(Role.FEED).post("/fhir/Questionnaire", content=payload, headers=FHIR)
    assert answer.status_code in (404, 405)
    assert answer.json()["issue"][0]["diagnostics"]
