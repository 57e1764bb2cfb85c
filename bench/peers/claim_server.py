"""`POST /fhir/Claim`, three ways: the whole gateway, which keeps and acknowledges (nothing is processed); the same with
fhir.resources in the request's way; and bare aiohttp, which answers 201 and stores nothing.

`python -m bench.peers.claim_server gateway|validating|bare|bare-uvloop DIRECTORY`
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
from aiohttp import web

from gateway.adapters.http.exchange import Answer, Call
from gateway.app import Gateway, tune_collector
from gateway.logs import configure
from gateway.loop import run
from gateway.settings import load

TOKEN = "benchmark-token-0123456789"  # noqa: S105 - of a server that lives for some seconds

_CONFIGURATION = """\
store: sqlite:///gateway.db
http: {listen: "127.0.0.1:0"}
clients:
  - {name: bench, roles: [feed], token_env: BENCH_TOKEN}
destinations:
  - {name: clearinghouse, kind: x12-file, directory: out}
review: policy.yaml
audit: {key_file: audit.key, anchor: seals.ndjson}
processing: {high_water: 100000000}
"""
_POLICY = Path(__file__).parents[1] / "policy.yaml"


async def gateway(directory: Path, *, validating: bool) -> int:
    """Start it; its port."""
    configure()
    (directory / "gateway.yaml").write_text(_CONFIGURATION)
    (directory / "policy.yaml").write_text(_POLICY.read_text())
    serving = Gateway(load(directory / "gateway.yaml", {"BENCH_TOKEN": TOKEN}))
    await serving.start(processing=False)
    if validating:
        _validate_in_the_way(serving)
    tune_collector()  # as `gateway serve` does
    return serving.http[1]


def _validate_in_the_way(serving: Gateway) -> None:
    """What most facades do: the models read the resource before it is kept, and write what is answered."""
    from fhir.resources.R4B.claim import Claim

    route = serving.server.table.match("POST", "/fhir/Claim").route
    handler = route.handler

    async def validated(call: Call) -> Answer:
        claim = Claim.model_validate(orjson.loads(call.body))
        answer = await handler(call)
        return Answer(answer.status, claim.model_dump_json().encode(), answer.content_type, answer.headers)

    object.__setattr__(route, "handler", validated)


async def bare() -> int:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=201, body=await request.read(), content_type="application/fhir+json")

    app = web.Application()
    app.router.add_post("/fhir/Claim", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tune_collector()
    return int(runner.addresses[0][1])


async def main(kind: str, directory: Path) -> None:
    port = await (bare() if kind.startswith("bare") else gateway(directory, validating=kind == "validating"))
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    # The bare peer as aiohttp comes, and once more on the gateway's own loop.
    runs = asyncio.run if sys.argv[1] == "bare" else run
    runs(main(sys.argv[1], Path(sys.argv[2])))
