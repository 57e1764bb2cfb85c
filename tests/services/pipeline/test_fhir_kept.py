"""What a client has kept, behind the references of its Encounters, Claims and documents: early, late, and changed."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from services_world import World, world

from gateway.analysis.explaining import Explaining
from gateway.encounter.model import DiagnosisUse
from gateway.intake.replay import replay
from gateway.mappings.fhir.drawing import drawn, followed
from gateway.mappings.fhir.source import FhirSource, binary_id
from gateway.message import Format, Message
from gateway.pipeline.building import Builder
from gateway.pipeline.reading import FhirReader
from gateway.pipeline.shelf import MOST
from gateway.rules import Rules
from gateway.store.interface import Conflict, MessageQuery, StoreFault

KEY = "MAIN:HAR:ED1001"
Resource = dict[str, Any]


@pytest.fixture
async def gateway(rules: Rules) -> AsyncIterator[World]:
    sources = {name: FhirSource(name, "MAIN", authority="HAR") for name in ("ehr-fhir", "other")}
    async with world(replace(rules, sources=sources)) as made:
        yield made


@pytest.fixture
def visit(fixtures: Path) -> dict[str, Resource]:
    """The resources of an emergency visit, by their names."""
    written = json.loads((fixtures / "parity" / "emergency.json").read_text())
    return {f"{each['resourceType']}/{each['id']}": each for each in written}


async def put(gateway: World, *resources: Resource, client: str = "ehr-fhir") -> list[Message]:
    """Keep each and process it."""
    kept = []
    for each in resources:
        newest = await gateway.store.resource(client, each["resourceType"], each["id"])
        message = await gateway.put(each, client, newest.version + 1 if newest else 1)
        await gateway.work()
        kept.append(await gateway.message(message.id))
    return kept


async def test_a_change_of_what_is_referred_to_changes_the_encounter(
    gateway: World, visit: dict[str, Resource]
) -> None:
    await put(gateway, *visit.values())
    assert (await gateway.encounter(KEY)).patient.phone == "2175550181"
    moved = visit["Patient/fern"] | {"telecom": [{"system": "phone", "value": "2175559999"}]}
    (message,) = await put(gateway, moved)
    encounter = await gateway.encounter(KEY)
    assert encounter.patient.phone == "2175559999"
    assert message.state == "unused"
    assert message.reason is not None
    assert "1 of 1 encounters that rest on it changed" in message.reason
    (again,) = await put(gateway, moved | {"language": "en"})
    assert again.reason == "kept for the Encounters, Claims and documents that refer to it"


async def test_what_is_reached_through_others_counts_too(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    await put(gateway, visit["Organization/blue-prairie"] | {"name": "PRAIRIE BLUE"})
    assert [c.payer_name for c in (await gateway.encounter(KEY)).coverages] == ["PRAIRIE BLUE"]
    await put(gateway, visit["Practitioner/stone"] | {"name": [{"family": "STONE", "given": ["KIMBERLY"]}]})
    (first, *_) = (await gateway.encounter(KEY)).charges
    assert [p.name.given for p in first.providers if p.name] == ["KIMBERLY", "RUTH"]


async def test_what_is_missing_is_told_and_nothing_is_made_up(gateway: World, visit: dict[str, Resource]) -> None:
    del visit["Patient/fern"], visit["Coverage/fern-1"], visit["Location/ed"]
    kept = await put(gateway, *visit.values())
    encounter = await gateway.encounter(KEY)
    assert (encounter.patient.name, encounter.coverages, encounter.visit.location) == (None, (), None)
    told = {message.type: message.reason for message in kept}
    assert told["PUT Encounter/ed-1001"] is not None
    assert "Encounter.subject refers to a Patient that its sender has not written here" in told["PUT Encounter/ed-1001"]
    assert "Encounter.location[0].location refers to a Location" in told["PUT Encounter/ed-1001"]
    assert "Claim.insurance[0].coverage refers to a Coverage" in (told["PUT Claim/clm-1001"] or "")


async def test_a_claim_that_came_before_its_encounter_is_taken_again(
    gateway: World, visit: dict[str, Resource]
) -> None:
    encounter = visit.pop("Encounter/ed-1001")
    *_, claim = await put(gateway, *visit.values())
    assert (claim.state, (claim.reason or "").partition(" ")[0]) == ("set-aside", "unresolved")
    await put(gateway, encounter)
    assert (await gateway.message(claim.id)).state == "replayed"
    assert [charge.id for charge in (await gateway.encounter(KEY)).charges] == ["TX-8101", "TX-8102"]


async def test_ids_are_each_clients_own(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    other = visit["Patient/fern"] | {"telecom": [{"system": "phone", "value": "1"}]}
    await put(gateway, other, client="other")
    assert (await gateway.encounter(KEY)).patient.phone == "2175550181"


async def test_a_broken_version_leaves_the_one_before(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    (broken,) = await put(gateway, visit["Patient/fern"] | {"gender": "F"})
    assert broken.state == "set-aside"
    await put(gateway, visit["Encounter/ed-1001"] | {"language": "en"})
    encounter = await gateway.encounter(KEY)
    assert encounter.patient.name is not None
    assert encounter.patient.name.family == "FERN"


async def test_what_was_billed_stays_when_the_patient_moves(
    gateway: World, visit: dict[str, Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(gateway, *visit.values())
    before = await gateway.encounter(KEY)
    real = gateway.store.real.cases

    async def billed(keys: Any) -> Any:
        return {key: replace(case, claims=(object(),)) for key, case in (await real(keys)).items()}

    monkeypatch.setattr(gateway.store.real, "cases", billed)
    await put(gateway, visit["Patient/fern"] | {"telecom": [{"system": "phone", "value": "1"}]})
    monkeypatch.undo()
    assert await gateway.encounter(KEY) == before
    condition = next(each for name, each in visit.items() if name.startswith("Condition/"))
    recoded = copy.deepcopy(condition)
    recoded["code"]["coding"][0]["code"] = "R07.89"
    await put(gateway, recoded)
    after = await gateway.encounter(KEY)
    assert after.diagnoses != before.diagnoses
    assert after.patient.phone == "1", "built again for another reason, it has the patient as it is by now"


async def test_it_is_built_again_in_the_commit_that_settles_it(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    gateway.store.next_commits = [Conflict("somebody was faster")]
    await put(gateway, visit["Patient/fern"] | {"telecom": [{"system": "phone", "value": "7"}]})
    assert (await gateway.encounter(KEY)).patient.phone == "7"
    assert [m for m in await gateway.store.messages(MessageQuery(limit=100)) if m.state == "received"] == []


async def test_of_many_some_are_committed_before_and_a_fault_in_between_loses_none(
    gateway: World, visit: dict[str, Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pipeline.pipeline.BUILT_AT_ONCE", 1)
    await put(gateway, *visit.values())
    other = json.loads(json.dumps([visit["Account/ed1001"], visit["Encounter/ed-1001"]]).replace("1001", "1009"))
    await put(gateway, *other)
    keys = [KEY, KEY.replace("1001", "1009")]
    assert await gateway.keys() == keys
    gateway.store.next_commits = [None, StoreFault("the disk is away")]
    message = await gateway.put(visit["Patient/fern"] | {"telecom": [{"system": "phone", "value": "7"}]}, version=2)
    with pytest.raises(StoreFault):
        await gateway.work()
    phones = [(await gateway.encounter(key)).patient.phone for key in keys]
    assert sorted(phones, key=str) == ["2175550181", "7"]
    assert (await gateway.message(message.id)).state == "received"
    await gateway.work()
    assert [(await gateway.encounter(key)).patient.phone for key in keys] == ["7", "7"]
    assert (await gateway.message(message.id)).state == "unused"


# ---- Conditions, Procedures


async def test_conditions_of_the_visit_are_its_diagnoses(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    working = [d for d in (await gateway.encounter(KEY)).diagnoses if d.use is DiagnosisUse.WORKING]
    assert [(d.code, d.rank, d.description) for d in working] == [
        ("R079", 1, "Chest pain, unspecified"),
        ("I10", 2, "Essential (primary) hypertension"),
    ]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"category": [{"coding": [{"code": "problem-list-item"}]}]}, False),
        ({"encounter": {"reference": "Encounter/another"}}, False),
        ({"verificationStatus": {"coding": [{"code": "refuted"}]}}, False),
        ({"code": {"coding": [{"system": "http://snomed.info/sct", "code": "29857009"}]}}, False),
        ({"code": {"text": "chest pain"}}, False),
    ],
)
async def test_a_condition_that_comes_late_and_names_the_encounter(
    gateway: World, visit: dict[str, Resource], change: Resource, counts: bool
) -> None:
    await put(gateway, *visit.values())
    late = copy.deepcopy(visit["Condition/fern-i10"]) | {"id": "late"}
    late["code"]["coding"][0].update(code="E11.9", display="Type 2 diabetes")
    (message,) = await put(gateway, late | change)
    assert message.state == "unused"
    assert ("working-E119" in {d.id for d in (await gateway.encounter(KEY)).diagnoses}) is counts


async def test_it_can_be_explained_where_an_item_stands(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    sources = {"ehr-fhir": FhirSource("ehr-fhir", "MAIN", authority="HAR")}
    explaining = Explaining(gateway.store.real, {Format.FHIR: FhirReader(sources, gateway.store.real)})
    for field, place in (
        ("diagnoses[working-I10].code", "Encounter.diagnosis[1]"),
        ("diagnoses[final-I10].code", "Claim.diagnosis[1]"),
        ("charges[TX-8102].amount", "Claim.item[1]"),
    ):
        (explained,) = await explaining.explain(KEY, field) or ()
        assert [said.place for said in explained.said] == [place]


async def test_a_diagnosis_that_is_listed_no_more_is_gone(gateway: World, visit: dict[str, Resource]) -> None:
    encounter = visit["Encounter/ed-1001"]
    unlisted = visit["Condition/fern-i10"] | {"category": [{"coding": [{"code": "problem-list-item"}]}]}
    await put(gateway, *(visit | {"Condition/fern-i10": unlisted}).values())
    assert "working-I10" in {d.id for d in (await gateway.encounter(KEY)).diagnoses}
    await put(gateway, encounter | {"diagnosis": encounter["diagnosis"][:1]})
    after = await gateway.encounter(KEY)
    assert {d.id for d in after.diagnoses} == {"working-R079", "final-R079", "final-I10"}


@pytest.mark.parametrize(("status", "counts"), [("completed", True), ("not-done", False), ("in-progress", True)])
async def test_procedures_that_name_the_encounter(
    gateway: World, visit: dict[str, Resource], status: str, counts: bool
) -> None:
    await put(gateway, *visit.values())
    done = {
        "resourceType": "Procedure",
        "id": "ecg",
        "status": status,
        "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "93005"}]},
        "subject": {"reference": "Patient/fern"},
        "encounter": {"reference": "Encounter/ed-1001"},
        "performedPeriod": {"start": "2026-11-18T09:00:00-06:00"},
    }
    await put(gateway, done)
    assert (len((await gateway.encounter(KEY)).procedures) == 1) is counts


# ---- Claims that take the place of others


async def test_a_line_that_a_claim_lists_no_more_is_gone(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    claim = visit["Claim/clm-1001"]
    await put(gateway, claim | {"item": claim["item"][:1]})
    encounter = await gateway.encounter(KEY)
    assert [charge.id for charge in encounter.charges] == ["TX-8101"]
    assert (encounter.tally.said, encounter.tally.removed) == (3, 1)
    await put(gateway, claim | {"status": "cancelled"})
    assert (await gateway.encounter(KEY)).charges == ()


async def test_a_claim_that_supersedes_another_takes_its_lines_away(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    claim = copy.deepcopy(visit["Claim/clm-1001"])
    prior = {"coding": [{"code": "prior"}]}
    other = claim | {
        "id": "clm-1002",
        "identifier": [{"value": "CLM-1002"}],
        "related": [{"claim": {"reference": "Claim/clm-1001"}, "relationship": prior}],
        "item": claim["item"][1:],
    }
    await put(gateway, other)
    assert [charge.id for charge in (await gateway.encounter(KEY)).charges] == ["TX-8102"]


# ---- Attachments


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("url", "id"),
    [
        ("Binary/note-1", "note-1"),
        ("https://ehr.example/fhir/Binary/note-1", "note-1"),
        ("https://ehr.example/files/1.txt", binary_id("https://ehr.example/files/1.txt")),
    ],
)
async def test_content_that_stands_elsewhere(
    gateway: World, visit: dict[str, Resource], early: bool, url: str, id: str
) -> None:
    document = {
        "resourceType": "DocumentReference",
        "id": "note",
        "status": "current",
        "docStatus": "final",
        "content": [{"attachment": {"contentType": "text/plain", "url": url}}],
        "context": {"encounter": [{"reference": "Encounter/ed-1001"}]},
    }
    body = b"Seen for chest pain."
    binary = {
        "resourceType": "Binary",
        "id": id,
        "contentType": "text/plain",
        "data": base64.b64encode(body).decode(),
    }
    await put(gateway, *visit.values())
    first, _ = await put(gateway, *((binary, document) if early else (document, binary)))
    (kept,) = (await gateway.encounter(KEY)).documents
    assert kept.digest is not None
    content = await gateway.store.content(KEY, kept.digest)
    assert content is not None
    assert (content.body, content.content_type) == (body, "text/plain")
    if not early:
        assert first.reason == (
            "DocumentReference.content[0].attachment stands at an address whose content is not here"
        )


# ---- Limits and drawing


async def test_one_that_refers_to_too_much_is_set_aside(gateway: World, visit: dict[str, Resource]) -> None:
    many = visit["Encounter/ed-1001"] | {
        "account": [],
        "reasonReference": [{"reference": f"Condition/{number}"} for number in range(MOST + 1)],
    }
    (message,) = await put(gateway, {name: value for name, value in many.items() if value != []})
    assert (message.state, (message.reason or "").partition(":")[0]) == ("set-aside", "limit")


def test_a_ring_of_references_ends_and_what_is_contained_keeps_its_own() -> None:
    claim = {
        "resourceType": "Claim",
        "contained": [{"resourceType": "Patient", "id": "kept-1"}],
        "patient": {"reference": "#kept-1"},
        "insurance": [{"coverage": {"reference": "https://x/fhir/Coverage/1/_history/4"}}],
    }
    cover = {
        "resourceType": "Coverage",
        "id": "1",
        "contained": [{"resourceType": "Organization", "id": "o", "partOf": {"reference": "#o"}}],
        "payor": [{"reference": "#o"}, {"reference": "Coverage/1"}],
    }
    whole = drawn(claim, {"Coverage/1": cover})
    assert [each["id"] for each in whole["contained"]] == ["kept-1", "kept--1", "kept--1-1"]
    assert whole["patient"] == {"reference": "#kept-1"}
    assert whole["insurance"] == [{"coverage": {"reference": "#kept--1"}}]
    assert whole["contained"][1]["payor"] == [{"reference": "#kept--1-1"}, {"reference": "#kept--1"}]
    assert whole["contained"][2]["partOf"] == {"reference": "#kept--1-1"}
    assert claim["insurance"] == [{"coverage": {"reference": "https://x/fhir/Coverage/1/_history/4"}}]


def test_only_what_is_mapped_is_followed_further() -> None:
    patient = {"resourceType": "Patient", "managingOrganization": {"reference": "Organization/1"}}
    assert followed(patient, main=False) == []
    encounter = {
        "resourceType": "Encounter",
        "account": [{"reference": "Account/1"}],
        "subject": {"reference": "Patient/1"},
        "basedOn": [{"reference": "ServiceRequest/1"}],
    }
    assert followed(encounter, main=True) == ["Account/1", "Patient/1"]
    assert followed(encounter, main=False) == ["Account/1"]


async def test_a_claim_that_waits_long_is_found_whatever_else_comes_first(
    gateway: World, visit: dict[str, Resource]
) -> None:
    """Only what an encounter is found by has it taken again; and so it is, however often it was before."""
    encounter, account = visit.pop("Encounter/ed-1001"), visit.pop("Account/ed1001")
    claim = visit.pop("Claim/clm-1001")
    without = {name: value for name, value in encounter.items() if name != "identifier"}
    first, *_ = await put(gateway, claim, *visit.values())
    assert (await gateway.message(first.id)).state == "set-aside"
    await put(gateway, without, account | {"identifier": []}, account, encounter)
    assert (await gateway.message(first.id)).state == "replayed"
    assert [charge.id for charge in (await gateway.encounter(KEY)).charges] == ["TX-8101", "TX-8102"]


async def test_what_was_taken_again_twice_still_follows(gateway: World, visit: dict[str, Resource]) -> None:
    *_, claim = await put(gateway, *visit.values())
    for _ in range(2):
        attempt = await replay(gateway.store, claim.id, actor="ann", clock=gateway.clock, ids=gateway.ids)
        await gateway.work()
        claim = await gateway.message(attempt)
    await put(gateway, visit["Practitioner/stone"] | {"name": [{"family": "STONE", "given": ["KIMBERLY"]}]})
    (first, *_) = (await gateway.encounter(KEY)).charges
    assert "KIMBERLY" in [p.name.given for p in first.providers if p.name]


async def test_a_broken_version_stays_broken_when_it_is_taken_again(gateway: World, visit: dict[str, Resource]) -> None:
    await put(gateway, *visit.values())
    wrong = {"gender": "F", "telecom": [{"system": "phone", "value": "1"}]}
    (broken,) = await put(gateway, visit["Patient/fern"] | wrong)
    await replay(gateway.store, broken.id, actor="ann", clock=gateway.clock, ids=gateway.ids)
    await gateway.work()
    await put(gateway, visit["Encounter/ed-1001"] | {"language": "en"})
    assert (await gateway.encounter(KEY)).patient.phone == "2175550181"


async def test_what_says_nothing_new_builds_nothing_again(
    gateway: World, visit: dict[str, Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Senders write their Practitioners again with each Claim: that costs the same however many there are."""
    await put(gateway, *visit.values())
    asked = []
    real = gateway.store.real.referring

    async def referring(client: str, reference: str) -> Any:
        asked.append(reference)
        return await real(client, reference)

    monkeypatch.setattr(gateway.store.real, "referring", referring)
    await put(gateway, visit["Practitioner/stone"], visit["Practitioner/stone"] | {"meta": {"versionId": "9"}})
    assert asked == []
    await put(gateway, visit["Practitioner/stone"] | {"language": "en"})
    assert asked[:1] == ["Practitioner/stone"]


