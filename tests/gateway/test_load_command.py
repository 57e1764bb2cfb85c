"""`gateway load`: files of FHIR resources into a gateway that runs, once each, whatever is repeated."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
import respx
from gateway_world import FEED, TOKENS, World, running
from typer.testing import CliRunner, Result

from gateway.access.roles import Role
from gateway.cli.commands import app
from gateway.cli.load_batches import LONGEST_WAIT, MEDIA_TYPE, NotLoaded, Sender, Tally, batches
from gateway.cli.load_files import Unread, found, resources

BASE = "http://gateway.example/fhir"


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path, processing=False, high_water=100_000) as one:
        yield one


async def load(world: World, *words: str | Path, token: str | None = TOKENS[Role.FEED]) -> Result:
    environment: dict[str, str | None] = {"GATEWAY_TOKEN": token, "GATEWAY_URL": world.url}
    return await asyncio.to_thread(CliRunner().invoke, app, ["load", *map(str, words)], env=environment)


def patient(number: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": "Doe"}], **more}


def write(path: Path, *lines: object) -> Path:
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines) + b"\n")
    return path


def transaction() -> dict[str, Any]:
    """As Synthea writes them: `urn:uuid:` names, POST requests, types that no bill needs."""
    named = {kind: f"urn:uuid:0000-{kind.lower()}" for kind in ("Patient", "Encounter", "Observation")}
    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "identifier": [{"system": "urn:hospital:main:vn", "value": "V77"}],
        "subject": {"reference": named["Patient"]},
    }
    observation = {"resourceType": "Observation", "subject": {"reference": named["Patient"]}}
    held = {"Observation": observation, "Encounter": encounter, "Patient": patient(1, id=None)}
    del held["Patient"]["id"]
    entries = [
        {"fullUrl": named[kind], "resource": one, "request": {"method": "POST", "url": kind}}
        for kind, one in held.items()
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def counted(world: World) -> Counter[str]:
    kept = await world.messages(feed=FEED)
    return Counter(message.type.partition(" ")[2].partition("/")[0] for message in kept)


async def test_a_transaction_of_another_program_is_taken_apart(world: World, tmp_path: Path) -> None:
    file = write(tmp_path / "bundle.json", transaction())
    told = await load(world, file)
    assert told.exit_code == 0, told.output
    assert [line.split() for line in told.stdout.splitlines() if line.startswith(("Enc", "Obs", "Pat", "all"))] == [
        ["Encounter", "1", "0", "0"],
        ["Observation", "0", "0", "1"],
        ["Patient", "1", "0", "0"],
        ["all", "2", "0", "1"],
    ]
    encounter = (await world.http(Role.FEED).get("/fhir/Encounter/e1")).json()
    assert encounter["subject"]["reference"] == "Patient/0000-patient"
    assert (await world.http(Role.FEED).get("/fhir/Patient/0000-patient")).status_code == 200


async def test_directories_bundles_and_lines_are_loaded_in_their_order_and_again_for_nothing(
    world: World, tmp_path: Path
) -> None:
    below = tmp_path / "files"
    below.mkdir()
    write(below / "a.ndjson", *({**transaction()["entry"][1]["resource"], "id": f"e{n}"} for n in range(3)))
    write(below / "b.ndjson", *(patient(n) for n in range(7)))
    write(below / "c.json", patient(9))
    (below / "notes.txt").write_text("not a resource")
    told = await load(world, below, "--batch", "2")
    assert told.exit_code == 0, told.output
    assert told.stderr.splitlines()[:2] == ["b.ndjson: 7 resources", "a.ndjson: 3 resources"]
    first = await counted(world)
    assert (first["Patient"], first["Encounter"]) == (8, 3)
    again = await load(world, below, "--batch", "2")
    assert (again.exit_code, await counted(world)) == (0, first)


async def test_what_is_refused_is_told_with_its_reason(world: World, tmp_path: Path) -> None:
    encounter = transaction()["entry"][1]["resource"]
    bad = {name: value for name, value in encounter.items() if name != "status"}
    file = tmp_path / "lines.ndjson"
    write(file, {**encounter, "id": "good"}, {**bad, "id": "bad"})
    with file.open("ab") as more:
        more.write(b"{no json\n")
    told = await load(world, file)
    assert told.exit_code == 1
    assert "1 Encounter refused: required status is required" in told.stderr
    assert "lines.ndjson:3: the body is not well-formed JSON" in told.stderr
    assert (await world.http(Role.FEED).get("/fhir/Encounter/good")).status_code == 200


@pytest.mark.parametrize(
    ("token", "status", "said"),
    [(None, 2, "GATEWAY_TOKEN"), ("wrong-token-0123456789", 3, "401"), (TOKENS[Role.CODER], 3, "403")],
)
async def test_without_the_right_it_ends_at_once(
    world: World, tmp_path: Path, token: str | None, status: int, said: str
) -> None:
    told = await load(world, write(tmp_path / "one.json", patient(1)), token=token)
    assert told.exit_code == status
    assert said in told.stderr


async def test_a_file_that_is_not_there_and_none_at_all_are_told(world: World, tmp_path: Path) -> None:
    assert (await load(world, tmp_path / "none.json")).exit_code == 2
    told = await load(world, tmp_path / "dialects")
    assert (told.exit_code, told.stderr.strip()) == (2, "there is no .json, .ndjson or .jsonl file")


@pytest.mark.parametrize("patients", [2, pytest.param(None, marks=pytest.mark.soak)])
async def test_synthea_s_patients_load(world: World, tmp_path: Path, shared_data: Path, patients: int | None) -> None:
    files = shared_data / "fhir" / "synthea-10-patients"
    if patients is not None:
        files = _some_of(files, tmp_path / "some", patients)
    expected = Counter(_kinds(files))
    told = await load(world, files)
    assert told.exit_code == 0, told.output
    kept = await counted(world)
    del kept["Bundle"]
    assert kept == expected


def _kinds(files: Path) -> list[str]:
    lines = [line for file in sorted(files.iterdir()) for line in file.read_bytes().splitlines() if line]
    return [orjson.loads(line)["resourceType"] for line in lines]


def _some_of(files: Path, to: Path, count: int) -> Path:
    """The smallest patients' files, with all organizations and practitioners."""
    to.mkdir()
    lines = {file.name: file.read_bytes().splitlines() for file in files.iterdir()}
    names = [orjson.loads(line)["id"] for line in lines["Patient.000.ndjson"]]
    documents = b"\n".join(lines["DocumentReference.000.ndjson"])
    chosen = sorted(names, key=lambda name: documents.count(name.encode()))[:count]
    for name, content in lines.items():
        of_all = name.startswith(("Org", "Prac"))
        wanted = [line for line in content if of_all or any(one.encode() in line for one in chosen)]
        (to / name).write_bytes(b"\n".join(wanted) + b"\n")
    return to


