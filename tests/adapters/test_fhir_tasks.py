"""A provider's system at work over real HTTP: it finds its queries, reads, updates and answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from multidict import MultiDict

from gateway.access.roles import Permission, Role, permissions
from gateway.adapters.fhir.tasks.search_parameters import TASK
from gateway.adapters.fhir.tasks.tasks import Tasks
from gateway.adapters.http.exchange import Caller, Fault
from gateway.adapters.http.server import HttpServer
from gateway.config.addresses import Endpoint
from gateway.config.model import Http
from gateway.desk.query_reading import Asked, Found, Surroundings, within
from gateway.desk.refusals import Reason, Refusal
from gateway.encounter.change import Change
from gateway.encounter.identity import Identifier
from gateway.message import Received
from gateway.review.model import Indicator, Option, Query, QueryDraft, QueryKind, QueryStatus
from gateway.review.query_template import Filling
from gateway.store.queries import QueryOrder, QuerySearch

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NPI, OTHER_NPI = "1234567893", "1987654326"
PATIENT = Identifier(value="MRN7", authority="HOSP", type="MR")
VISIT = Identifier(value="V1001", authority="HOSP", type="VN")


@dataclass(frozen=True)
class Provider:
    name: str
    npi: tuple[str, ...]
    roles: frozenset[Role] = frozenset({Role.PROVIDER})

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions(self.roles)


class Tokens:
    def authenticate(self, header: str | None) -> Provider | None:
        return {
            "Bearer mine": Provider("inbox", (NPI,)),
            "Bearer other": Provider("inbox-b", (OTHER_NPI,)),
            "Bearer ehr": Provider("ehr", (), frozenset({Role.FEED})),
        }.get(header or "")


def about(query: Query) -> Asked:
    return Asked(query, PATIENT, None, VISIT)


@dataclass
class Asking:
    """The queries, in memory: what the desk's service does, without its tables."""

    queries: dict[int, Query] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    searches: list[QuerySearch] = field(default_factory=list)
    refusal: Refusal | None = None

    def new_id(self) -> int:
        return 900 + len(self.received)

    async def find(self, search: QuerySearch, caller: Caller, *, counted: bool = True) -> Found:
        self.searches.append(search)
        narrow = within(search, caller)
        if narrow is None:
            return Found((), 0)
        found = [
            q
            for q in self.queries.values()
            if (not narrow.owners or q.draft.provider in narrow.owners)
            and (not narrow.statuses or q.status in narrow.statuses)
            and (not narrow.ids or q.id in narrow.ids)
        ]
        page = [q for q in found if q.id > narrow.after]
        total = len(found) if counted else None
        return Found([about(q) for q in page[: narrow.limit]], total, len(page) > narrow.limit)

    async def surroundings(self, keys: Iterable[str]) -> dict[str, Surroundings]:
        return {}

    async def versions(self, query_id: int, caller: Caller) -> Sequence[Asked]:
        return [await self.get(query_id, caller)]

    async def version(self, query_id: int, number: int, caller: Caller) -> Asked:
        return await self.get(query_id, caller)

    async def encounter_numbered(self, number: str) -> str:
        raise Refusal(Reason.UNKNOWN, "There is no encounter with this number")

    async def ask_once(
        self,
        key: str,
        caller: Caller,
        wanted: Filling | QueryDraft,
        patient: Identifier | None = None,
        *,
        anew: bool = False,
    ) -> tuple[Asked, bool]:
        raise Refusal(Reason.UNKNOWN, "There is no encounter with this key")

    async def get(self, query_id: int, caller: Caller) -> Asked:
        query = self.queries.get(query_id)
        if query is None or query.draft.provider not in caller.npi:
            raise Refusal(Reason.UNKNOWN, "There is no such query")
        return about(query)

    async def by_number(self, number: str, caller: Caller) -> Asked:
        return await self.get(next((q.id for q in self.queries.values() if q.number == number), 0), caller)

    async def respond(
        self, query_id: int, caller: Caller, change: Change, received: Received, expected_version: int | None = None
    ) -> Asked:
        if self.refusal:
            raise self.refusal
        self.received.append(received)
        self.changes.append(change)
        said = change.answers[0]
        before = self.queries[query_id]
        done = said.status == "completed"
        self.queries[query_id] = before.model_copy(
            update={
                "status": QueryStatus(said.status),
                "version": before.version + 1,
                "changed": NOW + timedelta(hours=1),
                "answer": said.text if done else None,
                "answer_option": said.option if done else None,
                "answered": NOW if done else None,
            }
        )
        return about(self.queries[query_id])


