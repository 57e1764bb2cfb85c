"""Provider queries as they are found and read. What a caller may not see does not exist for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.access.asking import origin
from gateway.access.compartment import PatientNumber, limits, sees
from gateway.access.roles import Permission
from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.desk.ports import Person
from gateway.desk.query_moves import unknown
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import Work, client, user
from gateway.encounter.identity import Identifier
from gateway.encounter.model import Encounter
from gateway.release.model import Claim
from gateway.review.model import Query
from gateway.store.interface import Step
from gateway.store.queries import QuerySearch, QuerySubject


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with what its Task must name: the patient, the encounter, the claim once there is one."""

    query: Query
    patient: Identifier | None = None
    account: Identifier | None = None
    visit: Identifier | None = None
    claim: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search. `total` counts all pages; None when it was not asked for. `more`: whether a page follows."""

    items: Sequence[Asked]
    total: int | None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The encounter that a query is about, and its newest claim."""

    encounter: Encounter
    claim: Claim | None = None


class QueryReading:
    """The reading half of the desk for queries. All methods raise Refusal."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def get(self, query_id: int, caller: Person) -> Asked:
        """One query. That it was read is in the audit trail."""
        return await self._read(await self._visible(query_id, caller), caller)

    async def by_number(self, number: str, caller: Person) -> Asked:
        """One query, by the number that the provider sees."""
        found = await self._work.store.queries(QuerySearch(numbers=(number,), limit=2))
        if len(found) != 1 or not _sees(caller, found[0]) or not await self._of_theirs(found[0], caller):
            raise unknown()
        return await self._read(found[0], caller)

    async def find(self, search: QuerySearch, caller: Person, *, counted: bool = True) -> Found:
        """A page of the queries that `search` and the caller's own providers and patients leave."""
        narrow = within(search, caller)
        if narrow is None:
            return Found((), 0 if counted else None)
        store = self._work.store
        page = await store.queries(replace(narrow, limit=narrow.limit + 1)) if narrow.limit else []
        more, page = len(page) > narrow.limit, page[: narrow.limit]
        subjects = await store.query_subjects(query.encounter for query in page)
        items = [_about(query, subjects) for query in page if sees(caller, _patient(subjects, query))]
        total = await store.count_queries(narrow) if counted and len(items) == len(page) else None
        if items:
            await self._tell(caller, "query/search", None, {"queries": [asked.query.id for asked in items]})
        return Found(items, total, more)

    async def versions(self, query_id: int, caller: Person) -> Sequence[Asked]:
        """All versions that are kept, the newest first. Those of before they were kept are missing."""
        query = await self._visible(query_id, caller)
        case, _ = await self._work.case(query.encounter)
        kept = await self._work.store.query_versions(query_id)
        await self._tell(caller, f"query/{query_id}", query.encounter, {"versions": len(kept)})
        ends = [None, *(version.changed for version in kept)]
        return [asked(version, case, end) for version, end in zip(kept, ends, strict=False)]

    async def version(self, query_id: int, number: int, caller: Person) -> Asked:
        """One version. UNKNOWN when it is not kept."""
        versions = await self.versions(query_id, caller)
        found = next((version for version in versions if version.query.version == number), None)
        if found is None:
            raise Refusal(Reason.UNKNOWN, "There is no such version of the query")
        return found

    async def surroundings(self, keys: Iterable[str]) -> dict[str, Surroundings]:
        """What stands around queries that the caller was shown, by encounter key."""
        cases = await self._work.store.cases(keys)
        return {
            key: Surroundings(case.encounter, case.claims[-1] if case.claims else None)
            for key, case in cases.items()
            if case.encounter is not None
        }

    async def encounter_numbered(self, number: str) -> str:
        """The key of the encounter with an account or visit number, `value` or `authority|value`.

        UNKNOWN when there is none, UNACCEPTABLE when there are several.
        """
        keys = await self._work.store.encounters_numbered(number)
        if not keys:
            raise Refusal(Reason.UNKNOWN, "There is no encounter with this number")
        if len(keys) > 1:
            raise Refusal(Reason.UNACCEPTABLE, "Several encounters have this number: name its authority, or the key")
        return keys[0]

    async def _visible(self, query_id: int, caller: Person) -> Query:
        query = await self._work.store.query(query_id)
        if query is None or not _sees(caller, query) or not await self._of_theirs(query, caller):
            raise unknown()
        return query

    async def _of_theirs(self, query: Query, caller: Person) -> bool:
        """Whether a caller who is limited to certain patients may know of the query."""
        if _patients(caller) is None:
            return True
        return sees(caller, _patient(await self._work.store.query_subjects([query.encounter]), query))

    async def _read(self, query: Query, caller: Person) -> Asked:
        subjects = await self._work.store.query_subjects([query.encounter])
        await self._tell(caller, f"query/{query.id}", query.encounter, {})
        return _about(query, subjects)

    async def _tell(self, caller: Person, subject: str, key: str | None, detail: dict[str, object]) -> None:
        actor = client(caller) if Permission.QUERY_ANSWER in caller.permissions else user(caller)
        told = {**detail, **origin(caller)}
        event = Event(self._work.clock.now(), actor, Action.QUERY_READ, subject, key, None, told)
        await self._work.store.commit(Step(events=[event]))


def within(search: QuerySearch, caller: Person) -> QuerySearch | None:
    """The search over what the caller may see: its pages and totals tell of nothing else. None when nothing is left."""
    if caller.npi:
        owners = tuple(npi for npi in caller.npi if not search.owners or npi in search.owners)
        if not owners:
            return None
        search = replace(search, owners=owners)
    own = _patients(caller)
    if own is None:
        return search
    patients = tuple(_named(number) for number in own if not search.patients or _meant(number, search.patients))
    return replace(search, patients=patients) if patients else None


def asked(query: Query, case: Case, until: datetime | None = None) -> Asked:
    """The query with the numbers of what it is about; the claim that was its newest before `until`, or is now."""
    encounter = case.encounter
    if encounter is None:
        return Asked(query)
    claims = [claim.number for claim in case.claims if until is None or claim.released < until]
    visit = encounter.visit
    subject = QuerySubject(encounter.patient.identifiers, visit.account, visit.number, claims[-1] if claims else None)
    return _about(query, {query.encounter: subject})


def _about(query: Query, subjects: dict[str, QuerySubject]) -> Asked:
    subject = subjects.get(query.encounter, QuerySubject())
    numbers = subject.patient
    patient = next((number for number in numbers if number.type == "MR"), numbers[0] if numbers else None)
    return Asked(query, patient, subject.account, subject.visit, subject.claim)


def _patient(subjects: dict[str, QuerySubject], query: Query) -> Sequence[Identifier]:
    return subjects.get(query.encounter, QuerySubject()).patient


def _patients(caller: Person) -> frozenset[PatientNumber] | None:
    found = limits(caller)
    return found.patients if found is not None else None


def _named(number: PatientNumber) -> str:
    return f"{number.authority}|{number.value}"


def _meant(number: PatientNumber, asked: Sequence[str]) -> bool:
    return number.value in asked or _named(number) in asked


def _sees(caller: Person, query: Query) -> bool:
    return not caller.npi or query.draft.provider in caller.npi
