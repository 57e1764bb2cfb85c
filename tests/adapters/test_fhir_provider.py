"""A provider's system of its own against the facade over a real desk and store: from inbox to answer."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from desk_world import CODER, KEY, NPI, World, draft, world

from conformance.desk_client import Refused
from conformance.provider import ProviderSystem
from gateway.access.roles import Role
from gateway.access.tokens import Callers
from gateway.adapters.fhir.facade import Facade
from gateway.adapters.http.server import HttpServer
from gateway.clock import Ids, SystemClock
from gateway.config.model import Client, Endpoint, Http
from gateway.encounter.model import DocumentKind
from gateway.intake.intake import Backlog, Intake
from gateway.review.model import HoldKind, HoldState

TOKEN = "provider-token-0123456789"


@pytest.fixture
async def here() -> AsyncIterator[World]:
    made = await world()
    yield made
    await made.store.close()


@pytest.fixture
async def provider(here: World) -> AsyncIterator[ProviderSystem]:
    clock, backlog = SystemClock(), Backlog(100)
    facade = Facade(Intake(here.store, backlog, clock, Ids(1)), backlog, here.store, here.queries, clock)
    clients = [Client(name="inbox", roles=frozenset({Role.PROVIDER}), token=SecretStr(TOKEN), npi=(NPI,))]
    server = HttpServer(facade.routes(), Callers(clients), Http(listen=Endpoint(host="127.0.0.1", port=0)))
    host, port = await server.start()
    async with ProviderSystem(f"http://{host}:{port}/fhir", TOKEN, NPI) as system:
        yield system
    await server.stop()


async def test_from_the_inbox_to_the_answer(here: World, provider: ProviderSystem) -> None:
    assert await provider.inbox() == []
    query, _ = await here.queries.ask(KEY, CODER, draft())
    (task,) = await provider.inbox()
    assert task["identifier"][0]["value"] == query.number
    taken = await provider.take_up(task)
    with pytest.raises(Refused) as stale:
        await provider.take_up(task)
    assert stale.value.status == 412
    working = await provider.take_up(taken, "in-progress")
    assert (working["status"], working["meta"]["versionId"]) == ("in-progress", "3")
    await provider.answer(working, option="Acute blood loss anaemia")
    (done,) = await provider.inbox("completed")
    assert done["output"][0]["valueReference"]["reference"] == f"QuestionnaireResponse/{query.id}"
    case = await here.case()
    assert case.encounter is not None
    assert any(document.kind is DocumentKind.QUERY_ANSWER for document in case.encounter.documents)
    assert not [h for h in case.holds if h.kind is HoldKind.QUERY and h.state is HoldState.OPEN]


async def test_an_answer_without_the_steps_before_it_is_taken_too(here: World, provider: ProviderSystem) -> None:
    await here.queries.ask(KEY, CODER, draft())
    (task,) = await provider.inbox()
    kept = await provider.answer(task, option="Other", text="Dilutional")
    assert kept["resourceType"] == "QuestionnaireResponse"
    assert await provider.answer(task, option="Other", text="Dilutional") == kept, "the same again changes nothing"
    with pytest.raises(Refused) as again:
        await provider.answer(task, option="Unable to determine")
    assert again.value.status == 409