async def test_of_too_many_that_refer_to_one_the_last_follow_and_it_is_told(
    gateway: World, visit: dict[str, Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pipeline.dependents.MOST_REFERRING", 3)
    monkeypatch.setattr("gateway.store.resource_reads.MOST_REFERRING", 3)
    await put(gateway, *visit.values())
    (message,) = await put(gateway, visit["Patient/fern"] | {"telecom": [{"system": "phone", "value": "7"}]})
    assert "there are more" in (message.reason or "")
    assert (await gateway.encounter(KEY)).patient.phone == "7"


async def test_a_procedure_that_is_written_again_keeps_its_rank(gateway: World, fixtures: Path) -> None:
    written = json.loads((fixtures / "parity" / "inpatient.json").read_text())
    stay = {f"{each['resourceType']}/{each['id']}": each for each in written if each["resourceType"] != "Claim"}
    await put(gateway, *stay.values())
    before = [(p.code, p.rank) for p in (await gateway.encounter("MAIN:HAR:IP2002")).procedures]
    await put(gateway, stay["Procedure/marsh-line"] | {"language": "en"}, stay["Procedure/marsh-vent"])
    await put(gateway, stay["Procedure/marsh-line"] | {"language": "fr"})
    assert len(before) > 1
    assert [(p.code, p.rank) for p in (await gateway.encounter("MAIN:HAR:IP2002")).procedures] == before


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_comes_first_the_visit_is_the_same(rules: Rules, visit: dict[str, Resource], seed: int) -> None:
    """And it is what its kept messages make. Only before it is billed: what was billed stays as it was."""
    order, chance = list(visit.values()), random.Random(seed)  # noqa: S311 - shuffles a test
    changed = visit["Practitioner/stone"] | {"name": [{"family": "STONE", "given": ["KIMBERLY"]}]}
    chance.shuffle(order)
    order.insert(chance.randint(order.index(visit["Practitioner/stone"]) + 1, len(order)), changed)
    waits = rules.policy.model_copy(update={"bill_hold_days": 30})
    sources = {"ehr-fhir": FhirSource("ehr-fhir", "MAIN", authority="HAR")}
    async with world(replace(rules, sources=sources, policy=waits)) as gateway:
        for each in order:
            newest = await gateway.store.resource("ehr-fhir", each["resourceType"], each["id"])
            await gateway.put(each, "ehr-fhir", newest.version + 1 if newest else 1)
            if chance.random() < 0.6:
                await gateway.work()
        await gateway.work()
        kept = await gateway.store.messages(MessageQuery(limit=100))
        (key,) = {message.encounter for message in kept if message.encounter}
        case = await gateway.case(key)
        read = Builder(gateway.store, {Format.FHIR: FhirReader(sources, gateway.store)})
        assert case.claims == ()
        assert case.encounter is not None
        assert (await read.again(case.encounter)).encounter == case.encounter
        assert [m for m in kept if m.state == "set-aside"] == []
        encounter = case.encounter
        given = {(c.id, p.name.given) for c in encounter.charges for p in c.providers[:1] if p.name}
        assert given == {("TX-8101", "KIMBERLY"), ("TX-8102", "KIMBERLY")}
        assert (encounter.visit.account, encounter.visit.location) != (None, None)
        assert [c.payer_name for c in encounter.coverages] == ["BLUE PRAIRIE"]
