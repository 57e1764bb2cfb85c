"""Refusals of access come into the audit trail, without making anyone wait and without end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from gateway_world import client_name, configuration, running, until

from gateway import app
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.audit.events import Action, Event
from gateway.store import open_store
from gateway.store.interface import Step, Store, StoreFault
from gateway.trail.trail import UNKNOWN_CALLER, Refusals, resource_of

AT = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        return self.at


@pytest_asyncio.fixture
async def store() -> AsyncIterator[Store]:
    opened = open_store("sqlite://")
    await opened.open()
    yield opened
    await opened.close()


async def refusals_in(store: Store) -> list[Event]:
    return [found.event async for found in store.events() if found.event.action is Action.ACCESS_REFUSED]


async def test_alike_refusals_are_one_event_with_their_count(store: Store) -> None:
    clock = Clock()
    refusals = Refusals(store, clock)
    for _ in range(3):
        refusals.refused(401, "GET", "/api/worklist", None)
        clock.at += timedelta(milliseconds=10)
    refusals.refused(403, "POST", "/fhir/Claim", "prometheus")
    assert await refusals_in(store) == []
    assert await refusals.commit() == 2
    unknown, known = await refusals_in(store)
    assert (unknown.actor, unknown.subject, unknown.at) == (UNKNOWN_CALLER, "route/api/worklist", AT)
    assert unknown.detail == {"status": 401, "method": "GET", "count": 3}
    assert (known.actor, known.subject) == ("client:prometheus", "route/fhir/Claim")
    assert known.detail == {"status": 403, "method": "POST", "count": 1}


async def test_nothing_is_committed_twice(store: Store) -> None:
    refusals = Refusals(store, Clock())
    refusals.refused(401, "GET", "/metrics", None)
    assert [await refusals.commit() for _ in range(3)] == [1, 0, 0]
    assert len(await refusals_in(store)) == 1


async def test_memory_is_bounded_and_what_does_not_fit_is_counted(store: Store) -> None:
    refusals = Refusals(store, Clock(), held=3)
    for number in range(10):
        refusals.refused(403, "GET", "/api/worklist", f"client-{number}")
    refusals.refused(403, "GET", "/api/worklist", "client-0")
    await refusals.commit()
    events = await refusals_in(store)
    assert {event.subject: event.detail["count"] for event in events[3:]} == {"route/unlisted": 7}
    assert [event.detail["count"] for event in events[:3]] == [2, 1, 1]


async def test_a_store_that_fails_loses_none_of_them(store: Store) -> None:
    class Failing:
        down = True

        async def commit(self, step: Step) -> None:
            if self.down:
                refusals.refused(401, "GET", "/metrics", None)  # one more while the commit is under way
                raise StoreFault("down")
            await store.commit(step)

    failing = Failing()
    refusals = Refusals(failing, Clock())  # type: ignore[arg-type]  # all that it asks is `commit`
    refusals.refused(401, "GET", "/metrics", None)
    with pytest.raises(StoreFault):
        await refusals.commit()
    failing.down = False
    await refusals.commit()
    assert [event.detail["count"] for event in await refusals_in(store)] == [2]


async def test_the_clockwork_commits_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "REFUSALS_INTERVAL", timedelta(seconds=0.02))
    async with running(tmp_path) as world:
        assert (await world.http(None).get("/api/worklist")).status_code == 401
        assert (await world.http(Role.MONITOR).get("/api/worklist")).status_code == 403

        async def both() -> bool:
            return len(await refusals_in(world.gateway.store)) == 2

        await until(both, "the refusals are not in the trail")
        metrics = (await world.http(Role.MONITOR).get("/metrics")).text
        assert 'gateway_http_refusals_total{status="401"} 1.0' in metrics
        assert 'gateway_http_refusals_total{status="403"} 1.0' in metrics


async def test_a_stop_commits_what_waits_before_it_says_that_it_stopped(tmp_path: Path) -> None:
    async with running(tmp_path, processing=False) as world:
        assert (await world.http(None).get("/api/worklist")).status_code == 401
    store = open_store(configuration(tmp_path).store)
    await store.open()
    actions = [found.event.action async for found in store.events()]
    await store.close()
    started = [Action.GATEWAY_STARTED, Action.CONFIGURATION_ACTIVATED]
    assert actions == [*started, Action.ACCESS_REFUSED, Action.GATEWAY_STOPPED]


async def test_what_a_handler_refuses_is_a_refusal_too(tmp_path: Path) -> None:
    """The door lets the supervisor search messages; that a search looks into payloads, only the handler knows."""
    async with running(tmp_path) as world:
        gateway: Gateway = world.gateway
        search = {"text": "SMITH", "since": "2026-01-01T00:00:00Z"}
        refused = await world.http(Role.SUPERVISOR).get("/api/messages", params=search)
        assert refused.status_code == 403
        assert "message.payload, which the role analyst has" in refused.json()["detail"]
        await gateway.refusals.commit()
        [event] = await refusals_in(gateway.store)
        assert (event.actor, event.subject) == (f"client:{client_name(Role.SUPERVISOR)}", "route/api/messages")


async def test_a_refusal_is_exported_as_a_security_alert(store: Store) -> None:
    refusals = Refusals(store, Clock())
    refusals.refused(401, "GET", "/api/worklist", None)
    await refusals.commit()
    [stored] = [found async for found in store.events()]
    resource = resource_of(stored)
    assert resource["outcome"] == "8"
    assert resource["agent"][0]["who"]["identifier"]["value"] == "unknown"  # type: ignore[index]
