"""Every kind of resource that the gateway emits passes three validators that know nothing of it.

The resources are gathered from a gateway at work: what its routes answer, what it sends to billing endpoints, what it
exports. A type that is offered and of which there is no sample fails: bring it about in `gathered`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fhir_validators import refused_by_validators
from gateway_world import World, running, today, until
from visits import code, put, seen, stay, taken

from conformance import day, ehr_fhir
from conformance.playing import key
from conformance.provider import ProviderSystem
from conformance.story import ANSWER, INDICATORS, OPTIONS, QUESTION
from gateway.access.roles import Role
from gateway.assembly.wiring import routes
from gateway.audit.events import Action, Event
from gateway.encounter.identity import Identifier
from gateway.mappings.fhir import provenance
from gateway.mappings.fhir.capability import KEPT, OFFERED
from gateway.mappings.fhir.communication import communication_resource
from gateway.mappings.fhir.source import Numbers
from gateway.mappings.fhir.task import task_resource
from gateway.review.model import Indicator, Option, Query, QueryDraft, QueryKind, QueryStatus
from gateway.store.interface import StoredEvent
from gateway.trail.trail import provenance_of, resource_of

ROOT = Path(__file__).parents[2]
FHIR = {"Content-Type": "application/fhir+json"}
KNOWN_VERSION = "4.0.0"
"""One of the validators has the JSON schema of R4 as it was first published: it knows no 4.0.1, which we serve."""

ALSO = frozenset({"AuditEvent", "Bundle", "CapabilityStatement", "Claim", "Communication", "OperationOutcome"})
"""Types that are emitted beside those that are offered."""
BUNDLES = frozenset({"searchset", "history", "transaction-response", "batch-response"})

SYSTEM = "http://terminology.hl7.org/CodeSystem/"
PATIENT = {"reference": "Patient/a"}
SMALLEST: dict[str, dict[str, Any]] = {
    "Patient": {"identifier": [{"system": "urn:mrn", "value": "1"}], "gender": "female"},
    "Coverage": {"status": "active", "beneficiary": PATIENT, "payor": [{"reference": "Organization/a"}]},
    "Condition": {"subject": PATIENT, "code": {"coding": [{"system": ehr_fhir.ICD10CM, "code": "I10"}]}},
    "Procedure": {"status": "completed", "subject": PATIENT},
    "Practitioner": {"identifier": [{"system": ehr_fhir.NPI_SYSTEM, "value": "1234567893"}]},
    "PractitionerRole": {"practitioner": {"reference": "Practitioner/a"}},
    "Organization": {"name": "General"},
    "Location": {"name": "Ward 1"},
    "Account": {"status": "active", "subject": [PATIENT]},
    "RelatedPerson": {"patient": PATIENT},
    "Binary": {"contentType": "text/plain", "data": "YQ=="},
}
"""Of the types that clients write: what is sent, and comes back with what the gateway adds."""


@dataclass
class Gathered:
    """Resources by what they are, each kind once for each of its shapes."""

    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    submits: bool = False
    """Whether Claim/$submit is served."""

    def add(self, resource: Any) -> None:
        """The resource, and those in a Bundle."""
        if not isinstance(resource, dict) or "resourceType" not in resource:
            return
        name = f"{resource['resourceType']}-{len(self.resources):05d}"
        self.resources[name] = resource
        for entry in resource.get("entry", ()) if resource["resourceType"] == "Bundle" else ():
            self.add(entry.get("resource"))
            self.add(entry.get("response", {}).get("outcome"))

    async def heard(self, response: httpx.Response) -> None:
        """What a route answered."""
        if "fhir+json" in response.headers.get("Content-Type", ""):
            await response.aread()
            if response.content:
                self.add(response.json())

    @property
    def types(self) -> Counter[str]:
        return Counter(str(one["resourceType"]) for one in self.resources.values())


def refused(gathered: Gathered, shared_data: Path, directory: Path) -> list[str]:
    """What the validators say of each resource that any of them refuses."""
    known = {
        name: {**one, "fhirVersion": KNOWN_VERSION} if "fhirVersion" in one else one
        for name, one in gathered.resources.items()
    }
    return refused_by_validators(known, shared_data, directory)


@pytest_asyncio.fixture
async def gathered(tmp_path: Path) -> Any:
    """What a gateway emits while it does everything that it offers."""
    found = Gathered()
    (tmp_path / "gateway").mkdir()
    async with running(tmp_path / "gateway") as world:
        for role in Role:
            world.http(role).event_hooks["response"].append(found.heard)
        await _kept(world)
        await _bundles(world)
        await _asked(world)
        await _released(world, found)
        found.submits = await _submitted(world)
        await _wrong(world)
        await _looked_at(world)
        await _trail(world, found)
    for status in QueryStatus:
        found.add(task_resource(_query(status), _MRN, _VISIT, "https://gateway.example/fhir", "C1"))
    found.add(communication_resource(_query(QueryStatus.REQUESTED), _MRN, _VISIT, "https://gateway.example/fhir"))
    for one in _events():
        found.add(resource_of(one, ("MAIN", "77")))
        if one.event.action in provenance.ACTIONS:
            found.add(provenance_of(one, [4, 5]))
    return found


@pytest.mark.slow
async def test_every_resource_that_is_emitted_is_valid(gathered: Gathered, shared_data: Path, tmp_path: Path) -> None:
    wanted = {*OFFERED, *ALSO, *(["ClaimResponse"] if gathered.submits else [])}
    assert wanted - set(gathered.types) == set(), "offered, and no sample of it was gathered"
    kinds = {one.get("type") for one in gathered.resources.values() if one["resourceType"] == "Bundle"}
    assert kinds >= BUNDLES
    [capability] = [one for one in gathered.resources.values() if one["resourceType"] == "CapabilityStatement"]
    assert capability["fhirVersion"] == "4.0.1"
    statuses = {one["status"] for one in gathered.resources.values() if one["resourceType"] == "Task"}
    assert statuses >= {status.value for status in QueryStatus}
    wrong = refused(gathered, shared_data, tmp_path / "emitted")
    assert wrong == [], "\n".join(wrong)


@pytest.mark.slow
def test_the_validators_find_what_is_wrong(shared_data: Path, tmp_path: Path) -> None:
    broken = Gathered()
    broken.add({"resourceType": "Task", "status": "ready", "intent": "sometimes"})
    broken.add({"resourceType": "Provenance", "recorded": "yesterday"})
    assert len(refused(broken, shared_data, tmp_path / "broken")) == 2


# What is done


async def _kept(world: World) -> None:
    """Each type that clients write: written, read, searched, looked back at."""
    feed = world.http(Role.FEED)
    visit = day.over_fhir(today())
    main = {
        "Claim": ehr_fhir.claim(visit, created=datetime.combine(today(), datetime.min.time())),
        "Encounter": ehr_fhir.encounter(visit),
        "DocumentReference": ehr_fhir.document(visit, visit.notes[0]),
    }
    samples = {**SMALLEST, **main}
    for kind in KEPT:
        assert kind in samples, f"say in SMALLEST what a {kind} is"
        resource = {**samples[kind], "resourceType": kind, "id": "a"}
        written = await feed.put(f"/fhir/{kind}/a", json=resource, headers=FHIR)
        assert written.status_code == 201, (kind, written.text)
        for path in (f"{kind}/a", f"{kind}/a/_history/1", f"{kind}/a/_history", f"{kind}/_history", kind):
            answer = await feed.get(f"/fhir/{path}")
            assert answer.status_code == 200, (path, answer.text)
    headers = {**FHIR, "Prefer": "return=OperationOutcome"}
    await feed.post("/fhir/Organization", json={"resourceType": "Organization", "name": "B"}, headers=headers)


async def _bundles(world: World) -> None:
    def entry(method: str, url: str, resource: Any = None) -> dict[str, Any]:
        return {"request": {"method": method, "url": url}, **({"resource": resource} if resource else {})}

    organization = {"resourceType": "Organization", "id": "c", "name": "C"}
    entries = [
        entry("PUT", "Organization/c", organization),
        entry("POST", "Location", {"resourceType": "Location", "name": "L"}),
    ]
    for kind, more in (("transaction", []), ("batch", [entry("GET", "Organization/a"), entry("GET", "Patient/none")])):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [*entries, *more]}
        answer = await world.http(Role.FEED).post("/fhir", json=bundle, headers=FHIR)
        assert answer.status_code == 200, answer.text
        assert answer.json()["type"] == f"{kind}-response"


async def _asked(world: World) -> None:
    """A query, as its provider's system sees it, until it is answered."""
    visit = day.unclear_record(today())
    await stay(world, visit)
    document = (await seen(world, visit))["documents"][0]["id"]
    draft = {
        **QUESTION,
        "provider": visit.clinician.npi,
        "indicators": [{"text": text, "document": document} for text in INDICATORS],
        "options": [{"text": text, "indicators": shown} for text, shown in OPTIONS],
    }
    await world.desk(Role.CDI).ask(key(visit), draft)
    http = world.http(Role.PROVIDER)
    [task] = [entry["resource"] for entry in (await http.get("/fhir/Task")).json()["entry"]]
    await http.get(f"/fhir/Task/{task['id']}")
    await http.get(f"/fhir/Task/{task['id']}/_history")
    await http.get("/fhir/Task?_include=Task:focus&_include=Task:patient&_include=Task:encounter")
    await http.get(f"/fhir/Questionnaire/{ProviderSystem.form(task).rsplit('/', 1)[-1].split('|')[0]}")
    token = http.headers["Authorization"].removeprefix("Bearer ")
    async with ProviderSystem(f"{world.url}/fhir", token, visit.clinician.npi) as provider:
        accepted = await provider.take_up(task)
        begun = await provider.take_up(accepted, "in-progress")
        await http.get(f"/fhir/Task/{task['id']}")
        await provider.answer(begun, option=ANSWER, text="Known reduced ejection fraction.")
    await http.get(f"/fhir/Task/{task['id']}")
    assert (await http.get(f"/fhir/QuestionnaireResponse/{task['id']}")).status_code == 200
    for path in ("QuestionnaireResponse", "Questionnaire"):
        await http.get(f"/fhir/{path}")


