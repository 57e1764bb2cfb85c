"""What a mapping needs to know of a provider query, and the answers that its form allows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


class CitedIndicator(Protocol):
    """A clinical fact that the query cites."""

    @property
    def text(self) -> str: ...
    @property
    def quote(self) -> str | None: ...
    @property
    def relevance(self) -> str | None: ...


class OfferedOption(Protocol):
    """An answer that the query offers."""

    @property
    def text(self) -> str: ...


class QueryBody(Protocol):
    """The query as it was asked."""

    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def indicators(self) -> Sequence[CitedIndicator]: ...
    @property
    def options(self) -> Sequence[OfferedOption]: ...
    @property
    def provider(self) -> str: ...


class IssuedQuery(Protocol):
    """A provider query, as `gateway.review.model.Query` has it; `encounter` is the key's text form."""

    @property
    def id(self) -> int: ...
    @property
    def number(self) -> str: ...
    @property
    def encounter(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def draft(self) -> QueryBody: ...
    @property
    def status(self) -> str: ...
    @property
    def status_reason(self) -> str | None: ...
    @property
    def asked_by(self) -> str: ...
    @property
    def asked(self) -> datetime: ...
    @property
    def due(self) -> datetime: ...
    @property
    def changed(self) -> datetime: ...
    @property
    def answer(self) -> str | None: ...
    @property
    def answer_option(self) -> str | None: ...
    @property
    def answered_by(self) -> str | None: ...
    @property
    def answered(self) -> datetime | None: ...
    @property
    def replaces(self) -> str | None: ...
    @property
    def reminders(self) -> int: ...


class Choice(NamedTuple):
    """An answer that may be picked. `code` is what travels, `text` what people read and the query keeps."""

    code: str
    text: str


OTHER = Choice("other", "Other")
UNDETERMINED = Choice("unable-to-determine", "Unable to determine")

_YES_NO = (Choice("yes", "Yes"), Choice("no", "No"))


def choices(query: IssuedQuery) -> tuple[Choice, ...]:
    """The answers to pick from; none for an open query. Every list ends with a way out (AHIMA/ACDIS practice brief):
    `Other` and `Unable to determine` are added where the query doesn't have them in these words.
    """
    if query.draft.kind == "open":
        return ()
    offered = (
        _YES_NO
        if query.draft.kind == "yes-no" and not query.draft.options
        else tuple(Choice(f"option-{index}", option.text) for index, option in enumerate(query.draft.options, start=1))
    )
    said = {choice.text.casefold() for choice in offered}
    return offered + tuple(choice for choice in (OTHER, UNDETERMINED) if choice.text.casefold() not in said)


def chosen(query: IssuedQuery, said: str) -> Choice | None:
    """The choice that `said` names, by its code or by its text."""
    wanted = said.casefold()
    return next((c for c in choices(query) if wanted in (c.code.casefold(), c.text.casefold())), None)
