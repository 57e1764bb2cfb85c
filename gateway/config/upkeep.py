"""What `gateway.yaml` says of alerts and of how long messages are kept. A validator's text is `what is wrong; what to
do`.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from gateway.message import MessageState

NEVER = "never"
_DAYS = re.compile(r"([1-9][0-9]{0,4})(?: days?)?")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _Group(BaseModel):
    """A frozen group of settings; an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _kept(value: object) -> object:
    if value is None or value == NEVER:
        return None
    if isinstance(value, timedelta):
        return value
    said = _DAYS.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if said is None:
        raise ValueError("not a time that messages are kept; write it as 400 days, or never for no end")
    return timedelta(days=int(said[1]))


Kept = Annotated[timedelta | None, BeforeValidator(_kept)]
"""None: no end."""


class Retention(_Group):
    """How long a message's content is kept, by the state it is in. What is unprocessed is never pruned."""

    processed: Kept = None
    """Counted from when the encounter's claim was accepted and nothing has changed since: its messages go together."""
    unused: Kept = None
    set_aside: Kept = None
    replayed: Kept = None

    def by_state(self) -> dict[MessageState, timedelta]:
        """The states that have an end, in the order of the table."""
        said = {state: getattr(self, name) for state, name in _STATES.items()}
        return {state: kept for state, kept in said.items() if kept is not None}


_STATES = {
    MessageState.PROCESSED: "processed",
    MessageState.UNUSED: "unused",
    MessageState.SET_ASIDE: "set_aside",
    MessageState.REPLAYED: "replayed",
}
"""`received` is none of them, by intent."""


class Hours(_Group):
    """Hours of the day, `07:00-19:00`; over midnight when the second is the earlier."""

    start: time
    end: time

    def began(self, local: datetime) -> datetime | None:
        """When the present stretch of these hours began, as a local time; None outside them."""
        today = datetime.combine(local.date(), self.start, local.tzinfo)
        begins = today if today <= local else today - timedelta(days=1)
        lasts = datetime.combine(local.date(), self.end) - datetime.combine(local.date(), self.start)
        return begins if local < begins + (lasts % timedelta(days=1) or timedelta(days=1)) else None


def _hours(value: object) -> object:
    if isinstance(value, Hours | dict) or value is None:
        return value
    said = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if said is None:
        raise ValueError("not hours of the day; write them as 07:00-19:00, in quotes")
    return {"start": time(int(said[1]), int(said[2])), "end": time(int(said[3]), int(said[4]))}


HoursOfDay = Annotated[Hours | None, BeforeValidator(_hours)]

Minutes = Annotated[float, Field(gt=0, le=7 * 24 * 60)]


class Alerts(_Group):
    """What is told at once, and to whom. Every change of state is told once, whatever lasts."""

    webhook: str | None = None
    """Where each change is posted as JSON; it holds no patient's data."""
    token: SecretStr | None = None
    """Resolved from `token_env` or `token_file`."""
    set_aside_percent: Annotated[float, Field(gt=0, le=100)] = 5.0
    """Of a feed's messages in the window; ends at half of it."""
    window_minutes: Annotated[int, Field(ge=1, le=240)] = 15
    window_least: Annotated[int, Field(ge=1)] = 20
    """Fewer messages in the window say nothing."""
    queue_minutes: Minutes = 5.0
    """The age of the oldest unprocessed message; ends at half of it."""
    destination_minutes: Annotated[float, Field(ge=0, le=7 * 24 * 60)] = 2.0
    """For how long a destination must fail."""
    sealing_minutes: Minutes = 5.0
    """Since the audit trail was sealed last."""

    @field_validator("webhook")
    @classmethod
    def _guarded(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            whole = False
        if not whole or parts.username is not None or parts.password is not None:
            raise ValueError("not a web address; write it whole, without a user or password: https://host/path")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("its token would cross the network in the clear; use https:// beyond loopback")
        return value
