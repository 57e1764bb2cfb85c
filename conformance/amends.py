"""Chapters of what comes otherwise than planned: an EHR that takes things back, and a code that nobody mapped."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from conformance import day, ehr
from conformance.desk_client import Refused
from conformance.hospital import Visit
from conformance.playing import Cast, key, open_holds
from conformance.telling import Probe, Seen

X12 = "clearinghouse"
FEED = "epic-adt"
OLD_PHONE = "2175550199"


def opened_twice(visit: Visit) -> Visit:
    """The account that was opened by mistake, with the visit's last charge on it."""
    return replace(visit, number="V4100319", account="A7700319", items=visit.items[-1:])


async def takes_back(cast: Cast) -> None:
    """A discharge is cancelled, a message comes late, two accounts become one."""
    visit = day.corrected(cast.today)
    mistake = opened_twice(visit)
    cast.teller.chapter(
        "The EHR takes things back",
        "A visit is ended too early, an older message comes late, and a charge stands on an account opened by mistake.",
        "Facts count in the order in which they happened: the encounter is built again from its messages.",
    )
    await cast.admit(visit, "A04", "A03")
    await cast.charge(replace(visit, items=visit.items[:1]))
    await cast.document(visit)
    await cast.teller.expect("the visit is over", _says(cast, visit, "visit.status", "discharged"))
    await cast.admit(visit, "A13")
    await cast.teller.expect(
        "the discharge is cancelled: the visit is open again", cast.is_held(visit, "not-discharged")
    )
    await _late(cast, visit)
    await cast.admit(mistake, "A04")
    await cast.charge(mistake)
    merged = ehr.merged(visit, mistake.account, *cast.next_control())
    await cast.send(FEED, f"ADT^A41 of {mistake.account} into {visit.account}", merged)
    await cast.teller.expect("the account's charge moves with it", _stands_at(cast, visit, visit.total))
    await cast.admit(visit, "A03")
    await cast.code(visit)
    await cast.teller.expect("one claim leaves, with both charges", cast.has_left(visit, X12))


async def _late(cast: Cast, visit: Visit) -> None:
    """An update of an hour ago, with the telephone number of then."""
    control, now = cast.next_control()
    before = replace(visit, person=replace(visit.person, phone=OLD_PHONE))
    payload = ehr.adt("A08", before, control, now - timedelta(hours=1))
    await cast.send(FEED, "ADT^A08 of an hour ago", payload)
    await cast.teller.expect("it overwrites nothing that is newer", _overruled(cast, visit, "patient.phone"))


def _says(cast: Cast, visit: Visit, field: str, value: str) -> Probe:
    """Looks whether the encounter has `value` at `field`."""

    async def look() -> Seen:
        try:
            [found] = await cast.desk("ANALYST_TOKEN").explained(key(visit), field)
        except Refused as refused:
            return Seen(False, str(refused))
        return Seen(found["value"] == value, f"{field} is {found['value']}")

    return look


def _overruled(cast: Cast, visit: Visit, field: str) -> Probe:
    """Looks whether the late message is known to say `field`, and the newer value stands."""

    async def look() -> Seen:
        [found] = await cast.desk("ANALYST_TOKEN").explained(key(visit), field)
        types = [said["type"] for said in found["said"]]
        met = found["value"] == visit.person.phone and types[-1] == "ADT^A08" and types[0] != "ADT^A08"
        return Seen(met, f"{field} is of {types[0]}; overruled: {', '.join(types[1:])}")

    return look


def _stands_at(cast: Cast, visit: Visit, total: Decimal) -> Probe:
    async def look() -> Seen:
        view = await cast.desk("SUPERVISOR_TOKEN").encounter(key(visit))
        return Seen(Decimal(view["total"]) == total, f"{view['total']} USD")

    return look


async def nobody_mapped(cast: Cast) -> None:
    """A charge with the charge master's number alone; the analyst maps it, and the claim goes on."""
    visit = day.locally_coded(cast.today)
    local = visit.items[-1].local or ""
    cast.teller.chapter(
        "A code that no table has",
        f"A charge comes as {local}, a number of the EHR's own. What it means is not guessed: the claim is held.",
        "An interface analyst maps the code while the gateway runs.",
    )
    await cast.admit(visit, "A04", "A03")
    await cast.document(visit)
    await cast.charge(visit)
    await cast.code(visit)
    await cast.teller.expect("the claim is held", _is_unmapped(cast, visit))
    analyst = cast.desk("ANALYST_TOKEN")
    rows = await analyst.unmapped()
    columns = ("feed", "table", "code", "encounters", "example")
    cast.teller.table(columns, [[str(row[name]) for name in columns] for row in rows])
    [line] = [row for row in rows if row["code"] == local] or [None]
    cast.teller.note("the code stands on the analyst's worklist", Seen(line is not None))
    meant = {"code": visit.items[-1].code, "system": "cpt"}
    went_on = await analyst.map_code(FEED, "charge_codes", local, json.dumps(meant))
    cast.teller.note(f"mapped to {meant['code']}, what waited goes on", Seen(went_on == 1, f"{went_on} encounter"))
    await cast.teller.expect("the claim leaves", cast.has_left(visit, X12))
    left = [row["code"] for row in await analyst.unmapped()]
    cast.teller.note("the worklist is empty", Seen(not left, ", ".join(left)))


def _is_unmapped(cast: Cast, visit: Visit) -> Probe:
    """Looks whether a hold of the kind `unmapped` stops the claim."""

    async def look() -> Seen:
        view: dict[str, Any] | None = await cast.desk("SUPERVISOR_TOKEN").find(key(visit))
        found = {hold["kind"]: hold for hold in open_holds(view)} if view else {}
        text = "; ".join(f"{kind} {hold['rule']}" for kind, hold in found.items())
        return Seen("unmapped" in found and view is not None and not view["claims"], text or "no hold")

    return look
