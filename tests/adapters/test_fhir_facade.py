"""The facade as a whole: its doors, its CapabilityStatement, its Bundles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from test_fhir_submission import Kept, Still, Tokens, encounter, issue_of
from test_fhir_tasks import asking

from gateway.access.roles import Permission
from gateway.adapters.fhir.facade import Facade
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.adapters.http.server import HttpServer
from gateway.config.model import Endpoint, Http
from gateway.mappings.fhir.capability import KEPT
from gateway.mappings.fhir.resource import validate
from gateway.store.interface import StoreFault


def facade(kept: Kept) -> Facade:
    return Facade(kept, kept, kept, asking(), Still())


@asynccontextmanager
async def serving(kept: Kept) -> AsyncIterator[httpx.AsyncClient]:
    await kept.open()
    server = HttpServer(facade(kept).routes(), Tokens(), Http(listen=Endpoint(host="127.0.0.1", port=0)))
    host, port = await server.start()
    headers = {"Authorization": "Bearer a", "Content-Type": "application/fhir+json", "X-Request-Id": "request-0001"}
    async with httpx.AsyncClient(
        base_url=f"http://{host}:{port}", headers=headers, trust_env=False, timeout=10
    ) as client:
        yield client
    await server.stop()


def test_only_the_capability_statement_is_open_to_all() -> None:
    routes = facade(Kept()).routes()
    assert [route.path for route in routes if route.permission is PUBLIC] == ["/fhir/metadata"]
    assert all(isinstance(route.permission, Permission) for route in routes if route.permission is not PUBLIC)


_METHODS = {
    "create": ("POST", "/fhir/{type}"),
    "update": ("PUT", "/fhir/{type}/{{id}}"),
    "patch": ("PATCH", "/fhir/{type}/{{id}}"),
    "read": ("GET", "/fhir/{type}/{{id}}"),
    "vread": ("GET", "/fhir/{type}/{{id}}/_history/{{version}}"),
    "history-instance": ("GET", "/fhir/{type}/{{id}}/_history"),
    "history-type": ("GET", "/fhir/{type}/_history"),
    "search-type": ("GET", "/fhir/{type}"),
}


def test_what_is_declared_of_kept_types_is_served_and_the_other_way_round() -> None:
    routes = [route for route in facade(Kept()).routes() if route.permission is not PUBLIC]
    served = {(route.method, route.path) for route in routes if route.path.split("/")[2:3] and _kind(route) in KEPT}
    declared = {
        (method, path.format(type=kind))
        for kind, offer in KEPT.items()
        for method, path in (_METHODS[name] for name in offer.interactions)
    }
    searches = {("POST", f"/fhir/{kind}/_search") for kind in KEPT}
    assert served - {(m, p) for m, p in served if "$" in p} == declared | searches


def _kind(route: Route) -> str:
    return route.path.split("/")[2]


async def test_the_capability_statement_is_valid_and_names_the_address() -> None:
    async with serving(Kept()) as client:
        answer = await client.get("/fhir/metadata", headers={"Authorization": ""})
    statement = answer.json()
    assert (answer.status_code, statement["fhirVersion"]) == (200, "4.0.1")
    assert statement["implementation"]["url"] == f"{str(client.base_url).rstrip('/')}/fhir"
    assert validate(statement) == []


def bundle(kind: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def put(resource: dict[str, Any], **request: str) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url, **request}}


PATIENT = {
    "fullUrl": "urn:uuid:6f1b1c9e-0000-4000-8000-000000000001",
    "resource": {"resourceType": "Patient", "gender": "female"},
    "request": {"method": "POST", "url": "Patient"},
}
SUBJECT = {"subject": {"reference": PATIENT["fullUrl"]}}


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_each_main_entry_is_a_message_with_what_it_refers_to(kind: str) -> None:
    kept = Kept()
    body = orjson.dumps(
        bundle(
            kind,
            PATIENT,
            put(encounter(id="e-1", **SUBJECT)),
            {"resource": encounter(), "request": {"method": "POST", "url": "Encounter"}},
        )
    )
    async with serving(kept) as client:
        answer = await client.post("/fhir", content=body)
    told = answer.json()
    assert (answer.status_code, told["type"]) == (200, f"{kind}-response")
    assert [entry["response"]["status"].split()[0] for entry in told["entry"]] == ["201", "201", "201"]
    assert told["entry"][1]["response"]["location"] == "Encounter/e-1/_history/1"
    patient, first, second, whole = kept.received
    assert (whole.payload, whole.type) == (body, f"POST Bundle/{whole.id}")
    names = [entry["response"]["location"].partition("/_history")[0] for entry in told["entry"]]
    assert [m.type for m in (patient, first, second)] == [f"POST {names[0]}", "PUT Encounter/e-1", f"POST {names[2]}"]
    assert orjson.loads(first.payload)["subject"]["reference"] == names[0]


async def test_the_same_bundle_again_repeats_nothing() -> None:
    kept = Kept()
    sent = bundle("transaction", put(encounter(id="e-1")), put(encounter(id="e-2")))
    async with serving(kept) as client:
        first = await client.post("/fhir", json=sent)
        again = await client.post("/fhir", json=sent)
    assert first.json() == again.json()
    assert len(kept.received) == 3


async def test_one_wrong_entry_refuses_a_transaction_and_itself_in_a_batch() -> None:
    wrong = put(encounter(id="e-2", status="asleep"))
    kept = Kept()
    async with serving(kept) as client:
        refused = await client.post("/fhir", json=bundle("transaction", put(encounter(id="e-1")), wrong))
        assert kept.received == []
        batch = await client.post("/fhir", json=bundle("batch", put(encounter(id="e-1")), wrong))
    assert refused.status_code == 422
    assert issue_of(refused)["expression"] == ["Bundle.entry[1].resource.status"]
    responses = [entry["response"] for entry in batch.json()["entry"]]
    assert [r["status"].split()[0] for r in responses] == ["201", "422"]
    assert responses[1]["outcome"]["resourceType"] == "OperationOutcome"
    assert len(kept.received) == 2


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ({"resource": encounter(id="e-1"), "request": {"method": "PUT", "url": "Encounter/e-2"}}, 400),
        ({"resource": encounter(), "request": {"method": "POST", "url": "Claim"}}, 400),
        ({"resource": encounter()}, 400),
        ({"request": {"method": "DELETE", "url": "Encounter/e-1"}}, 405),
        ({"request": {"method": "POST", "url": "Encounter"}}, 422),
        ({"request": {"method": "POST", "url": "Task"}, "resource": {"resourceType": "Task"}}, 422),
        (put(encounter(id="e-1"), ifMatch="1"), 400),
        (put(encounter(id="e-1"), ifMatch='W/"4"'), 412),
        ("nothing", 400),
    ],
)
async def test_an_entry_that_asks_for_something_else_is_refused(entry: Any, status: int) -> None:
    async with serving(Kept()) as client:
        answer = await client.post("/fhir", json=bundle("transaction", entry))
    assert answer.status_code == status
    issue_of(answer)


async def test_other_bundles_are_refused_and_a_fault_in_between_is_the_bundles() -> None:
    kept = Kept()
    async with serving(kept) as client:
        collection = await client.post("/fhir", json=bundle("collection", put(encounter(id="e-1"))))
        kept.faults = [StoreFault("disk")]
        fault = await client.post("/fhir", json=bundle("batch", put(encounter(id="e-1"))))
    assert (collection.status_code, fault.status_code) == (422, 503)


def test_every_fault_of_the_facade_is_told_as_an_operation_outcome() -> None:
    routes: tuple[Route, ...] = facade(Kept()).routes()
    assert len({route.faults for route in routes}) == 1
