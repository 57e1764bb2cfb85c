"""Access tokens for signed assertions, over real sockets, asked for by an independent client (PyJWT)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from smart_door import BASE, NOON, TOKEN_URL, Door, client, door
from smart_peer import GONE, Peer, ec_key, rsa_key

from gateway.access.assertion import Why
from gateway.access.roles import Role
from gateway.adapters.smart.throttle import MOST
from gateway.audit.events import Action
from gateway.store.interface import Store
from gateway.store.sqlite import SqliteStore

EHR = Peer("ehr")
OTHER = Peer("other", {"ES384": ec_key(which=1), "RS384": rsa_key(which=1)})
MOMENT = int(NOON.timestamp())


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    one = SqliteStore(None)
    await one.open()
    yield one
    await one.close()


@pytest.fixture
async def ehr(store: Store, tmp_path: Path) -> AsyncIterator[Door]:
    scopes = ("system/Task.rs", "system/Claim.read")
    async with door(store, client(EHR, tmp_path, scopes), client(OTHER, tmp_path, roles={Role.FEED})) as one:
        yield one


def refused(answer: httpx.Response, error: str, status: int = 401) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
async def test_a_signed_assertion_gives_a_token_for_five_minutes(ehr: Door, store: Store, algorithm: str) -> None:
    answer = await ehr.granted(EHR, "system/Task.rs", algorithm)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (said["token_type"], said["expires_in"], said["scope"]) == ("bearer", 300, "system/Task.rs")
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert (await ehr.get("/fhir/Task", said["access_token"])).status_code == 200
    ehr.clock.pass_(seconds=299)
    assert (await ehr.get("/fhir/Task", said["access_token"])).status_code == 200
    ehr.clock.pass_(seconds=1)
    assert (await ehr.get("/fhir/Task", said["access_token"])).status_code == 401
    events = [stored.event async for stored in store.events()]
    assert [(event.action, event.actor, event.subject) for event in events] == [
        (Action.ACCESS_GRANTED, "client:ehr", "client/ehr")
    ]
    assert said["access_token"] not in json.dumps(events[0].detail)


def _header(**changes: Any) -> Callable[[], str]:
    return lambda: EHR.signed(EHR.claims(TOKEN_URL, NOON), **changes)


def _claims(**changes: Any) -> Callable[[], str]:
    return lambda: EHR.signed(EHR.claims(TOKEN_URL, NOON, **changes))


def _part(said: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


def _by_hand(header: dict[str, Any], claims: dict[str, Any] | None = None, signature: str = "AA") -> str:
    return f"{_part(header)}.{_part(claims or EHR.claims(TOKEN_URL, NOON))}.{signature}"


def _unsigned() -> str:
    return f"{_part({'alg': 'none', 'kid': 'ehr-ES384'})}.{_part(EHR.claims(TOKEN_URL, NOON))}."


def _hmac_with_the_public_key(algorithm: str = "HS384") -> str:
    """The old trick: what is public, as a shared secret."""
    pem = (
        EHR.keys["RS384"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    text = f"{_part({'alg': algorithm, 'kid': 'ehr-RS384'})}.{_part(EHR.claims(TOKEN_URL, NOON))}"
    made = hmac.new(pem, text.encode(), hashlib.sha384).digest()
    return f"{text}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def _name_twice() -> str:
    claims = json.dumps(EHR.claims(TOKEN_URL, NOON))[:-1] + ', "aud": "https://elsewhere.example"}'
    body = base64.urlsafe_b64encode(claims.encode()).rstrip(b"=").decode()
    return f"{_part({'alg': 'ES384', 'kid': 'ehr-ES384'})}.{body}.AA"


def _tampered() -> str:
    head, body, signature = _claims()().split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{_part({**said, 'jti': 'another'})}.{signature}"


REFUSALS: dict[str, tuple[Callable[[], str], Why]] = {
    "exp absent": (_claims(exp=GONE), Why.EXPIRY),
    "exp more than five minutes ahead": (_claims(exp=MOMENT + 302), Why.TOO_FAR_AHEAD),
    "exp far ahead": (_claims(exp=MOMENT + 10**9), Why.TOO_FAR_AHEAD),
    "exp beyond all time": (_claims(exp=10**18), Why.EXPIRY),
    "exp passed": (_claims(exp=MOMENT - 1), Why.EXPIRED),
    "exp now": (_claims(exp=MOMENT), Why.EXPIRED),
    "exp a text": (
        lambda: _by_hand({"alg": "ES384", "kid": "x"}, {**EHR.claims(TOKEN_URL, NOON), "exp": "soon"}),
        Why.EXPIRY,
    ),
    "exp true": (
        lambda: _by_hand({"alg": "ES384", "kid": "x"}, {**EHR.claims(TOKEN_URL, NOON), "exp": True}),
        Why.EXPIRY,
    ),
    "jti absent": (_claims(jti=GONE), Why.NO_JTI),
    "jti empty": (_claims(jti=""), Why.NO_JTI),
    "jti endless": (_claims(jti="x" * 257), Why.NO_JTI),
    "jti a number": (
        lambda: _by_hand({"alg": "ES384", "kid": "x"}, {**EHR.claims(TOKEN_URL, NOON), "jti": 1}),
        Why.NO_JTI,
    ),
    "iss not sub": (_claims(sub="other"), Why.ISSUER_NOT_SUBJECT),
    "sub absent": (_claims(sub=GONE), Why.ISSUER_NOT_SUBJECT),
    "iss absent": (_claims(iss=GONE), Why.ISSUER_UNKNOWN),
    "iss unknown": (_claims(iss="nobody", sub="nobody"), Why.ISSUER_UNKNOWN),
    "iss a client without keys here": (_claims(iss="other", sub="other"), Why.KEY_UNKNOWN),
    "aud elsewhere": (_claims(aud="https://elsewhere.example/oauth/token"), Why.AUDIENCE),
    "aud our base only": (_claims(aud=BASE), Why.AUDIENCE),
    "aud with a slash more": (_claims(aud=TOKEN_URL + "/"), Why.AUDIENCE),
    "aud in capitals": (_claims(aud=TOKEN_URL.upper()), Why.AUDIENCE),
    "aud absent": (_claims(aud=GONE), Why.AUDIENCE),
    "aud a list": (_claims(aud=[TOKEN_URL]), Why.AUDIENCE),
    "aud a list with others": (_claims(aud=[TOKEN_URL, "https://elsewhere.example"]), Why.AUDIENCE),
    "alg RS256": (
        lambda: EHR.signed(EHR.claims(TOKEN_URL, NOON), "RS256", EHR.keys["RS384"], kid="ehr-RS384"),
        Why.ALGORITHM,
    ),
    "alg RS512": (
        lambda: EHR.signed(EHR.claims(TOKEN_URL, NOON), "RS512", EHR.keys["RS384"], kid="ehr-RS384"),
        Why.ALGORITHM,
    ),
    "alg PS384": (
        lambda: EHR.signed(EHR.claims(TOKEN_URL, NOON), "PS384", EHR.keys["RS384"], kid="ehr-RS384"),
        Why.ALGORITHM,
    ),
    "alg ES256": (
        lambda: EHR.signed(EHR.claims(TOKEN_URL, NOON), "ES256", ec_key("P-256"), kid="ehr-ES384"),
        Why.ALGORITHM,
    ),
    "alg none": (_unsigned, Why.MALFORMED),
    "alg none with a signature": (lambda: _by_hand({"alg": "none", "kid": "ehr-ES384"}), Why.ALGORITHM),
    "alg None": (lambda: _by_hand({"alg": "None", "kid": "ehr-ES384"}), Why.ALGORITHM),
    "alg absent": (lambda: _by_hand({"kid": "ehr-ES384"}), Why.ALGORITHM),
    "alg a list": (lambda: _by_hand({"alg": ["ES384"], "kid": "ehr-ES384"}), Why.ALGORITHM),
    "HMAC with the public key": (_hmac_with_the_public_key, Why.ALGORITHM),
    "HMAC called RS384": (lambda: _hmac_with_the_public_key("RS384"), Why.SIGNATURE),
    "alg of another kind of key": (lambda: _by_hand({"alg": "RS384", "kid": "ehr-ES384"}), Why.KEY_UNKNOWN),
    "jku not registered": (_header(jku="https://attacker.example/jwks"), Why.KEYS_ADDRESS),
    "a key of its own in the header": (lambda: _by_hand({"alg": "ES384", "kid": "new", "jwk": {}}), Why.KEY_UNKNOWN),
    "kid absent": (_header(kid=GONE), Why.NO_KEY_ID),
    "kid unknown": (_header(kid="another"), Why.KEY_UNKNOWN),
    "kid a path": (_header(kid="../../../dev/null"), Why.KEY_UNKNOWN),
    "kid endless": (_header(kid="k" * 257), Why.NO_KEY_ID),
    "crit": (lambda: _by_hand({"alg": "ES384", "kid": "ehr-ES384", "crit": ["b64"], "b64": False}), Why.HEADER),
    "typ of something else": (_header(typ="at+jwt"), Why.HEADER),
    "another's signature": (_header(key=ec_key(which=1)), Why.SIGNATURE),
    "tampered": (_tampered, Why.SIGNATURE),
    "signature cut short": (lambda: _claims()()[:-8], Why.SIGNATURE),
    "signature not base64": (lambda: _claims()().rpartition(".")[0] + ".%%%%", Why.SIGNATURE),
    "nbf ahead": (_claims(nbf=MOMENT + 120), Why.NOT_YET),
    "nbf a text": (
        lambda: _by_hand({"alg": "ES384", "kid": "x"}, {**EHR.claims(TOKEN_URL, NOON), "nbf": "x"}),
        Why.NOT_YET,
    ),
    "iat ahead": (_claims(iat=MOMENT + 120), Why.ISSUED_AT),
    "iat after exp": (_claims(iat=MOMENT + 50, exp=MOMENT + 40), Why.ISSUED_AT),
    "a name twice": (_name_twice, Why.MALFORMED),
    "no JWT": (lambda: "hello", Why.MALFORMED),
    "encrypted": (lambda: "a.b.c.d.e", Why.MALFORMED),
    "nothing": (lambda: "", Why.MALFORMED),
    "endless": (lambda: "x" * 9000, Why.MALFORMED),
    "claims no object": (lambda: f"{_part({'alg': 'ES384', 'kid': 'x'})}.{_part([1])}.AA", Why.MALFORMED),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_an_assertion_that_proves_nothing_is_refused(ehr: Door, store: Store, name: str) -> None:
    """The client is told that it is not known; why, only the audit trail is told."""
    make, why = REFUSALS[name]
    answer = await ehr.token(EHR.form(make(), "system/Task.rs"))
    refused(answer, "invalid_client")
    assert why.value not in answer.text
    assert [said[2] for said in ehr.told.refusals] == [why.value]
    assert [stored async for stored in store.events()] == [], "nothing was granted"


async def test_all_refusals_look_alike(ehr: Door) -> None:
    told = set()
    for make, _ in list(REFUSALS.values())[:MOST]:
        answer = await ehr.token(EHR.form(make(), "system/Task.rs"))
        told.add((answer.status_code, answer.text))
    assert len(told) == 1


async def test_an_assertion_is_taken_once(ehr: Door) -> None:
    form = EHR.form(EHR.signed(EHR.claims(TOKEN_URL, NOON)), "system/Task.rs")
    assert (await ehr.token(form)).status_code == 200
    refused(await ehr.token(form), "invalid_client")
    assert ehr.told.refusals == [(401, "ehr", "reused")]


async def test_a_jti_counts_once_for_an_issuer_whatever_else_differs(ehr: Door) -> None:
    def form(peer: Peer, algorithm: str) -> dict[str, str]:
        return peer.form(peer.signed(peer.claims(TOKEN_URL, NOON, jti="one"), algorithm), "system/Task.rs")

    assert (await ehr.token(form(EHR, "ES384"))).status_code == 200
    refused(await ehr.token(form(EHR, "RS384")), "invalid_client")
    assert (await ehr.token(form(OTHER, "ES384"))).status_code == 200, "another client counts its own"


async def test_an_assertion_whose_scopes_were_refused_is_used_up(ehr: Door) -> None:
    assertion = EHR.signed(EHR.claims(TOKEN_URL, NOON))
    refused(await ehr.token(EHR.form(assertion, "system/Patient.rs")), "invalid_scope", 400)
    refused(await ehr.token(EHR.form(assertion, "system/Task.rs")), "invalid_client")


async def test_of_many_at_one_moment_one_is_taken(ehr: Door) -> None:
    form = EHR.form(EHR.signed(EHR.claims(TOKEN_URL, NOON)), "system/Task.rs")
    answers = await asyncio.gather(*(ehr.token(form) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_two_gateways_of_one_store_take_an_assertion_once_and_know_each_other_s_tokens(
    store: Store, tmp_path: Path
) -> None:
    async with door(store, client(EHR, tmp_path)) as one, door(store, client(EHR, tmp_path)) as two:
        form = EHR.form(EHR.signed(EHR.claims(TOKEN_URL, NOON)), "system/Task.rs")
        answers = await asyncio.gather(one.token(form), two.token(form))
        assert sorted(answer.status_code for answer in answers) == [200, 401]
        token = next(answer.json()["access_token"] for answer in answers if answer.is_success)
        for gateway in (one, two):
            assert (await gateway.get("/fhir/Task", token)).status_code == 200
            refused(await gateway.token(form), "invalid_client")
    async with door(store, client(EHR, tmp_path)) as restarted:
        assert (await restarted.get("/fhir/Task", token)).status_code == 200
        refused(await restarted.token(form), "invalid_client")


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "system/Task.cruds",
        "system/*.rs",
        "system/*.*",
        "system/Task.write",
        "system/Task.rs system/Claim.c",
        "system/Patient.r",
        "patient/Task.rs",
        "user/Task.rs",
        "system/Task.rs?owner=1",
        "system/Task.sr",
        "openid",
        "launch/patient system/Task.rs",
    ],
)
async def test_a_scope_beyond_what_was_registered_is_refused(ehr: Door, scope: str) -> None:
    refused(await ehr.granted(EHR, scope), "invalid_scope", 400)


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("system/Task.rs", "system/Task.rs"),
        ("system/Task.r", "system/Task.r"),
        ("system/Task.read", "system/Task.rs"),
        ("system/Claim.rs system/Task.s", "system/Claim.rs system/Task.s"),
    ],
)
async def test_less_than_what_was_registered_is_granted_as_asked(ehr: Door, scope: str, granted: str) -> None:
    assert (await ehr.granted(EHR, scope)).json()["scope"] == granted


async def test_tokens_reach_as_far_as_role_and_scope_both_let_them(ehr: Door) -> None:
    reading = (await ehr.granted(EHR, "system/Task.r system/Claim.read")).json()["access_token"]
    assert (await ehr.get("/fhir/Task/1", reading)).status_code == 200
    beyond = await ehr.get("/fhir/Task", reading)
    assert beyond.status_code == 403
    assert 'error="insufficient_scope", scope="system/Task.s"' in beyond.headers["WWW-Authenticate"]
    assert (await ehr.get("/api/queries", reading)).status_code == 403, "no scope opens what is not FHIR"
    feed = (await ehr.granted(OTHER, "system/Task.rs")).json()["access_token"]
    assert (await ehr.get("/fhir/Task", feed)).status_code == 403, "the scope is there, the role's permission is not"
    writing = await ehr.http.post(
        "/fhir/Claim", content=b"{}", headers={"Authorization": f"Bearer {feed}", "Content-Type": "application/json"}
    )
    assert writing.status_code == 403, "the role's permission is there, the scope is not"


async def test_a_client_that_is_taken_out_has_no_token_any_more(ehr: Door, tmp_path: Path) -> None:
    token = (await ehr.granted(EHR, "system/Task.rs")).json()["access_token"]
    ehr.reload(client(EHR, tmp_path, ("system/Task.r",)))
    assert (await ehr.get("/fhir/Task/1", token)).status_code == 200
    assert (await ehr.get("/fhir/Task", token)).status_code == 403, "what it is registered for by now counts"
    ehr.reload()
    assert (await ehr.get("/fhir/Task/1", token)).status_code == 401
    refused(await ehr.granted(EHR, "system/Task.r"), "invalid_client")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "unsupported_grant_type"),
        ({"grant_type": GONE}, "invalid_request"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, "invalid_request"),
        ({"client_assertion_type": GONE}, "invalid_request"),
        ({"client_assertion": GONE}, "invalid_request"),
        ({"scope": GONE}, "invalid_scope"),
    ],
)
async def test_what_is_asked_wrongly_is_told_in_oauth_s_words(ehr: Door, changes: dict[str, Any], error: str) -> None:
    form = {**EHR.form(EHR.signed(EHR.claims(TOKEN_URL, NOON)), "system/Task.rs"), **changes}
    refused(await ehr.token({name: value for name, value in form.items() if value is not GONE}), error, 400)


async def test_a_client_id_beside_the_assertion_must_be_the_same(ehr: Door) -> None:
    def form(name: str) -> dict[str, str]:
        return {**EHR.form(EHR.signed(EHR.claims(TOKEN_URL, NOON)), "system/Task.rs"), "client_id": name}

    assert (await ehr.token(form("ehr"))).status_code == 200
    refused(await ehr.token(form("other")), "invalid_client")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"grant_type=client_credentials&grant_type=client_credentials", {}, 400),
        (b"&".join(b"a%d=1" % n for n in range(40)), {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"", {}, 400),
        (b"x" * 20_000, {}, 413),
        (b"{}", {"Content-Type": "application/json"}, 415),
    ],
)
async def test_a_form_has_limits(ehr: Door, body: bytes, headers: dict[str, str], status: int) -> None:
    refused(await ehr.token(body, **headers), "invalid_request", status)


async def test_failures_are_limited_by_whom_they_name(ehr: Door) -> None:
    bad = EHR.form(EHR.signed(EHR.claims(TOKEN_URL, NOON), key=ec_key(which=1)), "system/Task.rs")
    for _ in range(MOST):
        refused(await ehr.token(bad), "invalid_client")
    answer = await ehr.token(bad)
    refused(answer, "slow_down", 429)
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert (await ehr.granted(EHR)).status_code == 429
    assert (await ehr.granted(OTHER)).status_code == 200, "nobody locks others out"
    ehr.clock.pass_(seconds=int(answer.headers["Retry-After"]))
    assert (await ehr.granted(EHR)).status_code == 200


async def test_the_host_header_decides_nothing(store: Store, tmp_path: Path) -> None:
    """An assertion that was made out to somebody else is not taken because the request names them."""
    elsewhere = "https://elsewhere.example/oauth/token"
    async with door(store, client(EHR, tmp_path), base=None) as one:
        form = EHR.form(EHR.signed(EHR.claims(elsewhere, NOON)), "system/Task.rs")
        refused(await one.token(form, Host="elsewhere.example"), "invalid_client")
        found = (await one.http.get("/fhir/.well-known/smart-configuration", headers={"Host": "elsewhere"})).json()
        assert found["token_endpoint"] == f"{str(one.http.base_url).rstrip('/')}/oauth/token"
        mine = EHR.form(EHR.signed(EHR.claims(found["token_endpoint"], NOON)), "system/Task.rs")
        assert (await one.token(mine)).status_code == 200


async def test_discovery_says_where_to_go(ehr: Door) -> None:
    answer = await ehr.http.get("/fhir/.well-known/smart-configuration")
    assert answer.headers["Content-Type"] == "application/json"
    said = answer.json()
    assert said["token_endpoint"] == TOKEN_URL
    assert said["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert set(said["token_endpoint_auth_signing_alg_values_supported"]) == {"RS384", "ES384"}
    assert said["grant_types_supported"] == ["client_credentials"]
    assert {"client-confidential-asymmetric", "permission-v1", "permission-v2"} <= set(said["capabilities"])
    assert (await ehr.http.get("/oauth/jwks")).json() == {"keys": []}


async def test_unknown_tokens_are_nobody_s(ehr: Door) -> None:
    for token in (b"x", b"x" * 43, b"x" * 400, b"\xc3\xa9", b"\xff"):
        answer = await ehr.http.get("/fhir/Task", headers=[(b"Authorization", b"Bearer " + token)])
        assert answer.status_code == 401


async def test_a_token_is_kept_as_a_digest_and_let_go_when_it_has_expired(ehr: Door, store: Store) -> None:
    token = (await ehr.granted(EHR)).json()["access_token"]
    digest = hashlib.sha256(token.encode()).digest()
    kept = await store.access_token(digest)
    assert kept is not None
    assert token.encode() not in repr(kept).encode()
    ehr.clock.pass_(minutes=16)
    await ehr.entry.granting.forget()
    assert await store.access_token(digest) is None
    again = EHR.signed(EHR.claims(TOKEN_URL, ehr.clock.now()))
    assert (await ehr.token(EHR.form(again, "system/Task.rs"))).status_code == 200


async def test_a_store_that_fails_gives_no_token_and_lets_nobody_in(ehr: Door, store: Store) -> None:
    token = (await ehr.granted(EHR)).json()["access_token"]
    ehr.reload(*ehr.config.clients)
    await store.close()
    refused(await ehr.granted(EHR), "temporarily_unavailable", 503)
    answer = await ehr.get("/fhir/Task", token)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


async def test_checking_costs_little(ehr: Door) -> None:
    """A refused assertion must not be a way to keep the gateway busy."""
    form = EHR.form(EHR.signed(EHR.claims(TOKEN_URL, NOON), key=ec_key(which=1)), "system/Task.rs")
    began = time.perf_counter()
    for _ in range(MOST):
        await ehr.token(form)
    assert time.perf_counter() - began < 2
