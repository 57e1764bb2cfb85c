"""A day of a small hospital, chapter by chapter. Every sentence that claims something is an expectation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from conformance import day
from conformance.amends import nobody_mapped, takes_back
from conformance.desk_client import Refused
from conformance.ehr_server import EhrServer
from conformance.fhir_day import polled, submitted
from conformance.hospital import Visit
from conformance.playing import Cast, key, open_holds
from conformance.provider import ProviderSystem
from conformance.telling import Seen

X12 = "clearinghouse"
FHIR = "payer-fhir"

QUESTION: dict[str, Any] = {
    "kind": "multiple-choice",
    "title": "Clarification of the heart failure documented in the discharge summary",
    "question": "Can the type and acuity of the heart failure be further specified, in your clinical judgement?",
    "due_days": 3,
}
INDICATORS = (
    "Dyspnoea at rest and 5 kg weight gain on admission; BNP 1,840 pg/mL",
    "Echocardiogram: ejection fraction 30 %, known from 2023",
    "IV furosemide 40 mg twice daily, 4.2 L net negative",
)
OPTIONS: tuple[tuple[str, list[int]], ...] = (
    ("Acute on chronic systolic heart failure", [0, 1, 2]),
    ("Chronic systolic heart failure", [1]),
    ("Other", []),
    ("Unable to determine", []),
)
ANSWER = OPTIONS[0][0]


Chapter = Callable[[Cast], Awaitable[None]]


async def play(cast: Cast, clinic: EhrServer) -> None:
    """The whole day. A chapter that cannot be played to its end is told as a failure; the next ones are played."""
    for chapter in (*CHAPTERS, polled(clinic)):
        await _played(cast, chapter)


async def _played(cast: Cast, chapter: Chapter) -> None:
    try:
        await chapter(cast)
    except Exception as fault:  # noqa: BLE001 - whatever it is, the story tells it and fails
        cast.teller.note("the chapter is played to its end", Seen(False, f"{type(fault).__name__}: {fault}"))


async def opening(cast: Cast) -> None:
    cast.teller.chapter(
        "The gateway is up",
        f"Feeds: {', '.join(f'{name} on port {port}' for name, (_, port) in cast.feeds.items() if port)}. "
        f"HTTP: {cast.url}.",
    )
    for path, member, value in (
        ("/health", "status", "pass"),
        ("/fhir/metadata", "fhirVersion", "4.0.1"),
        ("/api/openapi.json", "openapi", "3.1"),
    ):
        await cast.teller.expect(f"GET {path} answers", cast.answers(path, member, value))


async def by_itself(cast: Cast) -> None:
    visit = day.routine(cast.today)
    cast.teller.chapter(
        "An office visit passes by itself",
        "The EHR registers the patient, sends the note and the charges; the encoder returns final codes.",
        "All of it over MLLP. Each message is on disk before its acknowledgement leaves.",
    )
    await cast.admit(visit, "A04", "A03")
    await cast.document(visit)
    await cast.charge(visit)
    await cast.teller.expect("the claim waits for final codes", cast.is_held(visit, "codes-not-final"))
    await cast.code(visit)
    await cast.teller.expect("no hold stands, so the claim leaves as an 837P", cast.has_left(visit, X12))


async def over_fhir(cast: Cast) -> None:
    visit = day.over_fhir(cast.today)
    cast.teller.chapter(
        "The same over FHIR",
        "The EHR writes Encounter, DocumentReference and Claim over HTTP.",
        "The claim is institutional: it goes to another destination.",
    )
    await cast.put_resources(visit)
    await cast.teller.expect("the claim leaves as a FHIR Claim", cast.has_left(visit, FHIR))


async def wrong_code(cast: Cast) -> None:
    visit = day.wrong_code(cast.today)
    cast.teller.chapter(
        "An edit fails",
        "The encoder returns a category, E11, where only a code of more characters can be billed.",
    )
    await cast.admit(visit, "A04", "A03")
    await cast.document(visit)
    await cast.charge(visit)
    await cast.code(visit, ("E11",))
    await cast.teller.expect("the claim is held", cast.is_held(visit, "icd10-not-billable"))
    await _tell_holds(cast, visit)
    await cast.code(visit)
    await cast.teller.expect("with the right code the hold ends by itself", cast.has_ended(visit, "icd10-not-billable"))
    await cast.teller.expect("and the claim leaves", cast.has_left(visit, X12))


async def missing_note(cast: Cast) -> None:
    visit = day.missing_note(cast.today)
    cast.teller.chapter(
        "Documentation is missing", "An emergency visit is charged and coded before its note is signed."
    )
    await cast.admit(visit, "A04", "A03")
    await cast.charge(visit)
    await cast.code(visit)
    await cast.teller.expect("the claim is held", cast.is_held(visit, "document-missing", "service-undocumented"))
    await cast.document(visit)
    await cast.teller.expect("the signed note ends the hold", cast.has_ended(visit, "document-missing"))
    await cast.teller.expect("and the claim leaves", cast.has_left(visit, X12))


async def provider_query(cast: Cast) -> None:
    visit = day.unclear_record(cast.today)
    cast.teller.chapter(
        "A provider is asked",
        "The record says heart failure, not which. A documentation specialist asks the attending physician.",
        "The query is a FHIR Task with a Questionnaire; the physician's system finds it by searching the gateway.",
    )
    await cast.admit(visit, "A01", "A03")
    await cast.document(visit)
    await cast.charge(visit)
    await cast.teller.expect("the stay waits for final codes", cast.is_held(visit, "codes-not-final"))
    if not await _ask(cast, visit):
        return
    token = cast.tokens["PROVIDER_TOKEN"]
    async with ProviderSystem(f"{cast.url}/fhir", token, visit.clinician.npi) as provider:
        await _answer(cast, visit, provider)
    await cast.code(visit)
    await cast.teller.expect("with the final codes the claim leaves", cast.has_left(visit, X12))


async def _ask(cast: Cast, visit: Visit) -> bool:
    desk = cast.desk("CDI_TOKEN")
    view = await desk.encounter(key(visit))
    document = view["documents"][0]["id"] if view["documents"] else None
    draft = {
        **QUESTION,
        "provider": visit.clinician.npi,
        "indicators": [{"text": text, "document": document} for text in INDICATORS],
        "options": [{"text": text, "indicators": shown} for text, shown in OPTIONS],
    }
    await _refused_when_leading(cast, visit, draft)
    try:
        await desk.ask(key(visit), draft)
    except Refused as refused:
        cast.teller.note("the query is asked", Seen(False, str(refused)))
        return False
    cast.teller.note("the query is asked", Seen(True, draft["title"]))
    return await cast.teller.expect("the open query holds the claim", _query_holds(cast, visit))


async def _refused_when_leading(cast: Cast, visit: Visit, draft: dict[str, Any]) -> None:
    """A query that speaks of money is refused before any provider sees it."""
    title = "Heart failure: a specific code would raise the DRG"
    try:
        await cast.desk("CDI_TOKEN").ask(key(visit), {**draft, "title": title})
    except Refused as refused:
        cast.teller.note("a first draft that speaks of payment is refused", Seen(refused.status == 422, refused.text))
    else:
        cast.teller.note("a first draft that speaks of payment is refused", Seen(False, "it was taken"))


def _query_holds(cast: Cast, visit: Visit) -> Any:
    async def look() -> Seen:
        view = await cast.desk("CDI_TOKEN").encounter(key(visit))
        return Seen(any(hold["kind"] == "query" for hold in open_holds(view)), view["stage"])

    return look


async def _answer(cast: Cast, visit: Visit, provider: ProviderSystem) -> None:
    found: list[dict[str, Any]] = []

    async def look() -> Seen:
        found[:] = await provider.inbox()
        return Seen(len(found) == 1, f"Task/{found[0]['id']}, version {found[0]['meta']['versionId']}" if found else "")

    if not await cast.teller.expect("the physician's system finds the Task", look):
        return
    accepted = await provider.take_up(found[0])
    cast.teller.note("it accepts the Task", Seen(accepted["status"] == "accepted", accepted["status"]))
    try:
        await provider.take_up(found[0], "in-progress")
        stale = Seen(False, "it was taken")
    except Refused as refused:
        stale = Seen(refused.status == 412, f"HTTP {refused.status}")
    cast.teller.note("an update of the old version is refused", stale)
    begun = await provider.take_up(accepted, "in-progress")
    await provider.answer(begun, option=ANSWER, text="Known reduced ejection fraction, decompensated on admission.")
    await cast.teller.expect("the answer is with the encounter, where the coder sees it", _answered(cast, visit))


def _answered(cast: Cast, visit: Visit) -> Any:
    async def look() -> Seen:
        view = await cast.desk("CODER_TOKEN").encounter(key(visit))
        query = view["queries"][-1]
        kept = any(document["kind"] == "query-answer" for document in view["documents"])
        waits = any(hold["kind"] == "query" for hold in open_holds(view))
        met = query["status"] == "completed" and query["answer_option"] == ANSWER and kept and not waits
        return Seen(met, f"{query['number']}: {query['answer_option'] or query['status']}")

    return look


async def two_for_review(cast: Cast) -> None:
    high, fresh = day.high_value(cast.today), day.new_coder(cast.today)
    cast.teller.chapter(
        "The policy asks for a second pair of eyes",
        f"A claim of {high.total} USD, and one coded by {fresh.coder}, who began twelve days ago.",
    )
    await cast.admit(high, "A01", "A03")
    await cast.admit(fresh, "A04", "A03")
    for visit in (high, fresh):
        await cast.document(visit)
        await cast.charge(visit)
        await cast.code(visit)
    await cast.teller.expect("the high claim is held", cast.is_held(high, "high-value"))
    await cast.teller.expect("the new coder's claim is held", cast.is_held(fresh, "new-coder"))


async def worklist(cast: Cast) -> None:
    cast.teller.chapter("The supervisor's worklist")
    page = await cast.desk("SUPERVISOR_TOKEN").worklist(stage="held")
    rows = [
        (item["key"], item["encounter_class"] or "", item["coder"] or "", item["total"], ", ".join(item["holds"]))
        for item in page["items"]
    ]
    cast.teller.table(("encounter", "class", "coder", "total", "holds"), rows)
    missing = {key(visit) for visit in (day.high_value(cast.today), day.new_coder(cast.today))} - {
        row[0] for row in rows
    }
    cast.teller.note("both stand in it", Seen(not missing, ", ".join(missing)))


async def approve(cast: Cast) -> None:
    visit = day.high_value(cast.today)
    cast.teller.chapter(
        "One is approved",
        "The approval is bound to the fingerprint of exactly what would be billed.",
        "Change one code, and it counts no more.",
    )
    desk = cast.desk("SUPERVISOR_TOKEN")
    view = await desk.encounter(key(visit))
    await _refused_when_stale(cast, visit)
    await desk.approve(key(visit), view["fingerprint"], "Operative note supports 27447-RT.")
    cast.teller.note("the supervisor approves", Seen(True, f"fingerprint {view['fingerprint'][:16]}…"))
    await cast.teller.expect("the claim leaves", cast.has_left(visit, X12))


async def _refused_when_stale(cast: Cast, visit: Visit) -> None:
    try:
        await cast.desk("SUPERVISOR_TOKEN").approve(key(visit), "0" * 64, "Not what stands here.")
        seen = Seen(False, "it was taken")
    except Refused as refused:
        seen = Seen(refused.status == 409, f"HTTP {refused.status}")
    cast.teller.note("an approval of something else is refused", seen)


async def send_back(cast: Cast) -> None:
    visit = day.new_coder(cast.today)
    cast.teller.chapter(
        "One is returned, and corrected",
        "The note names the organism; the supervisor returns the encounter to its coder.",
    )
    desk = cast.desk("SUPERVISOR_TOKEN")
    await desk.send_back(key(visit), "The culture grew E. coli: add the code for the organism.")
    await cast.teller.expect("the claim is held for the coder", cast.is_held(visit, "returned-to-coder", "new-coder"))
    await cast.code(visit, (*visit.diagnoses, "B9620"))
    await cast.teller.expect("the correction ends the return", cast.has_ended(visit, "returned-to-coder"))
    await cast.teller.expect("the review stands: nobody approved these codes yet", cast.is_held(visit, "new-coder"))
    view = await desk.encounter(key(visit))
    await desk.approve(key(visit), view["fingerprint"], "Corrected as asked.")
    cast.teller.note(
        "the supervisor approves the corrected codes", Seen(True, f"fingerprint {view['fingerprint'][:16]}…")
    )
    await cast.teller.expect("the claim leaves", cast.has_left(visit, X12))


async def _tell_holds(cast: Cast, visit: Visit) -> None:
    view = await cast.desk("CODER_TOKEN").encounter(key(visit))
    rows = [(hold["rule"], hold["where"], hold["text"], hold["remedy"]) for hold in open_holds(view)]
    cast.teller.table(("rule", "where", "what is wrong", "what to do"), rows)


CHAPTERS: tuple[Chapter, ...] = (
    opening,
    by_itself,
    over_fhir,
    submitted,
    wrong_code,
    missing_note,
    provider_query,
    two_for_review,
    worklist,
    approve,
    send_back,
    takes_back,
    nobody_mapped,
)
