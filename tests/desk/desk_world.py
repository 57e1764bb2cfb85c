"""A desk over a real store in memory and the real rules, with one encounter that the policy wants reviewed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.access.roles import Permission, Role, permissions
from gateway.casework import Casework, Sampler
from gateway.clock import Ids
from gateway.config.model import DestinationKind
from gateway.desk.desk import Desk
from gateway.desk.queries import QueryDesk
from gateway.desk.work import Work
from gateway.encounter.change import Content
from gateway.encounter.model import ClaimKind, Encounter
from gateway.reference.icd10cm import Icd10Cm, Release
from gateway.reference.icd10cm_files import flagged
from gateway.release.model import Claim
from gateway.release.routing import Route
from gateway.review.edits.context import EditContext
from gateway.review.model import Indicator, Option, QueryDraft, QueryKind
from gateway.review.policy import Policy, PolicyRule
from gateway.store.interface import Case, Step, Store, StoredEvent
from gateway.store.open import open_store

KEY = "MAIN:MAIN:A1001"
NPI = "1234567893"
NOTE = b"HGB 6.9 g/dL on 2 November. Patient pale."
DIGEST = "ab" * 32
FIXTURE = Path(__file__).parents[2] / "fixtures" / "review" / "outpatient.json"


@dataclass(frozen=True)
class Person:
    name: str
    roles: frozenset[Role]
    npi: tuple[str, ...] = ()

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions(self.roles)


CODER = Person("cora", frozenset({Role.CODER}))
SUPERVISOR = Person("sam", frozenset({Role.SUPERVISOR}))
PROVIDER = Person("inbox", frozenset({Role.PROVIDER}), (NPI,))
STRANGER = Person("inbox-b", frozenset({Role.PROVIDER}), ("1987654326",))


class Hands:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


@dataclass
class World:
    store: Store
    work: Work
    casework: Casework
    desk: Desk
    queries: QueryDesk
    released: list[Claim] = field(default_factory=list)

    async def case(self) -> Case:
        return (await self.store.cases([KEY]))[KEY]

    async def feed(self, **changes: Any) -> None:
        """A message changes the encounter."""
        case = await self.case()
        assert case.encounter is not None
        encounter = case.encounter.model_copy(update=changes)
        advanced = self.casework.advance(case, now=self.work.clock.now(), actor="feed:epic", encounter=encounter)
        await self.store.commit(Step(cases=[advanced.change], events=advanced.events))

    async def told(self) -> list[StoredEvent]:
        return [event async for event in self.store.events()]

    async def actions(self) -> list[str]:
        return [stored.event.action.value for stored in await self.told()]


def _icd10() -> Icd10Cm:
    return Icd10Cm([Release("test", "2026-04", date(2025, 10, 1), flagged(["I10", "E11", "E119", "D50", "D500"]))])


def encounter() -> Encounter:
    made = Encounter.from_json(FIXTURE.read_bytes())
    note = made.documents[0].model_copy(update={"digest": DIGEST, "content_type": "text/plain", "size": len(NOTE)})
    return made.model_copy(update={"documents": (note,)})


async def world(*rules: PolicyRule) -> World:
    """The world with the encounter in it, held by `rules`; by default by one that asks for a review."""
    store = open_store("sqlite://")
    await store.open()
    clock, ids, icd10 = Hands(), Ids(), _icd10()
    asked = rules or (PolicyRule(name="always", when="total > 0.0", reason="Every claim is reviewed."),)
    casework = Casework(
        Policy(rules=asked),
        lambda encounter, billed, now: EditContext(icd10=icd10, today=now.date(), billable=billed),
        (Route("payer", DestinationKind.FHIR_CLAIM, frozenset(ClaimKind)),),
        Sampler({}),
        ids.next,
    )
    work = Work(store, casework, clock, ids)
    made = World(store, work, casework, Desk(work), QueryDesk(work))
    work.on_released = made.released.append
    advanced = casework.advance(Case(KEY), now=clock.now(), actor="feed:epic", encounter=encounter())
    content = Content(DIGEST, "text/plain", NOTE)
    await store.commit(Step(cases=[advanced.change], contents=[(KEY, content)], events=advanced.events))
    return made


def draft(**changes: Any) -> QueryDraft:
    """A compliant query."""
    made = QueryDraft(
        kind=QueryKind.MULTIPLE_CHOICE,
        title="Clarification of the blood count",
        question="What is the clinical significance of this finding?",
        indicators=(Indicator(text="HGB 6.9 g/dL on 2 November", document="n1"),),
        options=(
            Option(text="Acute blood loss anaemia", indicators=(0,)),
            Option(text="Other"),
            Option(text="Unable to determine"),
        ),
        provider=NPI,
    )
    return made.model_copy(update=changes)
