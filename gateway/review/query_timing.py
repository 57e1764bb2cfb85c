"""When a query is due, when its provider is reminded, and who is asked next: business days by the site's policy."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated

from pydantic import Field, field_validator

from gateway.encounter.model import Encounter, ProviderRole
from gateway.encounter.record import Record
from gateway.reference.npi import npi_is_valid
from gateway.review.model import Query

_SATURDAY = 5
Days = Annotated[int, Field(ge=1, le=90)]


class EscalationStep(Record):
    """Who is asked when the time of the one before is over."""

    to: str
    """A role of the encounter's providers, as `attending`, or an NPI: the physician adviser's."""
    due_days: Days = 2

    @field_validator("to")
    @classmethod
    def _somebody(cls, value: str) -> str:
        if value not in set(ProviderRole) and not npi_is_valid(value):
            roles = ", ".join(ProviderRole)
            raise ValueError(f"neither a role nor an NPI; write ten digits in quotes, or one of: {roles}")
        return value


class QueryPolicy(Record):
    """The times of provider queries. Days are business days: no Saturday, no Sunday, none of `holidays`."""

    due_days: Days = 7
    """For a query made from a template that says nothing else."""
    reminders: Annotated[tuple[Days, ...], Field(max_length=5)] = ()
    """So many days before it is due the provider is reminded."""
    escalate: Annotated[tuple[EscalationStep, ...], Field(max_length=5)] = ()
    holidays: Annotated[frozenset[date], Field(max_length=400)] = frozenset()


class Calendar:
    """The business days of a facility."""

    def __init__(self, zone: tzinfo = UTC, holidays: frozenset[date] = frozenset()) -> None:
        self._zone = zone
        self._holidays = holidays

    def works(self, day: date) -> bool:
        """Whether it is a business day."""
        return day.weekday() < _SATURDAY and day not in self._holidays

    def after(self, moment: datetime, days: int) -> datetime:
        """The same time of day, `days` business days later; earlier when `days` is negative. In UTC."""
        local = moment.astimezone(self._zone)
        step = timedelta(days=1 if days > 0 else -1)
        left = abs(days)
        while left:
            local += step  # local arithmetic: the clock's hour stays, whatever daylight saving does
            left -= self.works(local.date())
        return local.astimezone(UTC)


def next_look(query: Query, policy: QueryPolicy, calendar: Calendar) -> datetime:
    """When the clock must look at an open query next: at its next reminder, or when it is due."""
    reminders = reminder_times(query, policy, calendar)
    return reminders[query.reminders] if query.reminders < len(reminders) else query.due


def reminder_times(query: Query, policy: QueryPolicy, calendar: Calendar) -> tuple[datetime, ...]:
    """The moments of its reminders, those only that fall between asking and the due time."""
    times = sorted(calendar.after(query.due, -days) for days in set(policy.reminders))
    return tuple(moment for moment in times if moment > query.asked)


def next_provider(
    query: Query, asked: frozenset[str], policy: QueryPolicy, encounter: Encounter
) -> tuple[int, str, EscalationStep] | None:
    """(steps taken by then, NPI, step) of the escalation; None when nobody is left. Who was `asked` is passed over."""
    for taken, step in enumerate(policy.escalate[query.escalated :], start=query.escalated + 1):
        npi = _npi(step.to, encounter)
        if npi is not None and npi not in asked:
            return taken, npi, step
    return None


def _npi(to: str, encounter: Encounter) -> str | None:
    if to not in set(ProviderRole):
        return to
    found = (provider.npi for provider in encounter.providers if provider.role == to and provider.npi)
    return next((npi for npi in found if npi_is_valid(npi)), None)
