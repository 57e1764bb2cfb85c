"""Synthetic values for the store's suite: one of everything, each with every field set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from gateway.audit.events import Action, Event
from gateway.case import Case, Draw
from gateway.encounter.billable import billable
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import (
    Address,
    Charge,
    ChargeKind,
    ClaimKind,
    CodeSystem,
    Coding,
    Coverage,
    Diagnosis,
    DiagnosisUse,
    Document,
    DocumentKind,
    Encounter,
    EncounterClass,
    Guarantor,
    Patient,
    PersonName,
    Procedure,
    Provider,
    ProviderRole,
    Visit,
    VisitStatus,
)
from gateway.message import Format, Message, MessageState
from gateway.release.model import Claim, Delivery, DeliveryState
from gateway.review.model import (
    Decision,
    DecisionKind,
    Hold,
    HoldKind,
    HoldState,
    Indicator,
    Option,
    Query,
    QueryDraft,
    QueryKind,
    QueryStatus,
    Severity,
)
from gateway.store.interface import CaseChange, Step, Store

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)

BYTES = b"MSH|^~\\&|\x00\xff\xfe\xc3\x28|\x0b\x1c\r\n\xed\xa0\x80" + bytes(range(256))
"""NULs, invalid UTF-8, an encoded surrogate, every byte there is."""


class Place(Protocol):
    """Somewhere a store can be kept. Each opening shows what the ones before have committed."""

    async def open(self) -> Store: ...


Exercise = Callable[[Place], Awaitable[None]]
"""One thing that every store must do, on an empty place of its own. AssertionError when it does not."""


@dataclass(slots=True)
class Counter:
    """Ids in the order of asking."""

    last: int = 1_000

    def next(self) -> int:
        self.last += 1
        return self.last


@dataclass(slots=True)
class Samples:
    ids: Counter = field(default_factory=Counter)

    def message(self, control: str = "M1", payload: bytes = BYTES, feed: str = "epic") -> Message:
        return Message(
            id=self.ids.next(),
            feed=feed,
            format=Format.HL7V2,
            type="DFT^P03",
            control=control,
            received=NOON,
            state=MessageState.RECEIVED,
            payload=payload,
            reply=b"MSA|AA|" + control.encode("utf-8", "replace") + b"\x00\xff",
        )

    def hold(self, key: str, kind: HoldKind = HoldKind.EDIT, rule: str = "charge.pointer") -> Hold:
        return Hold(
            id=self.ids.next(),
            encounter=key,
            kind=kind,
            rule=rule,
            subject="1",
            severity=Severity.WARNING,
            where="charges[0].diagnoses",
            text="The charge points to no diagnosis.",
            remedy="Add a pointer.",
            source="837P SV107",
            evidence=("charge 1",),
            opened=NOON,
            due=NOON + timedelta(days=2),
            fingerprint="f" * 64,
        )

    def query(self, key: str, provider: str = "1234567893", number: str = "Q-1") -> Query:
        return Query(
            id=self.ids.next(),
            number=number,
            encounter=key,
            draft=QueryDraft(
                kind=QueryKind.MULTIPLE_CHOICE,
                title="Type of heart failure",
                question="Please document the type of heart failure, if known.",
                indicators=(Indicator(text="BNP 900", document="D1"),),
                options=(Option(text="Systolic", indicators=(0,)), Option(text="Unable to determine")),
                provider=provider,
            ),
            asked_by="user:cdi",
            asked=NOON,
            due=NOON + timedelta(days=7),
            changed=NOON,
        )

    def claim(self, encounter: Encounter, destination: str = "payer", number: str = "C1", version: int = 1) -> Claim:
        billed = billable(encounter)
        return Claim(
            id=self.ids.next(),
            number=number,
            version=version,
            encounter=str(encounter.key),
            kind=ClaimKind.PROFESSIONAL,
            destination=destination,
            fingerprint=billed.fingerprint(),
            billed=billed,
            approved_by="user:auditor",
            released=NOON,
        )

    def delivery(self, claim: Claim, due: datetime = NOON) -> Delivery:
        return Delivery(
            id=self.ids.next(),
            claim=claim.id,
            encounter=claim.encounter,
            destination=claim.destination,
            key=f"{claim.number}-{claim.version}",
            due=due,
            changed=NOON,
        )

    def decision(self, key: str) -> Decision:
        return Decision(
            id=self.ids.next(),
            encounter=key,
            kind=DecisionKind.APPROVE,
            actor="user:auditor",
            at=NOON,
            fingerprint="f" * 64,
            comment="Checked against the operative note.",
            holds=(1, 2),
        )

    def full_case(self, number: str) -> Case:
        """A case of version 1 with one of everything."""
        whole = encounter(number)
        key, claim = str(whole.key), self.claim(whole, number="C" + number)
        return Case(
            key=key,
            version=1,
            encounter=whole,
            holds=(self.hold(key), self.hold(key, HoldKind.QUERY, "query")),
            queries=(self.query(key, number="Q-" + number),),
            decisions=(self.decision(key),),
            draws=(Draw("new-coders", f"coder:jones {number}/0", 3, True),),
            claims=(claim,),
            deliveries=(self.delivery(claim),),
        )


def event(subject: str = "message/1", key: str | None = None, minutes: int = 0, message: int | None = None) -> Event:
    return Event(
        at=NOON + timedelta(minutes=minutes),
        actor="feed:epic",
        action=Action.ENCOUNTER_CHANGED if key else Action.MESSAGE_RECEIVED,
        subject=subject,
        encounter=key,
        message=message,
        detail={"z": [1, 2.5, None], "a": {"codes": ["25000", "E119"], "text": "\u00e9\u4e2d\U0001f600"}},
    )


_SURGEON = Provider(
    role=ProviderRole.RENDERING,
    npi="1234567893",
    name=PersonName(family="O'NEIL", given="ANA", middle="B", suffix="JR"),
    organization="GENERAL",
    identifiers=(Identifier(value="77", authority="EPIC", type="PRN"),),
)
_HOME = Address(line="1 MAIN ST", line2="APT 2", city="SPRINGFIELD", state="IL", postal_code="62701", country="USA")


def encounter(number: str = "100", coder: str = "jones") -> Encounter:
    """An encounter with something in every part of it."""
    return Encounter(
        key=EncounterKey("MAIN", "HOSP", number),
        identifiers=(Identifier(value=number, authority="HOSP", type="AN"),),
        patient=Patient(
            identifiers=(Identifier(value="MR" + number, authority="HOSP", type="MR"),),
            name=PersonName(family="DOE", given="J\u00dcRGEN"),
            birth_date=date(1970, 1, 31),
            sex="M",
            address=_HOME,
            phone="2175550100",
        ),
        guarantor=Guarantor(name=PersonName(family="DOE"), relationship="self", address=_HOME),
        visit=Visit(
            status=VisitStatus.DISCHARGED,
            encounter_class=EncounterClass.INPATIENT,
            type="surgery",
            service="SUR",
            location="3W",
            place_of_service="21",
            admitted=NOON - timedelta(days=3),
            discharged=NOON,
            disposition="01",
            account=Identifier(value=number, authority="HOSP"),
            number=Identifier(value="V" + number, authority="HOSP"),
        ),
        coverages=(
            Coverage(id="2", rank=2, payer_name="AETNA"),
            Coverage(id="1", rank=1, payer=Identifier(value="MCARE"), payer_name="MEDICARE", member_id="1EG4"),
        ),
        providers=(_SURGEON,),
        diagnoses=(
            Diagnosis(
                id="1",
                code="E119",
                system=CodeSystem.ICD10CM,
                use=DiagnosisUse.FINAL,
                rank=1,
                present_on_admission="Y",
                description="as sent",
                source="epic",
                origin="1 DG1[1]",
            ),
        ),
        procedures=(Procedure(id="1", code="0DTJ4ZZ", system=CodeSystem.ICD10PCS, performed=date(2026, 3, 1)),),
        charges=(
            Charge(id="1", code="99223", units=Decimal("1"), amount=Decimal("300.10"), modifiers=("25", "AI")),
            Charge(id="2", code="44970", units=Decimal("1"), amount=Decimal("2500.05"), providers=(_SURGEON,)),
            Charge(id="3", code="A4550", units=Decimal("0.5"), amount=Decimal("12.00")),
            Charge(id="4", kind=ChargeKind.CREDIT, code="A4550", amount=Decimal("-12.00"), reverses="3"),
        ),
        documents=(Document(id="D1", kind=DocumentKind.OPERATIVE_NOTE, author=_SURGEON, written=NOON, digest="ab"),),
        coding=Coding(coder=coder, encoder="3M", coded=NOON, final=True, drg="343"),
    )


def change(before: Case, after: Case, stage: str = "held", due: datetime | None = None) -> CaseChange:
    return CaseChange(before, after, "f" * 64, stage, Decimal("2800.15"), due)


def creation(case: Case, stage: str = "held", due: datetime | None = None) -> Step:
    """The step that makes `case` (of version 1) out of nothing."""
    return Step(cases=[change(Case(case.key), case, stage, due)], events=[event("encounter/" + case.key, case.key)])


def small_case(samples: Samples, number: str, coder: str = "jones") -> Case:
    """A case of version 1 with an encounter and a hold."""
    whole = encounter(number, coder)
    return Case(str(whole.key), 1, whole, holds=(samples.hold(str(whole.key)),))


def sent(delivery: Delivery, state: DeliveryState = DeliveryState.INTENT) -> Delivery:
    """The delivery after its next attempt began."""
    return delivery.model_copy(
        update={"state": state, "attempts": delivery.attempts + 1, "payload": BYTES, "epoch": 7, "outcome": "begun"}
    )


def ended(hold: Hold) -> Hold:
    return hold.model_copy(
        update={"state": HoldState.RESOLVED, "ended": NOON, "ended_by": "user:a", "ended_reason": "checked"}
    )


def answered(query: Query) -> Query:
    changed = {"status": QueryStatus.COMPLETED, "answer": "Systolic", "changed": NOON + timedelta(hours=1)}
    return query.model_copy(update=changed)


def next_version(case: Case, **changes: object) -> Case:
    return replace(case, version=case.version + 1, **changes)  # type: ignore[arg-type]
