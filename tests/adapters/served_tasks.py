"""The provider's side of the facade over real HTTP, with a real desk and store behind it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from desk_world import CODER, KEY, NPI, World, draft, encounter, world

from gateway.access.roles import Role
from gateway.access.tokens import Callers
from gateway.adapters.fhir.tasks.tasks import Tasks
from gateway.adapters.http.server import HttpServer
from gateway.case import Case
from gateway.config.addresses import Endpoint
from gateway.config.model import Client, Http
from gateway.desk.queries import QueryDesk
from gateway.desk.query_placing import Placement
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import Encounter, Patient
from gateway.mappings.fhir.resource import validate
from gateway.review.model import Query
from gateway.review.query_template_file import load_templates
from gateway.store.interface import Step

TOKENS = {"inbox": "inbox-token-0123456789", "other": "other-token-0123456789", "cdi": "cdi-token-0123456789"}
OTHER_NPI = "1987654326"
PATCH = {"Content-Type": "application/json-patch+json"}


ACCOUNT, VISIT = Identifier(value="A1001", authority="MAIN"), Identifier(value="V1001", authority="MAIN")


def _of(number: str, made: Encounter) -> Patient:
    return made.patient.model_copy(update={"identifiers": (Identifier(value=number, authority="MAIN", type="MR"),)})


@dataclass
class Served:
    """The provider's side over HTTP, with the desk behind it."""

    here: World
    base: str
    clients: dict[str, httpx.AsyncClient]

    @property
    def inbox(self) -> httpx.AsyncClient:
        return self.clients["inbox"]

    @property
    def cdi(self) -> httpx.AsyncClient:
        return self.clients["cdi"]

    async def asked(self, title: str = "Clarification", provider: str = NPI, key: str = KEY) -> Query:
        query, _ = await self.here.queries.ask(key, CODER, draft(title=title, provider=provider))
        return query

    async def another_encounter(self, number: str) -> str:
        """A second patient's."""
        made = encounter()
        key = EncounterKey(made.key.facility, made.key.authority, f"A{number}")
        account = Identifier(value=f"A{number}", authority="MAIN")
        visit = made.visit.model_copy(update={"account": account, "number": None})
        whole = made.model_copy(
            update={"key": key, "patient": _of(f"M{number}", made), "visit": visit, "identifiers": ()}
        )
        case = Case(str(key))
        advanced = self.here.casework.advance(case, now=self.here.work.clock.now(), actor="feed:epic", encounter=whole)
        await self.here.store.commit(Step(cases=[advanced.change], events=advanced.events))
        return str(key)

    async def found(self, path: str = "/Task", client: str = "inbox", **parameters: Any) -> dict[str, Any]:
        answer = await self.clients[client].get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        bundle: dict[str, Any] = answer.json()
        assert not [issue for issue in validate(bundle) if issue.refuses], validate(bundle)
        return bundle

    async def moved(self, query: Query, status: str, **more: Any) -> httpx.Response:
        """The provider's system says the Task's next status."""
        task = (await self.inbox.get(f"/Task/{query.id}")).json()
        version = task["meta"]["versionId"]
        body = {**task, "status": status, **more}
        return await self.inbox.put(f"/Task/{query.id}", json=body, headers={"If-Match": f'W/"{version}"'})


@asynccontextmanager
async def served_tasks() -> AsyncIterator[Served]:
    here = await world()
    made = encounter()
    await here.feed(
        patient=_of("M1001", made), visit=made.visit.model_copy(update={"account": ACCOUNT, "number": VISIT})
    )
    here.queries = QueryDesk(here.work, Placement(templates=load_templates))
    clients = [
        Client(name="inbox", roles=frozenset({Role.PROVIDER}), token=SecretStr(TOKENS["inbox"]), npi=(NPI,)),
        Client(name="other", roles=frozenset({Role.PROVIDER}), token=SecretStr(TOKENS["other"]), npi=(OTHER_NPI,)),
        Client(name="cdi-tool", roles=frozenset({Role.CDI}), token=SecretStr(TOKENS["cdi"])),
    ]
    http = Http(listen=Endpoint(host="127.0.0.1", port=0))
    server = HttpServer(Tasks(here.queries).routes(), Callers(clients), http)
    host, port = await server.start()
    base = f"http://{host}:{port}/fhir"
    made = {
        name: httpx.AsyncClient(
            base_url=base,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"},
            trust_env=False,
            timeout=10,
        )
        for name, token in TOKENS.items()
    }
    yield Served(here, base, made)
    for client in made.values():
        await client.aclose()
    await server.stop()
    await here.store.close()


def shown(bundle: dict[str, Any], mode: str = "match") -> list[Any]:
    """Ids of the matches, or types of what came along."""
    entries = [entry for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode]
    return [entry["resource"]["id" if mode == "match" else "resourceType"] for entry in entries]


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((link["url"] for link in bundle["link"] if link["relation"] == relation), None)


def refused(answer: httpx.Response, status: int) -> list[dict[str, Any]]:
    """The issues of a refusal, each with its place and text."""
    assert answer.status_code == status, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert all(issue["diagnostics"] for issue in outcome["issue"])
    issues: list[dict[str, Any]] = outcome["issue"]
    return issues
