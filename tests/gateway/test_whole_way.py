"""From an EHR's message to a released claim, over the sockets of one whole gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_world import TOKENS, World, running, today
from visits import code, interchanges, put, seen, sent, standing, stay, taken, tell

from conformance import day, ehr, postgres
from conformance.desk_client import Refused
from conformance.hospital import Visit
from conformance.playing import key
from conformance.provider import ProviderSystem
from conformance.story import ANSWER, INDICATORS, OPTIONS, QUESTION
from gateway.access.roles import Role
from gateway.audit.events import Action
from gateway.audit.keys import load_public_keys
from gateway.trail.sealing import verify


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with postgres.server(tmp_path_factory.mktemp("pg")) as dsn:
            yield dsn
    except postgres.Unavailable as why:
        pytest.skip(str(why))


async def over_mllp(world: World) -> Visit:
    visit = day.routine(today())
    await stay(world, visit)
    assert "codes-not-final" in await standing(world, visit)
    await code(world, visit)
    view = await taken(world, visit)
    assert (view["claims"][0]["approved_by"], view["claims"][0]["destination"]) == ("policy", "clearinghouse")
    return visit


async def over_fhir(world: World) -> Visit:
    visit = day.over_fhir(today())
    await put(world, visit)
    view = await taken(world, visit)
    assert view["claims"][0]["destination"] == "payer-fhir"
    return visit


async def asked_and_answered(world: World) -> Visit:
    visit = day.unclear_record(today())
    await stay(world, visit)
    document = (await seen(world, visit))["documents"][0]["id"]
    draft = {
        **QUESTION,
        "provider": visit.clinician.npi,
        "indicators": [{"text": text, "document": document} for text in INDICATORS],
        "options": [{"text": text, "indicators": shown} for text, shown in OPTIONS],
    }
    with pytest.raises(Refused, match="422"):
        await world.desk(Role.CDI).ask(key(visit), {**draft, "title": "A specific code would raise the DRG"})
    await world.desk(Role.CDI).ask(key(visit), draft)
    await code(world, visit)
    view = await seen(world, visit)
    assert {hold["kind"] for hold in view["holds"] if hold["state"] == "open"} == {"query"}
    assert view["claims"] == []
    await answer(world, visit)
    view = await taken(world, visit)
    query = view["queries"][0]
    assert (query["status"], query["answer_option"]) == ("completed", ANSWER)
    assert "query-answer" in {document["kind"] for document in view["documents"]}
    return visit


async def answer(world: World, visit: Visit) -> None:
    async with ProviderSystem(f"{world.url}/fhir", TOKENS[Role.PROVIDER], visit.clinician.npi) as provider:
        [task] = await provider.inbox()
        accepted = await provider.take_up(task)
        with pytest.raises(Refused, match="412"):
            await provider.take_up(task, "in-progress")
        begun = await provider.take_up(accepted, "in-progress")
        await provider.answer(begun, option=ANSWER, text="Known reduced ejection fraction.")
        assert await provider.inbox() == []


async def approved(world: World) -> Visit:
    visit = day.high_value(today())
    await stay(world, visit)
    await code(world, visit)
    assert await standing(world, visit) == {"high-value"}
    desk = world.desk(Role.SUPERVISOR)
    with pytest.raises(Refused, match="409"):
        await desk.approve(key(visit), "0" * 64)
    with pytest.raises(Refused, match="403"):
        await world.desk(Role.CODER).approve(key(visit), (await seen(world, visit))["fingerprint"])
    await desk.approve(key(visit), (await seen(world, visit))["fingerprint"], "The note supports it.")
    assert (await taken(world, visit))["claims"][0]["approved_by"] == "user:kobrien"
    return visit


async def returned_and_corrected(world: World) -> Visit:
    visit = day.new_coder(today())
    await stay(world, visit)
    await code(world, visit)
    assert await standing(world, visit) == {"new-coder"}
    desk = world.desk(Role.SUPERVISOR)
    await desk.send_back(key(visit), "The culture grew E. coli: add the organism.")
    assert await standing(world, visit) == {"new-coder", "returned-to-coder"}
    await code(world, visit, *visit.diagnoses, "B9620")
    assert await standing(world, visit) == {"new-coder"}
    await desk.approve(key(visit), (await seen(world, visit))["fingerprint"], "Corrected as asked.")
    await taken(world, visit)
    return visit


async def assert_trail_is_whole(world: World) -> None:
    await world.gateway.sealer.seal()
    audit = world.gateway.config.audit
    keys = load_public_keys([audit.key_file.with_name(f"{audit.key_file.name}.pub")])
    report = await verify(world.gateway.store, keys, audit.anchor)
    assert report.intact, [str(fault) for fault in report.faults]
    assert report.events == len(await world.events())
    assert report.anchored


async def test_a_visit_over_mllp_becomes_an_837p_file(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        visit = await over_mllp(world)
        [claim] = interchanges(tmp_path)
        assert claim.total == visit.total
        assert world.billing.claims == []
        await assert_trail_is_whole(world)
        told = [stored.event.action for stored in await world.events() if stored.event.encounter == key(visit)]
        assert told.count(Action.CLAIM_RELEASED) == 1
        assert told.index(Action.CLAIM_RELEASED) < told.index(Action.DELIVERY_CHANGED)


async def test_a_visit_over_fhir_becomes_a_claim_at_the_billing_endpoint(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        visit = await over_fhir(world)
        [claim] = world.billing.claims
        assert claim["total"]["value"] == float(visit.total)
        assert claim["type"]["coding"][0]["code"] == "institutional"
        assert interchanges(tmp_path) == []
        assert len(world.billing.deliveries_by_key) == 1


async def test_a_provider_is_asked_and_answers(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        visit = await asked_and_answered(world)
        assert [claim.total for claim in interchanges(tmp_path)] == [visit.total]


async def test_a_supervisor_approves_one_and_returns_another(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        visits = [await approved(world), await returned_and_corrected(world)]
        assert sorted(claim.total for claim in interchanges(tmp_path)) == sorted(visit.total for visit in visits)
        decisions = (await seen(world, visits[1]))["decisions"]
        assert [decision["kind"] for decision in decisions] == ["return", "approve"]


async def test_documentation_that_is_missing_holds_until_it_comes(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        visit = day.missing_note(today())
        await stay(world, visit, documents=False)
        await code(world, visit)
        assert "document-missing" in await standing(world, visit)
        for note in visit.notes:
            await tell(world, ehr.mdm(visit, note, *sent()))
        await taken(world, visit)


async def test_a_charge_after_the_claim_is_held_and_never_billed_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        visit = await over_mllp(world)
        await code(world, visit, "I10")
        assert "changed-after-release" in await standing(world, visit)
        assert len((await seen(world, visit))["claims"]) == 1
        assert len(interchanges(tmp_path)) == 1


async def test_a_replay_after_release_bills_nothing_twice(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        visit = await over_mllp(world)
        for message in await world.messages():
            answer = await world.http(Role.OPERATOR).post(f"/api/messages/{message.id}/replay")
            assert answer.status_code == 202
        assert await standing(world, visit) == set()
        assert len((await seen(world, visit))["claims"]) == 1
        assert len(interchanges(tmp_path)) == 1


@pytest.mark.slow
async def test_the_whole_way_on_postgresql(tmp_path: Path, server: str) -> None:
    dsn = await postgres.fresh(server)
    try:
        async with running(tmp_path, store=dsn) as world:
            over_x12 = [await over_mllp(world), await asked_and_answered(world), await approved(world)]
            over_x12.append(await returned_and_corrected(world))
            visit = await over_fhir(world)
            assert sorted(c.total for c in interchanges(tmp_path)) == sorted(v.total for v in over_x12)
            assert [claim["total"]["value"] for claim in world.billing.claims] == [float(visit.total)]
            assert {m.state.value for m in await world.messages()} == {"processed"}
            await assert_trail_is_whole(world)
    finally:
        await postgres.drop(dsn)
