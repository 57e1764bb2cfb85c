"""What an analyst looks into: where values come from, code tables, what a mapping would change, every charge's fate."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest_asyncio
from gateway_world import World, running, today
from test_commands import Terminal

from conformance import day, ehr
from conformance.playing import key
from gateway.access.roles import Role
from gateway.review.model import HoldState

SENT = datetime(2026, 11, 20, 8)  # noqa: DTZ001 - the hospital's own time
CHARGE_DAY = ("--since", "2026-01-01", "--json")


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


@pytest_asyncio.fixture
async def analyst(world: World) -> Terminal:
    return Terminal(world, Role.ANALYST)


def charged(code: str, system: str = "CDM") -> bytes:
    """A DFT with one charge, by a local code."""
    visit = day.routine(today())
    sent = datetime.combine(today(), datetime.min.time())
    return ehr.message(
        ehr.header("DFT^P03", f"L{code}", sent),
        ehr.segment("EVN", (1, "P03"), (2, ehr.timestamp(sent))),
        ehr.pid(visit),
        ehr.pv1(visit, discharged=False),
        ehr.segment("FT1", (1, "1"), (2, f"T{code}"), (4, ehr.day(today())), (6, "CG"), (7, f"{code}^^{system}")),
    )


# Where values come from


async def test_a_value_is_explained_by_the_message_and_place_that_said_it(world: World, analyst: Terminal) -> None:
    visit = day.routine(today())
    sent = datetime.combine(today(), datetime.min.time())
    await world.send(ehr.adt("A04", visit, "E1", sent))
    await world.send(ehr.dft(visit, "E2", sent + timedelta(minutes=1)))
    await world.settled()
    told = json.loads(await analyst.says("explain", key(visit), "charges[0].code", "--json"))
    (value,) = told
    (said,) = value["said"]
    assert (value["value"], said["type"], said["feed"]) == (visit.items[0].code, "DFT^P03", "epic-adt")
    assert said["place"].startswith("FT1[1]-25")
    assert len(said["mapping"]) == 12


async def test_what_was_overruled_is_told_too(world: World, analyst: Terminal) -> None:
    visit = day.routine(today())
    sent = datetime.combine(today(), datetime.min.time())
    for minute, event in enumerate(("A04", "A08")):
        await world.send(ehr.adt(event, visit, f"O{minute}", sent + timedelta(minutes=minute)))
    await world.settled()
    (birth,) = json.loads(await analyst.says("explain", key(visit), "patient.birth_date", "--json"))
    assert [said["type"] for said in birth["said"]] == ["ADT^A08", "ADT^A04"]
    assert {said["place"] for said in birth["said"]} == {"PID[1]-7[1].1"}


async def test_all_values_together_are_told_without_what_was_overruled(world: World, analyst: Terminal) -> None:
    visit = day.routine(today())
    sent = datetime.combine(today(), datetime.min.time())
    for minute, event in enumerate(("A04", "A08")):
        await world.send(ehr.adt(event, visit, f"T{minute}", sent + timedelta(minutes=minute)))
    await world.settled()
    everything = await analyst.says("explain", key(visit))
    assert "ADT^A08" in everything
    assert "(overruled)" not in everything
    assert f"what was overruled: gateway explain {key(visit)} FIELD" in everything
    assert "(overruled)" in await analyst.says("explain", key(visit), "patient.birth_date")


async def test_an_unknown_field_is_refused_with_what_to_do(world: World, analyst: Terminal) -> None:
    visit = day.routine(today())
    await world.send(ehr.adt("A04", visit, "U1", SENT))
    await world.settled()
    result = await analyst.run("explain", key(visit), "visit.nothing")
    assert result.exit_code == 1
    assert "gateway explain" in result.output


# Code tables


async def test_a_code_that_is_mapped_lets_the_encounter_go_on(world: World, analyst: Terminal) -> None:
    await world.send(charged("XR1"))
    await world.settled()
    (line,) = json.loads(await analyst.says("codes", "unmapped", "--json"))
    assert (line["feed"], line["table"], line["code"], line["encounters"]) == ("epic-adt", "charge_codes", "XR1", 1)
    told = await analyst.says("codes", "map", "epic-adt", "charge_codes", "XR1", '{"code": "71046", "system": "cpt"}')
    assert "1 encounter went on" in told
    case = (await world.gateway.store.cases([line["example"]]))[line["example"]]
    assert case.encounter is not None
    assert [charge.code for charge in case.encounter.charges] == ["71046"]
    assert not [h for h in case.holds if h.state is HoldState.OPEN and "unmapped" in h.rule]
    assert json.loads(await analyst.says("codes", "unmapped", "--json")) == []
    found = json.loads(await analyst.says("codes", "list", "epic-adt", "--value", "71046", "--json"))
    assert [(entry["code"], entry["source"]) for entry in found] == [("XR1", "user:analyst")]


async def test_a_value_that_no_table_takes_is_refused(world: World, analyst: Terminal) -> None:
    for words in (("procedure_system", "X", "nonsense"), ("no_table", "X", "cpt"), ("charge_codes", "X", "71046")):
        result = await analyst.run("codes", "map", "epic-adt", *words)
        assert result.exit_code == 1, words
    result = await analyst.run("codes", "map", "nobody", "procedure_system", "X", "cpt")
    assert "epic-adt" in result.output


# What a mapping would change


async def test_a_candidate_mapping_is_compared_and_changes_nothing(
    world: World, analyst: Terminal, tmp_path: Path
) -> None:
    visit = day.routine(today())
    sent = datetime.combine(today(), datetime.min.time())
    await world.send(ehr.adt("A04", visit, "D1", sent))
    await world.send(ehr.dft(visit, "D2", sent))
    await world.settled()
    before = (await world.gateway.store.cases([key(visit)]))[key(visit)]
    candidate = tmp_path / "candidate" / "site.yaml"
    candidate.parent.mkdir()
    text = (world.directory / "dialects" / "site.yaml").read_text()
    candidate.write_text(text)
    compare = ("diff", "--feed", "epic-adt", "--mapping", str(candidate), "--since", "2026-01-01", "--json")
    same = await analyst.run(*compare)
    assert (same.exit_code, json.loads(same.stdout)["encounters"]) == (0, [])
    candidate.write_text(text.replace("visit: {", "visit: {service: [PV1-3.4], "))
    result = await analyst.run(*compare)
    assert result.exit_code == 1
    (encounter,) = json.loads(result.stdout)["encounters"]
    assert [value["path"] for value in encounter["values"]] == ["visit.service"]
    assert (await world.gateway.store.cases([key(visit)]))[key(visit)] == before


# Charges


async def test_every_charge_has_a_fate(world: World, analyst: Terminal) -> None:
    visit = day.routine(today())
    sent = datetime.combine(today(), datetime.min.time())
    await world.send(ehr.adt("A04", visit, "C1", sent))
    await world.send(ehr.dft(visit, "C2", sent))
    await world.send(ehr.dft(replace(visit, items=visit.items[:1]), "C3", sent))
    await world.settled()
    (line,) = json.loads(await analyst.says("charges", *CHARGE_DAY))
    assert line["said"] == len(visit.items) + 1
    assert sum(line["became"].values()) == line["said"]
    assert (line["became"]["replaced"], line["unaccounted"]) == (1, 0)
