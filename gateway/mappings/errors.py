"""What a mapping says when it has no change to give: that the input can't be used, or that there is nothing to use."""

from __future__ import annotations

from dataclasses import dataclass


class MappingError(Exception):
    """The input can't become a change. `code` is a short stable word, `where` the place in the input in its standard's
    own notation (`PID-3`, `Claim.item[0].net`), `text` says what is wrong and never repeats a patient's data."""

    def __init__(self, code: str, where: str, text: str) -> None:
        super().__init__(f"{code} at {where}: {text}" if where else f"{code}: {text}")
        self.code = code
        self.where = where
        self.text = text


@dataclass(frozen=True, slots=True)
class Unused:
    """The input is sound, but says nothing that an encounter is made of. `reason` says why, in one sentence.

    `supports`: others may have been read without it, or with what stood before it, and are to be read again.
    """

    reason: str
    supports: bool = False
