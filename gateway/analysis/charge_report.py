"""Charge conservation, feed by feed and day by day: every charge that came in, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from gateway.case import Case
from gateway.encounter.billable import billed_charges
from gateway.encounter.model import Encounter
from gateway.mappings.hl7v2.er7 import Er7Error, Er7Message
from gateway.message import Format, Message, MessageState
from gateway.release.conservation import Fate, fates, lost
from gateway.review.model import HoldState
from gateway.store.interface import MessageSearch, Store

PAGE = 200
SET_ASIDE = "set-aside"
WAITING = "waiting"
"""Kept, and not yet processed."""
REPLACED = "replaced"
"""Said again later, taken away by a later message, or no charge by the feed's rule."""
COLUMNS = (*(fate.value for fate in Fate), REPLACED, SET_ASIDE, WAITING)


@dataclass(frozen=True, slots=True)
class ChargeDay:
    """The charges that one feed sent on one day: `said` is the sum of `became`."""

    feed: str
    day: date
    said: int
    became: Mapping[str, int]

    @property
    def unaccounted(self) -> int:
        return self.became.get(Fate.UNACCOUNTED, 0)


class ChargeReport:
    """Reads the messages of a time and the encounters that they made."""

    def __init__(self, store: Store, zone: tzinfo) -> None:
        self._store = store
        self._zone = zone

    async def days(self, since: datetime, until: datetime | None, feed: str | None = None) -> list[ChargeDay]:
        """What was received from `since` on and before `until`."""
        said: Counter[tuple[str, date]] = Counter()
        became: dict[tuple[str, date], Counter[str]] = {}
        before: int | None = None
        counted: set[str] = set()
        while True:
            page = await self._store.search_messages(
                MessageSearch(feed=feed, since=since, until=until, before=before, limit=PAGE)
            )
            for message, fate in await self._fates(page.items, counted):
                day = (message.feed, message.received.astimezone(self._zone).date())
                said[day] += fate.total()
                became.setdefault(day, Counter()).update(fate)
            if page.next is None:
                break
            before = page.next
        return [
            ChargeDay(feed, day, said[feed, day], dict(became[feed, day]))
            for feed, day in sorted(said)
            if said[feed, day]
        ]

    async def _fates(self, messages: Sequence[Message], counted: set[str]) -> list[tuple[Message, Counter[str]]]:
        cases = await self._cases({m.encounter for m in messages if m.encounter is not None})
        found = []
        for message in messages:
            if message.state in _UNREAD:
                found.append((message, Counter({_UNREAD[message.state]: await self._count(message)})))
            elif message.state is MessageState.PROCESSED and message.encounter in cases:
                found.append((message, _of_message(message, cases[message.encounter], counted)))
        return found

    async def _cases(self, keys: Iterable[str]) -> dict[str, Case]:
        """The cases by the keys that messages name; of a merged one that which it became part of."""
        found = await self._store.cases(keys)
        for key in list(found):
            seen = {key}
            while (standing := found[key].encounter) is not None and standing.merged_into not in (None, *seen):
                seen.add(str(standing.merged_into))
                found[key] = (await self._store.cases([str(standing.merged_into)]))[str(standing.merged_into)]
        return found

    async def _count(self, message: Message) -> int:
        """The charges of a message that was not used, counted in its bytes."""
        if message.format is not Format.HL7V2:
            return 0
        kept = await self._store.message(message.id)
        try:
            return len(Er7Message.parse(kept.payload).positions("FT1")) if kept is not None else 0
        except Er7Error:
            return 0


_UNREAD = {MessageState.SET_ASIDE: SET_ASIDE, MessageState.RECEIVED: WAITING}


def _of_message(message: Message, case: Case, counted: set[str]) -> Counter[str]:
    encounter = case.encounter
    entry = next((e for e in encounter.history if e.message == message.id), None) if encounter else None
    if encounter is None or entry is None or not entry.charges:
        return Counter()
    known = _fates_of(encounter, case)
    origin = f"{message.id} "
    became = Counter(known[c.id].value for c in encounter.charges if (c.origin or "").startswith(origin))
    rest = entry.charges - became.total()
    if rest > 0:
        missing = 0 if case.key in counted else min(rest, max(0, lost(encounter)))
        counted.add(case.key)
        became.update({REPLACED: rest - missing, Fate.UNACCOUNTED.value: missing})
    return +became


def _fates_of(encounter: Encounter, case: Case) -> Mapping[str, Fate]:
    return fates(
        encounter,
        claimed=[line.charge for line in case.claims[-1].billed.lines] if case.claims else (),
        lines=[charge.id for charge in billed_charges(encounter)],
        held=any(hold.state is HoldState.OPEN for hold in case.holds),
    )
