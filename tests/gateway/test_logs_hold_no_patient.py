"""A patient whom no other text could name goes through every door, whole and broken: nothing of her is in the logs,
the metrics, the answers to what is refused, the reasons of what is set aside, or the audit trail.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_world import TOKENS, configuration, today, until
from served import Served, serving
from visits import sent

from conformance import ehr, ehr_fhir, encoder
from conformance.billing_endpoint import Behaviour, BillingEndpoint
from conformance.day import high_value
from conformance.desk_client import DeskClient, Refused
from conformance.hospital import Note, Person, Visit
from conformance.mllp_sender import MllpSender, NoAcknowledgement, frame
from conformance.playing import key
from conformance.provider import ProviderSystem
from conformance.story import OPTIONS, QUESTION
from gateway.access.roles import Role
from gateway.message import MessageState
from gateway.store import open_store
from gateway.store.interface import MessageQuery, Store

FAMILY, GIVEN = "ZQUIXBERRY", "OXMANTLE"
STREET, PHONE = "77 VEXILLARY WYND", "2175550199"
SSN, SSN_DASHED = "987654329", "987-65-4329"
BORN = date(1911, 12, 13)
MEMBER = "QQX99871123"
NOTE = "Her dragoman brother Yorrick found her near the orangery with crapulence."
IN_DATES = ("19111213", "1911-12")
IN_TEXTS = ("VEXILLARY", "dragoman", "orangery")
CANARIES = re.compile("|".join((FAMILY, GIVEN, PHONE, SSN, SSN_DASHED, MEMBER, *IN_TEXTS, *IN_DATES)), re.IGNORECASE)
FHIR = {"Content-Type": "application/fhir+json"}


def visit(number: str) -> Visit:
    """A visit of hers, of a value that the policy holds."""
    base = high_value(today())
    person = Person(f"M{number}", FAMILY, GIVEN, BORN, "F", STREET, "627010001", phone=PHONE)
    notes = tuple(Note(f"{number}-{n}", note.kind, note.type, note.title, NOTE) for n, note in enumerate(base.notes))
    insurance = replace(base.insurance, member=MEMBER)
    return replace(base, number=f"V{number}", account=f"A{number}", person=person, notes=notes, insurance=insurance)


def hl7(of: Visit) -> list[bytes]:
    """What the EHR and the encoder say of a visit; SSN and family's names in the places that HL7 has for them."""
    registered = ehr.adt("A01", of, *sent())
    more = f"NK1|1|{FAMILY}^{GIVEN}^YORRICK|BRO|{STREET}|{PHONE}\rGT1|1||{FAMILY}^{GIVEN}||{STREET}\r".encode()
    with_ssn = re.sub(rb"(PID\|[^\r]*)\r", rb"\1|" + SSN_DASHED.encode() + b"\r" + more, registered, count=1)
    return [
        with_ssn,
        ehr.adt("A03", of, *sent()),
        *(ehr.mdm(of, note, *sent()) for note in of.notes),
        ehr.dft(of, *sent()),
        encoder.final_codes(of, *sent()),
    ]


def broken_hl7() -> Iterator[bytes]:
    """Her data where it does not belong: in codes, dates, numbers, names of segments, headers."""
    whole = hl7(visit("500"))
    for name in (FAMILY, SSN, NOTE):
        canary = name.encode()
        for message in whole:
            for old in (b"M1711", b"27447", b"14850.00", b"I10C", b"|I|", b"|CG|", b"LN|", b"2.5.1"):
                if old in message:
                    yield message.replace(old, canary)
            yield re.sub(rb"\d{14}", canary, message)
            yield re.sub(rb"\d{8}\|", canary + b"|", message)
            yield message.replace(b"\rPV1|", b"\r" + canary + b"|")
            yield message.replace(b"\rPID|", b"\rPV1|" + canary + b"^^&~\\X|")
            yield message.replace(b"MSH|^~\\&|", b"MSH|^~\\&|" + canary + b"|" + canary + b"|")
            yield message.replace(b"||ADT^", b"||" + canary + b"^").replace(b"||DFT^", b"||" + canary + b"^")
            yield message.replace(b"|P|2.5.1", b"|P|2.5.1|||||" + canary + b"|" + canary)
            yield message.replace(b"^~\\&", canary[:4])
        yield canary
        yield b"PID|1||" + canary
        yield b"MSH|" + canary
        yield b"MSH|^~\\&|" + b"|".join([canary] * 15)
        yield canary + b"\xff\xfe\x00" + canary


def fhir(of: Visit) -> list[dict[str, Any]]:
    documents = [ehr_fhir.document(of, note) for note in of.notes]
    return [ehr_fhir.encounter(of), *documents, ehr_fhir.claim(of, created=sent()[1])]


