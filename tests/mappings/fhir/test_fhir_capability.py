from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.mappings.fhir.capability import OFFERED, capability_statement, response_bundle, searchset
from gateway.mappings.fhir.resource import validate

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BASE = "https://gateway.example.org/fhir"


def test_the_statement_says_what_the_table_says() -> None:
    statement = capability_statement(BASE, "0.1.0", datetime(2026, 3, 1, tzinfo=UTC))
    assert validate(statement) == []
    assert statement["fhirVersion"] == "4.0.1"
    (rest,) = statement["rest"]
    told = {r["type"]: tuple(i["code"] for i in r["interaction"]) for r in rest["resource"]}
    assert told == {kind: offer.interactions for kind, offer in OFFERED.items()}
    task = next(r for r in rest["resource"] if r["type"] == "Task")
    assert {p["name"]: p["type"] for p in task["searchParam"]} == {
        name: parameter.type for name, parameter in OFFERED["Task"].search.items()
    }
    assert task["versioning"] == "versioned-update"


def test_kept_types_tell_all_that_is_done_with_them() -> None:
    statement = capability_statement(BASE, "0.1.0", NOW, token_url="https://gateway.example.org/oauth/token")
    (rest,) = statement["rest"]
    claim = next(r for r in rest["resource"] if r["type"] == "Claim")
    assert (claim["readHistory"], claim["updateCreate"], claim["conditionalCreate"]) == (True, True, True)
    assert "Claim:encounter" in claim["searchInclude"]
    encounter = next(p for p in claim["searchParam"] if p["name"] == "encounter")
    assert encounter["definition"] == "http://hl7.org/fhir/SearchParameter/Claim-encounter"
    assert statement["patchFormat"] == ["application/json-patch+json"]
    security = rest["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    assert security["extension"][0]["extension"] == [
        {"url": "token", "valueUri": "https://gateway.example.org/oauth/token"}
    ]


@pytest.mark.parametrize("kind", OFFERED)
def test_every_include_is_a_reference_and_every_parameter_looks_at_its_type(kind: str) -> None:
    offer = OFFERED[kind]
    for name in offer.includes:
        assert offer.search[name].type == "reference"
        assert offer.search[name].target
    for name, parameter in offer.search.items():
        begins = "Resource." if name in ("_id", "_lastUpdated") else f"{kind}."
        assert parameter.expression.startswith(begins), name


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
