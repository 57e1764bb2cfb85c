"""Alerts over HTTP: tried again when that may help, and nothing of the answer is trusted."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import orjson
import pytest
import respx
import tenacity

from gateway.adapters.webhook import Webhook, document
from gateway.alert import Alert, AlertName, AlertState
from gateway.config.upkeep import Alerts

URL = "https://alerts.example/hook"
ALERT = Alert(
    3, AlertName.DESTINATION_DOWN, "payer", AlertState.RAISED, datetime(2026, 11, 20, 18, tzinfo=UTC), "it fails"
)


async def tell(answers: list[httpx.Response | Exception], **settings: object) -> tuple[bool, respx.Route]:
    said = Alerts.model_validate({"webhook": URL, **settings})
    with respx.mock:
        route = respx.post(URL).mock(side_effect=answers)
        async with httpx.AsyncClient(trust_env=False) as client:
            taken = await Webhook(client, lambda: said, wait=tenacity.wait_none()).tell(ALERT)
    return taken, route


async def test_an_alert_is_posted_with_its_token() -> None:
    taken, route = await tell([httpx.Response(204)], token="a-token-0123456789")
    assert taken
    request = route.calls.last.request
    assert request.headers["Authorization"] == "Bearer a-token-0123456789"
    assert orjson.loads(request.content) == {
        "id": "3/destination-down/payer/raised/20261120T180000.000000Z",
        "alert": "destination-down",
        "subject": "payer",
        "state": "raised",
        "since": "2026-11-20T18:00:00Z",
        "text": "it fails",
        "node": 3,
    }


@pytest.mark.parametrize("first", [httpx.Response(503), httpx.Response(429), httpx.ConnectError("no"), OSError("no")])
async def test_what_may_pass_is_tried_again(first: httpx.Response | Exception) -> None:
    taken, route = await tell([first, httpx.Response(200)])
    assert (taken, route.call_count) == (True, 2)


async def test_it_gives_up_after_three_tries() -> None:
    taken, route = await tell([httpx.Response(500)] * 5)
    assert (taken, route.call_count) == (False, 3)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404])
async def test_what_is_refused_is_not_tried_again_at_once(status: int) -> None:
    elsewhere = {"Location": "http://127.0.0.1/secrets"}
    taken, route = await tell([httpx.Response(status, headers=elsewhere)] * 3)
    assert (taken, route.call_count) == (False, 1)


async def test_without_an_address_nothing_is_sent() -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        assert not await Webhook(client, Alerts).tell(ALERT)


@pytest.mark.parametrize(
    "url", ["http://alerts.example/", "ftp://x/", "https://user:secret@alerts.example/", "alerts.example", "https://"]
)
def test_an_address_that_would_not_do_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        Alerts.model_validate({"webhook": url})


def test_two_states_have_two_ids() -> None:
    other = Alert(3, ALERT.name, "payer", AlertState.OK, ALERT.since, "it answers")
    assert document(ALERT)["id"] != document(other)["id"]
