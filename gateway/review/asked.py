"""What must be known of a query to show it or to send it on."""

from __future__ import annotations

from typing import Protocol

from gateway.encounter.identity import Identifier
from gateway.review.model import Query


class AskedQuery(Protocol):
    """A query with the numbers of what it is about: the patient, the encounter's account and visit, its claim."""

    @property
    def query(self) -> Query: ...
    @property
    def patient(self) -> Identifier | None: ...
    @property
    def account(self) -> Identifier | None: ...
    @property
    def visit(self) -> Identifier | None: ...
    @property
    def claim(self) -> str | None: ...
