"""Visits of the synthetic hospital, sent through a gateway as its systems send them; and what became of them."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from gateway_world import World, today, until

from conformance import ehr, ehr_fhir, encoder
from conformance.evening import Arrived, read_interchange
from conformance.hospital import Visit
from conformance.playing import key
from gateway.access.roles import Role

_numbers = count(1)


def sent() -> tuple[str, datetime]:
    """MSH-10 and MSH-7 of the next message."""
    return f"T{next(_numbers):06d}", datetime.combine(today(), datetime.min.time())


async def tell(world: World, payload: bytes, feed: str = "epic-adt") -> None:
    acknowledgement = await world.send(payload, feed)
    assert acknowledgement.code == "AA", acknowledgement.body


async def stay(world: World, visit: Visit, *, documents: bool = True) -> None:
    """The EHR's messages of a visit, from its beginning to its charges."""
    first = "A01" if visit.patient_class == "I" else "A04"
    await tell(world, ehr.adt(first, visit, *sent()))
    await tell(world, ehr.adt("A03", visit, *sent()))
    if documents:
        for note in visit.notes:
            await tell(world, ehr.mdm(visit, note, *sent()))
    await tell(world, ehr.dft(visit, *sent()))


async def code(world: World, visit: Visit, *diagnoses: str) -> None:
    """The encoder's final codes; the visit's own unless others are given."""
    await tell(world, encoder.final_codes(visit, *sent(), diagnoses=diagnoses or visit.diagnoses), "encoder")


async def put(world: World, visit: Visit) -> None:
    """The visit as FHIR resources."""
    headers = {"Content-Type": "application/fhir+json"}
    documents = [ehr_fhir.document(visit, note) for note in visit.notes]
    for resource in (ehr_fhir.encounter(visit), *documents, ehr_fhir.claim(visit, created=sent()[1])):
        address = f"/fhir/{resource['resourceType']}/{resource['id']}"
        answer = await world.http(Role.FEED).put(address, json=resource, headers=headers)
        assert answer.status_code == 201, answer.text


async def seen(world: World, visit: Visit) -> Any:
    """The encounter as the supervisor sees it, once everything sent so far is processed."""
    await world.settled()
    return await world.desk(Role.SUPERVISOR).encounter(key(visit))


async def standing(world: World, visit: Visit) -> set[str]:
    """The rules of the open holds."""
    return {hold["rule"] for hold in (await seen(world, visit))["holds"] if hold["state"] == "open"}


async def taken(world: World, visit: Visit) -> Any:
    """The encounter, once its claim was accepted where it goes."""

    async def accepted() -> Any:
        view = await seen(world, visit)
        return view if view["stage"] == "accepted" else None

    return await until(accepted, f"the claim of {visit.number} is not accepted", 20)


def interchanges(directory: Path) -> list[Arrived]:
    """The claims that arrived as 837P files."""
    return [claim for path in sorted((directory / "out" / "x12").glob("*.837")) for claim in read_interchange(path)]