def query(id_: int = 71, provider: str = NPI) -> Query:
    return Query(
        id=id_,
        number=f"Q{id_}",
        encounter="MAIN:HOSP:A1",
        draft=QueryDraft(
            kind=QueryKind.MULTIPLE_CHOICE,
            title="Clarification of the blood count",
            question="What explains the haemoglobin of 6.9?",
            indicators=(Indicator(text="Haemoglobin 6.9 on 1 March", document="d1"),),
            options=(Option(text="Acute blood loss", indicators=(0,)), Option(text="Chronic anaemia", indicators=(0,))),
            provider=provider,
        ),
        asked_by="user:cdi",
        asked=NOW,
        due=NOW + timedelta(days=7),
        changed=NOW,
    )


@asynccontextmanager
async def inbox(asking: Asking) -> AsyncIterator[httpx.AsyncClient]:
    server = HttpServer(Tasks(asking).routes(), Tokens(), Http(listen=Endpoint(host="127.0.0.1", port=0)))
    host, port = await server.start()
    headers = {"Authorization": "Bearer mine", "Content-Type": "application/fhir+json"}
    async with httpx.AsyncClient(
        base_url=f"http://{host}:{port}/fhir", headers=headers, trust_env=False, timeout=10
    ) as client:
        yield client
    await server.stop()


def asking(*queries: Query) -> Asking:
    return Asking({q.id: q for q in queries or (query(),)})


async def test_a_provider_finds_only_the_queries_addressed_to_it() -> None:
    service = asking(query(71), query(72, OTHER_NPI))
    async with inbox(service) as client:
        found = (await client.get("/Task", params={"status": "requested"})).json()
        elsewhere = (await client.get("/Task", params={"owner": f"Practitioner/{OTHER_NPI}"})).json()
    assert found["type"] == "searchset"
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["71"]
    assert found["total"] == 1
    assert (elsewhere.get("entry"), elsewhere["total"]) == (None, 0)


async def test_pages_follow_each_other_until_all_are_seen() -> None:
    async with inbox(asking(*(query(id_) for id_ in range(1, 8)))) as client:
        url: str | None = "/Task?_count=3&status=requested"
        seen = []
        while url:
            page = (await client.get(url)).json()
            seen.append([int(entry["resource"]["id"]) for entry in page["entry"]])
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert seen == [[1, 2, 3], [4, 5, 6], [7]]


async def test_a_search_can_be_posted_and_by_id() -> None:
    async with inbox(asking(query(71), query(72), query(73, OTHER_NPI))) as client:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        posted = await client.post("/Task/_search", content="_id=71,73,99", headers=form)
        filtered = await client.get("/Task?_id=71,72&status=completed")
    assert [e["resource"]["id"] for e in posted.json()["entry"]] == ["71"]
    assert "entry" not in filtered.json()


async def test_a_task_is_read_with_its_version_and_form() -> None:
    async with inbox(asking()) as client:
        answer = await client.get("/Task/71")
        task = answer.json()
        form = await client.get("/Questionnaire/Q71")
    assert (answer.headers["ETag"], task["status"], task["meta"]["versionId"]) == ('W/"1"', "requested", "1")
    assert task["input"][0]["valueCanonical"] == f"{str(client.base_url).rstrip('/')}/Questionnaire/Q71|1"
    assert form.json()["item"][-2]["text"] == "What explains the haemoglobin of 6.9?"


async def test_the_provider_accepts_with_the_version_it_saw() -> None:
    service = asking()
    async with inbox(service) as client:
        task = (await client.get("/Task/71")).json()
        answer = await client.put("/Task/71", json={**task, "status": "accepted"}, headers={"If-Match": 'W/"1"'})
    assert (answer.status_code, answer.json()["status"], answer.headers["ETag"]) == (200, "accepted", 'W/"2"')
    kept = service.received[0]
    assert (kept.type, kept.feed) == ("PUT Task/71", "inbox")
    assert b'"accepted"' in kept.payload


