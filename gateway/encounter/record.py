"""The one shape of every canonical value: frozen, strict about names, compact when stored."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen value. Fields that were never said are absent from its stored form."""

    model_config = ConfigDict(frozen=True, extra="forbid")
