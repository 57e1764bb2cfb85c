"""Every interaction leaves an event: one place, through which all routes go.

What a service does and tells itself has its event already (a message that was received, a query that was read). What
nobody told is told here, before the answer leaves: reads, searches, histories, lists. Names and numbers that a search
asks for are no part of the event: it says which parameters were given, and the values of those that can name nobody.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

import msgspec

from gateway.access.asking import Asking, origin
from gateway.access.interactions import BASE, Interaction, Rule, rule_of
from gateway.access.roles import Permission
from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.adapters.http.routing import PUBLIC, Handler, Route
from gateway.adapters.http.scoped import parameters
from gateway.audit.events import Action
from gateway.mappings.fhir.capability import OFFERED
from gateway.store.interface import StoreFault

TOLD: Mapping[Interaction, Action] = {
    Interaction.READ: Action.RESOURCE_READ,
    Interaction.VREAD: Action.RESOURCE_VERSION_READ,
    Interaction.HISTORY_INSTANCE: Action.RESOURCE_HISTORY_READ,
    Interaction.HISTORY_TYPE: Action.RESOURCES_HISTORY_READ,
    Interaction.SEARCH: Action.RESOURCES_SEARCHED,
    Interaction.OPERATION: Action.OPERATION_CALLED,
}
"""What an interaction is called in the trail when nobody told it. Of the others each is a message, told by intake."""

OF_NOBODY = frozenset({Permission.METRICS_READ, Permission.CONFIGURATION_READ, Permission.CODES_READ})
"""What these permissions open outside the FHIR interface holds nothing of a patient, and is looked at every minute."""

LISTED = 200
"""How many of the resources that a search showed are named."""
COUNTED = frozenset({"AuditEvent", "Provenance"})
"""Of these it is only said how many were shown: who reads the trail page by page would make it twice as long."""
LONGEST_QUERY = 2000

_HARMLESS = frozenset(
    {
        "_id", "_count", "_sort", "_lastUpdated", "_include", "_revinclude", "_summary", "_elements", "_total",
        "_since", "_type", "_until", "status", "code", "type", "subtype", "action", "outcome", "date", "recorded",
        "modified", "authored-on", "stage", "hold", "limit", "since", "until", "class", "intent", "business-status",
    }
)  # fmt: skip
_NAMES = _HARMLESS | {name for offer in OFFERED.values() for name in offer.search} | {"_format", "_after", "_pretty"}
_PLAIN = re.compile(r"[A-Za-z0-9:.,|/+_-]{1,200}")


class Ledger(Protocol):
    """Where what was read is told."""

    async def read(
        self, actor: str, action: Action, subject: str, detail: dict[str, object], encounter: str | None = None
    ) -> None:
        """Raises StoreFault when it cannot be told."""
        ...


class Failures(Protocol):
    """Hears of requests that were let in and came to nothing. Must not block."""

    def failed(self, status: int, method: str, route: str, caller: str | None) -> None: ...


def witnessed(routes: Iterable[Route], ledger: Ledger, failures: Failures) -> list[Route]:
    """The same routes; what is asked of them stands in the trail."""
    return [_witnessed(route, ledger, failures) for route in routes]


def _witnessed(route: Route, ledger: Ledger, failures: Failures) -> Route:
    if route.permission is PUBLIC:
        return route
    rule = rule_of(route.method, route.path)
    if rule is None and route.segments[0] == BASE:
        rule = Rule(Interaction.OPERATION)
    action = _action(route, rule)
    if rule is None and action is None:
        return route
    return replace(route, handler=_telling(route, rule, action, ledger, failures))


def _action(route: Route, rule: Rule | None) -> Action | None:
    """What a request of the route is called when no service told it; None for what is told by what it brings about."""
    if rule is not None:
        brings = rule.interaction is Interaction.OPERATION and route.method in ("POST", "PUT", "PATCH")
        return None if brings else TOLD.get(rule.interaction)
    listed = route.method == "GET" and route.segments[0] == "api" and route.permission not in OF_NOBODY
    return Action.DESK_READ if listed else None


def _telling(route: Route, rule: Rule | None, action: Action | None, ledger: Ledger, failures: Failures) -> Handler:
    handler = route.handler
    searches = rule is not None and rule.interaction is Interaction.SEARCH

    async def asked(call: Call) -> Answer:
        """A failure of the FHIR interface is counted; elsewhere it has shown and changed nothing."""
        try:
            if searches and isinstance(call.caller, Asking):
                call.caller.asked = _query(call)
            answer = await handler(call)
        except Fault as fault:
            if rule is not None and fault.status != 403:  # which the door tells itself
                failures.failed(fault.status, route.method, route.path, call.who.name)
            raise
        if rule is not None and answer.status >= 400:
            failures.failed(answer.status, route.method, route.path, call.who.name)
        if isinstance(call.caller, Asking) and call.caller.within:
            await _tell_within(ledger, call.caller)
        return answer

    async def told(call: Call) -> Answer:
        answer = await asked(call)
        if action is not None and answer.status < 400 and not getattr(call.caller, "told", False):
            await _tell(ledger, action, _subject(rule, call), call, _shown(rule, answer))
        return answer

    return asked if action is None else told


async def _tell(ledger: Ledger, action: Action, subject: str, call: Call, shown: dict[str, object]) -> None:
    """Fault 503 when it cannot be told: then it is not shown either."""
    kind = "user" if action is Action.DESK_READ else "client"
    try:
        told = {**origin(call.caller), **shown}
        await ledger.read(f"{kind}:{call.who.name}", action, subject, told, call.params.get("key"))
    except StoreFault:
        raise _untold() from None


async def _tell_within(ledger: Ledger, caller: Asking) -> None:
    """What was read beside what was written, each as if it had been asked for by itself. Fault 503 as in `_tell`."""
    asked = [_entry(url, resource) for url, resource in caller.within]
    origin_ = {"address": caller.address, "request": caller.request}
    telling = (
        ledger.read(f"client:{caller.name}", TOLD[interaction], subject, {**origin_, **shown})
        for interaction, subject, shown in asked
    )
    # At one moment: they share a commit.
    results = await asyncio.gather(*telling, return_exceptions=True)
    for result in results:
        if isinstance(result, StoreFault):
            raise _untold() from None
        if isinstance(result, BaseException):
            raise result


def _entry(url: str, resource: Mapping[str, Any]) -> tuple[Interaction, str, dict[str, object]]:
    """What an entry asks, its subject, and what the event tells beside it."""
    path, _, query = url.partition("?")
    if "/" in path:
        return (Interaction.VREAD if "/_history/" in path else Interaction.READ), path, {}
    entries: list[dict[str, Any]] = [entry.get("resource") or {} for entry in resource.get("entry", [])]
    names = [f"{one.get('resourceType')}/{one.get('id')}" for one in entries]
    found = _found(names, named=path not in COUNTED)
    said = _written(parse_qsl(query, keep_blank_values=True))
    return Interaction.SEARCH, f"search/{path}", {**({"query": said} if said else {}), **found}


def _untold() -> Fault:
    return Fault(503, "It cannot be noted now that this was read; try again", headers={"Retry-After": "5"})


def _subject(rule: Rule | None, call: Call) -> str:
    """`Claim/7` for a resource, `search/Task` for a search, the address for anything else."""
    if rule is None or not rule.needs or rule.interaction is Interaction.OPERATION:
        return call.path.removeprefix("/")
    type_ = rule.needs[0][0]
    type_ = call.params.get(type_[1:-1], "") if type_.startswith("{") else type_
    if rule.interaction is Interaction.SEARCH:
        return f"search/{type_}"
    return call.path.removeprefix(f"/{BASE}/")


def _query(call: Call) -> str:
    """The parameters of a search: each name, and the value where it can name nobody."""
    return _written(parameters(call))


def _written(pairs: Iterable[tuple[str, str]]) -> str:
    said = [(name, value if name in _HARMLESS and _PLAIN.fullmatch(value) else "") for name, value in pairs]
    return urlencode([(_named(name), value) for name, value in said])[:LONGEST_QUERY]


def _named(name: str) -> str:
    """The parameter, when it is one that is offered: the client's own words for others are not repeated."""
    offered, _, more = name.replace(".", ":").partition(":")
    if offered not in _NAMES:
        return "other"
    return name if more in ("", "identifier") else offered


class _Resource(msgspec.Struct, frozen=True, rename="camel"):
    resource_type: str | None = None
    id: str | None = None


class _Listed(msgspec.Struct, frozen=True):
    resource: _Resource = _Resource()


class _Bundle(msgspec.Struct, frozen=True):
    entry: tuple[_Listed, ...] = ()


_BUNDLE = msgspec.json.Decoder(_Bundle)
"""It looks at no more of resources: a number may stand there that no type of ours holds."""


def _shown(rule: Rule | None, answer: Answer) -> dict[str, object]:
    """What a search's answer shows, by type and id."""
    if rule is None or rule.interaction is not Interaction.SEARCH or not isinstance(answer.body, bytes):
        return {}
    entries = _BUNDLE.decode(answer.body).entry if answer.body else ()
    names = [f"{one.resource.resource_type}/{one.resource.id}" for one in entries]
    return _found(names, named=bool(rule.needs) and rule.needs[0][0] not in COUNTED)


def _found(names: Sequence[str], *, named: bool) -> dict[str, object]:
    shown = list(names[:LISTED]) if named else []
    return {"found": len(names), "shown": shown} if shown else {"found": len(names)}