@pytest.mark.parametrize(
    ("if_match", "changes", "status"),
    [
        (None, {"status": "accepted"}, 428),
        ('W/"2"', {"status": "accepted"}, 412),
        ("W/1", {"status": "accepted"}, 400),
        ('W/"1"', {"status": "asleep"}, 422),
        ('W/"1"', {"status": "rejected"}, 422),
        ('W/"1"', {"status": "completed"}, 422),
        ('W/"1"', {"status": "accepted", "id": "72"}, 400),
        ('W/"1"', {"status": "accepted", "resourceType": "Claim"}, 400),
    ],
)
async def test_an_update_that_cannot_be_is_refused_with_the_reason(
    if_match: str | None, changes: dict[str, Any], status: int
) -> None:
    service = asking()
    async with inbox(service) as client:
        task = (await client.get("/Task/71")).json()
        headers = {"If-Match": if_match} if if_match else {}
        answer = await client.put("/Task/71", json={**task, **changes}, headers=headers)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.json()["issue"][0]["diagnostics"]
    assert service.received == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [(Reason.STALE, 412), (Reason.IMPOSSIBLE, 409), (Reason.NOT_ALLOWED, 403), (Reason.BUSY, 409)],
)
async def test_what_the_desk_refuses_is_told_by_its_status(reason: Reason, status: int) -> None:
    service = asking()
    service.refusal = Refusal(reason, "no", ["because"])
    async with inbox(service) as client:
        task = (await client.get("/Task/71")).json()
        answer = await client.put("/Task/71", json={**task, "status": "accepted"}, headers={"If-Match": 'W/"1"'})
    assert answer.status_code == status
    assert [issue["diagnostics"] for issue in answer.json()["issue"]] == ["no", "because"]


def response(number: str = "Q71", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"http://gateway/fhir/Questionnaire/{number}|1",
        "status": "completed",
        "item": [{"linkId": "question", "answer": [{"valueCoding": {"code": "option-1"}}]}],
        **more,
    }


async def test_a_questionnaire_response_answers_the_query() -> None:
    service = asking()
    async with inbox(service) as client:
        answer = await client.post("/QuestionnaireResponse", json=response())
        read = await client.get("/QuestionnaireResponse/71")
        task = (await client.get("/Task/71")).json()
        confirmed = await client.put("/Task/71", json=task, headers={"If-Match": 'W/"2"'})
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith("/fhir/QuestionnaireResponse/71/_history/1")
    assert read.json()["item"][0]["answer"][0]["valueCoding"]["display"] == "Acute blood loss"
    assert (task["status"], confirmed.status_code) == ("completed", 200)
    assert len(service.received) == 1
    change = service.changes[0]
    assert change.answers[0].option == "Acute blood loss"
    assert change.documents is not None
    assert b"Acute blood loss" in change.contents[0].body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (response("Q99"), 404),
        (response(item=[{"linkId": "question", "answer": [{"valueCoding": {"code": "option-9"}}]}]), 422),
        (response(status="in-progress"), 422),
        (response(status="asleep"), 422),
        ({"resourceType": "QuestionnaireResponse", "status": "completed"}, 422),
    ],
)
async def test_an_answer_that_is_none_is_refused(body: dict[str, Any], status: int) -> None:
    service = asking()
    async with inbox(service) as client:
        answer = await client.post("/QuestionnaireResponse", json=body)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    assert service.received == []


async def test_others_neither_see_nor_answer_the_query() -> None:
    service = asking()
    async with inbox(service) as client:
        other = {"Authorization": "Bearer other"}
        assert (await client.get("/Task/71", headers=other)).status_code == 404
        assert (await client.get("/Questionnaire/Q71", headers=other)).status_code == 404
        assert (await client.post("/QuestionnaireResponse", json=response(), headers=other)).status_code == 404
        assert (await client.get("/Task", headers={"Authorization": "Bearer ehr"})).status_code == 403
        assert (await client.get("/Task/none")).status_code == 404
        assert (await client.get("/QuestionnaireResponse/71")).status_code == 404
    assert service.received == []


def search(**parameters: str) -> QuerySearch:
    return TASK.read(MultiDict(parameters)).search


