"""One search under way: from a moment on, page by page, and how far its cursor may move. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.adapters.fhir_poll.faults import PollFault, Trouble
from gateway.adapters.fhir_poll.pages import Page, updated

LONGEST = 100_000
"""Pages of one search: a server that always names another one is not believed."""


@dataclass(slots=True)
class Search:
    """What changed since `cursor`. The cursor moves with each page that is kept, as long as the server sorts by time;
    else when the last one is.

    Many servers count a page's place when it is asked for: what changes meanwhile leaves its place, and what stood next
    is on no page. So links are followed over the first two pages only, which show whether the server sorts as it says;
    from then on each page is searched for from the moment where the one before ended. So is the rest where a
    server sends fewer than match and names no next page.
    """

    kind: str
    cursor: datetime
    since: datetime
    """From where the next page is searched for, unless `next` says it."""
    next: str | None = None
    pages: int = 0
    ended: bool = False
    _highest: datetime | None = None
    _last: datetime | None = None
    """The moment of the newest resource of the last page."""
    _in_order: bool = True
    _followed: set[str] = field(default_factory=set)

    @property
    def moved(self) -> datetime:
        """Where the cursor may stand by now."""
        may = self._highest is not None and (self.ended or self._in_order)
        return max(self.cursor, self._highest) if may and self._highest is not None else self.cursor

    def kept(self, page: Page) -> None:
        """A page was kept. PollFault when the next one was read already, or the rest cannot be reached."""
        before, linked = self._last, self.next is not None
        for moment in (_to_milliseconds(moment) for moment in map(updated, page.matches) if moment is not None):
            if self._last is not None and moment < self._last:
                self._in_order = False
            self._last = max(moment, self._last or moment)
            self._highest = max(moment, self._highest or moment)
        self._in_order = self._in_order and page.by_time
        self.pages += 1
        self.next, self.ended = page.next, page.next is None
        if self._in_order and self.pages == 2:
            self._from(before)
        elif self._in_order and self.pages > 2 and not self.ended:
            self._from(self._last)
        if self.ended and page.withheld and not linked:
            self._reach_on()
        self._follow()

    def _reach_on(self) -> None:
        """The server caps what it sends. Where it sorts, what it kept back is later than what it sent."""
        if self._in_order:
            self._from(self._last)
        if self.ended:
            raise PollFault(Trouble.CAPPED, "fewer than match are sent, and no next page is named")

    def _from(self, moment: datetime | None) -> None:
        """Search from here on; by the link where all that was sent is of one moment."""
        if moment is not None and moment > self.since:
            self.since = self._last = moment
            self.next, self.ended = None, False

    def _follow(self) -> None:
        if self.pages >= LONGEST or self.next in self._followed:
            raise PollFault(Trouble.ASTRAY, "the links to next pages do not end")
        if self.next is not None:
            self._followed.add(self.next)


def _to_milliseconds(moment: datetime) -> datetime:
    """As searches write it: servers may count finer."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def parameters(
    since: datetime, count: int, more: dict[str, str], includes: Sequence[str], *, by_time: bool
) -> dict[str, str | list[str]]:
    """A search's parameters; `since` in UTC and to the millisecond below."""
    moment = since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    asked: dict[str, str | list[str]] = {**more, "_lastUpdated": f"ge{moment}", "_count": str(count)}
    if by_time:
        asked["_sort"] = "_lastUpdated"
    if includes:
        asked["_include"] = list(includes)
    return asked
