from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.audit.events import Action
from gateway.mappings.fhir.audit import audit_event, possible, tokens
from gateway.mappings.fhir.resource import read, validate, write

AT = datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC)


def exported(action: str, actor: str = "client:ehr", **more: Any) -> dict[str, Any]:
    event = audit_event(
        seq=17,
        at=AT,
        actor=actor,
        action=action,
        subject="message/9",
        encounter="MAIN::1",
        message=9,
        hash="ab12",
        **more,
    )
    assert read(write(event)) == event
    return event


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("actor", ["client:ehr", "user:jo", "gateway"])
def test_every_action_makes_a_valid_event(action: Action, actor: str) -> None:
    event = exported(
        action, actor, detail={"version": 3, "to": "sent", "by_hand": True, "codes": ["a", "b"], "none": ""}
    )
    assert validate(event) == []
    assert len(event["agent"]) >= 2
    assert sum(agent["requestor"] for agent in event["agent"]) == 1
    assert event["recorded"] == "2026-03-04T12:00:00.123+00:00"
    assert {"system": "urn:x-coding-review-gateway:audit-action", "code": action} in event["subtype"]


@pytest.mark.parametrize(
    ("action", "client", "server"),
    [("message.received", "110153", "110152"), ("encounter.read", "110152", "110153")],
)
def test_role_codes_swap_between_writing_and_reading(action: str, client: str, server: str) -> None:
    first, second = exported(action)["agent"][:2]
    assert first["type"]["coding"][0]["code"] == client
    assert second["type"]["coding"][0]["code"] == server


def test_a_person_is_the_requestor_with_a_purpose() -> None:
    client, server, person = exported("encounter.approved", "user:jo", detail={"address": "192.0.2.7"})["agent"]
    assert (client["requestor"], server["requestor"], person["requestor"]) == (False, False, True)
    assert client["network"] == {"address": "192.0.2.7", "type": "2"}
    assert person["who"]["identifier"]["value"] == "user:jo"
    assert person["purposeOfUse"][0]["coding"][0]["code"] == "HOPERAT"


def test_what_it_is_about_and_how_it_is_checked() -> None:
    subject, encounter, message, request = exported("message.received", detail={"request": "r-1", "type": "A01"})[
        "entity"
    ]
    assert subject["what"]["identifier"]["value"] == "message/9"
    assert subject["detail"] == [
        {"type": "sequence", "valueString": "17"},
        {"type": "hash", "valueString": "ab12"},
        {"type": "type", "valueString": "A01"},
    ]
    assert encounter["what"]["identifier"]["value"] == "MAIN::1"
    assert message["what"]["identifier"]["value"] == "9"
    assert request["type"]["code"] == "XrequestId"


def test_outcomes() -> None:
    assert exported("message.received")["outcome"] == "0"
    assert exported("message.set-aside")["outcome"] == "4"
    assert exported("access.refused")["outcome"] == "8"


@pytest.mark.parametrize(
    ("type_", "action", "said", "reference"),
    [
        ("POST Claim/7", "C", "create", "Claim/7"),
        ("PUT Claim/7", "U", "update", "Claim/7"),
        ("PATCH Task/5", "U", "patch", "Task/5"),
        ("POST QuestionnaireResponse", "C", "create", None),
        ("POST Bundle/9", "E", "transaction", None),
        ("DFT^P03", "C", "110107", None),
    ],
)
def test_what_was_written_is_the_interaction_that_it_was(
    type_: str, action: str, said: str, reference: str | None
) -> None:
    event = exported("message.received", detail={"type": type_})
    assert event["action"] == action
    assert said in (event["subtype"][0]["code"], event["type"]["code"])
    assert event["entity"][0]["what"].get("reference") == reference
    spoken = tokens("message.received", {"type": type_})
    assert spoken["action"][0][1] == action
    assert spoken in possible("message.received")


def test_a_search_and_a_patient() -> None:
    event = exported("resource.searched", detail={"query": "status=x&patient="}, patient=("MAIN", "77"))
    patient, query = event["entity"][-2:]
    assert patient["what"]["identifier"] == {"assigner": {"display": "MAIN"}, "value": "77"}
    assert (patient["type"]["code"], patient["role"]["code"]) == ("1", "1")
    assert b64decode(query["query"]) == b"status=x&patient="
    assert "query" not in [detail["type"] for detail in event["entity"][0]["detail"]]


def test_the_bytes_that_were_hashed_go_along() -> None:
    event = exported("resource.read", content=b"[1]")
    assert event["entity"][0]["detail"][-1] == {"type": "content", "valueBase64Binary": "WzFd"}


@pytest.mark.parametrize("action", list(Action))
def test_what_searches_find_is_what_the_event_says(action: Action) -> None:
    event = exported(action)
    for said in possible(action)[:1]:
        assert said["action"][0][1] == event["action"]
        assert said["outcome"][0][1] == event["outcome"]
        assert said["type"] == ((event["type"]["system"], event["type"]["code"]),)
        assert said["subtype"] == tuple((one["system"], one["code"]) for one in event["subtype"])


def test_an_unknown_action_is_an_error() -> None:
    with pytest.raises(KeyError):
        exported("tea.made")
