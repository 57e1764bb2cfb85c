"""The same visit over HL7 v2 and over FHIR is the same encounter: alone, in either order, and when both send it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from services_world import World, world

from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Encounter
from gateway.mappings.fhir.source import FhirSource
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.rules import Rules
from gateway.store.interface import MessageQuery

VISITS = {
    "emergency": "MAIN:HAR:ED1001",
    "inpatient": "MAIN:HAR:IP2002",
    "documents": "MAIN:HAR:OP3003",
}
ZONE = ZoneInfo("America/Chicago")
AUTHORITIES = {
    "urn:oid:2.999.10": "GENERAL",
    "urn:oid:2.999.11": "STAFF",
    "urn:oid:2.999.20": "EPIC",
    "urn:oid:2.999.21": "HAR",
    "urn:oid:2.16.840.1.113883.6.300": "NAIC",
}
SITE = """\
extends: base
fields:
  charges: {place_of_service: [ZFT-1], revenue_code: [ZFT-2]}
"""

DIFFERS = {
    "history": "names the messages, and each world sends others",
    "tally": "counts how often charges were said: twice when both worlds say them",
    "source": "names the feed",
    "origin": "names the place in the message",
    "encoder": "each system names itself in its own way: MSH-3, and the client's name",
    "coverages.id": "a position in the message (IN1[1]), or payer and member; each world replaces all coverages anyway",
    "documents.url": "FHIR may give an address beside the content; HL7 v2 has no place for one",
}
"""What may differ, and why."""


@pytest.fixture(scope="session")
def both_worlds(rules: Rules, tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """One hospital whose EHR and encoder speak HL7 v2, and whose other interface speaks FHIR."""
    directory = tmp_path_factory.mktemp("dialects")
    (directory / "site.yaml").write_text(SITE)
    dialects = load_dialects(directory)
    profiles = {
        "epic-adt": FeedProfile("epic-adt", "MAIN", ZONE, dialects["site"]),
        "encoder": FeedProfile("encoder", "MAIN", ZONE, dialects["encoder"]),
    }
    source = FhirSource("ehr-fhir", "MAIN", authorities=AUTHORITIES, zone=ZONE)
    return replace(rules, profiles=profiles, sources={"ehr-fhir": source})


@pytest.fixture
async def gateway(both_worlds: Rules) -> AsyncIterator[World]:
    async with world(both_worlds) as made:
        yield made


class Pair:
    """A visit as each world tells of it."""

    def __init__(self, directory: Path, name: str) -> None:
        self.key = VISITS[name]
        written = (directory / "parity" / f"{name}.hl7").read_text()
        self.messages = [each.strip().replace("\n", "\r").encode() + b"\r" for each in written.split("\n\n")]
        self.resources: list[dict[str, Any]] = json.loads((directory / "parity" / f"{name}.json").read_text())

    async def over_hl7(self, gateway: World) -> None:
        for payload in self.messages:
            feed = "encoder" if b"|ENCODER|" in payload else "epic-adt"
            await gateway.send(payload, feed)
        await gateway.work()

    async def over_fhir(self, gateway: World, *, backwards: bool = False) -> None:
        for resource in reversed(self.resources) if backwards else self.resources:
            await gateway.put(resource)
            await gateway.work()


@pytest.fixture(params=VISITS)
def pair(request: pytest.FixtureRequest, fixtures: Path) -> Pair:
    return Pair(fixtures, request.param)


def compared(encounter: Encounter) -> dict[str, Any]:
    """The encounter without what may differ. The order of providers says nothing, nor that of identifiers."""
    known = dict(_without(encounter.model_dump(), ""))
    for name in ("providers", "identifiers", "diagnoses", "documents"):
        known[name] = sorted(known[name], key=repr)
    return known


def _without(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if name not in DIFFERS and f"{path}{name}" not in DIFFERS}
        return {name: _without(inner, f"{path}{name}.") for name, inner in kept.items()}
    return [_without(item, path) for item in value] if isinstance(value, list | tuple) else value


async def encounter_of(gateway: World, key: str) -> Encounter:
    assert [(m.type, m.reason) for m in await gateway.set_aside()] == []
    assert await gateway.keys() == [key]
    return await gateway.encounter(key)


async def test_hl7_and_fhir_say_the_same(pair: Pair, both_worlds: Rules) -> None:
    async with world(both_worlds) as one, world(both_worlds) as other:
        await pair.over_hl7(one)
        await pair.over_fhir(other)
        over_hl7 = await encounter_of(one, pair.key)
        assert [(p.rule, p.where, p.text) for p in over_hl7.problems] == []
        over_fhir = compared(await encounter_of(other, pair.key))
        for name, said in compared(over_hl7).items():
            assert over_fhir[name] == said, name
        assert over_fhir.keys() == compared(over_hl7).keys()


@pytest.mark.parametrize("first", ["hl7", "fhir"])
async def test_both_worlds_together_say_no_more(pair: Pair, both_worlds: Rules, first: str) -> None:
    async with world(both_worlds) as alone, world(both_worlds) as together:
        await pair.over_fhir(alone)
        for turn in ("hl7", "fhir") if first == "hl7" else ("fhir", "hl7"):
            await (pair.over_hl7(together) if turn == "hl7" else pair.over_fhir(together))
        assert compared(await encounter_of(together, pair.key)) == compared(await encounter_of(alone, pair.key))


async def test_the_order_in_which_resources_come_says_nothing(pair: Pair, both_worlds: Rules) -> None:
    async with world(both_worlds) as forwards, world(both_worlds) as backwards:
        await pair.over_fhir(forwards)
        await pair.over_fhir(backwards, backwards=True)
        # A visit that comes before its account is known begins under its own number, as in HL7 v2, and keeps it.
        (begun,) = await backwards.keys()
        expected = compared(await encounter_of(forwards, pair.key)) | {"key": list(EncounterKey.parse(begun))}
        assert compared(await encounter_of(backwards, begun)) == expected


async def test_each_supporting_resource_says_why_nothing_was_made_of_it(fixtures: Path, gateway: World) -> None:
    await Pair(fixtures, "inpatient").over_fhir(gateway)
    told = {m.type: (m.state.value, m.reason) for m in await gateway.store.messages(MessageQuery(limit=100))}
    assert told["PUT Patient/marsh"] == ("unused", "kept for the Encounters, Claims and documents that refer to it")
    assert told["PUT Encounter/ip-2002"] == ("processed", None)
    assert told["PUT Claim/clm-2002"] == ("processed", None)