def test_parameters_become_the_stores_words() -> None:
    found = TASK.read(
        MultiDict(
            [
                ("status", "requested,accepted,in-progress"),
                ("status:not", "in-progress"),
                ("owner:identifier", f"http://hl7.org/fhir/sid/us-npi|{NPI}"),
                ("identifier", "urn:x-coding-review-gateway:query|Q7,urn:of-another|Q8"),
                ("patient", "Patient/MRN7,HOSP|MRN8"),
                ("encounter", "MAIN:HOSP:A1,V1001"),
                ("focus", "Claim/C1"),
                ("requester", "user:cdi"),
                ("code", "data-request-questionnaire"),
                ("_lastUpdated", "ge2026-03-01T00:00:00Z"),
                ("_lastUpdated", "lt2026-04"),
                ("_sort", "-_lastUpdated"),
                ("_count", "999"),
            ]
        )
    )
    assert not found.nothing
    assert found.search == QuerySearch(
        statuses=("requested", "accepted"),
        owners=(NPI,),
        encounters=("MAIN:HOSP:A1",),
        visits=("V1001",),
        numbers=("Q7",),
        patients=("MRN7", "HOSP|MRN8"),
        claims=("C1",),
        asked_by=("user:cdi",),
        changed_from=datetime(2026, 3, 1, tzinfo=UTC),
        changed_before=datetime(2026, 4, 1, tzinfo=UTC),
        order=QueryOrder.CHANGED_DOWN,
        limit=100,
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "begins", "ends"),
    [
        ("ge2026-03-01", at("2026-03-01"), None),
        ("gt2026-03-01", at("2026-03-02"), None),
        ("sa2026", at("2027-01-01"), None),
        ("gt2026-03-01T10:00:00Z", at("2026-03-01T10:00:00.001"), None),
        ("gt2026-03-01T10:00:00.5Z", at("2026-03-01T10:00:00.501"), None),
        ("ge2026-03-01T10:00:00 02:00", at("2026-03-01T08:00:00"), None),
        ("2026-03-01", at("2026-03-01"), at("2026-03-02")),
        ("eq2026-12", at("2026-12-01"), at("2027-01-01")),
        ("2026-03-01T10:00:00.123Z", at("2026-03-01T10:00:00.123"), at("2026-03-01T10:00:00.124")),
        ("2026-03-01T10:00Z", at("2026-03-01T10:00:00"), at("2026-03-01T10:01:00")),
        ("lt2026-03-01", None, at("2026-03-01")),
        ("eb2026-03-01", None, at("2026-03-01")),
        ("le2026-03-01", None, at("2026-03-02")),
        ("le2026-03-01T10:00:00Z", None, at("2026-03-01T10:00:01")),
        ("ap2026-03-02", at("2026-03-01"), at("2026-03-04")),
    ],
)
def test_every_prefix_of_a_date(value: str, begins: datetime | None, ends: datetime | None) -> None:
    found = search(_lastUpdated=value)
    assert (found.changed_from, found.changed_before) == (begins, ends)


def test_not_equal_leaves_out_a_day() -> None:
    assert search(_lastUpdated="ne2026-03-01").changed_not == (at("2026-03-01"), at("2026-03-02"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"_lastUpdated": "xx2026-03-01"},
        {"_lastUpdated": "2026-03-01T10:00:00"},
        {"_lastUpdated": "ge2026-13-01"},
        {"_lastUpdated": "le9999"},
        {"_count": "many"},
        {"_count": "-1"},
        {"status": ""},
        {"status:missing": "true"},
        {"patient.name": "x"},
        {"_after": "-1"},
        {"_after": "1.2"},
        {"_after": "5", "_sort": "_lastUpdated"},
    ],
)
def test_a_value_that_is_not_understood_is_refused_not_ignored(wrong: dict[str, str]) -> None:
    with pytest.raises(Fault) as refused:
        TASK.read(MultiDict(wrong))
    assert refused.value.status == 400
    assert refused.value.where


@pytest.mark.parametrize(
    "nothing",
    [
        {"status": "postponed"},
        {"owner": "Practitioner/dr-house"},
        {"_id": "abc"},
        {"identifier": "urn:of-another|Q7"},
        {"code": "another"},
        {"status": "requested", "status:not": "requested"},
    ],
)
def test_a_value_that_no_query_can_have_finds_nothing(nothing: dict[str, str]) -> None:
    assert TASK.read(MultiDict(nothing)).nothing


@pytest.mark.parametrize(
    "unknown",
    [
        {"_sort": "status"},
        {"_summary": "true"},
        {"_total": "guess"},
        {"priority": "urgent"},
        {"_include": "Task:part-of"},
    ],
)
def test_what_is_unknown_is_left_out_of_the_self_link_or_refused_when_strict(unknown: dict[str, str]) -> None:
    found = TASK.read(MultiDict({**unknown, "status": "requested"}))
    assert found.link("http://g/fhir/Task") == "http://g/fhir/Task?status=requested"
    with pytest.raises(Fault):
        TASK.read(MultiDict(unknown), strict=True)
