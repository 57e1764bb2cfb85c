"""The door only glances at a resource: what it cannot see is found in processing, and told with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from gateway_world import running

from gateway.access.roles import Role
from gateway.message import MessageState

FHIR = {"Content-Type": "application/fhir+json"}
WHOLE: dict[str, Any] = {"resourceType": "Patient", "gender": "unknown"}


def deep(levels: int) -> bytes:
    return b'{"resourceType":"Patient","extension":' + b'[{"extension":' * levels + b"[]" + b"}]" * levels + b"}"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"resourceType":"Patient","name":[{"family":"A","family":"B"}]}', "names one of its members twice"),
        (b'{"resourceType":"Patient","meta":{"source":"x"},"id":"p","id":"p"}', "names one of its members twice"),
        (deep(30), "more than 48 levels"),
        (deep(200), "more than 48 levels"),
    ],
)
async def test_it_is_kept_shown_and_set_aside(tmp_path: Path, payload: bytes, reason: str) -> None:
    async with running(tmp_path) as world:
        client = world.http(Role.FEED)
        said = await client.post("/fhir/Patient", content=payload, headers=FHIR)
        assert said.status_code == 201, said.text
        await client.post("/fhir/Patient", json=WHOLE, headers=FHIR)
        await world.settled()
        (message,) = await world.messages(state=MessageState.SET_ASIDE)
        assert reason in (message.reason or "")
        kept = await world.gateway.store.message(message.id)
        assert kept is not None
        assert kept.payload == payload
        assert (await client.get(said.headers["Location"])).status_code in (200, 410)
        listed = (await client.get("/fhir/Patient")).json()
        assert WHOLE["gender"] in [entry["resource"].get("gender") for entry in listed["entry"]]


async def test_what_is_shown_is_what_was_sent(tmp_path: Path) -> None:
    payload = b'{"resourceType":"Patient","id":"p","name":[{"family":"A"},{"family":"B","family":"C"}]}'
    async with running(tmp_path) as world:
        client = world.http(Role.FEED)
        said = await client.put("/fhir/Patient/p", content=payload, headers=FHIR)
        assert said.status_code == 201
        shown = (await client.get("/fhir/Patient/p")).json()
        assert shown["name"] == orjson.loads(payload)["name"] == said.json()["name"]