def broken_fhir() -> Iterator[tuple[str, bytes]]:
    """(type, body): each field in turn is her name, an object, or gone; and bodies that are no JSON at all."""
    for whole in fhir(visit("600")):
        kind = whole["resourceType"]
        text = json.dumps(whole)
        yield kind, text[: len(text) // 2].encode()
        yield kind, f'{{"resourceType": "{kind}", "{FAMILY}": "{NOTE}"}}'.encode()
        yield kind, f'{{"resourceType": "{FAMILY}", "id": "{SSN}"}}'.encode()
        yield kind, f'[{{"name": "{FAMILY}"}}]'.encode()
        yield kind, f"{FAMILY} {NOTE}".encode()
        yield kind, b'{"resourceType": "' + FAMILY.encode() + b'\xff"}'
        for field_ in whole:
            if field_ == "resourceType":
                continue
            for wrong in (FAMILY, [FAMILY], {FAMILY: NOTE}, [{"reference": f"Patient/{FAMILY}", "value": SSN}], -1):
                yield kind, json.dumps({**whole, field_: wrong}).encode()
            yield kind, json.dumps({name: value for name, value in whole.items() if name != field_}).encode()
    deep = '{"x":' * 200 + f'"{FAMILY}"' + "}" * 200
    yield "Claim", deep.encode()


@dataclass
class Answers:
    """What was said to those who were refused."""

    refused: list[str] = field(default_factory=list)

    def note(self, answer: httpx.Response) -> None:
        assert answer.status_code < 500, answer.text
        if answer.is_error:
            headers = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
            self.refused.append(f"{answer.status_code} {headers} {answer.text}")


def client(served: Served, role: Role) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {TOKENS[role]}"}
    return httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False, timeout=30)


async def through_mllp(served: Served, answers: Answers) -> None:
    for payload in [message for number in ("100", "200") for message in hl7(visit(number))]:
        async with served.sender() as sender:
            assert (await sender.send(payload)).accepted
    async with served.sender() as sender:
        for payload in broken_hl7():
            await sender.write(frame(payload))
            acknowledgement = await sender.read()
            if b"\rERR|" in acknowledgement:
                answers.refused.append(acknowledgement.split(b"\rERR|", 1)[1].decode("utf-8", "replace"))
    for rude in (frame(NOTE.encode() * 100_000), (NOTE * 2000).encode(), b"\x0b" + FAMILY.encode()):
        async with served.sender() as sender:
            await _rudely(sender, rude)


async def _rudely(sender: MllpSender, raw: bytes) -> None:
    try:
        await sender.write(raw)
    except NoAcknowledgement:
        return


async def through_fhir(served: Served, answers: Answers) -> None:
    async with client(served, Role.FEED) as http:
        for whole in fhir(visit("300")):
            address = f"/fhir/{whole['resourceType']}/{whole['id']}"
            answer = await http.put(address, json=whole, headers=FHIR)
            assert answer.status_code == 201
            assert FAMILY in answer.text, "to the one who wrote it the resource is shown"
        for kind, body in broken_fhir():
            answers.note(await http.post(f"/fhir/{kind}", content=body, headers=FHIR))
            answers.note(await http.put(f"/fhir/{kind}/broken", content=body, headers=FHIR))
        broken = [{**whole, "status": FAMILY} for whole in fhir(visit("7"))]
        entries = [{"resource": whole, "request": {"method": "POST"}} for whole in broken]
        for kind in ("transaction", "batch", FAMILY):
            bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
            answers.note(await http.post("/fhir", json=bundle, headers=FHIR))
        odd = {**FHIR, "Content-Type": f"text/{FAMILY}", "If-Match": FAMILY, "Prefer": NOTE}
        answers.note(await http.post("/fhir/Claim", content=NOTE.encode(), headers=odd))
        for address in (f"/fhir/Patient?name={FAMILY}", f"/{FAMILY}", f"/fhir/Claim/{SSN}", f"/fhir/{FAMILY}?x={SSN}"):
            answers.note(await http.get(address))
        nobody = {"Authorization": f"Bearer {FAMILY}{SSN}"}
        answers.note(await http.get("/api/worklist", headers=nobody))
        answers.note(await http.get(f"/api/worklist?after={FAMILY}", headers=nobody))


async def through_the_desk(served: Served, answers: Answers) -> None:
    of = visit("100")
    async with DeskClient(served.url, TOKENS[Role.SUPERVISOR]) as desk, client(served, Role.SUPERVISOR) as http:
        view = await desk.encounter(key(of))
        await desk.send_back(key(of), f"{FAMILY}: {NOTE}")
        hold = next(h for h in (await desk.encounter(key(of)))["holds"] if h["rule"] == "returned-to-coder")
        await desk.resolve(key(of), hold["id"], f"{GIVEN} called from {PHONE}: {NOTE}")
        await _queried(served, of, desk, view["documents"][0]["id"])
        base = f"/api/encounters/{key(of)}"
        for path, body in (
            (f"{base}/approve", {"fingerprint": FAMILY, "comment": NOTE}),
            (f"{base}/approve", {FAMILY: NOTE}),
            (f"{base}/return", {"feedback": {FAMILY: SSN}}),
            (f"{base}/queries", {**QUESTION, "title": FAMILY, "provider": SSN, "indicators": NOTE}),
            (f"{base}/holds/{FAMILY}/resolve", {"reason": NOTE}),
            (f"/api/encounters/{FAMILY}/approve", {"fingerprint": "0" * 64, "comment": NOTE}),
        ):
            answers.note(await http.post(path, json=body))
        for path in (f"worklist?stage={FAMILY}", f"worklist?limit={SSN}x", f"encounters/{FAMILY}", f"queries/{FAMILY}"):
            answers.note(await http.get(f"/api/{path}"))
        view = await desk.encounter(key(of))
        await desk.approve(key(of), view["fingerprint"], f"{FAMILY} {GIVEN} is right")


