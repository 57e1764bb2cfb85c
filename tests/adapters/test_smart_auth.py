"""We as a client of an EHR's server, which checks us with PyJWT."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError
from smart_door import NOON, Watch, client, door
from smart_peer import ASSERTION_TYPE, Peer, ec_key, pem, rsa_key

from gateway.adapters.fhir_client import NoToken, SmartAuth
from gateway.adapters.fhir_client.published import published
from gateway.config.smart import SmartClient
from gateway.store.sqlite import SqliteStore

KEYS = {"ES384": pem(ec_key()), "RS384": pem(rsa_key())}


@dataclass
class Ehr:
    """An EHR's authorization and FHIR server. `answers` go out in place of tokens, while there are any."""

    clock: Watch
    keys: list[dict[str, Any]] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    assertions: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, Any]] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    seconds: object = 300
    url: str = ""

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    async def discovery(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("discovery")
        return web.json_response({"token_endpoint": self.token_url})

    async def token(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("token")
        form = parse_qs((await request.read()).decode(), strict_parsing=True)
        self.forms.append(form)
        text = form["client_assertion"][0]
        header = jwt.get_unverified_header(text)
        key = next(jwt.PyJWK(one) for one in self.keys if one["kid"] == header["kid"])
        claims = jwt.decode(
            text,
            key.key,
            algorithms=["RS384", "ES384"],
            audience=self.token_url,
            options={"require": ["iss", "sub", "aud", "exp", "jti"], "verify_exp": False, "verify_iat": False},
        )
        self.assertions.append(claims)
        self.headers.append(header)
        if self.answers:
            return self.answers.pop(0)
        given = f"token-{len(self.assertions)}"
        self.valid.add(given)
        return web.json_response({"access_token": given, "token_type": "Bearer", "expires_in": self.seconds})

    async def task(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("task")
        known = request.headers.get("Authorization", "").removeprefix("Bearer ") in self.valid
        return web.json_response({"resourceType": "Bundle"}, status=200 if known else 401)


@asynccontextmanager
async def ehr(clock: Watch, *known: SmartClient) -> AsyncIterator[Ehr]:
    served = Ehr(clock, [key for one in known for key in published(one)])
    app = web.Application()
    app.router.add_get("/fhir/.well-known/smart-configuration", served.discovery)
    app.router.add_post("/token", served.token)
    app.router.add_route("*", "/fhir/Task", served.task)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    served.url = f"http://{host}:{port}"
    yield served
    await runner.cleanup()


def settings(algorithm: str = "ES384", **more: Any) -> SmartClient:
    said = {"issuer": "http://127.0.0.1:1/fhir", "client_id": "gateway", "scopes": ["system/Task.rs"], **more}
    return SmartClient(key=SecretStr(KEYS[algorithm].decode()), **said)


@dataclass
class Reach:
    server: Ehr
    auth: SmartAuth
    http: httpx.AsyncClient

    async def get(self, path: str = "/fhir/Task") -> httpx.Response:
        return await self.http.get(self.server.url + path, auth=self.auth)


@asynccontextmanager
async def reaching(algorithm: str = "ES384", **more: Any) -> AsyncIterator[Reach]:
    clock = Watch()
    own = {name: value for name, value in more.items() if name != "token_url"}
    async with ehr(clock, settings(algorithm, **own)) as server, httpx.AsyncClient(trust_env=False) as http:
        said = {name: value.format(url=server.url) if isinstance(value, str) else value for name, value in more.items()}
        auth = SmartAuth(
            settings(algorithm, **{"issuer": f"{server.url}/fhir", **said}), clock, base=f"{server.url}/fhir"
        )
        yield Reach(server, auth, http)
        await auth.close()


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
async def test_a_token_is_asked_for_with_a_signed_assertion(algorithm: str) -> None:
    async with reaching(algorithm) as one:
        assert (await one.get()).status_code == 200
        server = one.server
        assert server.requests == ["discovery", "token", "task"]
        assert server.forms[0]["grant_type"] == ["client_credentials"]
        assert server.forms[0]["scope"] == ["system/Task.rs"]
        assert server.forms[0]["client_assertion_type"] == [ASSERTION_TYPE]
        claims = server.assertions[0]
        assert (claims["iss"], claims["sub"], claims["aud"]) == ("gateway", "gateway", server.token_url)
        now = NOON.timestamp()
        assert now < claims["exp"] <= now + 300
        assert claims["iat"] <= now
        assert server.headers[0]["alg"] == algorithm
        assert "jku" not in server.headers[0]


async def test_a_token_serves_until_shortly_before_its_end() -> None:
    async with reaching() as one:
        for _ in range(3):
            assert (await one.get()).status_code == 200
        one.server.clock.pass_(seconds=269)
        assert (await one.get()).status_code == 200
        assert one.server.requests.count("token") == 1
        one.server.clock.pass_(seconds=1)
        assert (await one.get()).status_code == 200
        assert one.server.requests.count("token") == 2
        assert one.server.requests.count("discovery") == 1
        numbers = [claims["jti"] for claims in one.server.assertions]
        assert len(set(numbers)) == 2, "each assertion has a number of its own"


async def test_many_requests_wait_for_one_token() -> None:
    async with reaching() as one:
        answers = await asyncio.gather(*(one.get() for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert one.server.requests.count("token") == 1


async def test_a_401_is_tried_once_more_with_a_new_token() -> None:
    async with reaching() as one:
        assert (await one.get()).status_code == 200
        one.server.valid.clear()
        assert (await one.get()).status_code == 200
        assert one.server.requests.count("token") == 2
        one.server.valid.clear()
        answers = await asyncio.gather(*(one.get() for _ in range(4)))
        assert {answer.status_code for answer in answers} == {200}
        assert one.server.requests.count("token") == 3, "one new token for all that were refused"


async def test_a_401_that_stays_is_the_answer() -> None:
    async with reaching() as one:
        one.server.answers = [web.json_response({"access_token": f"t{n}", "token_type": "bearer"}) for n in range(2)]
        assert (await one.get()).status_code == 401
        assert one.server.requests == ["discovery", "token", "task", "token", "task"]
        one.server.answers = [web.json_response({"error": "invalid_client"}, status=401)]
        assert (await one.get()).status_code == 401, "without a new token, what was answered stands"


async def test_a_body_is_sent_whole_the_second_time() -> None:
    async with reaching() as one:
        one.server.answers = [web.json_response({"access_token": "old", "token_type": "bearer"})]
        answer = await one.http.post(f"{one.server.url}/fhir/Task", json={"resourceType": "Task"}, auth=one.auth)
        assert answer.status_code == 200
        assert one.server.requests.count("task") == 2


@pytest.mark.parametrize(
    ("answer", "text", "permanent"),
    [
        (web.json_response({"error": "invalid_client"}, status=401), "401 invalid_client", True),
        (web.json_response({"error": "invalid_scope"}, status=400), "400 invalid_scope", True),
        (web.json_response({"error": "SMITH^JANE"}, status=400), "400 without a reason", True),
        (web.Response(status=302, headers={"Location": "http://169.254.169.254/"}), "302", True),
        (web.Response(status=503, text="later"), "503", False),
        (web.Response(status=429), "429", False),
        (web.Response(text="no json"), "no bearer token", True),
        (web.json_response([1]), "no bearer token", True),
        (web.json_response({"access_token": "a b", "token_type": "bearer"}), "no bearer token", True),
        (web.json_response({"access_token": "a\r\nX: y", "token_type": "bearer"}), "no bearer token", True),
        (web.json_response({"access_token": "x", "token_type": "mac"}), "no bearer token", True),
        (web.Response(body=b"x" * 70_000), "64 KiB", False),
    ],
)
async def test_without_a_token_nothing_is_sent(answer: web.Response, text: str, permanent: bool) -> None:
    async with reaching() as one:
        one.server.answers = [answer]
        with pytest.raises(NoToken, match=text) as refused:
            await one.get()
        assert isinstance(refused.value, httpx.ConnectError), "whoever knows httpx knows that nothing was sent"
        assert refused.value.permanent == permanent
        assert "SMITH" not in str(refused.value)
        assert "task" not in one.server.requests


async def test_a_refusal_is_not_tried_with_each_request() -> None:
    async with reaching() as one:
        one.server.answers = [web.json_response({"error": "invalid_client"}, status=401)]
        for _ in range(3):
            with pytest.raises(NoToken):
                await one.get()
        assert one.server.requests.count("token") == 1
        one.server.clock.pass_(seconds=10)
        assert (await one.get()).status_code == 200


@pytest.mark.parametrize("seconds", [None, 0, -5, "300", True, 10**12])
async def test_a_life_that_is_none_counts_as_five_minutes_at_most(seconds: object) -> None:
    async with reaching() as one:
        one.server.seconds = seconds
        assert (await one.get()).status_code == 200
        one.server.clock.pass_(seconds=3600)
        assert (await one.get()).status_code == 200
        assert one.server.requests.count("token") == 2


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/fhir/Task", "http://localhost:{port}/fhir/Task", "http://127.0.0.1.attacker.example/fhir"],
)
async def test_the_token_goes_to_no_other_server(url: str) -> None:
    async with reaching() as one:
        port = one.server.url.rpartition(":")[2]
        with pytest.raises(NoToken, match="another server"):
            await one.http.get(url.format(port=port), auth=one.auth)
        assert one.server.requests == []


async def test_a_fixed_token_address_needs_no_discovery() -> None:
    async with reaching(
        token_url="{url}/token", key_id="registered-1", jwks_url="https://gateway.example/oauth/jwks"
    ) as one:
        assert (await one.get()).status_code == 200
        assert one.server.requests == ["token", "task"]
        assert one.server.headers[0]["kid"] == "registered-1"
        assert one.server.headers[0]["jku"] == "https://gateway.example/oauth/jwks"


async def test_a_discovered_address_must_be_safe() -> None:
    async with reaching() as one:
        one.server.url, right = "http://attacker.example", one.server.url
        with pytest.raises(NoToken, match="not safe"):
            await one.http.get(f"{right}/fhir/Task", auth=one.auth)


async def test_our_client_and_our_server_understand_each_other(tmp_path: Path) -> None:
    store = SqliteStore(None)
    await store.open()
    peer = Peer("gateway", {"ES384": ec_key()})
    registered = client(peer, tmp_path, ("system/Task.rs",))
    async with door(store, registered, base=None) as one:
        base = f"{str(one.http.base_url).rstrip('/')}/fhir"
        auth = SmartAuth(settings(issuer=base, key_id="gateway-ES384"), one.clock)
        answer = await one.http.get("/fhir/Task", auth=auth)
        assert answer.status_code == 200
        await auth.close()
    await store.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://ehr.example/fhir"},
        {"issuer": None},
        {"token_url": "http://ehr.example/token"},
        {"issuer": "https://user:secret@ehr.example/fhir"},
        {"scopes": []},
        {"scopes": ["patient/Task.rs"]},
        {"client_id": ""},
        {"timeout_seconds": 0},
    ],
)
def test_settings_that_would_not_protect_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)


def test_the_key_does_not_show_itself() -> None:
    one = settings()
    assert "PRIVATE" not in repr(one)
    assert all("d" not in key for key in published(one))
    assert json.dumps(published(one))
    with pytest.raises(ValueError, match="base"):
        SmartAuth(settings(issuer=None, token_url="https://ehr.example/token"), Watch())
