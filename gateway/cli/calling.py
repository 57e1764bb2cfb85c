"""Calls to a running gateway, each with a token, so that the audit trail names who acted."""

from __future__ import annotations

import os
from typing import Any

import httpx

from gateway.cli.options import fail

TIMEOUT_SECONDS = 30.0
TOKEN = "GATEWAY_TOKEN"  # noqa: S105 - the name of the variable, not its value

Query = dict[str, str]


def call(url: str, method: str, path: str, body: object | None = None, query: Query | None = None) -> Any:
    """The answer's JSON. Ends the command when the gateway refuses or cannot be reached."""
    return _answered(url, method, path, body, query).json()


def fetch(url: str, path: str) -> bytes:
    """The answer's bytes; ends the command as `call` does."""
    return _answered(url, "GET", path, None, None).content


def _answered(url: str, method: str, path: str, body: object | None, query: Query | None) -> httpx.Response:
    token = os.environ.get(TOKEN)
    if not token:
        fail(f"set {TOKEN} to your token: who acts is written in the audit trail", 2)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=TIMEOUT_SECONDS) as client:
            answer = client.request(method, path, json=body, params=query, headers=headers)
    except httpx.HTTPError as error:
        fail(f"{url}: no answer ({type(error).__name__}); is the gateway running there?")
    if answer.is_error:
        fail(f"{answer.status_code}: {_reason(answer)}")
    return answer


def _reason(answer: httpx.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(told.get("detail") or told.get("title") or told)
