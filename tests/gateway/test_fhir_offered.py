"""What the CapabilityStatement offers is served, and what is served below /fhir is offered."""

from __future__ import annotations

from pathlib import Path

from gateway_world import running

from gateway.access.interactions import rule_of
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.mappings.fhir.capability import OFFERED, SYSTEM_INTERACTIONS, SYSTEM_OPERATIONS

SEARCH = "search-type"


def interaction(route: Route) -> tuple[str, str]:
    """(type, interaction) as the CapabilityStatement has it; a type is empty for the whole system."""
    parts = route.path.split("/")[2:]
    operation = next((part[1:] for part in parts if part.startswith("$")), None)
    if operation is not None:
        return parts[0] if parts[0][:1].isupper() else "", f"${operation}"
    rule = rule_of(route.method, route.path)
    assert rule is not None, f"{route.method} {route.path} has no rule"
    return (parts[0], rule.interaction.value) if parts else ("", rule.interaction.value)


async def test_offers_and_routes_are_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        routes = world.gateway.server.table.routes
    below = [r for r in routes if r.path.startswith("/fhir") and r.permission is not PUBLIC]
    served = {interaction(route) for route in below}
    offered = {(kind, name) for kind, offer in OFFERED.items() for name in offer.interactions}
    offered |= {(kind, f"${name}") for kind, offer in OFFERED.items() for name in offer.operations}
    offered |= {("", f"${name}") for name in SYSTEM_OPERATIONS}
    offered |= {("", "batch")} if {"transaction", "batch"} <= set(SYSTEM_INTERACTIONS) else set()
    assert served - offered == set()
    assert offered - served == set()
