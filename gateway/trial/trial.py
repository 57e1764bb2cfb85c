"""A gateway in memory that messages are sent through, to see what would become of them.

It has the rules of the configuration and, where a store stands, what that store knows of the encounters that the
messages name. It is the same reception, pipeline and casework that serve; only nothing outlives it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Self

from gateway.case import Case
from gateway.casework import Casework, Sampler
from gateway.clock import Clock, Ids, SystemClock
from gateway.config.message_types import MessageTypes
from gateway.config.model import Config
from gateway.desk.acknowledged import Acknowledged, acknowledgement
from gateway.desk.desk import dossier
from gateway.encounter.billable import billable
from gateway.encounter.change import Change
from gateway.encounter.merge import Merges
from gateway.intake.intake import Backlog, Intake
from gateway.intake.reception import Outcome, Reception, Unsaid
from gateway.lookup import Lookup
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir.outcome import ERROR, FATAL
from gateway.mappings.fhir.resource import read, screen
from gateway.mappings.hl7v2.er7 import Er7Error
from gateway.mappings.hl7v2.header import route
from gateway.mappings.hl7v2.mapping import map_message
from gateway.mappings.hl7v2.watched import Unread, WatchedMessage
from gateway.message import Format, Message, MessageState, Received
from gateway.pipeline.building import Reader
from gateway.pipeline.message_numbers import message_numbers, placed_numbers
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.reading import MAX_SEGMENTS, FhirReader, Hl7Reader, with_lookups
from gateway.review.assess import assess
from gateway.review.model import Hold, HoldState, Query
from gateway.rules import Rules
from gateway.store import open_store
from gateway.store.interface import CaseChange, ResourceVersion, Step, Store
from gateway.store.queries import QuerySearch
from gateway.trial.tried import EncounterTried, Fate, LeftOver, Tried
from gateway.trial.values import Value, values

NO_NUMBER = "no-encounter-number"
HEAD = 65_536
"""Of a message that is too long, what its refusal is read from."""
MOST_HISTORY = 500
"""Messages of one encounter that are brought over, for those that come late."""
_FATES = {
    MessageState.PROCESSED: Fate.PROCESSED,
    MessageState.UNUSED: Fate.UNUSED,
    MessageState.SET_ASIDE: Fate.SET_ASIDE,
}


@dataclass(slots=True)
class _Read:
    """What one message says, by the mapping alone."""

    mapping: str = ""
    segments: tuple[tuple[str, int], ...] = ()
    values: tuple[Value, ...] = ()
    left_over: tuple[LeftOver, ...] = ()
    said: Change | Merges | None = None


class _Looked:
    """Where mappings look things up: in the trial's store, then in the one that stands."""

    def __init__(self, store: Store, standing: Store | None) -> None:
        self._stores = [store, standing] if standing is not None else [store]

    async def resource(self, client: str, type: str, id: str, version: int | None = None) -> ResourceVersion | None:
        found = [await store.resource(client, type, id, version) for store in self._stores]
        return next((each for each in found if each is not None), None)

    async def message(self, id: int) -> Message | None:
        found = [await store.message(id) for store in self._stores]
        return next((each for each in found if each is not None), None)

    async def referring(self, client: str, reference: str) -> list[ResourceVersion]:
        found = [each for store in self._stores for each in await store.referring(client, reference)]
        return list({(each.type, each.id): each for each in reversed(found)}.values())

    async def whole_messages(self, ids: Sequence[int]) -> dict[int, Message]:
        found: dict[int, Message] = {}
        for store in reversed(self._stores):
            found |= await store.whole_messages(ids)
        return found

    async def queries(self, search: QuerySearch) -> list[Query]:
        return [query for store in self._stores for query in await store.queries(search)]


