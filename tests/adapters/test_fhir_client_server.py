"""What both clients of FHIR servers rely on: how a request is written, and when an answer is given up."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from gateway.adapters.fhir_client import Compressed, FhirServer, Limits, TooLarge, origin_of, version_told

BASE = "https://ehr.test/fhir/"
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
LARGEST = 64


class Parts(httpx.AsyncByteStream):
    """A content that tells how many of its parts were taken."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            self.taken += 1
            yield part

    async def aclose(self) -> None:
        self.closed = True


def answered(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    """As it comes from a wire: not read yet."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, stream=Parts(body))


def server(answer: Callable[[httpx.Request], Any], **more: Any) -> FhirServer:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True)
    limits = Limits(step_seconds=5, whole_seconds=more.pop("whole_seconds", 5), connect_seconds=1, answer=LARGEST)
    return FhirServer(BASE, client, limits, now=lambda: NOW, **more)


async def test_a_request_says_who_asks_and_what_it_takes() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answered(200, b"{}", etag='W/"7"')

    ehr = server(answer, token="secret-token")
    resource = {"resourceType": "Task", "status": "requested"}
    response, body = await ehr.exchange("PUT", ehr.address("Task/7"), headers={"If-Match": 'W/"6"'}, resource=resource)
    assert (body, version_told(response)) == (b"{}", "7")
    sent = seen[0]
    assert (sent.method, str(sent.url)) == ("PUT", "https://ehr.test/fhir/Task/7")
    assert sent.headers["authorization"] == "Bearer secret-token"
    assert sent.headers["accept"] == sent.headers["content-type"] == "application/fhir+json"
    assert (sent.headers["accept-encoding"], sent.headers["if-match"]) == ("identity", 'W/"6"')
    assert json.loads(sent.content) == resource


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    ehr = server(lambda request: answered(302, location="https://other.test/"))
    response, _ = await ehr.exchange("GET", ehr.address("Task/7"))
    assert response.status_code == 302


async def test_an_answer_beyond_the_limit_is_given_up_on_the_way() -> None:
    content = Parts(b"x" * LARGEST, b"y", b"z")
    ehr = server(lambda request: httpx.Response(200, stream=content))
    with pytest.raises(TooLarge) as fault:
        await ehr.exchange("GET", ehr.address("Task"))
    assert (fault.value.status, content.taken, content.closed) == (200, 2, True)


async def test_a_refusal_s_content_is_read_only_where_it_is_wanted() -> None:
    content = Parts(b"x" * LARGEST, b"y")
    ehr = server(lambda request: httpx.Response(422, stream=content))
    response, body = await ehr.exchange("GET", ehr.address("Task"), refusals=False)
    assert (response.status_code, body, content.taken, content.closed) == (422, b"", 0, True)
    with pytest.raises(TooLarge):
        await ehr.exchange("GET", ehr.address("Task"))


@pytest.mark.parametrize("refusals", [True, False])
async def test_a_compressed_answer_is_given_up(refusals: bool) -> None:
    packed = gzip.compress(b"{}")
    ehr = server(lambda request: answered(404, packed, content_encoding="gzip"))
    with pytest.raises(Compressed) as fault:
        await ehr.exchange("GET", ehr.address("Task"), refusals=refusals)
    assert fault.value.status == 404


async def test_the_whole_exchange_has_its_time() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("never")

    ehr = server(answer, whole_seconds=0.01)
    with pytest.raises(TimeoutError):
        await ehr.exchange("GET", ehr.address("Task"))


@pytest.mark.parametrize(
    ("said", "seconds"), [("120", 120.0), ("Fri, 20 Nov 2026 18:01:00 GMT", 60.0), (None, None), ("soon", None)]
)
async def test_when_to_ask_again_is_told_in_seconds(said: str | None, seconds: float | None) -> None:
    ehr = server(lambda request: answered(503, b"", **({"retry_after": said} if said else {})))
    response, _ = await ehr.exchange("GET", ehr.address("Task"))
    assert ehr.retry_after(response) == seconds


async def test_closing_ends_the_authentication_and_not_the_client() -> None:
    class Auth(httpx.Auth):
        closed = False

        async def close(self) -> None:
            self.closed = True

    auth = Auth()
    ehr = server(lambda request: answered(200), auth=auth)
    await ehr.close()
    assert auth.closed
    response, _ = await ehr.exchange("GET", ehr.address("metadata"))
    assert response.is_success


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://EHR.test/fhir", "https://ehr.test:443/other", True),
        ("https://ehr.test/fhir", "http://ehr.test/fhir", False),
        ("https://ehr.test/fhir", "https://ehr.test:8443/fhir", False),
        ("https://ehr.test/fhir", "https://ehr.test:no/fhir", False),
        ("https://ehr.test@other.test/", "https://ehr.test/", False),
    ],
)
def test_origins_are_compared_by_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (origin_of(one) == origin_of(other)) is same
