"""Changing the configuration of a gateway that runs: as a whole or not at all, and back again."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from gateway_world import TOKENS, World, environment, rewrite, running, today, until, write_configuration
from visits import code, seen, sent, standing, stay

from conformance import day, ehr
from conformance.playing import key
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.audit.events import Action
from gateway.message import MessageState
from gateway.settings import load

NEW_POLICY = """\
version: 1
bill_hold_days: 0
documentation: required
rules:
  - {name: everything, when: 'true', reason: All is looked at., resolvable_by: [supervisor]}
"""


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    async with running(tmp_path) as one:
        yield one


async def ask(world: World, method: str, path: str, body: Any = None, role: Role = Role.OPERATOR) -> httpx.Response:
    return await world.http(role).request(method, f"/api/configuration/{path}", json=body)


async def reloaded(world: World) -> dict[str, Any]:
    answer = await ask(world, "POST", "reload")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def refused(world: World) -> list[dict[str, Any]]:
    answer = await ask(world, "POST", "reload")
    assert answer.status_code == 422, answer.text
    mistakes: list[dict[str, Any]] = answer.json()["mistakes"]
    return mistakes


async def numbers(world: World) -> list[tuple[int, str]]:
    items = (await ask(world, "GET", "versions")).json()["items"]
    return [(item["number"], item["state"]) for item in items]


async def told(world: World, *actions: Action) -> list[dict[str, object]]:
    return [stored.event.detail for stored in await world.events() if stored.event.action in actions]


def texts(paths: list[str]) -> str:
    return "".join(Path(path).read_text() for path in paths)


async def test_the_start_records_what_is_in_force_once(world: World) -> None:
    [first] = await told(world, Action.CONFIGURATION_ACTIVATED)
    assert first["version"] == 1
    version = (await ask(world, "GET", "versions/1")).json()
    assert set(version["files"]) == {"gateway.yaml", "policy.yaml", "dialects/site.yaml"}
    assert version["files"]["policy.yaml"] == (world.directory / "policy.yaml").read_text()
    assert version["digest"] == first["sha256"]
    assert not any(token in str(version) for token in TOKENS.values())


async def test_a_restart_without_a_change_is_no_new_version(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    versions = []
    for high_water in (5_000, 5_000, 4_000):
        path = tmp_path / "gateway.yaml"
        path.write_text(re.sub("high_water: [0-9]+", f"high_water: {high_water}", path.read_text()))
        gateway = Gateway(load(path, environment()), environ=environment())
        await gateway.start(processing=False)
        versions.append(gateway.reloading.version)
        await gateway.stop()
    assert versions == [1, 1, 2]


async def test_a_reload_takes_over_the_policy_for_what_comes_next(world: World) -> None:
    visit = day.routine(today())
    (world.directory / "policy.yaml").write_text(NEW_POLICY)
    taken = await reloaded(world)
    assert taken["version"] == 2
    await stay(world, visit)
    await code(world, visit)
    await world.settled()
    assert await standing(world, visit) == {"everything"}
    activated = await told(world, Action.CONFIGURATION_ACTIVATED)
    assert [one["by"] for one in activated] == ["start", "reload"]


async def test_what_is_held_is_looked_at_again_by_the_new_policy(world: World) -> None:
    """An encounter that waits for a supervisor is released when the rule is gone, and the trail names the version."""
    visit = day.high_value(today())
    await stay(world, visit)
    await code(world, visit)
    await world.settled()
    assert await standing(world, visit) == {"high-value"}
    rewrite(world.directory, "total > 10000.0", "total > 10000000.0", "policy.yaml")
    await reloaded(world)

    async def released() -> bool:
        return (await seen(world, visit))["stage"] not in ("held", "waiting", "ready")

    await until(released, "the encounter is still held", 20)
    [reassessed] = await told(world, Action.ENCOUNTER_REASSESSED)
    assert reassessed["configuration"] == 2
    assert key(visit) in {stored.event.encounter for stored in await world.events()}


async def test_every_mistake_is_told_and_nothing_changes(world: World) -> None:
    before = world.gateway.config
    rewrite(world.directory, "facility: MAIN", "facilty: MAIN")
    rewrite(world.directory, "total > 10000.0", "total >", "policy.yaml")
    mistakes = await refused(world)
    places = {(Path(one["file"]).name, one["line"], one["key"]) for one in mistakes}
    assert ("gateway.yaml", 2, "facilty") in places
    assert "policy.yaml" in {file for file, _, _ in places}
    assert world.gateway.config is before
    assert await numbers(world) == [(1, "activated")]
    assert await told(world, Action.CONFIGURATION_REFUSED) == [{"mistakes": len(mistakes)}]
    assert (await world.send(ehr.adt("A04", day.routine(today()), *sent()))).code == "AA"


async def test_what_needs_a_restart_is_refused_as_a_whole(world: World) -> None:
    rewrite(world.directory, "seal_seconds: 1", "seal_seconds: 2")
    rewrite(world.directory, "store: sqlite:///gateway.db", "store: sqlite:///other.db\nnode: 3")
    rewrite(world.directory, "high_water: 5000", "high_water: 4000")
    mistakes = await refused(world)
    assert sorted(one["key"] for one in mistakes) == ["audit", "node", "store"]
    assert all("restart" in one["remedy"] for one in mistakes)
    assert world.gateway.config.processing.high_water == 5_000


async def test_feeds_come_and_go_and_the_others_keep_their_connections(world: World) -> None:
    visit = day.routine(today())
    async with world.sender("epic-adt") as kept:
        await kept.send(ehr.adt("A04", visit, *sent()))
        line = next(line for line in (world.directory / "gateway.yaml").read_text().splitlines() if "either" in line)
        rewrite(world.directory, line, '  - {name: added, listen: "mllp://127.0.0.1:0", dialect: site}')
        taken = await reloaded(world)
        assert "feeds" in taken["changed"]
        assert set(world.gateway.mllp) == {"epic-adt", "encoder", "added"}
        assert (await kept.send(ehr.adt("A08", visit, *sent()))).code == "AA"
    assert (await world.send(ehr.adt("A08", visit, *sent()), feed="added")).code == "AA"
    await world.settled()
    assert {message.state for message in await world.messages()} == {MessageState.PROCESSED}


async def test_a_removed_feed_listens_no_more(world: World) -> None:
    address = world.gateway.mllp["either"]
    line = next(line for line in (world.directory / "gateway.yaml").read_text().splitlines() if "either" in line)
    rewrite(world.directory, line + "\n", "")
    await reloaded(world)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_a_port_that_is_taken_undoes_everything(world: World) -> None:
    before = dict(world.gateway.mllp)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        rewrite(
            world.directory,
            'name: either, listen: "mllp://127.0.0.1:0"',
            f'name: either, listen: "mllp://127.0.0.1:{port}"',
        )
        (world.directory / "policy.yaml").write_text(NEW_POLICY)
        [mistake] = await refused(world)
        assert (mistake["key"], str(port) in mistake["text"]) == ("feeds[either].listen", True)
    assert world.gateway.mllp == before
    for feed in before:
        async with world.sender(feed):
            pass
    assert await numbers(world) == [(1, "activated")]
    visit = day.routine(today())
    await stay(world, visit)
    await code(world, visit)
    await world.settled()
    assert await standing(world, visit) == set()


async def test_a_token_that_is_taken_away_opens_nothing_any_more(world: World) -> None:
    assert (await world.http(Role.MONITOR).get("/metrics")).status_code == 200
    line = next(line for line in (world.directory / "gateway.yaml").read_text().splitlines() if "TOKEN_MONITOR" in line)
    rewrite(world.directory, line + "\n", "")
    await reloaded(world)
    assert (await world.http(Role.MONITOR).get("/metrics")).status_code == 401
    assert (await world.http(Role.OPERATOR).get("/metrics")).status_code == 200


async def test_a_destination_that_is_added_takes_what_could_go_nowhere(world: World) -> None:
    text = (world.directory / "gateway.yaml").read_text()
    lines = [line for line in text.splitlines() if re.search("name: (clearinghouse|payer-fhir)", line)]
    for line in lines:
        rewrite(world.directory, line + "\n", "")
    rewrite(world.directory, "destinations:\n", "")
    await reloaded(world)
    visit = day.routine(today())
    await stay(world, visit)
    await code(world, visit)
    await world.settled()
    assert await standing(world, visit) == {"no-destination"}
    (world.directory / "gateway.yaml").write_text(text)
    await reloaded(world)

    async def delivered() -> bool:
        return (await seen(world, visit))["stage"] == "accepted"

    await until(delivered, "the claim was not delivered", 30)


async def test_a_return_writes_the_files_back(world: World) -> None:
    text = (world.directory / "gateway.yaml").read_text()
    (world.directory / "dialects" / "second.yaml").write_text("extends: base\n")
    rewrite(world.directory, "high_water: 5000", "high_water: 4000")
    await reloaded(world)
    answer = await ask(world, "POST", "rollback", {})
    assert answer.status_code == 200, answer.text
    assert (world.directory / "gateway.yaml").read_text() == text
    assert not (world.directory / "dialects" / "second.yaml").exists()
    assert world.gateway.config.processing.high_water == 5_000
    assert [number for number, _ in await numbers(world)] == [3, 2, 1]
    last = (await told(world, Action.CONFIGURATION_ACTIVATED))[-1]
    assert (last["by"], last["of"]) == ("rollback", 1)
    first, third = [(await ask(world, "GET", f"versions/{number}")).json() for number in (1, 3)]
    assert first["files"] == third["files"]


TEMPLATE = """\
name: acuity
about: acuity
kind: multiple-choice
title: Onset of {condition}
question: "{condition} is documented. How did it begin, in your clinical judgement?"
values: [{name: condition, meaning: The condition}]
indicators: [{name: onset, meaning: The passage that shows it}]
options: [{text: Sudden, supported_by: [onset]}]
"""


async def test_the_site_s_query_templates_are_part_of_a_version(world: World) -> None:
    """A template comes, changes and goes with the version that has it."""
    templates = world.directory / "templates"
    templates.mkdir()
    (templates / "acuity.yaml").write_text(TEMPLATE)
    rewrite(world.directory, "facility: MAIN", "facility: MAIN\nqueries: {templates: templates}")
    taken = await reloaded(world)
    assert (taken["files"], taken["changed"]) == (["gateway.yaml", "templates/acuity.yaml"], ["queries"])
    rewrite(world.directory, "Onset of", "Beginning of", "templates/acuity.yaml")
    (templates / "second.yaml").write_text(TEMPLATE.replace("name: acuity", "name: second", 1))
    taken = await reloaded(world)
    assert taken["files"] == ["templates/acuity.yaml", "templates/second.yaml"]
    assert world.gateway.querying.templates["acuity"].title == "Beginning of {condition}"
    assert (await told(world, Action.CONFIGURATION_ACTIVATED))[-1]["files"] == taken["files"]
    answer = await ask(world, "POST", "rollback", {})
    assert answer.json()["files"] == taken["files"]
    assert (templates / "acuity.yaml").read_text() == TEMPLATE
    assert not (templates / "second.yaml").exists()
    assert world.gateway.querying.templates["acuity"].title == "Onset of {condition}"
    assert "second" not in world.gateway.querying.templates


async def test_a_template_that_cannot_be_used_is_refused_with_all_else(world: World) -> None:
    (world.directory / "templates").mkdir()
    (world.directory / "templates" / "mine.yaml").write_text("name: mine\n")
    rewrite(world.directory, "facility: MAIN", "facilty: MAIN\nqueries: {templates: templates}")
    files = {Path(one["file"]).name for one in await refused(world)}
    assert files == {"gateway.yaml", "mine.yaml"}


async def test_a_return_after_a_refused_edit_keeps_the_edit_as_a_version(world: World) -> None:
    rewrite(world.directory, "total > 10000.0", "total >", "policy.yaml")
    await refused(world)
    answer = (await ask(world, "POST", "rollback", {})).json()
    assert (answer["version"], answer["kept"], answer["copies"]) == (1, 2, [])
    assert "total > 10000.0" in (world.directory / "policy.yaml").read_text()
    assert await numbers(world) == [(2, "kept"), (1, "activated")]
    assert "total >" in (await ask(world, "GET", "versions/2")).json()["files"]["policy.yaml"]


async def test_a_secret_in_a_file_is_kept_in_no_version(world: World) -> None:
    rewrite(world.directory, "token_env: TOKEN_MONITOR", "token: zebra-crossing-0123456789")
    await refused(world)
    answer = (await ask(world, "POST", "rollback", {})).json()
    assert answer["kept"] is None
    assert "zebra" in texts(answer["copies"])
    assert await numbers(world) == [(1, "activated")]
    assert "zebra" not in (world.directory / "gateway.yaml").read_text()


async def test_a_version_that_no_longer_passes_is_refused_and_the_files_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(world.directory, "high_water: 5000", "high_water: 4000")
    line = next(line for line in (world.directory / "gateway.yaml").read_text().splitlines() if "TOKEN_OTHER" in line)
    rewrite(world.directory, line + "\n", "")
    await reloaded(world)
    now = {path: path.read_text() for path in world.directory.glob("**/*.yaml")}
    monkeypatch.delenv("TOKEN_OTHER")
    answer = await ask(world, "POST", "rollback", {"version": 1})
    assert answer.status_code == 422
    assert "TOKEN_OTHER" in answer.json()["detail"]
    assert {path: path.read_text() for path in world.directory.glob("**/*.yaml")} == now
    assert world.gateway.config.processing.high_water == 4_000


async def test_there_is_nothing_to_return_to_at_first(world: World) -> None:
    for body in ({}, {"version": 99}):
        answer = await ask(world, "POST", "rollback", body)
        assert answer.status_code == 409
        assert "version" in answer.json()["detail"]
    assert (await ask(world, "POST", "rollback", {"version": "x"})).status_code == 422
    assert (await ask(world, "GET", "versions/99")).status_code == 404


async def test_a_version_that_was_edited_in_the_database_is_not_written_back(world: World) -> None:
    rewrite(world.directory, "high_water: 5000", "high_water: 4000")
    await reloaded(world)
    store: Any = world.gateway.store
    store._writer.execute("UPDATE configurations SET body = ? WHERE number = 1", (b'{"gateway.yaml": "node: 5"}',))
    answer = await ask(world, "POST", "rollback", {"version": 1})
    assert answer.status_code == 409
    assert "high_water: 4000" in (world.directory / "gateway.yaml").read_text()


async def test_reloads_at_one_moment_come_one_after_the_other(world: World) -> None:
    rewrite(world.directory, "high_water: 5000", "high_water: 4000")
    answers = await asyncio.gather(*(ask(world, "POST", "reload") for _ in range(5)))
    assert {answer.json()["version"] for answer in answers} == {2}


async def test_a_hang_up_reloads_and_a_mistake_ends_nothing(world: World) -> None:
    rewrite(world.directory, "high_water: 5000", "high_water: 4000")
    await world.gateway.hang_up()
    assert world.gateway.config.processing.high_water == 4_000
    rewrite(world.directory, "high_water: 4000", "high_water: none")
    await world.gateway.hang_up()
    assert world.gateway.config.processing.high_water == 4_000
    assert (await told(world, Action.CONFIGURATION_REFUSED))[0]["mistakes"] == 1


async def test_a_reload_of_the_same_words_is_told_and_reads_the_secrets_again(world: World) -> None:
    """A token in a file of its own is changed, nothing else."""
    token = world.directory / "monitor.token"
    token.write_text("the-first-token-0123456789\n")
    rewrite(world.directory, "token_env: TOKEN_MONITOR", "token_file: monitor.token")
    await reloaded(world)
    token.write_text("the-second-token-0123456789\n")
    assert (await reloaded(world))["version"] == 2
    for secret, status in (("the-first-token-0123456789", 401), ("the-second-token-0123456789", 200)):
        headers = {"Authorization": f"Bearer {secret}"}
        assert (await world.http(None).get("/metrics", headers=headers)).status_code == status
    assert [one["version"] for one in await told(world, Action.CONFIGURATION_ACTIVATED)] == [1, 2, 2]
    assert "first-token" not in str((await ask(world, "GET", "versions/2")).json())


async def test_a_feed_over_http_comes_changes_and_goes(world: World) -> None:
    address = "/hl7/web"
    message = ehr.adt("A04", day.routine(today()), *sent())
    kind = {"Content-Type": "application/hl7-v2"}

    async def post() -> int:
        return (await world.http(Role.FEED).post(address, content=message, headers=kind)).status_code

    assert await post() in (403, 404)
    feed = "  - {name: web, listen: http, dialect: site, max_message: 4096}\n"
    rewrite(world.directory, "feeds:\n", "feeds:\n" + feed)
    rewrite(world.directory, "token_env: TOKEN_FEED", "token_env: TOKEN_FEED, feeds: [web]")
    await reloaded(world)
    assert await post() == 200
    rewrite(world.directory, "max_message: 4096", "max_message: 1024")
    await reloaded(world)
    large = message + b"NTE|1||" + b"x" * 2_000 + b"\r"
    refused_ = await world.http(Role.FEED).post(address, content=large, headers=kind)
    assert refused_.status_code in (413, 422)
    rewrite(world.directory, feed.replace("4096", "1024"), "")
    rewrite(world.directory, ", feeds: [web]", "")
    await reloaded(world)
    assert await post() in (403, 404)
