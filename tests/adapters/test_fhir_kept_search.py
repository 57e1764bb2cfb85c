"""Search over what clients wrote: parameters, paging, totals, what is brought along."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_world import Kept, Still, door
from test_fhir_submission import encounter, issue_of

from gateway.mappings.fhir.resource import validate

OID = "urn:oid:1.2.3"


def visit(number: int, status: str = "finished", patient: int = 1, **more: Any) -> dict[str, Any]:
    return encounter(
        id=f"e-{number}",
        status=status,
        identifier=[{"system": OID, "value": f"V{number}"}],
        subject={"reference": f"Patient/p-{patient}"},
        period={"start": f"2026-03-{number:02}T10:00:00Z"},
        **more,
    )


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Six visits of two patients, a minute apart from 12:30:15 on."""
    kept = Kept(clock=Still(ticking=20))
    async with door(kept) as client:
        for patient in (1, 2):
            await client.put(f"/Patient/p-{patient}", json={"resourceType": "Patient", "id": f"p-{patient}"})
        for number in range(1, 7):
            status = "planned" if number == 6 else "finished"
            await client.put(f"/Encounter/e-{number}", json=visit(number, status, 1 if number < 5 else 2))
        yield client


async def found(client: httpx.AsyncClient, query: str) -> str:
    """The numbers of the visits that a search finds."""
    answer = await client.get(f"/Encounter?{query}")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert validate(page) == []
    ids = [e["resource"]["id"][2:] for e in page.get("entry", ()) if e["search"]["mode"] == "match"]
    assert page.get("total", len(ids)) == len(ids)
    return "".join(ids)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", "123456"),
        ("_id=e-2,e-3", "23"),
        ("_id=e-2,e-3&_id=e-3,e-4", "3"),
        ("identifier=V2", "2"),
        (f"identifier={OID}|V2", "2"),
        ("identifier=|V2", ""),
        ("identifier=other|V2", ""),
        ("identifier=V2,V3,nothing", "23"),
        ("identifier=V2&identifier=V3", ""),
        ("status=planned", "6"),
        ("status:not=planned", "12345"),
        ("status=http://hl7.org/fhir/encounter-status|planned", "6"),
        ("class=AMB", "123456"),
        ("class=http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB&status:not=planned,finished", ""),
        ("patient=p-2", "56"),
        ("patient=Patient/p-2", "56"),
        ("patient=https://ehr.example/fhir/Patient/p-2", "56"),
        ("subject=Patient/p-2", "56"),
        ("subject:Patient=p-2&status=planned", "6"),
        ("patient=p-1,p-2&status=finished", "12345"),
        ("date=2026-03-03", "3"),
        ("date=ge2026-03-03&date=lt2026-03-05", "34"),
        ("date=gt2026-03-03", "456"),
        ("date=le2026-03-03T10:00:00Z", "123"),
        ("date=eb2026-03-03T10:00:00Z", "12"),
        ("date=2026-03", "123456"),
        ("date=2025", ""),
        ("_lastUpdated=2026-03-01", "123456"),
        ("_lastUpdated=gt2026-03-01", ""),
        ("_sort=-_id", "654321"),
        ("_sort=_lastUpdated", "123456"),
        ("_sort=-_lastUpdated&status=finished", "54321"),
        ("unknown=1", "123456"),
        ("_count=0", ""),
    ],
)
async def test_a_search_finds(client: httpx.AsyncClient, query: str, ids: str) -> None:
    if query == "_count=0":
        page = (await client.get("/Encounter?_count=0")).json()
        assert (page["total"], "entry" in page) == (6, False)
        return
    assert await found(client, query) == ids