async def _submitted(world: World) -> bool:
    """Claim/$submit, where it is served; whether it is."""
    if not any(route.path == "/fhir/Claim/$submit" for route in routes(world.gateway)):
        return False
    visit = day.over_fhir(today())
    claim = ehr_fhir.claim(visit, created=datetime.combine(today(), datetime.min.time()))
    for sent in (claim, {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": claim}]}):
        answer = await world.http(Role.FEED).post("/fhir/Claim/$submit", json=sent, headers=FHIR)
        assert answer.status_code in (200, 201), answer.text
    return True


async def _released(world: World, found: Gathered) -> None:
    """A claim that goes to a billing endpoint over FHIR, and one that goes by file."""
    visit = day.over_fhir(today())
    await put(world, visit)
    await taken(world, visit)
    for claim in world.billing.claims:
        found.add(claim)
    other = day.routine(today())
    await stay(world, other)
    await code(world, other)
    await taken(world, other)


async def _wrong(world: World) -> None:
    """Refusals of every kind."""
    feed = world.http(Role.FEED)
    for content in (b"{", b"[]", b'{"resourceType": "Patient"}', b'{"resourceType": "Claim", "status": 3}', b""):
        assert (await feed.post("/fhir/Claim", content=content, headers=FHIR)).status_code >= 400
    for path in ("Claim/none", "Nothing/1", "Claim?_sort=x&_count=x", "AuditEvent", "Claim/a/_history/99"):
        await feed.get(f"/fhir/{path}", headers={"Prefer": "handling=strict"})
    stale = {**FHIR, "If-Match": 'W/"9"'}
    await feed.put("/fhir/Patient/a", json={"resourceType": "Patient", "id": "a"}, headers=stale)
    await world.http(Role.PROVIDER).put("/fhir/Task/1", json={"resourceType": "Task", "id": "1"}, headers=FHIR)
    await feed.get("/fhir/Claim", headers={"Accept": "application/fhir+xml"})


async def _looked_at(world: World) -> None:
    http = world.http(Role.COMPLIANCE)
    for path in ("metadata", "AuditEvent?_count=200", "Provenance?_count=200", "AuditEvent/1", "AuditEvent?date=x"):
        await http.get(f"/fhir/{path}")


async def _trail(world: World, found: Gathered) -> None:
    """Every line of an export."""
    http = world.http(Role.COMPLIANCE)
    ordered = await http.get("/fhir/$export", headers={"Prefer": "respond-async"})

    async def ready() -> Any:
        answer = await http.get(ordered.headers["Content-Location"])
        return answer.json() if answer.status_code == 200 else None

    for output in (await until(ready, "the export is not ready", 20))["output"]:
        for line in (await http.get(output["url"])).text.splitlines():
            found.add(json.loads(line))


_MRN = Identifier(value="M1", authority="MAIN", type="MR")
_VISIT = Numbers(visit=Identifier(value="V1", authority="MAIN", type="VN"))
_AT = datetime(2026, 3, 4, 12, tzinfo=UTC)


def _query(status: QueryStatus) -> Query:
    """A query in any state, with all that the state asks for."""
    draft = QueryDraft(
        kind=QueryKind.MULTIPLE_CHOICE,
        title="Type of diabetes",
        question="Which condition was treated?",
        indicators=(Indicator(text="Glucose 288 mg/dL on 2026-03-02", document="DOC-31"),),
        options=(Option(text="Type 2 diabetes with hyperglycemia"), Option(text="Hyperglycemia without diabetes")),
        provider="1234567893",
    )
    query = Query(
        id=41,
        number="Q-41",
        encounter="MAIN:AUTH:A-9001",
        draft=draft,
        asked_by="user:jo",
        asked=_AT,
        due=_AT + timedelta(days=7),
        changed=_AT,
    )
    said: dict[str, Any] = {"status": status, "version": 2}
    if status is QueryStatus.COMPLETED:
        option = draft.options[0].text
        said |= {"answered": _AT, "answer": option, "answer_option": option, "answered_by": "1234567893"}
    if status in (QueryStatus.REJECTED, QueryStatus.CANCELLED, QueryStatus.FAILED, QueryStatus.ON_HOLD):
        said |= {"reason": "not my patient"} if "reason" in Query.model_fields else {}
    return query.model_copy(update=said)


def _events() -> Iterator[StoredEvent]:
    """Each action, by each kind of actor."""
    detail: dict[str, object] = {"address": "192.0.2.7", "request": "r-1", "query": "status=requested&patient="}
    detail |= {"into": "MAIN::2", "approved_by": "user:jo", "codes": ["a", "b"], "count": 3}
    for seq, action in enumerate(Action, start=1):
        for actor in ("user:jo", "client:portal", "feed:epic", "gateway", "unknown"):
            event = Event(_AT, actor, action, "Claim/7" if seq % 2 else "claim/C1", "MAIN::1", 9, detail)
            yield StoredEvent(seq, event.digest(), event)
