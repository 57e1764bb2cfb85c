"""`gateway try`: what would happen, told without a trace."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from gateway_world import FEED, environment, running, today, write_configuration
from typer.testing import CliRunner
from visits import sent, stay

from conformance import day, ehr
from gateway.cli.commands import app

MESSAGES = Path(__file__).parents[2] / "fixtures" / "hl7v2"


def run(directory: Path, *words: str) -> Any:
    if not (directory / "gateway.yaml").exists():
        write_configuration(directory)
    around = {**environment(), "GATEWAY_CONFIG": str(directory / "gateway.yaml"), "COLUMNS": "300"}
    return CliRunner().invoke(app, ["try", *words], env=around)


def tried(directory: Path, *words: str, status: int = 0) -> dict[str, Any]:
    result = run(directory, "--json", *words)
    assert result.exit_code == status, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_every_value_has_its_place_and_what_nothing_uses_is_told(tmp_path: Path) -> None:
    document = tried(tmp_path, "--feed", "epic-adt", str(MESSAGES / "adt_a01.hl7"))
    [message] = document["messages"]
    assert (message["outcome"], message["failed"], document["failed"]) == ("processed", False, 0)
    assert message["acknowledged"]["code"] in ("AA", "CA", "CA, AA")
    assert len(message["mapping"]) == 12
    values = {value["path"]: (value["value"], value["place"]) for value in message["values"]}
    assert values["patient.name.family"][0] == "QUILL"
    assert values["patient.name.family"][1].startswith("PID[1]-5")
    assert values["coverages[1].member_id"][1].startswith("IN1[2]-36")
    assert values["diagnoses[0].code"][1].startswith("DG1[1]-3")
    left = {
        (each["segment"], field["field"]): field["value"] for each in message["not_used"] for field in each["fields"]
    }
    assert left["IN1[1]", 5] == "PO BOX 9^^PEORIA^IL^61601"
    assert not {("PID[1]", 5), ("MSH[1]", 10), ("PV1[1]", 1), ("EVN[1]", 1)} & left.keys()
    assert message["encounter"]["stage"] == "held"
    assert "not-discharged" in {hold["rule"] for hold in message["encounter"]["holds_opened"]}
    assert {finding["rule"] for finding in message["encounter"]["findings"]} >= {"codes-not-final"}


def test_a_segment_that_nothing_reads_is_told_whole(tmp_path: Path) -> None:
    file = tmp_path / "site.hl7"
    file.write_bytes((MESSAGES / "adt_a08.hl7").read_bytes().strip() + b"\nZXY|1|BED 7||GREEN\n")
    [message] = tried(tmp_path, "--feed", "epic-adt", str(file))["messages"]
    [site] = [each for each in message["not_used"] if each["segment"] == "ZXY[1]"]
    assert site == {
        "segment": "ZXY[1]",
        "whole": True,
        "fields": [{"field": 2, "value": "BED 7"}, {"field": 4, "value": "GREEN"}],
    }


def test_messages_build_on_each_other(tmp_path: Path) -> None:
    """A registration; charges, whose PV1 says that the visit is over; the discharge itself."""
    visit = day.routine(today())
    file = tmp_path / "visit.hl7"
    file.write_bytes(
        b"".join((ehr.adt("A04", visit, *sent()), ehr.dft(visit, *sent()), ehr.adt("A03", visit, *sent())))
    )
    messages = tried(tmp_path, "--feed", "epic-adt", str(file))["messages"]
    assert [m["type"] for m in messages] == ["ADT^A04", "DFT^P03", "ADT^A03"]
    assert len({m["encounter"]["key"] for m in messages}) == 1
    assert "not-discharged" in {hold["rule"] for hold in messages[1]["encounter"]["holds_ended"]}
    assert messages[1]["encounter"]["total"] != "0"
    assert [m["number"] for m in messages] == [1, 2, 3]


def test_what_would_fail_ends_with_status_1(tmp_path: Path) -> None:
    visit = day.routine(today())
    file = tmp_path / "broken.hl7"
    file.write_bytes(ehr.adt("A04", visit, *sent()).replace(visit.account.encode(), b""))
    document = tried(tmp_path, "--feed", "epic-adt", str(file), str(MESSAGES / "adt_a08.hl7"), status=1)
    aside, good = document["messages"]
    assert (aside["outcome"], aside["failed"], good["failed"], document["failed"]) == ("set-aside", True, False, 1)
    assert aside["reason"].startswith("no-encounter-number at ")
    assert aside["acknowledged"]["code"] == "AA"
    assert {"value": visit.person.mrn, "place": "PID[1]-3"} in aside["numbers"]
    assert good["numbers"] == []
    told = run(tmp_path, "--feed", "epic-adt", str(file))
    assert told.exit_code == 1
    assert "WOULD BE SET ASIDE" in told.output
    assert "fields.visit" in told.output
    assert visit.person.mrn in told.output


def test_each_number_of_a_merge_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "merge.hl7"
    file.write_bytes(ehr.merged(day.routine(today()), "M000001", *sent()))
    [message] = tried(tmp_path, "--feed", "epic-adt", str(file))["messages"]
    places = {value["path"]: value["place"] for value in message["values"]}
    assert (places["merges[0].retired"], places["merges[0].surviving"]) == ("MRG[1]-3", "PID-18")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no message at all", "no"),
        (b"BHS|^~\\&|EHR\rMSH|^~\\&|EHR||||20260101||ADT^A04|1|P|2.5\rPID|1\rBTS|2\r", "BTS"),
    ],
)
def test_a_file_that_is_no_file_of_messages_fails(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "odd.hl7"
    file.write_bytes(content)
    document = tried(tmp_path, "--feed", "epic-adt", str(file), status=1)
    assert problem in document["files"][0]["problems"][0]


def test_a_message_that_is_too_long_is_refused(tmp_path: Path) -> None:
    write_configuration(tmp_path, max_message=1024)
    [message] = tried(tmp_path, "--feed", "epic-adt", str(MESSAGES / "dft_p03.hl7"), status=1)["messages"]
    assert (message["outcome"], message["acknowledged"]["code"]) == ("refused", "AR")
    assert "1024" in message["acknowledged"]["text"]


def test_values_that_cannot_be_used_fail_only_when_that_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "odd.hl7"
    file.write_bytes((MESSAGES / "adt_a08.hl7").read_bytes() + b"\rIN1|1|PLAN||PAYER|||||||||||XQ9||ODD|R|not-a-date\r")
    [message] = tried(tmp_path, "--feed", "epic-adt", str(file))["messages"]
    assert message["problems"]
    assert run(tmp_path, "--strict", "--feed", "epic-adt", str(file)).exit_code == 1


def test_the_same_message_twice_is_a_repeat(tmp_path: Path) -> None:
    file = str(MESSAGES / "adt_a01.hl7")
    first, second = tried(tmp_path, "--feed", "epic-adt", file, file)["messages"]
    assert (first["outcome"], second["outcome"], second["failed"]) == ("processed", "repeat", False)


def test_a_fhir_client_s_resources_are_tried_too(tmp_path: Path) -> None:
    resources = MESSAGES.parent / "fhir"
    encounter = resources / "encounter.json"
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"resourceType": "Encounter", "status": "over"}')
    document = tried(tmp_path, "--feed", FEED, str(encounter), str(wrong), status=1)
    good, bad = document["messages"]
    assert (good["outcome"], good["acknowledged"]["code"]) == ("processed", "201")
    assert any(value["path"].startswith("patient.") for value in good["values"])
    assert (bad["outcome"], bad["acknowledged"]["code"]) == ("refused", "422")


def test_a_feed_that_there_is_not_is_told(tmp_path: Path) -> None:
    result = run(tmp_path, "--feed", "epic", str(MESSAGES / "adt_a01.hl7"))
    assert result.exit_code == 2
    assert "there is no feed epic; there are " in result.output
    assert "epic-adt" in result.output


async def test_beside_a_gateway_that_runs_nothing_is_kept(tmp_path: Path) -> None:
    visit = day.routine(today())
    async with running(tmp_path) as world:
        await stay(world, visit)
        await world.settled()
        events, messages = len(await world.events()), len(await world.messages())
        file = tmp_path / "update.hl7"
        file.write_bytes(ehr.adt("A08", visit, *sent()))
        document = await asyncio.to_thread(tried, tmp_path, "--feed", "epic-adt", str(file))
        assert document["messages"][0]["encounter"]["total"] != "0"
        assert (len(await world.events()), len(await world.messages())) == (events, messages)


async def test_the_store_is_looked_into_and_not_written(tmp_path: Path) -> None:
    """What stands is counted in; the file is, byte for byte, what it was."""
    visit = day.routine(today())
    async with running(tmp_path) as world:
        await stay(world, visit)
        await world.settled()
    database = tmp_path / "gateway.db"
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    names = set(os.listdir(tmp_path))
    file = tmp_path / "update.hl7"
    file.write_bytes(ehr.adt("A08", visit, *sent()))
    words = ("--feed", "epic-adt", str(file))
    known = (await asyncio.to_thread(tried, tmp_path, *words))["messages"][0]["encounter"]
    alone = (await asyncio.to_thread(tried, tmp_path, "--no-store", *words))["messages"][0]["encounter"]
    assert known["key"] == alone["key"]
    assert known["total"] != alone["total"] == "0"
    assert {hold["rule"] for hold in known["holds_standing"]} >= {"codes-not-final"}
    assert alone["holds_standing"] == []
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    assert set(os.listdir(tmp_path)) - names == {"update.hl7"}


def test_a_type_that_the_feed_refuses_is_refused(tmp_path: Path) -> None:
    path = write_configuration(tmp_path)
    path.write_text(path.read_text().replace("dialect: site,", "dialect: site, refuse: [ADT^A08],"))
    [message] = tried(tmp_path, "--feed", "epic-adt", str(MESSAGES / "adt_a08.hl7"), status=1)["messages"]
    assert (message["outcome"], message["acknowledged"]["code"]) == ("refused", "AR")
