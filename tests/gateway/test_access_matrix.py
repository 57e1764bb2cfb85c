"""Every route against every role and every kind of token: what the table of access says, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from access_table import OPERATIONS, RESOURCES, ROUTES, Row, name, row_of
from gateway_world import OTHER_TOKEN, TOKENS, World, environment, running
from plausible import request
from smart_peer import Peer, ec_key
from smart_world import SmartWorld
from two_patients import MINE, OTHER, Furnished, Patient, furnish

from gateway.access.interactions import Interaction, Rule, rule_of
from gateway.access.roles import GRANTS, Permission, Role
from gateway.access.scopes import LETTERS
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.assembly.wiring import routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = "system/*.cruds"
NOWHERE = "system/Basic.cruds"
"""A type that is nowhere served."""
LIMITED = "smart-of-one-patient"
ONE_NPI_TOKEN = "token-of-one-provider-only-0123456789"


def _smart(name: str, role: Role, more: str = "") -> str:
    smart = f'smart: {{jwks: "{name}.jwks", scopes: ["{ALL}"]{more}}}'
    return f"  - {{name: {name}, roles: [{role.value}], authority: MAIN, {smart}}}"


def _clients(directory: Path) -> str:
    """A client of SMART Backend Services for each role; one limited to a patient, and one to a provider."""
    key = {"ES384": ec_key()}
    for role in Role:
        Peer(f"smart-{role.value}", key).write(directory)
    Peer(LIMITED, key).write(directory)
    (directory / "one-npi.token").write_text(ONE_NPI_TOKEN)
    npi = MINE.visit.clinician.npi
    return "\n".join(
        [
            *(_smart(f"smart-{role.value}", role) for role in Role),
            _smart(LIMITED, Role.PROVIDER, f', patients: ["MAIN|{MINE.person.mrn}"]'),
            f'  - {{name: one-npi, roles: [provider], npi: ["{npi}"], token_file: one-npi.token, authority: MAIN}}',
        ]
    )


@dataclass
class House:
    """A gateway with two patients' data, and tokens of every kind."""

    smart: SmartWorld
    mine: Furnished
    other: Furnished
    routes: list[Route]

    @property
    def world(self) -> World:
        return self.smart.world

    async def token(self, role: Role, scope: str) -> httpx.AsyncClient:
        return self.smart.http(await self.smart.put_token(f"smart-{role.value}", scope))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    directory = tmp_path_factory.mktemp("house")
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment().items():
            patch.setenv(variable, value)
        async with running(directory, also=_clients(directory)) as world:
            mine, other = await furnish(world, MINE), await furnish(world, OTHER)
            found = House(SmartWorld(world), mine, other, routes(world.gateway))
            yield found
            for client in found.smart.clients:
                await client.aclose()


async def ask(client: httpx.AsyncClient, route: Route, about: Furnished, **headers: str) -> httpx.Response:
    asked = request(route, about)
    said = {**asked.headers, **headers}
    return await client.request(route.method, asked.path, content=asked.body, headers=said)


def the_row(route: Route) -> Row:
    row = row_of(route)
    assert row is not None, f"{name(route)}: say who may use it, and why, in tests/gateway/access_table.py"
    return row


async def test_every_route_has_a_row_and_every_row_a_route(house: House) -> None:
    found = house.routes
    assert len({name(route) for route in found}) == len(found)
    without = [name(route) for route in found if row_of(route) is None]
    assert without == [], "say who may use them, and why, in tests/gateway/access_table.py"
    wrong = [name(route) for route in found if the_row(route).permission is not route.permission]
    assert wrong == [], "the table of access and the route do not agree"
    assert set(ROUTES) <= {name(route) for route in found}, "rows of routes that are gone"
    paths = " ".join(route.path for route in found)
    assert [row for row in (*RESOURCES, *OPERATIONS) if f"/fhir/{row}" not in paths] == [], (
        "rows of routes that are gone"
    )


async def test_every_fhir_route_has_a_rule_for_scopes(house: House) -> None:
    """A new route that no table knows fails here: add it to gateway/access/interactions.py."""
    closed = [route for route in house.routes if route.permission is not PUBLIC]
    without = [name(route) for route in closed if rule_of(route.method, route.path) is None]
    assert [line for line in without if "/fhir" in line] == []
    assert all(line.split(" ")[1].startswith(("/api", "/metrics", "/hl7")) for line in without), without


