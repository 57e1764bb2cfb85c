"""A random walk of a client that writes and searches, beside a plain model of what must be found."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_world import World, running

from gateway.access.roles import Role

FHIR = {"Content-Type": "application/fhir+json"}
PATCH = {"Content-Type": "application/json-patch+json"}
PATIENTS = 4
ROUNDS = 18


@dataclass
class Walk:
    """`standing`: by id the newest version and the patient that it is about."""

    directory: Path
    chance: random.Random
    world: World = field(init=False)
    stack: AsyncExitStack = field(init=False)
    standing: dict[str, tuple[int, int]] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    """Ids that one of this round writes: so that the model knows the order."""
    numbers: int = 0

    async def start(self) -> None:
        self.stack = AsyncExitStack()
        processing = self.chance.random() < 0.7
        self.world = await self.stack.enter_async_context(running(self.directory, processing=processing))

    async def stop(self) -> None:
        await self.stack.aclose()

    @property
    def client(self) -> httpx.AsyncClient:
        return self.world.http(Role.FEED)

    def condition(self, patient: int, number: str, id: str | None = None) -> dict[str, Any]:
        """Some with more than can be seen at a glance."""
        self.numbers += 1
        said: dict[str, Any] = {"resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"}}
        said |= {"identifier": [{"system": "urn:n", "value": number}], "note": [{"text": f"é{self.numbers}"}]}
        if self.chance.random() < 0.2:
            said["stage"] = [{"summary": {"text": "x" * 3_000}}]
        return {**said, "id": id} if id else said

    def one(self, kind: str = "") -> str | None:
        free = sorted(id for id in self.standing.keys() - self.busy if id.startswith(kind))
        if not free:
            return None
        id = self.chance.choice(free)
        self.busy.add(id)
        return id

    async def found(self, **search: str | int) -> dict[str, int]:
        """By id the versions; over all pages."""
        found: dict[str, int] = {}
        address: str | None = str(httpx.URL("/fhir/Condition", params=search))
        while address is not None:
            answer = await self.client.get(address)
            assert answer.status_code == 200, answer.text
            bundle = answer.json()
            for entry in bundle.get("entry", ()):
                meta = entry["resource"]["meta"]
                assert entry["resource"]["id"] not in found
                found[entry["resource"]["id"]] = int(meta["versionId"])
            address = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        return found

    # What is done

    async def post(self) -> None:
        patient, number = self.chance.randrange(PATIENTS), f"n{self.numbers}"
        said = await self.client.post("/fhir/Condition", json=self.condition(patient, number), headers=FHIR)
        assert said.status_code == 201, said.text
        self.standing[said.json()["id"]] = (1, patient)
        assert await self.found(identifier=f"urn:n|{number}") == {said.json()["id"]: 1}

    async def put(self) -> None:
        id = self.one("own") if self.chance.random() < 0.7 else None  # others keep the number they were created with
        id, patient = id or f"own-{self.numbers}", self.chance.randrange(PATIENTS)
        version = self.standing.get(id, (0, 0))[0] + 1
        said = await self.client.put(f"/fhir/Condition/{id}", json=self.condition(patient, id, id), headers=FHIR)
        assert said.status_code == (201 if version == 1 else 200), said.text
        self.standing[id] = (version, patient)
        assert await self.found(identifier=f"urn:n|{id}", subject=f"Patient/{patient}") == {id: version}

    async def patch(self) -> None:
        id = self.one()
        if id is None:
            return
        (version, _), patient = self.standing[id], self.chance.randrange(PATIENTS)
        operation = {"op": "replace", "path": "/subject/reference", "value": f"Patient/{patient}"}
        said = await self.client.patch(f"/fhir/Condition/{id}", json=[operation], headers=PATCH)
        assert said.status_code == 200, said.text
        self.standing[id] = (version + 1, patient)
        assert (await self.found(subject=f"Patient/{patient}"))[id] == version + 1

    async def transaction(self) -> None:
        number, patient = f"only-{self.chance.randrange(4)}", self.chance.randrange(PATIENTS)
        plain = {"resource": self.condition(patient, f"b{self.numbers}"), "request": {"method": "POST"}}
        once = {"resource": self.condition(0, number), "request": {"method": "POST"}}
        for entry in (plain, once):
            entry["request"]["url"] = "Condition"
        once["request"]["ifNoneExist"] = f"identifier=urn:n|{number}"
        kind = self.chance.choice(("batch", "transaction"))
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [plain, once]}
        said = await self.client.post("/fhir", json=bundle, headers=FHIR)
        assert said.status_code in (200, 409), said.text
        for entry, patient_of in zip(said.json().get("entry", ()), (patient, 0), strict=False):
            if entry["response"]["status"].startswith("201"):
                self.standing[entry["response"]["location"].split("/")[1]] = (1, patient_of)
        assert len(await self.found(identifier=f"urn:n|{number}")) <= 1

    async def once(self) -> None:
        """If-None-Exist, by several at a time."""
        number = f"only-{self.chance.randrange(4)}"
        headers = {**FHIR, "If-None-Exist": f"identifier=urn:n|{number}"}
        said = await self.client.post("/fhir/Condition", json=self.condition(0, number), headers=headers)
        assert said.status_code in (200, 201, 409), said.text
        if said.status_code == 201:
            self.standing[said.json()["id"]] = (1, 0)
        found = await self.found(identifier=f"urn:n|{number}")
        assert len(found) == 1 or said.status_code == 409

    async def leave(self) -> None:
        """A client that does not wait for what it asked."""
        searching = asyncio.create_task(self.found())
        await asyncio.sleep(0.002)
        searching.cancel()
        await asyncio.gather(searching, return_exceptions=True)

    async def agrees(self) -> None:
        for patient in range(PATIENTS):
            expected = {id: version for id, (version, named) in self.standing.items() if named == patient}
            assert await self.found(subject=f"Patient/{patient}", _count=7) == expected
        assert await self.found(_count=100) == {id: version for id, (version, _) in self.standing.items()}
        for id, (version, patient) in self.chance.sample(sorted(self.standing.items()), min(3, len(self.standing))):
            shown = (await self.client.get(f"/fhir/Condition/{id}")).json()
            assert (shown["meta"]["versionId"], shown["subject"]["reference"]) == (str(version), f"Patient/{patient}")

    async def round(self) -> None:
        ways = [self.post, self.post, self.put, self.put, self.patch, self.once, self.once, self.transaction]
        self.busy.clear()
        await asyncio.gather(
            *(way() for way in self.chance.choices([*ways, self.leave], k=self.chance.randrange(1, 9)))
        )


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_found_is_what_was_answered(tmp_path: Path, seed: int) -> None:
    walk = Walk(tmp_path, random.Random(seed))  # noqa: S311
    for _ in range(3):
        await walk.start()
        for number in range(ROUNDS // 3):
            await walk.round()
            if number % 4 == 3:
                await walk.agrees()
        await walk.agrees()
        await walk.stop()
    await walk.start()
    await walk.agrees()
    await walk.stop()
