"""Dates in searches (R4, search, date): a prefix and a date or time, which is all of what it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.adapters.http.exchange import Fault

PREFIXES = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")
MILLISECOND = timedelta(milliseconds=1)
"""Instants are shown to the millisecond."""

_WRITTEN = re.compile(
    r"(?P<prefix>[a-z]{2})?(?P<year>\d{4})(-(?P<month>\d{2})(-(?P<day>\d{2})"
    r"(?P<time>T\d{2}:\d{2}(?P<second>:\d{2}(\.(?P<part>\d{1,9}))?)?(Z|[+-]\d{2}:\d{2}))?)?)?"
)


@dataclass(frozen=True, slots=True)
class SearchedDate:
    """What is named lasts from `begins` to before `ends`, in UTC. `timed`: it is a time, not a date."""

    prefix: str
    begins: datetime
    ends: datetime
    timed: bool

    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """From when on, and before when. KeyError for `ne` and `ap`, which two bounds do not say."""
        return {
            "eq": (self.begins, self.ends),
            "ge": (self.begins, None),
            "gt": (self.ends, None),
            "sa": (self.ends, None),
            "le": (None, self.ends),
            "lt": (None, self.begins),
            "eb": (None, self.begins),
        }[self.prefix]


def searched_date(value: str, where: str, prefixes: Sequence[str] = PREFIXES) -> SearchedDate:
    """The date that a parameter's value names, a year, a month, a day, or a time with its zone. Fault 400."""
    match = _WRITTEN.fullmatch(value.replace(" ", "+"))  # a plus that was not escaped
    prefix = (match["prefix"] or "eq") if match is not None else ""
    if match is None or prefix not in prefixes:
        raise Fault(400, f"Give a date, or a time with its zone; before it one of {', '.join(prefixes)}", where=where)
    try:
        return SearchedDate(prefix, *_period(match), timed=match["time"] is not None)
    except (ValueError, OverflowError):
        raise Fault(400, "There is no such date or time", where=where) from None


def _period(match: re.Match[str]) -> tuple[datetime, datetime]:
    year, month, day = int(match["year"]), int(match["month"] or 1), int(match["day"] or 1)
    if match["time"] is None:
        begins = datetime(year, month, day, tzinfo=UTC)
        if match["day"]:
            return begins, begins + timedelta(days=1)
        if match["month"]:
            return begins, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return begins, datetime(year + 1, 1, 1, tzinfo=UTC)
    begins = datetime.fromisoformat(match[0].removeprefix(match["prefix"] or "")).astimezone(UTC)
    if match["part"]:
        return begins, begins + timedelta(microseconds=10 ** max(0, 6 - len(match["part"])))
    return begins, begins + (timedelta(seconds=1) if match["second"] else timedelta(minutes=1))