class Trial:
    """Use it as an async context manager; messages that are tried one after the other build on each other."""

    def __init__(self, config: Config, rules: Rules, standing: Store | None = None, clock: Clock | None = None) -> None:
        self._config = config
        self._rules = rules
        self._standing = standing
        self._clock = clock or SystemClock()
        self._ids = Ids()
        self._brought: set[str] = set()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        store = open_store("sqlite://", clock=self._clock)
        await store.open()
        self._open.push_async_callback(store.close)
        lookups: Sequence[Lookup] = await self._standing.lookups() if self._standing is not None else ()
        counts = await self._standing.draw_counts() if self._standing is not None else {}
        rules, backlog = self._rules, Backlog(self._config.processing.high_water)
        self._store = store
        self._profiles = with_lookups(rules.profiles, lookups)
        self._casework = Casework(rules.policy, rules.edit_context, rules.routes, Sampler(counts), self._ids.next)
        self._intake = Intake(store, backlog, self._clock, self._ids)
        readers: dict[str, Reader] = {
            Format.HL7V2: Hl7Reader(self._profiles),
            Format.FHIR: FhirReader(rules.sources, _Looked(store, self._standing)),
        }
        self._readers = readers
        self._pipeline = Pipeline(store, readers, self._casework, backlog, self._clock, self._ids)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def hl7(self, feed: str, payload: bytes, file: str = "", number: int = 1) -> Tried:
        """What would become of one HL7 v2 message that came on `feed`, one that the configuration names. What a
        certificate may send is not asked: there is no connection.
        """
        header = route(payload)
        tried = Tried(file, number, header.type, header.control, Fate.REFUSED, None)
        settings = next(each for each in self._config.feeds if each.name == feed)
        types = MessageTypes.of(settings.refuse, settings.only)
        reception = Reception(feed, self._intake, self._clock, types=types)
        if len(payload) > settings.max_message:
            text = f"the message is longer than {settings.max_message} bytes"
            return replace(tried, acknowledged=acknowledgement(reception.refuse(payload[:HEAD], text)))
        before = self._ids.next()
        try:
            answer = await reception.take(payload)
        except Unsaid:
            return tried
        tried = replace(tried, acknowledged=acknowledgement(answer.reply))
        if answer.outcome is Outcome.REPEAT:
            return replace(tried, fate=Fate.REPEAT)
        kept = await self._kept_after(before)
        if kept is None:
            return tried
        told = self._read(kept)
        tried = replace(
            tried, mapping=told.mapping, segments=told.segments, values=told.values, left_over=told.left_over
        )
        return await self._processed(tried, kept, told.said)

    async def fhir(self, client: str, payload: bytes, type: str, file: str = "", number: int = 1) -> Tried:
        """What would become of a FHIR resource that `client` writes as `type` (`PUT Claim/7`)."""
        refused = _screened(payload)
        if refused is not None:
            return Tried(file, number, type, "", Fate.REFUSED, refused)
        digest = hashlib.sha256(payload).hexdigest()
        received = Received(client, Format.FHIR, type, digest[:16], payload, b"[201]")
        before = self._ids.next()
        await self._intake.accept(received)
        tried = Tried(file, number, type, "", Fate.REPEAT, Acknowledged("201"))
        kept = await self._kept_after(before)
        if kept is None:
            return tried
        try:
            said = await self._readers[Format.FHIR](kept)
        except MappingError:
            said = Unused("")
        change = said if isinstance(said, Change | Merges) else None
        return await self._processed(replace(tried, values=values(change) if change else ()), kept, change)

    async def _kept_after(self, id: int) -> Message | None:
        """The message that was kept just now."""
        return next((message for message in await self._store.pending(2) if message.id > id), None)

    def _read(self, message: Message) -> _Read:
        """Read and mapped beside the pipeline, to see what is looked at."""
        profile = self._profiles[message.feed]
        try:
            watched = WatchedMessage.parse(message.payload, profile.charset)
        except Er7Error:
            return _Read()
        told = _Read(segments=tuple(Counter(watched.names).items()))
        if len(watched) > MAX_SEGMENTS:
            return told
        watched.watch()
        try:
            said = map_message(watched, profile, message.id)
        except MappingError:
            said = Unused("")
        if isinstance(said, Change | Merges):
            told.said = said
            told.values = values(said)
            told.mapping = profile.dialect.version
            told.left_over = tuple(_left_over(unread) for unread in watched.unread())
        return told

    async def _processed(self, tried: Tried, kept: Message, said: Change | Merges | None) -> Tried:
        keys = await self._bring(kept)
        before = await self._store.cases(keys)
        while await self._pipeline.work_once():
            pass
        settled = await self._store.message(kept.id)
        if settled is None:
            return tried
        problems = said.problems if isinstance(said, Change) else ()
        tried = replace(tried, fate=_FATES[settled.state], reason=settled.reason, problems=problems)
        if settled.encounter is None:
            return replace(tried, numbers=_candidates(settled, kept))
        after = (await self._store.cases([settled.encounter]))[settled.encounter]
        return replace(tried, encounter=self._encounter(before.get(after.key, Case(after.key)), after))

    def _encounter(self, before: Case, after: Case) -> EncounterTried | None:
        if after.encounter is None:
            return None
        shown = dossier(after, after.encounter)
        context = self._rules.edit_context(after.encounter, billable(after.encounter), self._clock.now())
        was, now = _open(before), _open(after)
        new_claims = after.claims[len(before.claims) :]
        return EncounterTried(
            key=after.key,
            stage=str(shown.stage),
            total=str(shown.total),
            findings=tuple(assess(after.encounter, self._rules.policy, context, ())),
            opened=tuple(hold for id, hold in now.items() if id not in was),
            ended=tuple(hold for id, hold in was.items() if id not in now),
            standing=tuple(hold for id, hold in now.items() if id in was),
            released=new_claims[-1].destination if new_claims else None,
        )

    async def _bring(self, message: Message) -> list[str]:
        """Bring over what the standing store knows of the encounters that the message names; their keys, and those of
        the encounters that were tried before.
        """
        numbers = message_numbers(message)
        known = await self._store.encounters_with(numbers)
        if self._standing is None:
            return known
        fresh = [key for key in await self._standing.encounters_with(numbers) if key not in self._brought]
        for key, case in (await self._standing.cases(fresh)).items():
            if case.encounter is not None and not self._brought & {key}:
                await self._store.commit(await self._copied(case))
        self._brought.update(fresh)
        return list(dict.fromkeys((*known, *fresh)))

    async def _copied(self, case: Case) -> Step:
        """The case as it stands, and the messages of its history: as new attempts, so that none is taken for a repeat
        of what is tried.
        """
        assert case.encounter is not None  # noqa: S101 - the caller has seen to it
        assert self._standing is not None  # noqa: S101 - and to this
        shown = dossier(case, case.encounter)
        messages = []
        for entry in case.encounter.history[-MOST_HISTORY:]:
            kept = await self._standing.message(entry.message)
            if kept is not None and await self._store.message(kept.id) is None:
                messages.append(replace(kept, replay_of=kept.replay_of or kept.id))
        change = CaseChange(Case(case.key), replace(case, version=1), shown.fingerprint, str(shown.stage), shown.total)
        return Step(messages=messages, cases=[change])


def _candidates(settled: Message, kept: Message) -> tuple[Value, ...]:
    """The numbers that stand in a message which was set aside for having none at the feed's places."""
    if kept.format is not Format.HL7V2 or not (settled.reason or "").startswith(NO_NUMBER):
        return ()
    return tuple(Value("", number, place) for place, number in placed_numbers(kept.payload))


def _screened(payload: bytes) -> Acknowledged | None:
    """What a resource is refused with before it is kept; None when it is taken."""
    try:
        wrong = [issue for issue in screen(read(payload)) if issue.severity in (ERROR, FATAL)]
    except MappingError as error:
        return Acknowledged("400", str(error))
    if not wrong:
        return None
    return Acknowledged("422", "; ".join(f"{issue.expression} {issue.diagnostics}" for issue in wrong))


def _left_over(unread: Unread) -> LeftOver:
    found = unread.segment.fields
    return LeftOver(unread.segment.label, unread.fields, tuple(found[n] for n in unread.fields), unread.whole)


def _open(case: Case) -> dict[int, Hold]:
    return {hold.id: hold for hold in case.holds if hold.state is HoldState.OPEN}
