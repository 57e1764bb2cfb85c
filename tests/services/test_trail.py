"""The trail as it leaves the gateway: FHIR AuditEvents, one a line, and the event that says so."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from services_world import World, key_of, visit_number

from gateway.audit.events import Action
from gateway.store.interface import Store, StoreFault
from gateway.trail.trail import Trail, resource_of

AUDITOR = "user:ada"


async def exported(gateway: World, **narrowed: Any) -> list[dict[str, Any]]:
    trail = Trail(cast(Store, gateway.store), gateway.clock)
    lines = [line async for line in trail.export(AUDITOR, **{"encounter": None, "since": None, **narrowed})]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


async def told(gateway: World, *numbers: int) -> None:
    for number in numbers:
        await gateway.register(visit_number(number))
    await gateway.work()


async def test_each_event_is_a_line_and_the_export_itself_the_last(gateway: World) -> None:
    await told(gateway, 1)
    stood = [stored async for stored in gateway.store.events()]
    lines = await exported(gateway)
    assert len(lines) == len(stood) + 1
    assert {line["resourceType"] for line in lines} == {"AuditEvent"}
    assert lines[:-1] == [json.loads(json.dumps(resource_of(stored))) for stored in stood]
    last = [stored.event async for stored in gateway.store.events()][-1]
    assert (last.action, last.actor, last.subject) == (Action.AUDIT_EXPORTED, AUDITOR, "audit/export")


async def test_an_export_of_one_encounter_tells_of_no_other(gateway: World) -> None:
    await told(gateway, 1, 2)
    key = key_of(visit_number(1))
    lines = await exported(gateway, encounter=key)
    other = key_of(visit_number(2))
    assert lines
    assert not any(other in json.dumps(line) for line in lines)
    assert len(lines) == len(await gateway.told(key))


async def test_an_export_since_a_moment_begins_there(gateway: World) -> None:
    await told(gateway, 1)
    gateway.clock.advance(hours=1)
    since = gateway.clock.now()
    await told(gateway, 2)
    lines = await exported(gateway, since=since)
    events = [stored.event async for stored in gateway.store.events(since=since)]
    assert len(lines) == len(events)
    assert events[-1].detail == {"since": since.isoformat()}
    assert min(line["recorded"][:19] for line in lines) >= since.strftime("%Y-%m-%dT%H:%M:%S")


async def test_what_cannot_be_told_is_not_exported(gateway: World) -> None:
    """No line leaves unless the trail says who took it."""
    await told(gateway, 1)
    gateway.store.next_commits = [StoreFault("disk")]
    with pytest.raises(StoreFault):
        await exported(gateway)
    assert Action.AUDIT_EXPORTED not in [stored.event.action async for stored in gateway.store.events()]


async def test_a_line_carries_the_hash_that_was_stored_with_the_event(gateway: World) -> None:
    await told(gateway, 1)
    first = await anext(gateway.store.events())
    assert first.hash.hex() in json.dumps(resource_of(first))
    assert first.hash == first.event.digest()