async def _queried(served: Served, of: Visit, desk: DeskClient, document: str) -> None:
    draft = {
        **QUESTION,
        "provider": of.clinician.npi,
        "indicators": [{"text": f"{FAMILY}: {NOTE}", "document": document}],
        "options": [{"text": text, "indicators": [0] if shown else []} for text, shown in OPTIONS],
    }
    with pytest.raises(Refused) as refused:
        await desk.ask(key(of), {**draft, "title": f"{FAMILY}: this raises the DRG"})
    assert not CANARIES.search(refused.value.text)
    await desk.ask(key(of), draft)
    async with ProviderSystem(f"{served.url}/fhir", TOKENS[Role.PROVIDER], of.clinician.npi) as provider:
        [task] = await provider.inbox()
        begun = await provider.take_up(await provider.take_up(task), "in-progress")
        with pytest.raises(Refused) as refused:
            await provider.take_up({**begun, "status": FAMILY, "description": NOTE}, FAMILY)
        assert not CANARIES.search(refused.value.text)
        await provider.answer(begun, option=OPTIONS[0][0], text=f"{GIVEN}: {NOTE}")


@asynccontextmanager
async def ended(directory: Path) -> AsyncIterator[Store]:
    """The store of a gateway that has ended."""
    store = open_store(configuration(directory).store)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def everything_settled(served: Served) -> str:
    """The metrics, once nothing waits."""
    async with client(served, Role.MONITOR) as http:

        async def calm() -> Any:
            told = (await http.get("/metrics")).text
            waiting = re.search(r'gateway_messages_stored\{state="received"\} ([0-9.]+)', told)
            return told if waiting is None or float(waiting[1]) == 0 else None

        return str(await until(calm, "messages wait"))


def found(texts: list[str]) -> list[str]:
    """Around each canary, so that a failure shows where it stood."""
    return [text[max(0, m.start() - 150) : m.end() + 50] for text in texts for m in [CANARIES.search(text)] if m]


@pytest.mark.slow
async def test_nothing_of_a_patient_is_told_where_it_need_not_be(tmp_path: Path) -> None:
    answers = Answers()
    async with (
        BillingEndpoint(script=[Behaviour.REFUSE, Behaviour.STORE_AND_ERROR]) as billing,
        serving(tmp_path, billing=billing.url, max_message=1024 * 1024) as served,
    ):
        await through_mllp(served, answers)
        await through_fhir(served, answers)
        await everything_settled(served)
        await through_the_desk(served, answers)
        metrics = await everything_settled(served)
        assert await served.end() == 0
        log = served.log

    events = {json.loads(line)["event"] for line in log.splitlines()}
    assert events >= {"gateway.started", "mllp.not_mllp", "gateway.stopped"}
    assert found(log.splitlines()) == []
    assert found(metrics.splitlines()) == []
    assert len(answers.refused) > 100
    assert found(answers.refused) == []
    async with ended(tmp_path) as store:
        await _nothing_in(store)


async def _nothing_in(store: Store) -> None:
    reasons: list[str] = []
    before: int | None = None
    kept = 0
    while page := await store.messages(MessageQuery(before=before, limit=500)):
        reasons += [message.reason for message in page if message.reason]
        kept += sum(message.state is MessageState.SET_ASIDE for message in page)
        before = page[-1].id
    assert kept > 50
    assert found(reasons) == []
    assert [reason for reason in reasons if reason.startswith("internal")] == []
    events = [stored.event async for stored in store.events()]
    assert {event.action.value for event in events} >= {"claim.released", "query.answered", "encounter.returned"}
    assert found([event.content().decode() for event in events]) == []


def test_the_canaries_would_be_found() -> None:
    """In any of the forms in which they were sent."""
    texts = [FAMILY, FAMILY.lower(), NOTE, SSN, f"{SSN_DASHED}", BORN.isoformat(), STREET]
    assert len(found(texts)) == len(texts)
    assert FAMILY in json.dumps(fhir(visit("1")))
    assert all(FAMILY.encode() in message for message in hl7(visit("1")))
    assert base64.b64encode(NOTE.encode()).decode() in json.dumps(fhir(visit("1")))
