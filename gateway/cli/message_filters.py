"""What a search over messages is narrowed by, alike in every command that searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer

from gateway.cli.calling import call
from gateway.cli.moments import moment
from gateway.message import MessageState

State = Annotated[MessageState | None, typer.Option(help="Only messages in this state.")]
Feed = Annotated[str | None, typer.Option(help="Only messages of this feed.")]
Type = Annotated[str | None, typer.Option(help="The beginning of the type: ADT, ADT^A08.")]
Control = Annotated[str | None, typer.Option(help="The beginning of the control id (MSH-10).")]
Encounter = Annotated[str | None, typer.Option(help="Only messages of this encounter, by its key.")]
Number = Annotated[
    str | None, typer.Option(help="A patient's, account's or visit's number, as value or authority|value.")
]
Rule = Annotated[str | None, typer.Option(help="The beginning of the reason: no-encounter-number.")]
Since = Annotated[str | None, typer.Option(help="Received from then on: a day, an instant, or 90m, 24h, 7d ago.")]
Until = Annotated[str | None, typer.Option(help="Received before then.")]
Text = Annotated[
    str | None,
    typer.Option(help="Stands in the payload. Give --since, --control, --encounter or --number with it."),
]

PAGE = 200
MOST_REQUESTS = 50
"""How often a search that ended at its limits is taken up again, unless the page is full before."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What was typed: the options of each command that is `filtered`, and parameters of /api/messages."""

    state: State = None
    feed: Feed = None
    type: Type = None
    control: Control = None
    encounter: Encounter = None
    number: Number = None
    rule: Rule = None
    since: Since = None
    until: Until = None
    text: Text = None

    def query(self) -> dict[str, str]:
        """The parameters of /api/messages. Ends the command when a moment is none."""
        now = datetime.now(UTC)
        moments = {"since": moment(self.since, now), "until": moment(self.until, now)}
        typed = {each.name: getattr(self, each.name) for each in fields(self)}
        said = {name: str(value) for name, value in typed.items() if value is not None}
        return said | {name: at.isoformat() for name, at in moments.items() if at is not None}


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter `filters` is read from options of its own, one for each field of Filters."""
    names = [each.name for each in fields(Filters)]

    @wraps(command)
    def typed(**said: Any) -> None:
        filters = Filters(**{name: said.pop(name) for name in names})
        command(filters=filters, **said)

    hints = get_type_hints(command, include_extras=True) | get_type_hints(Filters, include_extras=True)
    asked = signature(command).parameters
    shown = [each for name in asked for each in (names if name == "filters" else [name])]
    defaults = {name: asked[name].default if name in asked else None for name in shown}
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=defaults[name], annotation=hints[name]) for name in shown
    ]
    typed.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    typed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return typed


@dataclass(slots=True)
class Search:
    """A search that is read page by page. What it says of itself is true once all was read that is wanted."""

    url: str
    query: dict[str, str]
    before: str | None = None
    searched_to: str | None = None
    """Older messages were not looked at; go on with `before`."""

    def messages(self, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Newest first; all of them when `limit` is None."""
        left, empty = limit, 0
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = call(self.url, "GET", "/api/messages", query=self._asked(size))
            yield from page["items"]
            left = None if left is None else left - len(page["items"])
            self.before, self.searched_to = page["next"], page["searched_to"]
            empty = 0 if page["items"] else empty + 1
            if self.before is None or (limit is not None and empty > MOST_REQUESTS):
                return

    def _asked(self, size: int) -> dict[str, str]:
        return {**self.query, "limit": str(size), **({"before": self.before} if self.before else {})}
