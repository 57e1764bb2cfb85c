"""The end of the day: what arrived at the billing endpoints, the audit trail, and where everything is."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from conformance import day
from conformance.billing_endpoint import BillingEndpoint
from conformance.demo_files import Files, without_settings
from conformance.playing import Cast, key
from conformance.telling import Seen

AS_X12 = (
    day.routine,
    day.wrong_code,
    day.missing_note,
    day.unclear_record,
    day.high_value,
    day.new_coder,
    day.corrected,
    day.locally_coded,
)
AS_FHIR = (day.over_fhir, day.submitted, day.at_the_clinic)
ONE_DAY = timedelta(days=1)
"""A day that is played around midnight is seen whole."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A claim as its destination has it."""

    destination: str
    number: str
    total: Decimal
    where: str


def read_interchange(path: Path) -> list[Arrived]:
    """The claims in an 837 file: CLM01 and CLM02, by the delimiters that its ISA declares."""
    text = path.read_text()
    element, terminator = text[3], text[105]
    segments = (segment.strip().split(element) for segment in text.split(terminator))
    return [Arrived("clearinghouse", s[1], Decimal(s[2]), path.name) for s in segments if s[0] == "CLM"]


async def claims_arrived(cast: Cast, files: Files, billing: BillingEndpoint) -> None:
    cast.teller.chapter("What arrived where claims are paid")
    x12 = [claim for path in sorted(files.interchanges.glob("*.837")) for claim in read_interchange(path)]
    fhir = [
        Arrived("payer-fhir", claim["identifier"][0]["value"], Decimal(str(claim["total"]["value"])), "Claim")
        for claim in billing.claims
    ]
    rows = [(claim.destination, claim.number, f"{claim.total:.2f} USD", claim.where) for claim in (*x12, *fhir)]
    cast.teller.table(("destination", "claim", "total", "file or resource"), rows)
    for name, arrived, expected in (("837P files", x12, AS_X12), ("FHIR Claims", fhir, AS_FHIR)):
        wanted = sorted(visit(cast.today).total for visit in expected)
        got = sorted(claim.total for claim in arrived)
        text = f"{name}: {len(expected)} expected, each arrived once with its amount"
        cast.teller.note(text, Seen(got == wanted, f"{sum(got):.2f} USD"))
    numbers = [claim.number for claim in (*x12, *fhir)]
    cast.teller.note("no claim number stands twice", Seen(len(set(numbers)) == len(numbers)))
    await _charges_conserved(cast)


async def _charges_conserved(cast: Cast) -> None:
    """Every charge that came in over HL7 v2 stands on a claim: none is lost, none doubled."""
    midnight = datetime.now(cast.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [item for item in await cast.desk("ANALYST_TOKEN").charges(midnight - ONE_DAY) if item["feed"] == "epic-adt"]
    said = sum(item["said"] for item in days)
    became = Counter[str]()
    for item in days:
        became.update(item["became"])
    expected = sum(len(visit(cast.today).items) for visit in AS_X12)
    seen = Seen(said == expected and +became == {"claimed": said}, f"{said} came in; {_counted(became)}")
    cast.teller.note("every charge of the EHR's messages is accounted for", seen)


def _counted(became: Counter[str]) -> str:
    return ", ".join(f"{count} {fate}" for fate, count in became.items())


async def trail_verified(cast: Cast, files: Files) -> None:
    cast.teller.chapter(
        "The audit trail is verified",
        "Every step left an event, committed with what it tells; events are sealed in a signed Merkle tree.",
    )
    status, said = await _gateway(cast, files, "audit", "verify")
    cast.teller.note("gateway audit verify finds nothing amiss", Seen(status == 0, _last_line(said)))
    encounter = key(day.new_coder(cast.today))
    status, said = await _gateway(cast, files, "audit", "export", "--encounter", encounter)
    lines = said.count('"AuditEvent"')
    cast.teller.note(f"the history of {encounter} is exported", Seen(status == 0 and lines > 0, f"{lines} AuditEvents"))


async def _gateway(cast: Cast, files: Files, *words: str) -> tuple[int, str]:
    """A command as a user would give it, in a process of its own; its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *words,
        "--config",
        str(files.configuration),
        env={**without_settings(os.environ), **cast.tokens},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, "it took longer than a minute"
    return process.returncode or 0, said.decode(errors="replace")


def _last_line(text: str) -> str:
    lines = [line.strip(" │") for line in text.splitlines() if any(map(str.isalnum, line))]
    return lines[-1] if lines else ""


def where_everything_is(cast: Cast, files: Files) -> None:
    cast.teller.chapter("Where everything is")
    feeds = ", ".join(f"{name} mllp://{host}:{port}" for name, (host, port) in cast.feeds.items() if port)
    rows = [
        ("FHIR interface", f"{cast.url}/fhir/metadata"),
        ("desk interface", f"{cast.url}/api/openapi.json"),
        ("health, metrics", f"{cast.url}/health, {cast.url}/metrics"),
        ("feeds", feeds),
        ("configuration, policy", f"{files.configuration}, {files.directory / 'policy.yaml'}"),
        ("tokens", f"{files.tokens} (made for this run; readable by you alone)"),
        ("837P files", f"{files.interchanges}/"),
        ("database, log", f"{files.directory / 'var' / 'gateway.db'}, {files.log}"),
    ]
    cast.teller.table(("what", "where"), rows)
    cast.teller.say("Next, in another terminal:")
    example = key(day.high_value(cast.today))
    cast.teller.say(f"  source {files.tokens}")
    cast.teller.say('  export GATEWAY_TOKEN="$SUPERVISOR_TOKEN"')
    for words in ("worklist", f"show {example}", "audit verify"):
        cast.teller.say(f"  {_command()} {words}")
    mapped = key(day.locally_coded(cast.today))
    cast.teller.say("and as an interface analyst:")
    cast.teller.say('  export GATEWAY_TOKEN="$ANALYST_TOKEN"')
    for words in (
        f"explain {mapped} 'charges[1].code'",
        "messages --type DFT",
        "charges",
        "try --feed epic-adt FILE.hl7",
    ):
        cast.teller.say(f"  {_command()} {words}")


def _command() -> str:
    """How `gateway` is called from here: by its name where the shell finds it, else by its path."""
    if shutil.which("gateway"):
        return "gateway"
    path = Path(sys.executable).with_name("gateway")
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
