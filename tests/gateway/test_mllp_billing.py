"""A whole gateway that bills over MLLP, and an operator who stops a destination and lets it go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from gateway_world import World, configuration, running, today, until
from test_commands import Terminal
from visits import code, seen, stay, taken

from conformance import day
from conformance.billing_endpoint import BillingEndpoint
from conformance.billing_mllp import Misdeed, MllpBilling
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.config.model import Mllp


@asynccontextmanager
async def billing_over_mllp(directory: Path, peer: MllpBilling, **settings: object) -> AsyncIterator[World]:
    given = {"name": "billing", "kind": "mllp", "address": f"mllp://127.0.0.1:{peer.port}", **settings}
    config = configuration(directory).model_copy(update={"destinations": (Mllp.model_validate(given),)})
    gateway = Gateway(config)
    await gateway.start()
    world = World(gateway, BillingEndpoint(), directory)
    try:
        yield world
    finally:
        await world.close()
        await gateway.stop()


async def test_a_visit_leaves_as_a_message_that_names_each_charge(tmp_path: Path) -> None:
    visit = day.routine(today())
    async with MllpBilling() as peer, billing_over_mllp(tmp_path, peer) as world:
        await stay(world, visit)
        await code(world, visit)
        view = await taken(world, visit)
    (message,) = peer.messages
    segments = [line.split("|") for line in message.decode().split("\r") if line]
    assert segments[0][9] == view["deliveries"][0]["key"]
    charges = [each for each in segments if each[0] == "FT1"]
    assert [each[25].partition("^")[0] for each in charges] == [item.code for item in visit.items]
    assert [each[11] for each in charges] == [f"{item.amount}&USD" for item in visit.items]
    assert view["deliveries"][0]["outcome"] == "AA: taken"


async def test_a_refusal_holds_the_encounter_with_codes_and_places_only(tmp_path: Path) -> None:
    visit = day.routine(today())
    async with MllpBilling(script=[Misdeed.REFUSE]) as peer, billing_over_mllp(tmp_path, peer) as world:
        await stay(world, visit)
        await code(world, visit)

        async def refused() -> object:
            holds = (await seen(world, visit))["holds"]
            return next((hold for hold in holds if hold["rule"] == "claim-refused"), None)

        hold = await until(refused, "the refusal holds nothing", 20)
    assert "Canary" not in str(hold)
    assert "103 table value not found at FT1[2]-25" in str(hold)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


async def test_an_operator_stops_a_destination_and_lets_it_go_on(world: World) -> None:
    operator = world.http(Role.OPERATOR)
    before = (await operator.get("/api/destinations")).json()["items"]
    assert [(item["name"], item["state"]) for item in before] == [("clearinghouse", "up"), ("payer-fhir", "up")]
    reason = {"reason": "their upgrade"}
    stopped = await operator.post("/api/destinations/clearinghouse/suspend", json=reason)
    assert (stopped.status_code, stopped.json()["state"]) == (200, "suspended")
    visit = day.routine(today())
    await stay(world, visit)
    await code(world, visit)

    async def released() -> bool:
        view = await seen(world, visit)
        return bool(view["claims"]) and view["deliveries"][0]["state"] == "ready"

    await until(released, "the claim is not released")
    assert (await operator.get("/health")).json() == {"status": "warn"}
    metrics = (await operator.get("/metrics")).text
    assert 'gateway_destinations{destination="clearinghouse",state="suspended"} 1.0' in metrics
    assert 'gateway_destinations{destination="payer-fhir",state="up"} 1.0' in metrics
    (item, _) = (await operator.get("/api/destinations")).json()["items"]
    assert (item["reason"], item["actor"]) == ("their upgrade", "user:operator")
    assert (await operator.post("/api/destinations/clearinghouse/resume", json={})).json()["state"] == "up"
    await taken(world, visit)
    assert (await operator.get("/health")).json() == {"status": "pass"}
    told = [e.event.action for e in await world.events() if e.event.subject == "destination/clearinghouse"]
    assert told == ["destination.suspended", "destination.resumed"]


async def test_only_those_who_may_stop_a_destination_do(world: World) -> None:
    for role in (Role.SUPERVISOR, Role.CODER, Role.MONITOR, Role.FEED):
        answer = await world.http(role).post("/api/destinations/clearinghouse/suspend", json={"reason": "because"})
        assert answer.status_code == 403
    operator = world.http(Role.OPERATOR)
    assert (await operator.post("/api/destinations/nobody/suspend", json={"reason": "because"})).status_code == 404
    assert (await operator.post("/api/destinations/nobody/resume", json={})).status_code == 404
    assert (await operator.post("/api/destinations/clearinghouse/suspend", json={})).status_code == 422


async def test_the_same_from_the_command_line(world: World) -> None:
    terminal = Terminal(world, Role.OPERATOR)
    told = await terminal.says("suspend", "clearinghouse", "--reason", "their upgrade")
    assert told.splitlines()[-1] == "clearinghouse: suspended"
    assert "their upgrade" in await terminal.says("destinations")
    assert (await terminal.says("resume", "clearinghouse")).splitlines()[-1] == "clearinghouse: up"
