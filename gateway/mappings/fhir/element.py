"""An element of a resource with its path. Reading is checked: a wrong JSON type is an error at a known place."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from gateway.mappings.errors import MappingError

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})")
_DIGITS = 18
"""Beyond any amount or quantity on a claim (R4 promises no more than 18 significant digits)."""

MAX_REPEATS = 5_000
"""How often one element may repeat: five times the lines of the largest institutional claim (999)."""


class Element:
    """A JSON object at `path`. An absent element reads as an empty one, or as `None` for a single value."""

    __slots__ = ("data", "path")

    def __init__(self, data: dict[str, Any], path: str) -> None:
        self.data = data
        self.path = path

    def __bool__(self) -> bool:
        return bool(self.data)

    def place(self, name: str) -> str:
        """The path of one of its elements."""
        return f"{self.path}.{name}"

    def text(self, name: str) -> str | None:
        """A string, without white space around it; one with nothing else counts as absent."""
        value = self.data.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise MappingError("structure", self.place(name), "should be a string")
        return value.strip() or None

    def texts(self, name: str) -> list[str]:
        """A list of strings; absent and null entries are left out."""
        values = self._list(name)
        if any(value is not None and not isinstance(value, str) for value in values):
            raise MappingError("structure", self.place(name), "should be a list of strings")
        return [value.strip() for value in values if value]

    def one(self, name: str) -> Element:
        """An object."""
        value = self.data.get(name)
        if value is None:
            return Element({}, self.place(name))
        if not isinstance(value, dict):
            raise MappingError("structure", self.place(name), "should be an object")
        return Element(value, self.place(name))

    def many(self, name: str) -> list[Element]:
        """A list of objects."""
        found = []
        for index, value in enumerate(self._list(name)):
            path = f"{self.path}.{name}[{index}]"
            if not isinstance(value, dict):
                raise MappingError("structure", path, "should be an object")
            found.append(Element(value, path))
        return found

    def first(self, name: str) -> Element:
        """The first of a list of objects."""
        found = self.many(name)
        return found[0] if found else Element({}, f"{self.path}.{name}[0]")

    def integer(self, name: str) -> int | None:
        """A whole number."""
        value = self.data.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise MappingError("structure", self.place(name), "should be a whole number")
        return value

    def integers(self, name: str) -> list[int]:
        """A list of whole numbers."""
        values = self._list(name)
        if any(isinstance(value, bool) or not isinstance(value, int) for value in values):
            raise MappingError("structure", self.place(name), "should be a list of whole numbers")
        return values

    def number(self, name: str) -> Decimal | None:
        """A decimal, exactly as written when the resource came from `resource.read`."""
        value = self.data.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise MappingError("structure", self.place(name), "should be a number")
        exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not exact.is_finite() or abs(exact.adjusted()) > _DIGITS or len(exact.as_tuple().digits) > _DIGITS:
            raise MappingError("value", self.place(name), f"a number has at most {_DIGITS} digits")
        return exact

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, bool):
            raise MappingError("structure", self.place(name), "should be true or false")
        return value

    def day(self, name: str, zone: ZoneInfo) -> date | None:
        """The day that a date or dateTime falls on in `zone`. MappingError for a year or month alone."""
        moment = self._moment(name, zone)
        return moment.date() if isinstance(moment, datetime) else moment

    def instant(self, name: str, zone: ZoneInfo) -> datetime | None:
        """The instant of a date or dateTime; for a date alone, the day's beginning in `zone`."""
        moment = self._moment(name, zone)
        if moment is None or isinstance(moment, datetime):
            return moment
        return datetime.combine(moment, time(), zone)

    def _moment(self, name: str, zone: ZoneInfo) -> date | datetime | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text)
            if _INSTANT.fullmatch(text):
                return datetime.fromisoformat(text).astimezone(zone)
        except (ValueError, OverflowError) as error:
            raise MappingError("value", self.place(name), "no such date or time") from error
        raise MappingError("value", self.place(name), "should be a whole date, or a date and time with its zone")

    def _list(self, name: str) -> list[Any]:
        value = self.data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise MappingError("structure", self.place(name), "should be a list")
        if len(value) > MAX_REPEATS:
            raise MappingError("limit", self.place(name), f"repeats more than {MAX_REPEATS} times")
        return value
