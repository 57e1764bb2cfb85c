"""The door only glances at a resource: what it cannot see is found in processing, and told with the reason."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from gateway_world import running
from smart_peer import Peer
from smart_world import smart_client, smart_running

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


async def test_no_depth_that_the_door_takes_stops_the_gateway(tmp_path: Path) -> None:
    """As deep as it may be, and with an escape, for which all of it is looked through for references."""
    async with running(tmp_path) as world:
        client = world.http(Role.FEED)
        taken = 0
        for levels in (400, *range(900, 1000)):
            payload = (
                b'{"resourceType":"Patient","note":"\\u0436","extension":' + b"[" * levels + b"1" + b"]" * levels + b"}"
            )
            said = await client.post("/fhir/Patient", content=payload, headers=FHIR)
            assert said.status_code in (201, 400)
            taken += said.status_code == 201
        await client.post("/fhir/Patient", json=WHOLE, headers=FHIR)
        assert (await client.get("/fhir/Patient?gender=unknown")).json()["total"] == 1
        await world.settled()
        assert len(await world.messages(state=MessageState.SET_ASIDE)) == taken > 1


@pytest.mark.parametrize("payload", [b'{"resourceType":"Patient","name":[{"family":"A","family":"B"}]}', deep(40)])
async def test_what_a_glance_did_not_see_is_told_to_who_asks(tmp_path: Path, payload: bytes) -> None:
    async with running(tmp_path, processing=False) as world:
        headers = {**FHIR, "Prefer": "return=OperationOutcome"}
        said = await world.http(Role.FEED).post("/fhir/Patient", content=payload, headers=headers)
        assert said.status_code == 201, said.text
        kept, found = said.json()["issue"]
        assert (kept["severity"], found["severity"]) == ("information", "warning")
        assert "twice" in found["diagnostics"] or "levels" in found["diagnostics"]


@pytest.mark.parametrize("number", ["1e400", "1e999999999", "-1.0e-999999999", "1" * 25, "1" * 5000])
async def test_no_number_makes_a_resource_unreadable_or_its_answer_long(tmp_path: Path, number: str) -> None:
    resource = '{"resourceType":"Patient","id":"p","meta":{"source":"x"},"gender":"other","x":[%s,2.50]}'
    payload = (resource % number).encode()
    async with running(tmp_path, processing=False) as world:
        client = world.http(Role.FEED)
        said = await client.put("/fhir/Patient/p", content=payload, headers=FHIR)
        assert said.status_code == 201, said.text
        for address in ("Patient/p", "Patient?gender=other", "Patient/p/_history"):
            answer = await client.get(f"/fhir/{address}")
            assert answer.status_code == 200, answer.text
            assert len(answer.content) < len(payload) + 2_000
            shown = re.search(rb'"x":\[(.+?),2.50\]', answer.content)
            assert shown is not None
            assert Decimal(shown[1].decode()) == Decimal(number)


async def test_a_client_with_scopes_finds_it_too(tmp_path: Path) -> None:
    peer, scope = Peer("smart-ehr"), "system/Patient.crus"
    async with smart_running(tmp_path, smart_client(peer, tmp_path, {Role.FEED}, (scope,))) as smart:
        client = smart.http(await smart.token(peer, scope))
        payload = b'{"resourceType":"Patient","id":"p","x":[1e400,2.50]}'
        assert (await client.put("/fhir/Patient/p", content=payload, headers=FHIR)).status_code == 201
        found = await client.get("/fhir/Patient?_id=p")
        assert found.status_code == 200, found.text
        assert b'"x":[1E+400,2.50]' in found.content