@pytest.mark.parametrize(
    "query",
    [
        "identifier=",
        "identifier=a|",
        "status:missing=true",
        "patient:Practitioner=1",
        "patient=a/b/c",
        "date=yesterday",
        "date=2026-02-30",
        "date=2026-03-03T10:00",
        "_lastUpdated=ne2026",
        "_count=many",
        "_sort:text=_id",
        "_include:iterate=Encounter:patient",
        "_after=7",
        "status=a&status=b&status=c&status=d&status=e",
        "identifier=" + ",".join("x" * 60),
        "identifier=" + "x" * 2000,
    ],
)
async def test_what_cannot_be_understood_is_refused(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/Encounter?{query}")
    assert answer.status_code == 400
    assert issue_of(answer)["diagnostics"]


async def test_unknown_parameters_are_refused_when_the_client_is_strict(client: httpx.AsyncClient) -> None:
    lenient = await client.get("/Encounter?colour=red&status=planned", headers={"Prefer": "handling=lenient"})
    strict = await client.get("/Encounter?colour=red", headers={"Prefer": "handling=strict"})
    (link,) = lenient.json()["link"]
    assert link["url"].endswith("/Encounter?status=planned")
    assert (strict.status_code, issue_of(strict)["code"]) == (400, "not-supported")


@pytest.mark.parametrize(
    "pair",
    [
        "_sort=status",
        "_sort=_id,status",
        "_summary=true",
        "_summary=text",
        "_total=guess",
        "_include=Encounter:nothing",
        "_include=Claim:patient",
    ],
)
async def test_what_is_not_offered_is_treated_as_what_is_unknown(client: httpx.AsyncClient, pair: str) -> None:
    lenient = await client.get(f"/Encounter?{pair}&status=planned")
    (link,) = lenient.json()["link"]
    assert link["url"].endswith("/Encounter?status=planned")
    assert [entry["search"]["mode"] for entry in lenient.json()["entry"]] == ["match"]
    strict = await client.get(f"/Encounter?{pair}&status=planned", headers={"Prefer": "handling=strict"})
    assert (strict.status_code, issue_of(strict)["code"]) == (400, "not-supported")
    assert issue_of(strict)["expression"] == [pair.partition("=")[0]]


async def test_only_the_total(client: httpx.AsyncClient) -> None:
    for pair in ("_summary=count", "_count=0", "_summary=count&_count=2"):
        page = (await client.get(f"/Encounter?{pair}", headers={"Prefer": "handling=strict"})).json()
        assert (page["total"], "entry" in page, len(page["link"])) == (6, False, 1)


async def test_a_search_can_be_posted(client: httpx.AsyncClient) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/Encounter/_search", content="status=planned&_count=5", headers=form)
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == ["e-6"]


async def test_what_is_referred_to_is_brought_along_once(client: httpx.AsyncClient) -> None:
    page = (await client.get("/Encounter?_include=Encounter:patient&_sort=-_id&_count=3")).json()
    modes = [(entry["search"]["mode"], entry["resource"]["id"]) for entry in page["entry"]]
    assert modes == [("match", "e-6"), ("match", "e-5"), ("match", "e-4"), ("include", "p-2"), ("include", "p-1")]
    assert page["total"] == 6
    assert validate(page) == []
    other = await client.get("/Encounter?_include=Encounter:patient:Group&_id=e-1")
    assert len(other.json()["entry"]) == 1


@given(
    count=st.integers(1, 8),
    size=st.integers(0, 12),
    sort=st.sampled_from(["_id", "-_id", "_lastUpdated", "-_lastUpdated"]),
    together=st.booleans(),
)
@settings(max_examples=12, deadline=None)
async def test_pages_partition_the_whole(count: int, size: int, sort: str, together: bool) -> None:
    """Each once, in order, with the same total on each page; whether written at one moment or one after the other."""
    kept = Kept(clock=Still(ticking=0 if together else 1))
    async with door(kept) as client:
        for number in range(size):
            await client.put(f"/Encounter/e-{number:02}", json=encounter(id=f"e-{number:02}"))
        seen, url = [], f"/Encounter?_count={count}&_sort={sort}&status=finished"
        pages = 0
        while url:
            page = (await client.get(url)).json()
            assert page["total"] == size
            ids = [entry["resource"]["id"] for entry in page.get("entry", ())]
            assert len(ids) <= count
            seen += ids
            pages += 1
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    await kept.store.close()
    assert seen == sorted(seen, reverse=sort.startswith("-"))
    assert len(set(seen)) == len(seen) == size
    assert pages == max(1, -(-size // count))
