"""The FHIR destination: what each answer, and each silence, is taken to mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
import respx

from gateway.adapters.fhir_claim import STATUSES, FhirClaimDestination, shared_client
from gateway.adapters.retry_after import retry_after
from gateway.config.model import FhirClaim
from gateway.release.model import Outcome, Result

URL = "https://payer.test/fhir/Claim"
NOW = datetime(2025, 3, 6, 12, tzinfo=UTC)
CLAIM = b'{"resourceType":"Claim"}'


async def _quickly(seconds: float) -> None:
    return None


def destination(client: httpx.AsyncClient, **settings: object) -> FhirClaimDestination:
    given = {"name": "payer-fhir", "kind": "fhir-claim", "url": URL, "token": "SECRET", **settings}
    return FhirClaimDestination(FhirClaim.model_validate(given), client, now=lambda: NOW, sleep=_quickly)


async def sent(**settings: object) -> Outcome:
    async with shared_client() as client:
        return await destination(client, **settings).send("C1-1", CLAIM, False)


@respx.mock
async def test_the_request_carries_key_token_type_and_the_exact_bytes() -> None:
    route = respx.post(URL).respond(201, headers={"Location": "https://payer.test/fhir/Claim/77/_history/1"})
    outcome = await sent()
    request = route.calls.last.request
    assert request.headers["idempotency-key"] == "C1-1"
    assert request.headers["authorization"] == "Bearer SECRET"
    assert request.headers["content-type"] == "application/fhir+json"
    assert request.content == CLAIM
    assert (outcome.result, outcome.reference) == (Result.ACCEPTED, "Claim/77")


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result.ACCEPTED),
        (201, Result.ACCEPTED),
        (202, Result.SENT),
        (206, Result.UNKNOWN),
        (303, Result.UNKNOWN),
        (307, Result.NOT_SENT),
        (400, Result.REJECTED),
        (401, Result.NOT_SENT),
        (403, Result.NOT_SENT),
        (404, Result.NOT_SENT),
        (408, Result.UNKNOWN),
        (412, Result.REJECTED),
        (418, Result.REJECTED),
        (422, Result.REJECTED),
        (429, Result.NOT_SENT),
        (500, Result.UNKNOWN),
        (502, Result.UNKNOWN),
        (503, Result.UNKNOWN),
        (504, Result.UNKNOWN),
    ],
)
@respx.mock
async def test_a_status_means_what_the_table_says(status: int, result: Result) -> None:
    respx.post(URL).respond(status)
    outcome = await sent()
    assert outcome.result is result
    assert str(status) in outcome.text


@pytest.mark.parametrize(("idempotent", "result"), [(True, Result.UNKNOWN), (False, Result.REJECTED)])
@respx.mock
async def test_a_conflict_is_an_attempt_in_progress_where_keys_are_honoured(idempotent: bool, result: Result) -> None:
    respx.post(URL).respond(409)
    assert (await sent(idempotent=idempotent)).result is result


def test_no_server_error_is_taken_for_a_refusal() -> None:
    assert not [status for status in STATUSES if status >= 500]


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (httpx.ConnectError, Result.NOT_SENT),
        (httpx.ConnectTimeout, Result.NOT_SENT),
        (httpx.PoolTimeout, Result.NOT_SENT),
        (httpx.WriteError, Result.UNKNOWN),
        (httpx.WriteTimeout, Result.UNKNOWN),
        (httpx.ReadTimeout, Result.UNKNOWN),
        (httpx.ReadError, Result.UNKNOWN),
        (httpx.RemoteProtocolError, Result.UNKNOWN),
    ],
)
@respx.mock
async def test_only_a_connection_never_made_is_not_sent_and_tried_again(
    fault: type[httpx.HTTPError], result: Result
) -> None:
    route = respx.post(URL).mock(side_effect=fault("Zebediah Canary"))
    outcome = await sent()
    assert outcome.result is result
    assert route.call_count == (3 if result is Result.NOT_SENT else 1)
    assert "Canary" not in outcome.text


@respx.mock
async def test_a_connection_that_comes_back_is_used() -> None:
    respx.post(URL).mock(side_effect=[httpx.ConnectError("away"), httpx.Response(201)])
    assert (await sent()).result is Result.ACCEPTED


@respx.mock
async def test_a_refusal_tells_codes_and_places_and_nothing_of_the_patient() -> None:
    issue = {
        "severity": "error",
        "code": "business-rule",
        "diagnostics": "Zebediah Canary is unknown",
        "details": {"text": "Canary"},
        "expression": ["Claim.item[0].net", "Claim where name = 'Canary'"],
    }
    body = {"resourceType": "OperationOutcome", "issue": [issue, "nonsense", {"code": "NOT A CODE: Canary"}]}
    respx.post(URL).respond(422, json=body)
    outcome = await sent()
    assert outcome.text == "422 refused by its rules; error business-rule Claim.item[0].net"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"issue": 5}', b"\xff", b"[" * 100_000, b"x" * (1 << 21)])
@respx.mock
async def test_whatever_stands_in_a_refusal_it_is_a_refusal(body: bytes) -> None:
    respx.post(URL).respond(422, content=body)
    assert (await sent()).result is Result.REJECTED


@respx.mock
async def test_a_location_that_is_no_resource_is_not_kept() -> None:
    respx.post(URL).respond(201, headers={"Location": "https://evil.test/?name=Canary"})
    assert (await sent()).reference is None


@respx.mock
async def test_no_redirect_is_followed_and_the_token_goes_nowhere() -> None:
    elsewhere = respx.post("https://elsewhere.test/")
    respx.post(URL).respond(307, headers={"Location": "https://elsewhere.test/"})
    assert (await sent()).result is Result.NOT_SENT
    assert not elsewhere.called


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 06 Mar 2025 12:01:30 GMT", 90.0),
        ("Thu, 06 Mar 2025 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("Fri, 31 Dec 9999 23:59:59 +99999999999999999999", None),
        (None, None),
    ],
)
def test_retry_after_in_both_its_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@respx.mock
async def test_a_pause_that_is_asked_for_is_told() -> None:
    respx.post(URL).respond(503, headers={"Retry-After": "9"})
    assert (await sent()).retry_after == 9.0


async def test_a_resend_is_safe_within_the_window_of_an_endpoint_that_honours_keys() -> None:
    async with shared_client() as client:
        keeps, forgets = destination(client, window_hours=2), destination(client, idempotent=False)
        assert keeps.resend_safe(NOW, NOW + timedelta(minutes=119))
        assert not keeps.resend_safe(NOW, NOW + timedelta(minutes=121))
        assert not forgets.resend_safe(NOW, NOW)
        assert await keeps.inquire("C1-1", CLAIM) is None


def test_the_client_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    client = shared_client()
    assert client.trust_env is False
    assert client.follow_redirects is False
