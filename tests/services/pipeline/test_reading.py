"""From a kept message's bytes to what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from services_world import EHR, FHIR, NOON, SENT, World, key_of, visit_number

from conformance import ehr, ehr_fhir
from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey
from gateway.intake.replay import replay
from gateway.mappings.errors import MappingError, Unused
from gateway.message import Format, Message, MessageState
from gateway.pipeline.reading import MAX_SEGMENTS, FhirReader, Hl7Reader
from gateway.rules import Rules

VISIT = visit_number(1)


def message(payload: bytes, feed: str = EHR, format: Format = Format.HL7V2, type: str = "any") -> Message:
    return Message(7, feed, format, type, "C1", NOON, MessageState.RECEIVED, payload)


def resource(body: dict[str, Any], feed: str = FHIR) -> Message:
    kind, id = body["resourceType"], body.get("id", "1")
    return message(json.dumps(body).encode(), feed, Format.FHIR, f"PUT {kind}/{id}")


# HL7 v2


async def test_hl7_is_read_by_the_profile_of_its_feed(rules: Rules) -> None:
    said = await Hl7Reader(rules.profiles)(message(ehr.adt("A04", VISIT, "x", SENT)))
    assert isinstance(said, Change)
    assert (said.message, said.key) == (7, EncounterKey("MAIN", "MAIN", "A1"))
    assert said.visit is not None
    assert said.visit.place_of_service == "11", "the hospital's own dialect names the Z-segment"


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"PID|1\rPV1|1", b"<xml/>"])
async def test_what_is_no_message_is_refused_with_a_reason(rules: Rules, payload: bytes) -> None:
    with pytest.raises(MappingError) as refused:
        Hl7Reader(rules.profiles).read(message(payload))
    assert refused.value.code == "no-message"


async def test_a_feed_without_a_profile_is_refused(rules: Rules) -> None:
    with pytest.raises(MappingError, match="gone is no longer configured"):
        Hl7Reader(rules.profiles).read(message(ehr.adt("A04", VISIT, "x", SENT), feed="gone"))


# FHIR


def reader(gateway: World) -> FhirReader:
    return FhirReader(gateway.rules.sources, gateway.store)


async def test_fhir_is_read_by_the_source_of_its_client(gateway: World) -> None:
    said = await reader(gateway)(resource(ehr_fhir.encounter(VISIT)))
    assert isinstance(said, Change)
    assert said.key == EncounterKey("MAIN", "MAIN", "A1")
    assert said.patient is not None


@pytest.mark.parametrize("client", ["gone", "kobrien"])
async def test_a_client_that_is_no_feed_is_refused(gateway: World, client: str) -> None:
    with pytest.raises(MappingError, match=f"{client} is no longer configured as a feed"):
        await reader(gateway)(resource(ehr_fhir.encounter(VISIT), client))


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b'{"resourceType": "Claim"\xff}', b"[" * 100_000]
)
async def test_what_is_no_json_object_is_refused(gateway: World, payload: bytes) -> None:
    with pytest.raises(MappingError):
        await reader(gateway)(message(payload, FHIR, Format.FHIR, "PUT Claim/1"))


async def test_a_bundle_is_passed_over_for_its_entries(gateway: World) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": []}
    assert isinstance(await reader(gateway)(resource(bundle)), Unused)


async def test_a_resource_that_is_not_valid_is_refused_with_its_first_issues(gateway: World) -> None:
    claim = ehr_fhir.claim(VISIT, created=SENT)
    for name in ("type", "patient", "provider", "priority", "insurance"):
        del claim[name]
    with pytest.raises(MappingError) as refused:
        await reader(gateway)(resource(claim))
    assert refused.value.code == "invalid"
    assert str(refused.value).count(" is required") == 3
    assert str(refused.value).endswith("(and 2 more)")
    assert "ABERNATHY" not in str(refused.value)


async def test_an_element_that_r4_does_not_know_refuses_nothing(gateway: World) -> None:
    said = await reader(gateway)(resource({**ehr_fhir.encounter(VISIT), "mood": "good"}))
    assert isinstance(said, Change)


async def test_a_reference_leads_to_the_encounter_that_the_client_wrote(gateway: World) -> None:
    await gateway.put(ehr_fhir.encounter(VISIT))
    said = await reader(gateway)(resource(ehr_fhir.claim(VISIT, created=SENT)))
    assert isinstance(said, Change)
    assert said.key == EncounterKey("MAIN", "MAIN", "A1")
    assert {i.value for i in said.identifiers if i.type in ("AN", "VN")} == {"A1", "V1"}


async def test_the_newest_version_of_the_encounter_counts(gateway: World) -> None:
    await gateway.put(ehr_fhir.encounter(VISIT))
    await gateway.put(ehr_fhir.encounter(replace(VISIT, account="A77")), version=2)
    said = await reader(gateway)(resource(ehr_fhir.claim(VISIT, created=SENT)))
    assert isinstance(said, Change)
    assert said.key.number == "A77"


async def test_a_reference_to_nothing_is_refused(gateway: World) -> None:
    with pytest.raises(MappingError) as refused:
        await reader(gateway)(resource(ehr_fhir.claim(VISIT, created=SENT)))
    assert refused.value.code == "unresolved"


async def test_another_clients_encounter_is_not_followed(gateway: World) -> None:
    """Two systems may give the same id to different visits."""
    await gateway.put(ehr_fhir.encounter(VISIT), client="other")
    with pytest.raises(MappingError) as refused:
        await reader(gateway)(resource(ehr_fhir.claim(VISIT, created=SENT)))
    assert refused.value.code == "unresolved"


async def test_an_answer_to_a_query_that_nobody_asked_is_refused(gateway: World) -> None:
    answer = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "http://gateway/fhir/Questionnaire/Q-1",
        "status": "completed",
        "basedOn": [{"reference": "Task/Q-1"}],
    }
    with pytest.raises(MappingError) as refused:
        await reader(gateway)(resource(answer))
    assert refused.value.code == "unresolved"


async def test_what_was_set_aside_for_its_reference_is_used_once_the_encounter_came(gateway: World) -> None:
    claim = await gateway.put(ehr_fhir.claim(VISIT, created=SENT))
    await gateway.work()
    assert [m.id for m in await gateway.set_aside()] == [claim.id]
    await gateway.put(ehr_fhir.encounter(VISIT))
    await replay(gateway.store, claim.id, actor="user:op", clock=gateway.clock, ids=gateway.ids)
    await gateway.work()
    assert await gateway.set_aside() == []
    assert len((await gateway.encounter(key_of(VISIT))).charges) == 2


async def test_a_message_of_too_many_segments_is_not_worked_on(rules: Rules) -> None:
    """Work grows with segments, and while one message is mapped no other sender is answered."""
    endless = ehr.adt("A04", VISIT, "x", SENT) + b"NTE|1|L|again\r" * MAX_SEGMENTS
    with pytest.raises(MappingError, match="too-long"):
        Hl7Reader(rules.profiles).read(message(endless))
