"""Scopes and patients' compartments at every door: one entry, through which all routes go.

A caller with a fixed token has no scopes: the roles say all. One with scopes gets in where both the role and the scopes
let it, and nowhere outside the FHIR interface. One that is limited to certain patients gets nothing that is not shown
to be theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import orjson

from gateway.access.compartment import Limited, PatientNumber, limits, shown
from gateway.access.interactions import Interaction, Rule, entry_rule, rule_of
from gateway.adapters.http.exchange import Answer, Call, Caller, Fault
from gateway.adapters.http.routing import PUBLIC, Admission, Handler, Route
from gateway.mappings.fhir.resource import write

_LISTS = frozenset({Interaction.SEARCH, Interaction.HISTORY_TYPE})
"""Interactions that may bring along resources of other types."""
_NOT_FOR_ONE_PATIENT = frozenset({Interaction.BATCH, Interaction.OPERATION, Interaction.HISTORY_TYPE})
_PATIENT_PARAMETERS = ("patient", "patient:identifier", "patient.identifier", "subject:identifier", "for:identifier")


def guarded(routes: Iterable[Route]) -> list[Route]:
    """The same routes, with scopes and compartments in force."""
    return [route if route.permission is PUBLIC else _guarded(route) for route in routes]


def _guarded(route: Route) -> Route:
    rule = rule_of(route.method, route.path)
    return replace(route, admits=_admission(route.admits, rule), handler=_narrowing(route.handler, rule))


def demand(caller: Caller | None, method: str, type: str, *, identified: bool) -> None:
    """For an entry of a batch or transaction: Fault 403 when the caller's scopes do not let it do this by itself.

    `identified`: whether the entry's url names an id.
    """
    limit = limits(caller)
    if limit is not None:
        _require(limit, entry_rule(method, type, identified=identified), {})


def _admission(before: Admission | None, rule: Rule | None) -> Admission:
    def admits(caller: Caller, params: Mapping[str, str]) -> None:
        limit = limits(caller)
        if limit is not None:
            _require(limit, rule, params)
        if before is not None:
            before(caller, params)

    return admits


def _require(caller: Limited, rule: Rule | None, params: Mapping[str, str]) -> None:
    if rule is None or caller.scopes is None:
        raise _insufficient("No scope opens this address", "")
    missing = rule.missing(caller.scopes, params)
    if missing:
        wanted = " ".join(f"system/{type_}.{letter}" for type_, letter in missing)
        raise _insufficient("The token's scopes do not reach this far", wanted)
    if caller.patients is not None and rule.interaction in _NOT_FOR_ONE_PATIENT:
        raise _insufficient("This is not for a client that is limited to certain patients", "")


def _insufficient(text: str, wanted: str) -> Fault:
    challenge = 'Bearer realm="gateway", error="insufficient_scope"'
    if wanted and all(part.isalnum() or part in "/.* " for part in wanted):
        challenge += f', scope="{wanted}"'
    return Fault(403, text, headers={"WWW-Authenticate": challenge})


def _narrowing(handler: Handler, rule: Rule | None) -> Handler:
    async def narrowed(call: Call) -> Answer:
        limit = limits(call.caller)
        if limit is None or rule is None:
            return await handler(call)
        if limit.patients is not None and rule.interaction is Interaction.SEARCH:
            _names_a_patient(call, limit.patients)
        answer = await handler(call)
        if limit.patients is None and rule.interaction not in _LISTS:
            return answer
        return _narrowed(answer, limit, rule, call.params)

    return narrowed


def _narrowed(answer: Answer, caller: Limited, rule: Rule, params: Mapping[str, str]) -> Answer:
    """The answer without what the caller may not have. Fault 404 when nothing is left of it."""
    if answer.status >= 300 or not answer.body:
        return answer
    if not isinstance(answer.body, bytes) or not answer.content_type.startswith("application/fhir+json"):
        raise _hidden()
    listing = rule.interaction in _LISTS
    whole = _read(answer.body)
    asked = rule.needs[0][0]
    asked = params.get(asked[1:-1], "") if asked.startswith("{") else asked
    left = shown(whole, caller.patients, caller.scopes if listing else None, asked)
    if left is None:
        raise _hidden()
    return answer if left == whole else replace(answer, body=write(left))


def _read(body: bytes) -> dict[str, Any]:
    try:
        whole: dict[str, Any] = orjson.loads(body)
    except ValueError:  # a number beyond all bounds stands in a resource: it is shown as it was written
        whole = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    return whole


def _hidden() -> Fault:
    """As for what does not exist."""
    return Fault(404, "There is no resource with this id")


def _names_a_patient(call: Call, patients: frozenset[PatientNumber]) -> None:
    """Fault 403 unless the search is for one of `patients`: its pages and totals are then of nobody else."""
    said = [value for name, value in parameters(call) if name in _PATIENT_PARAMETERS]
    numbers = {f"{number.authority}|{number.value}" for number in patients} | {number.value for number in patients}
    wanted = [part.removeprefix("Patient/") for value in said for part in value.split(",")]
    if not wanted or not all(part in numbers for part in wanted):
        raise Fault(403, "Search with patient=AUTHORITY|NUMBER, one of those that this client is registered for")


def parameters(call: Call) -> list[tuple[str, str]]:
    """What a search asks for: in its address, and with POST in its body too. Fault 400."""
    pairs = list(call.query.items())
    if call.method == "POST" and call.body:
        try:
            pairs += parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=50)
        except ValueError:
            raise Fault(400, "The body is no form, or has too many fields", code="structure") from None
    return pairs
