"""A billing endpoint to try deliveries against: a FHIR server that takes Claims, over real HTTP, and can misbehave.

    async with BillingEndpoint(script=[Behaviour.STORE_AND_DROP]) as peer:
        ...  # POST to peer.url

Each request consumes one step of the script; with none left it behaves. `python -m conformance.billing_endpoint` runs
it alone.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web

MEDIA_TYPE = "application/fhir+json"
MAX_BODY = 16 * 1024 * 1024


class Behaviour(StrEnum):
    """What the endpoint does with one request."""

    TAKE = "take"
    REFUSE = "refuse"
    """422 with an OperationOutcome; nothing is stored."""
    UNAUTHORIZED = "unauthorized"
    BUSY = "busy"
    """429 with Retry-After; nothing is stored."""
    ERROR = "error"
    """500; nothing is stored."""
    STORE_AND_ERROR = "store-and-error"
    """500 though the claim was stored."""
    UNAVAILABLE = "unavailable"
    """503 with Retry-After; nothing is stored."""
    DROP = "drop"
    """The connection ends without an answer; nothing is stored."""
    STORE_AND_DROP = "store-and-drop"
    """The connection ends without an answer though the claim was stored."""
    CUT_ANSWER = "cut-answer"
    """The claim is stored, and the connection ends in the middle of the status line."""
    STORE_AND_HANG = "store-and-hang"
    """The claim is stored and no answer ever comes, until the endpoint is released."""
    SLOW = "slow"
    """The claim is taken, and the answer comes after `slow_seconds`."""


STORES = frozenset(
    {
        Behaviour.TAKE,
        Behaviour.STORE_AND_ERROR,
        Behaviour.STORE_AND_DROP,
        Behaviour.CUT_ANSWER,
        Behaviour.STORE_AND_HANG,
        Behaviour.SLOW,
    }
)

ANSWERS: dict[Behaviour, tuple[int, str, dict[str, str]]] = {
    Behaviour.REFUSE: (422, "business-rule", {}),
    Behaviour.UNAUTHORIZED: (401, "login", {}),
    Behaviour.BUSY: (429, "throttled", {"Retry-After": "7"}),
    Behaviour.ERROR: (500, "exception", {}),
    Behaviour.STORE_AND_ERROR: (500, "exception", {}),
    Behaviour.UNAVAILABLE: (503, "transient", {"Retry-After": "9"}),
}
"""Behaviour -> status, the OperationOutcome's issue code, headers."""


@dataclass
class BillingEndpoint:
    """A server on a free port of loopback, started by `async with`.

    `deduplicates`: a request under a key that was stored before is answered as the first was, and stored no second
    time; with other bytes it is refused (422).
    """

    port: int = 0
    deduplicates: bool = True
    token: str | None = None
    script: Iterable[Behaviour] = ()
    slow_seconds: float = 0.05
    claims: list[dict[str, Any]] = field(default_factory=list)
    """Every claim stored, in order, its id included."""
    deliveries_by_key: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """Every request's bytes under its Idempotency-Key, whatever became of it."""

    def __post_init__(self) -> None:
        self._script = list(self.script)
        self._stored: dict[str, tuple[str, bytes]] = {}
        self._let_go = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir/Claim"

    def then(self, *behaviours: Behaviour) -> None:
        """Add to the script."""
        self._script.extend(behaviours)

    async def __aenter__(self) -> BillingEndpoint:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/fhir/Claim", self._post)
        app.router.add_get("/fhir/Claim", self._list)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._let_go.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _outcome(401, "login")
        key = request.headers.get("Idempotency-Key", "")
        body = await request.read()
        self.deliveries_by_key[key].append(body)
        behaviour = self._script.pop(0) if self._script else Behaviour.TAKE
        if behaviour not in STORES:
            return await self._answer(request, behaviour, "")
        known = self._stored.get(key) if self.deduplicates else None
        if known is not None and known[1] != hashlib.sha256(body).digest():
            return _outcome(422, "duplicate")
        id = known[0] if known else self._store(key, body)
        return _outcome(400, "structure") if id is None else await self._answer(request, behaviour, id)

    def _store(self, key: str, body: bytes) -> str | None:
        """The stored claim's id; None when the body is no Claim."""
        try:
            claim = json.loads(body)
        except ValueError:
            return None
        if not isinstance(claim, dict) or claim.get("resourceType") != "Claim":
            return None
        id = f"c{len(self.claims) + 1}"
        self.claims.append({**claim, "id": id})
        self._stored[key] = (id, hashlib.sha256(body).digest())
        return id

    async def _answer(self, request: web.Request, behaviour: Behaviour, id: str) -> web.StreamResponse:
        if behaviour in ANSWERS:
            status, code, headers = ANSWERS[behaviour]
            return _outcome(status, code, headers)
        if behaviour is Behaviour.STORE_AND_HANG:
            await self._let_go.wait()
        if behaviour is Behaviour.SLOW:
            await asyncio.sleep(self.slow_seconds)
        if behaviour is Behaviour.CUT_ANSWER and request.transport is not None:
            request.transport.write(b"HTTP/1.1 20")
        if (
            behaviour in (Behaviour.DROP, Behaviour.STORE_AND_DROP, Behaviour.CUT_ANSWER)
            and request.transport is not None
        ):
            request.transport.close()
        return web.Response(status=201, headers={"Location": f"/fhir/Claim/{id}/_history/1"})

    async def _list(self, request: web.Request) -> web.Response:
        entries = [{"resource": claim} for claim in self.claims]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
        return web.json_response(bundle, content_type=MEDIA_TYPE)


def _outcome(status: int, code: str, headers: dict[str, str] | None = None) -> web.Response:
    """An OperationOutcome, with a text such as real servers give: one that quotes the patient."""
    issue = {
        "severity": "error",
        "code": code,
        "diagnostics": "Claim for Zebediah Canary, born 1950-01-01, was not taken",
        "expression": ["Claim.item[0]"],
    }
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    return web.json_response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


async def _serve(port: int, deduplicates: bool, token: str | None) -> None:
    async with BillingEndpoint(port=port, deduplicates=deduplicates, token=token) as peer:
        print(f"billing endpoint at {peer.url}", flush=True)  # noqa: T201
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A FHIR billing endpoint that stores the Claims it is sent")
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--no-deduplication", action="store_true", help="store a repeated Idempotency-Key again")
    parser.add_argument("--token", help="the bearer token to ask for")
    chosen = parser.parse_args()
    try:
        asyncio.run(_serve(chosen.port, not chosen.no_deduplication, chosen.token))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