@pytest.mark.parametrize("header", [None, "Bearer not-a-token-of-anyone"])
async def test_without_a_token_that_is_known_there_is_no_way_in(house: House, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for route in house.routes:
        answer = await ask(house.world.http(None), route, house.other, **headers)
        if the_row(route).permission is PUBLIC:
            assert answer.status_code in (200, 400, 401), name(route)
            assert answer.status_code != 401 or route.path == "/oauth/token"
        else:
            assert answer.status_code == 401, name(route)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert_nothing_of(OTHER, answer, name(route))


@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer", f"bearer {'x' * 5000}", TOKENS[Role.MONITOR]])
async def test_what_is_no_token_is_none(house: House, header: str) -> None:
    for path in ("/metrics", "/api/worklist", "/fhir/Task", "/fhir/Claim/1"):
        answer = await house.world.http(None).get(path, headers={"Authorization": header})
        assert answer.status_code == 401, path


def let_in(row: Row, role: Role) -> bool:
    return row.permission is PUBLIC or row.permission in GRANTS[role]


@pytest.mark.parametrize("role", list(Role))
async def test_a_fixed_token_opens_what_the_role_may(house: House, role: Role) -> None:
    for route in house.routes:
        row, line = the_row(route), name(route)
        answer = await ask(house.world.http(role), route, house.other)
        assert answer.status_code < 500, (line, answer.text)
        if line == "POST /oauth/token":
            continue
        if let_in(row, role):
            refused = (401, 403) if role not in row.within else (401,)
            assert answer.status_code not in refused, (line, answer.text)
        else:
            assert answer.status_code == 403, (line, answer.text)
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
            assert_told_as_forbidden(route, answer)
            assert_nothing_of(OTHER, answer, line)


def assert_told_as_forbidden(route: Route, answer: httpx.Response) -> None:
    """In the form of the route's own interface, with the roles that would be let in."""
    told = answer.json()
    if route.path.startswith("/fhir"):
        assert told["resourceType"] == "OperationOutcome"
        assert told["issue"][0]["code"] == "forbidden"
        text = told["issue"][0]["diagnostics"]
    else:
        assert (told["status"], told["code"]) == (403, "forbidden")
        text = told["detail"]
    assert isinstance(route.permission, Permission)
    assert route.permission.value in text
    assert all(role.value in text for role in Role if route.permission in GRANTS[role]), text


def enough(rule: Rule, letters: str = LETTERS) -> str:
    """The scopes that the rule needs, and not one letter more."""
    types = sorted({type_ for type_, _ in rule.needs})
    made = (f"system/{type_}.{''.join(x for x in LETTERS if (type_, x) in rule.needs)}" for type_ in types)
    return " ".join(made) or NOWHERE


def one_less(rule: Rule) -> list[str]:
    """All scopes there are but one that the rule needs, for each."""
    found = []
    for type_, letter in rule.needs:
        others = sorted({other for other, _ in rule.needs} - {type_})
        rest = f"system/{type_}.{''.join(x for x in LETTERS if x != letter)}"
        found.append(" ".join([rest, *(f"system/{other}.cruds" for other in others)]))
    return found


_VERSION_1 = {"r": "read", "s": "read", "c": "write", "u": "write", "d": "write"}


def in_version_1(rule: Rule, *, turned: bool = False) -> str:
    """The same in the form of version 1; `turned`: the other half of what there is."""
    words = {(type_, _VERSION_1[letter]) for type_, letter in rule.needs}
    if turned:
        words = {(type_, "read" if word == "write" else "write") for type_, word in words}
    return " ".join(f"system/{type_}.{word}" for type_, word in sorted(words)) or NOWHERE


@pytest.mark.parametrize("role", list(Role))
async def test_a_smart_token_needs_the_role_and_the_scope(house: House, role: Role) -> None:
    everything = await house.token(role, ALL)
    clients: dict[str, httpx.AsyncClient] = {ALL: everything}

    async def status(route: Route, scope: str) -> int:
        if scope not in clients:
            clients[scope] = await house.token(role, scope)
        answer = await ask(clients[scope], route, house.other)
        assert answer.status_code < 500, (name(route), scope, answer.text)
        assert answer.status_code != 403 or "insufficient_scope" in answer.headers.get("WWW-Authenticate", ""), (
            name(route),
            scope,
            answer.text,
        )
        return answer.status_code

    for route in house.routes:
        row, line = the_row(route), name(route)
        if row.permission is PUBLIC:
            continue
        rule = rule_of(route.method, route.path)
        if rule is None or not let_in(row, role):
            assert await status(route, ALL) == 403, line
            continue
        for scope in (ALL, enough(rule), in_version_1(rule)):
            assert await status(route, scope) not in (401, 403), (line, scope)
        lacking = [*one_less(rule), *([in_version_1(rule, turned=True)] if rule.needs else [])]
        for scope in lacking:
            assert await status(route, scope) == 403, (line, scope)


def assert_nothing_of(patient: Patient, answer: httpx.Response, line: str) -> None:
    """No name, number or street of the patient in any part of the answer, beyond what was asked for in its address."""
    told = answer.text + str(answer.headers)
    said = [mark for mark in patient.marks if mark in told and mark not in str(answer.request.url)]
    assert said == [], (line, answer.status_code, said)


def searches(patient: Patient) -> Iterable[str]:
    yield ""
    for parameter in ("patient", "patient:identifier", "subject:identifier", "for:identifier"):
        yield f"?{parameter}=MAIN%7C{patient.person.mrn}"
    yield f"?owner={patient.visit.clinician.npi}"
    yield f"?identifier={patient.person.mrn}"
    yield "?_id=1"


_WITH_IDS = frozenset({Interaction.READ, Interaction.VREAD, Interaction.HISTORY_INSTANCE})


async def test_a_client_of_one_patient_gets_nothing_of_another(house: House) -> None:
    """Its own patient's query it reads: the limit, and not a closed door, is what keeps the other's away."""
    client = house.smart.http(await house.smart.put_token(LIMITED, ALL))
    seen = set()
    for route in house.routes:
        line, rule = name(route), rule_of(route.method, route.path)
        answer = await ask(client, route, house.other)
        assert_nothing_of(OTHER, answer, line)
        if the_row(route).permission is PUBLIC:
            continue
        assert answer.status_code in (400, 403, 404, 412, 422), (line, answer.text)
        if rule is not None and rule.interaction in _WITH_IDS and let_in(the_row(route), Role.PROVIDER):
            assert answer.status_code == 404, (line, answer.text)
            if (await ask(client, route, house.mine)).status_code == 200:
                seen.add(route.segments[1])
    assert {"Task", "Questionnaire"} <= seen


async def test_a_search_of_a_client_of_one_patient_finds_nothing_of_another(house: House) -> None:
    client = house.smart.http(await house.smart.put_token(LIMITED, ALL))
    whole = await house.token(Role.PROVIDER, ALL)
    found = 0
    for route in house.routes:
        rule = rule_of(route.method, route.path)
        if route.method != "GET" or rule is None or rule.interaction is not Interaction.SEARCH:
            continue
        for patient in (MINE, OTHER):
            for query in searches(patient):
                answer = await client.get(route.path + query)
                assert answer.status_code in (200, 400, 403), (route.path, query, answer.text)
                assert_nothing_of(OTHER, answer, route.path + query)
                found += MINE.person.mrn in answer.text
        open_ = await whole.get(route.path)
        if open_.status_code == 200 and route.path == "/fhir/Task":
            assert OTHER.person.mrn in open_.text, "without the limit it is there"
    assert found, "what is the client's own is found"


async def test_a_provider_of_one_npi_gets_nothing_that_is_addressed_to_another(house: House) -> None:
    headers = {"Authorization": f"Bearer {ONE_NPI_TOKEN}"}
    async with httpx.AsyncClient(base_url=house.world.url, headers=headers, trust_env=False) as client:
        for route in house.routes:
            line, rule = name(route), rule_of(route.method, route.path)
            answer = await ask(client, route, house.other)
            assert_nothing_of(OTHER, answer, line)
            if rule is not None and rule.interaction in _WITH_IDS and let_in(the_row(route), Role.PROVIDER):
                assert answer.status_code == 404, (line, answer.text)
        own = await client.get("/fhir/Task")
        assert MINE.person.mrn in own.text
        assert_nothing_of(OTHER, own, "/fhir/Task")


async def test_what_one_feed_wrote_another_does_not_read(house: House) -> None:
    headers = {"Authorization": f"Bearer {OTHER_TOKEN}"}
    async with httpx.AsyncClient(base_url=house.world.url, headers=headers, trust_env=False) as client:
        for route in house.routes:
            rule = rule_of(route.method, route.path)
            if rule is None or route.method != "GET" or not let_in(the_row(route), Role.FEED):
                continue
            answer = await ask(client, route, house.other)
            assert_nothing_of(OTHER, answer, name(route))
            if rule.interaction in _WITH_IDS:
                assert answer.status_code == 404, name(route)
    own = await house.world.http(Role.FEED).get(f"/fhir/{house.other.resources[0]}")
    assert OTHER.person.mrn in own.text


async def test_refusals_are_in_the_audit_trail(house: House) -> None:
    gateway = house.world.gateway
    await gateway.refusals.commit()
    before = len(await house.world.events())
    tried = [route for route in house.routes if not let_in(the_row(route), Role.MONITOR)]
    await asyncio.gather(*(ask(house.world.http(Role.MONITOR), route, house.other) for route in tried))
    await gateway.refusals.commit()
    told = [one.event for one in (await house.world.events())[before:] if one.event.action == "access.refused"]
    of_monitor = [event for event in told if event.actor == "client:monitor"]
    assert {event.subject for event in of_monitor} == {f"route{route.path}" for route in tried}
    assert sum(int(str(event.detail["count"])) for event in of_monitor) == len(tried)


async def test_every_token_of_the_tests_is_its_own() -> None:
    assert len({*TOKENS.values(), OTHER_TOKEN, ONE_NPI_TOKEN}) == len(TOKENS) + 2
