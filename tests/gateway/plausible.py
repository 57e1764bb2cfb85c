"""A plausible request for each route, about one patient: real ids, real bodies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from gateway_world import today
from two_patients import Furnished

from conformance import ehr, ehr_fhir
from gateway.adapters.http.routing import Route

JSON_PATCH = "application/json-patch+json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    body: bytes | None
    headers: dict[str, str]


def request(route: Route, about: Furnished) -> Request:
    """The route asked about this patient."""
    path = re.sub(r"\{([a-z_]+)\}", lambda match: _variable(match[1], route, about), route.path)
    if not route.has_body:
        return Request(path + _QUERY.get(route.path, ""), None, {})
    if FORM in route.accepts:
        return Request(path, b"", {"Content-Type": FORM})
    kind = JSON_PATCH if JSON_PATCH in route.accepts else route.accepts[0]
    return Request(path, _body(route, about), {"Content-Type": kind, "If-Match": 'W/"1"'})


_QUERY = {"/api/codes": "?feed=epic-adt", "/api/charges": "?since=2026-01-01T00:00:00Z"}


def _variable(name: str, route: Route, about: Furnished) -> str:
    if name == "id":
        return _id(route, about)
    known = {"key": about.key, "document": about.document, "version": "1", "feed": "none", "name": "clearinghouse"}
    return known.get(name, "1")


def _id(route: Route, about: Furnished) -> str:
    first = "/".join(route.segments[:2])
    if "/holds/" in route.path:
        return about.hold
    numbers = {
        "api/queries": about.query["id"],
        "api/messages": about.aside,
        "fhir/Task": about.query["id"],
        "fhir/QuestionnaireResponse": about.query["id"],
        "fhir/Questionnaire": about.query["number"],
    }
    kept = {f"fhir/{address.split('/')[0]}": address.split("/")[1] for address in about.resources}
    return str({**numbers, **kept}.get(first, "1"))


def _body(route: Route, about: Furnished) -> bytes:
    if route.path.startswith("/fhir"):
        return orjson.dumps([] if route.method == "PATCH" else _resource(route, about))
    if route.path.startswith("/hl7"):
        return ehr.adt("A08", about.patient.visit, "P1", _moment())
    said = _bodies(about).get(route.path)
    return b"" if said is None else orjson.dumps(said)


def _moment() -> datetime:
    return datetime.combine(today(), datetime.min.time())


def _resource(route: Route, about: Furnished) -> dict[str, Any]:
    """What is written to the route: with the id that the address names."""
    visit, query = about.patient.over_fhir, about.query
    if len(route.segments) == 1:
        return {"resourceType": "Bundle", "type": "batch", "entry": []}
    type_ = route.segments[1]
    response = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": f"http://127.0.0.1/fhir/Questionnaire/{query['number']}",
    }
    made = {
        "Encounter": ehr_fhir.encounter(visit),
        "Claim": ehr_fhir.claim(visit, created=_moment()),
        "DocumentReference": ehr_fhir.document(visit, visit.notes[0]),
        "Patient": ehr_fhir.patient(visit),
        "Task": {"resourceType": "Task", "status": "accepted", "intent": "order"},
        "QuestionnaireResponse": response,
    }.get(type_, {"resourceType": type_})
    if "$" in route.path:
        made.pop("id", None)  # with an id of its own it would be an update, and need its scope
    return {**made, "id": _id(route, about)} if "{id}" in route.path else made


def _bodies(about: Furnished) -> dict[str, Any]:
    one, query = "/api/encounters/{key}", about.query
    passage = {"document": about.document, "quote": about.patient.visit.notes[0].text.split("\n")[0]}
    filling = {
        "template": "acuity",
        "provider": about.patient.visit.clinician.npi,
        "values": {"condition": "Heart failure"},
        "indicators": {"condition": [passage], "course": [passage]},
    }
    answer = {"option": "Acute", "answered_by": about.patient.visit.clinician.npi}
    return {
        one + "/approve": {"fingerprint": about.encounter["fingerprint"]},
        one + "/return": {"feedback": "The second diagnosis is not supported."},
        one + "/holds/{id}/resolve": {"reason": "Seen and found right."},
        one + "/queries": query["draft"],
        one + "/queries/draft": filling,
        one + "/queries/template": filling,
        one + "/queries/verbal": {"filling": filling, "answer": answer},
        "/api/queries/{id}/withdraw": {"reason": "Answered by mouth."},
        "/api/queries/{id}/replace": {"filling": filling, "reason": "Asked too narrowly."},
        "/api/deliveries/{id}/settle": {"outcome": "accepted", "reason": "The payer has it."},
        "/api/destinations/{name}/suspend": {"reason": "The payer's maintenance"},
        "/api/messages/replay": {"messages": [about.aside]},
        "/api/codes": {"feed": "epic-adt", "table": "filing", "code": "MCRB", "value": "MB"},
        "/api/configuration/rollback": {"version": 1},
    }
