"""The interchange around a transaction: ISA, GS, ST and their trailers, with their counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal

from gateway.mappings.x12.writer import DELIMITERS, Segment, Value

MAX_CONTROL = 999_999_999
"""ISA13 has nine digits."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom, and the interchange's control number (ISA13), 1 to 999,999,999.

    `created` is an aware instant; `zone` is the calendar in which dates are written.
    """

    sender: str
    receiver: str
    usage: Literal["P", "T"]
    control: int
    created: datetime
    zone: tzinfo = UTC

    def __post_init__(self) -> None:
        if not 1 <= self.control <= MAX_CONTROL:
            raise ValueError("an interchange control number is 1 to 999,999,999")
        if self.created.tzinfo is None:
            raise ValueError("the envelope's instant must carry its time zone")

    @property
    def day(self) -> str:
        return self.created.astimezone(self.zone).strftime("%Y%m%d")

    @property
    def time(self) -> str:
        return self.created.astimezone(self.zone).strftime("%H%M")


def control_number(id: int) -> int:
    """ISA13 for a delivery's id: the same each time, 1 to 999,999,999.

    Nine digits cannot hold an id, but two ids share a number only when they differ by a multiple of 999,999,999. Ids
    of one burst never do, nor do the first ids of any two milliseconds less than eleven days apart. A receiver that
    meets a number again refuses it with a TA1 (025), so a chance meeting is seen, not lost.
    """
    return id % MAX_CONTROL + 1


def wrap(envelope: Envelope, transaction: str, guide: str, group: str, body: Sequence[Segment]) -> tuple[Segment, ...]:
    """`body` as one transaction set of `guide`, in one group of kind `group`, in one interchange."""
    control = f"{envelope.control:09d}"
    number = "0001"
    sender = Value("destination.sender_id", "the sender's id", envelope.sender, 15, 2)
    receiver = Value("destination.receiver_id", "the receiver's id", envelope.receiver, 15, 2)
    return (
        _isa(envelope, control, sender, receiver),
        Segment("GS", (group, sender, receiver, envelope.day, envelope.time, str(envelope.control), "X", guide)),
        Segment("ST", (transaction, number, guide)),
        *body,
        Segment("SE", (str(len(body) + 2), number)),
        Segment("GE", ("1", str(envelope.control))),
        Segment("IEA", ("1", control)),
    )


def _isa(envelope: Envelope, control: str, sender: Value, receiver: Value) -> Segment:
    return Segment(
        "ISA",
        (
            "00",
            " " * 10,
            "00",
            " " * 10,
            "ZZ",
            sender.written.ljust(15),
            "ZZ",
            receiver.written.ljust(15),
            envelope.day[2:],
            envelope.time,
            DELIMITERS.repetition,
            "00501",
            control,
            "0",
            envelope.usage,
            DELIMITERS.component,
        ),
    )
