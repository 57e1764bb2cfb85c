"""Chapters of FHIR: a claim that is submitted and answered, an EHR that is asked, the trail for an outside reader."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx

from conformance import day, ehr_fhir
from conformance.ehr_server import EhrServer
from conformance.hospital import Visit
from conformance.playing import Cast
from conformance.telling import Probe, Seen

PAYER = "payer-fhir"
FHIR = "application/fhir+json"


def resources_of(cast: Cast, visit: Visit) -> list[dict[str, Any]]:
    """The visit as an EHR holds it: Encounter, notes, Claim."""
    created = datetime.now(cast.zone).replace(tzinfo=None)
    notes = [ehr_fhir.document(visit, note) for note in visit.notes]
    return [ehr_fhir.encounter(visit), *notes, ehr_fhir.claim(visit, created=created)]


async def submitted(cast: Cast) -> None:
    """`Claim/$submit`: the answer says whether the claim was taken into review."""
    visit = day.submitted(cast.today)
    cast.teller.chapter(
        "A claim is submitted, and answered",
        "The EHR writes a transaction of the visit, all or nothing, and submits the claim by Claim/$submit.",
        "The ClaimResponse says at once what became of it.",
    )
    *others, claim = resources_of(cast, visit)
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}} for one in others
    ]
    async with _client(cast, "EHR_TOKEN") as http:
        kept = await http.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        said = [entry["response"]["status"][:3] for entry in kept.json().get("entry", ())]
        cast.teller.note("the transaction is kept", Seen(said == ["201"] * len(entries), f"{len(said)} resources"))
        unknown = await http.post("/fhir/Claim/$submit", json={**claim, "status": "whatever"})
        cast.teller.note(
            "a Claim with a status of its own is refused, with the place", _refused(unknown, "Claim.status")
        )
        answer = await http.post("/fhir/Claim/$submit", json=claim)
    response = answer.json()
    taken = answer.status_code == 200 and response.get("outcome") == "queued"
    cast.teller.note("the ClaimResponse says: taken into review", Seen(taken, str(response.get("disposition"))))
    await cast.teller.expect("no hold stands, so the claim leaves", cast.has_left(visit, PAYER))


def _refused(answer: httpx.Response, place: str) -> Seen:
    issue = answer.json()["issue"][0]
    places = issue.get("expression", [])
    return Seen(answer.status_code == 422 and places == [place], f"HTTP {answer.status_code}, {', '.join(places)}")


def polled(clinic: EhrServer) -> Any:
    """The chapter of a clinic whose FHIR server is searched."""

    async def chapter(cast: Cast) -> None:
        visit = day.at_the_clinic(cast.today)
        cast.teller.chapter(
            "An EHR that sends nothing is asked",
            "A clinic's EHR has a FHIR server. The gateway searches it for what changed since its last look,",
            "as it may with Epic or Oracle Health; how far it has come is kept, and nothing is taken twice.",
        )
        for resource in resources_of(cast, visit):
            clinic.hold(resource)
        await cast.teller.expect("the visit's claim leaves", cast.has_left(visit, PAYER))
        await cast.teller.expect("the server is asked again from there on", _asked_again(clinic))

    return chapter


def _asked_again(clinic: EhrServer) -> Probe:
    before = len(clinic.searches("Claim"))

    async def look() -> Seen:
        searches = clinic.searches("Claim")
        return Seen(len(searches) > before, f"{len(searches)} searches for Claims")

    return look


async def exported(cast: Cast) -> None:
    """`$export`: the whole trail as NDJSON, with the head of the seal that proves it."""
    cast.teller.chapter(
        "Compliance takes the trail along",
        "A bulk export over FHIR: AuditEvents and Provenances as NDJSON; the manifest tells the seal's signed head.",
    )
    async with _client(cast, "COMPLIANCE_TOKEN") as http:
        ordered = await http.get("/fhir/$export", headers={"Prefer": "respond-async"})
        where = ordered.headers.get("Content-Location", "")
        cast.teller.note("the export is ordered", Seen(ordered.status_code == 202, f"HTTP {ordered.status_code}"))
        manifest: dict[str, Any] = {}
        await cast.teller.expect("it is ready once a seal covers it", _ready(http, where, manifest))
        lines = 0
        for output in manifest.get("output", ()):
            lines += len((await http.get(output["url"])).content.splitlines())
    wanted = sum(output["count"] for output in manifest.get("output", ()))
    cast.teller.note("its files hold what the manifest says", Seen(0 < lines == wanted, f"{lines} lines"))
    cast.teller.note("and the manifest names the seal", Seen(bool(manifest.get("extension")), "its root and signature"))


def _ready(http: httpx.AsyncClient, where: str, manifest: dict[str, Any]) -> Probe:
    async def look() -> Seen:
        answer = await http.get(where)
        if answer.status_code == 200:
            manifest.update(answer.json())
        return Seen(answer.status_code == 200, f"HTTP {answer.status_code}")

    return look


def _client(cast: Cast, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {cast.tokens[token]}", "Content-Type": FHIR}
    return httpx.AsyncClient(base_url=cast.url, headers=headers, trust_env=False, timeout=30)
