"""A long random walk over the resources of a SQLite store, beside a plain model of what must be found."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from conformance.store_samples import NOON, Samples, event
from gateway.message import Message, MessageState
from gateway.store.interface import Conflict, MessageOutcome, ResourceVersion, Step
from gateway.store.resources import Condition, ResourceSearch
from gateway.store.sqlite import SqliteStore
from gateway.store.upkeep import PrunedMessage

PATIENTS = 5
ROUNDS = 45


@dataclass
class Walk:
    """`standing`: by id the newest version and the patient that it names. `claimed`: what If-None-Exist spoke of."""

    path: Path
    chance: random.Random
    store: SqliteStore = field(init=False)
    samples: Samples = field(default_factory=Samples)
    standing: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    numbers: int = 0

    async def open(self) -> None:
        self.store = SqliteStore(self.path)
        await self.store.open()

    def claim(self, id: str, patient: int, version: int, *, number: str | None = None) -> tuple[Message, bytes]:
        said = {"resourceType": "Claim", "status": "active", "patient": {"reference": f"Patient/{patient}"}}
        identifier = [{"system": "CL", "value": number or id}]
        self.numbers += 1
        payload = orjson.dumps({**said, "identifier": identifier, "text": "x" * self.chance.choice((0, 900))})
        return self.samples.message(control=f"{id} {version} {self.numbers}", payload=payload), payload

    # What is done

    async def create(self) -> None:
        id, patient = f"new-{self.samples.ids.next()}", self.chance.randrange(PATIENTS)
        message, _ = self.claim(id, patient, 1)
        await self.store.keep(message, event(), ResourceVersion("Claim", id, 1, "ehr", message.id, NOON, None))
        self.standing[id] = (1, patient, message.id)
        assert await self.by("identifier", f"CL|{id}") == [id]

    async def change(self) -> None:
        """Whoever is first takes the place of the version that stood."""
        if not self.standing:
            return
        id = self.chance.choice(sorted(self.standing)[:6])
        version, patient = self.standing[id][0] + 1, self.chance.randrange(PATIENTS)
        message, _ = self.claim(id, patient, version)
        named = ResourceVersion("Claim", id, version, "ehr", message.id, NOON, None)
        with suppress(Conflict):
            if self.chance.random() < 0.5:
                await self.store.keep(message, event(), named)
            else:
                await self.store.commit(Step(messages=[message], resources=[named]))
            assert self.standing[id][0] < version
            self.standing[id] = (version, patient, message.id)

    async def create_unless(self) -> None:
        number = f"only-{self.chance.randrange(8)}"
        id = f"unless-{self.samples.ids.next()}"
        message, _ = self.claim(id, 0, 1, number=number)
        unless = (Condition("identifier", (f"CL|{number}",)),)
        named = ResourceVersion("Claim", id, 1, "ehr", message.id, NOON, None, unless)
        with suppress(Conflict):
            await self.store.commit(Step(messages=[message], resources=[named]))
            self.standing[id] = (1, 0, message.id)
        assert len(await self.by("identifier", f"CL|{number}")) <= 1

    async def fail(self) -> None:
        """Somebody else's mistake shares the commit."""
        with pytest.raises(Conflict):
            await self.store.commit(Step(outcomes=[MessageOutcome(1, MessageState.PROCESSED)]))

    async def leave(self) -> None:
        """Whoever searches does not wait for the answer."""
        searching = asyncio.create_task(self.by("status", "active"))
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        searching.cancel()
        with suppress(asyncio.CancelledError):
            await searching

    async def prune(self) -> None:
        if not self.standing:
            return
        id = self.chance.choice(sorted(self.standing))
        _, _, message = self.standing.pop(id)
        step = Step(pruned=[PrunedMessage(message, MessageState.RECEIVED, "pruned")])
        await self.store.commit(step)

    async def by(self, name: str, token: str) -> list[str]:
        conditions = (Condition(name, (token,)),)
        search = ResourceSearch("ehr", "Claim", conditions=conditions, narrow=bool(self.numbers % 2), limit=1000)
        return [version.id for version in await self.store.resources(search)]

    async def agrees(self) -> None:
        for patient in range(PATIENTS):
            expected = {(id, version) for id, (version, named, _) in self.standing.items() if named == patient}
            found = await self.store.referring("ehr", f"Patient/{patient}")
            assert {(version.id, version.version) for version in found} == expected
            assert len(found) == len(expected)
            assert set(await self.by("patient", f"Patient/{patient}")) == {id for id, _ in expected}

    async def round(self) -> None:
        ways: list[Callable[[], Awaitable[None]]] = [self.create, self.create, self.change, self.change]
        ways += [self.create_unless, self.create_unless, self.fail, self.leave, self.store.catalogue]
        chosen = self.chance.choices(ways, k=self.chance.randrange(1, 14))
        await asyncio.gather(*(way() for way in chosen))
        if self.chance.random() < 0.2:
            await self.prune()
        if self.chance.random() < 0.1:
            await self.store.close()
            await self.open()


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_found_is_what_was_acknowledged(tmp_path: Path, seed: int) -> None:
    walk = Walk(tmp_path / "gateway.db", random.Random(seed))  # noqa: S311
    await walk.open()
    for number in range(ROUNDS):
        await walk.round()
        if number % 3 == 0:
            await walk.agrees()
    await walk.store.close()
    await walk.open()
    await walk.agrees()
    await walk.store.close()
