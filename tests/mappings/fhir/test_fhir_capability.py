from __future__ import annotations

from datetime import UTC, datetime

from gateway.mappings.fhir.capability import OFFERED, capability_statement, response_bundle, searchset
from gateway.mappings.fhir.resource import validate

BASE = "https://gateway.example.org/fhir"


def test_the_statement_says_what_the_table_says() -> None:
    statement = capability_statement(BASE, "0.1.0", datetime(2026, 3, 1, tzinfo=UTC))
    assert validate(statement) == []
    assert statement["fhirVersion"] == "4.0.1"
    (rest,) = statement["rest"]
    told = {r["type"]: tuple(i["code"] for i in r["interaction"]) for r in rest["resource"]}
    assert told == {kind: offer.interactions for kind, offer in OFFERED.items()}
    task = next(r for r in rest["resource"] if r["type"] == "Task")
    assert {p["name"]: p["type"] for p in task["searchParam"]} == dict(OFFERED["Task"].search)
    assert task["versioning"] == "versioned-update"


def test_a_page_of_results() -> None:
    tasks = [{"resourceType": "Basic", "id": str(n), "code": {"text": "x"}} for n in (1, 2)]
    page = searchset(tasks, BASE + "/", f"{BASE}/Basic?_count=2", next_url=f"{BASE}/Basic?_count=2&after=2", total=5)
    assert validate(page) == []
    assert [link["relation"] for link in page["link"]] == ["self", "next"]
    assert page["total"] == 5
    assert [entry["fullUrl"] for entry in page["entry"]] == [f"{BASE}/Basic/1", f"{BASE}/Basic/2"]


def test_an_empty_page_has_no_empty_list() -> None:
    page = searchset([], BASE, f"{BASE}/Task", total=0)
    assert "entry" not in page
    assert validate(page) == []


def test_a_transactions_response() -> None:
    response = response_bundle("transaction", [{"status": "201 Created", "location": "Claim/1/_history/1"}])
    assert validate(response) == []
    assert response["type"] == "transaction-response"
