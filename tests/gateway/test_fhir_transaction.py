"""A visit as one transaction, each resource an entry of its own: the same encounter as with all of it contained."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from gateway_world import running, today
from visits import key, put, sent

from conformance import ehr_fhir
from conformance.day import over_fhir
from gateway.access.roles import Role

FHIR = {"Content-Type": "application/fhir+json"}


def urn(owner: str, id: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{owner}/{id}')}"


def pointed(value: Any, owner: str) -> Any:
    """`value` with its references to what was contained turned to entries."""
    if isinstance(value, dict):
        return {
            name: urn(owner, inner[1:]) if name == "reference" and inner.startswith("#") else pointed(inner, owner)
            for name, inner in value.items()
        }
    return [pointed(item, owner) for item in value] if isinstance(value, list) else value


def entries(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """The resource, and what it contains, as entries of a transaction: the main one first."""
    owner = f"{resource['resourceType']}/{resource['id']}"
    outer = {name: value for name, value in resource.items() if name != "contained"}
    found = [{"resource": pointed(outer, owner), "request": {"method": "PUT", "url": owner}}]
    for inner in resource.get("contained", ()):
        own = {name: value for name, value in inner.items() if name != "id"}
        request = {"method": "POST", "url": inner["resourceType"]}
        found.append({"fullUrl": urn(owner, inner["id"]), "resource": pointed(own, owner), "request": request})
    return found


def said(view: Any) -> Any:
    """What is known of the visit, without where it came from."""
    if isinstance(view, dict):
        return {name: said(inner) for name, inner in view.items() if name not in ("origin", "message", "history", "at")}
    return [said(item) for item in view] if isinstance(view, list) else view


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_visit_in_pieces_is_the_same_visit(tmp_path: Path, kind: str) -> None:
    visit = over_fhir(today())
    views = []
    for name in ("contained", "pieces"):
        (tmp_path / name).mkdir()
        async with running(tmp_path / name) as world:
            if name == "contained":
                await put(world, visit)
            else:
                documents = [ehr_fhir.document(visit, note) for note in visit.notes]
                whole = [ehr_fhir.claim(visit, created=sent()[1]), *documents, ehr_fhir.encounter(visit)]
                bundle = {"resourceType": "Bundle", "type": kind, "entry": [e for one in whole for e in entries(one)]}
                answer = await world.http(Role.FEED).post("/fhir", json=bundle, headers=FHIR)
                assert answer.status_code == 200, answer.text
                assert {e["response"]["status"] for e in answer.json()["entry"]} == {"201 Created"}
            await world.settled()
            views.append((await world.desk(Role.SUPERVISOR).encounter(key(visit)))["encounter"])
    one, other = map(said, views)
    for part in ("patient", "visit", "coverages", "diagnoses", "charges", "providers"):
        assert other[part] == one[part], part
    assert len(other["documents"]) == len(one["documents"])