# Files


def test_a_resource_without_an_id_gets_the_same_one_each_time(tmp_path: Path) -> None:
    file = write(tmp_path / "one.json", {"resourceType": "Patient", "active": True})
    first, again = list(resources(file)), list(resources(file))
    assert first == again
    assert isinstance(first[0], dict)
    assert len(first[0]["id"]) == 40


def test_what_others_refer_to_comes_first(tmp_path: Path) -> None:
    names = [f"{kind}.ndjson" for kind in ("Claim", "Encounter", "Patient", "Organization")]
    for name in names:
        write(tmp_path / name, {"resourceType": name.partition(".")[0], "id": "1"})
    assert [file.path.name for file in found([tmp_path])] == names[::-1]


def test_an_unreadable_line_is_one_and_the_others_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(
        b'{"resourceType": "Patient", "id": "1"}\n\n[]\n{"a": NaN}\n{"resourceType": "Patient", "id": "2"}'
    )
    read = list(resources(file))
    assert [type(one) for one in read] == [dict, Unread, Unread, dict]
    assert [one.place for one in read if isinstance(one, Unread)] == ["a.ndjson:3", "a.ndjson:4"]


def test_lots_are_bounded_by_count_and_size() -> None:
    assert [len(lot) for lot, _ in batches([patient(n) for n in range(7)], 3)] == [3, 3, 1]
    large = [patient(n, text={"div": "x" * 3_000_000}) for n in range(3)]
    assert [len(lot) for lot, _ in batches(large, 100)] == [1, 1, 1]


# Gateways in trouble


def _accepted(request: httpx.Request) -> httpx.Response:
    sent = json.loads(request.content)["entry"]
    return httpx.Response(200, json={"entry": [{"response": {"status": "201 Created"}} for _ in sent]})


def test_a_gateway_that_is_busy_is_waited_for_with_the_same_request(respx_mock: respx.MockRouter) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "7"})
    route = respx_mock.post(BASE).mock(side_effect=[busy, httpx.ConnectError("gone"), _accepted])
    slept: list[float] = []
    tally = Tally()
    Sender(httpx.Client(), BASE, slept.append, lambda: 1.0).send([patient(1)], tally)
    assert slept == [7.0, 1.0]
    assert len({call.request.headers["X-Request-Id"] for call in route.calls}) == 1
    assert route.calls[0].request.headers["Content-Type"] == MEDIA_TYPE
    assert tally.accepted == {"Patient": 1}


def test_a_gateway_that_has_much_to_process_is_waited_for_patiently(respx_mock: respx.MockRouter) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "5"})
    respx_mock.post(BASE).mock(side_effect=[*[busy] * 50, _accepted])
    slept: list[float] = []
    Sender(httpx.Client(), BASE, slept.append, lambda: 1.0).send([patient(1)], Tally())
    assert len(slept) == 50
    assert max(slept) <= LONGEST_WAIT


def test_a_gateway_that_stays_away_ends_the_load(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(BASE).mock(return_value=httpx.Response(502))
    with pytest.raises(NotLoaded, match=r"502.*Run the same command again"):
        Sender(httpx.Client(), BASE, lambda _: None).send([patient(1)], Tally())


def test_a_lot_that_is_too_large_is_halved(respx_mock: respx.MockRouter) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(413) if len(json.loads(request.content)["entry"]) > 2 else _accepted(request)

    respx_mock.post(BASE).mock(side_effect=answer)
    tally = Tally()
    Sender(httpx.Client(), BASE).send([patient(n) for n in range(5)], tally)
    assert tally.accepted == {"Patient": 5}


def test_what_is_no_gateway_is_told(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(BASE).mock(return_value=httpx.Response(200, html="<p>hello</p>"))
    with pytest.raises(NotLoaded, match="is this a gateway"):
        Sender(httpx.Client(), BASE).send([patient(1)], Tally())
