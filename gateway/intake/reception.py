"""What a feed does with HL7 v2, whatever the transport: read the header, keep, acknowledge.

Nothing else is on this path: what a message means is worked out later.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from copy import copy
from enum import StrEnum
from functools import partial
from typing import NamedTuple, TypeVar

from gateway.callers.senders import Certificate, Senders
from gateway.clock import Clock
from gateway.config.message_types import TYPE, MessageTypes
from gateway.intake.intake import Intake
from gateway.logs import logger
from gateway.mappings.hl7v2.ack import AckCode, AckError, ErrorCode
from gateway.mappings.hl7v2.batch import Batch, split_batch
from gateway.mappings.hl7v2.batch_reply import batch_reply
from gateway.mappings.hl7v2.header import Header, route
from gateway.mappings.hl7v2.reply import reply
from gateway.message import Format, Message, Received
from gateway.promise import Promise, promised
from gateway.store.interface import StoreFault, Unstorable

log = logger("reception")

_NO_MESSAGE = AckError(ErrorCode.SEGMENT_SEQUENCE, "there is no message: no MSH segment", segment="MSH")
_NOT_KEPT = AckError(ErrorCode.INTERNAL, "the message could not be kept; send it again")
_UNSTORABLE = AckError(ErrorCode.DATA_TYPE, "the message holds what the store cannot keep")
_NOT_ALLOWED = AckError(
    ErrorCode.UNKNOWN_VALUE, "the certificate of this connection may not send as MSH-3 and MSH-4 say", "MSH", 3
)
_NOT_TAKEN = AckError(ErrorCode.UNSUPPORTED_TYPE, "the feed does not take messages of this type", "MSH", 9)

OTHER_TYPE = "other"
"""Stands in lists and in the audit trail for an MSH-9 that is no type of HL7's or of a site's own: it may be anything,
a patient's name in a header whose fields have slipped.
"""
_TYPE = re.compile(TYPE)

TOGETHER = 256
"""Messages of one batch that are kept at a time."""

T = TypeVar("T")


class Outcome(StrEnum):
    """What became of a message."""

    KEPT = "kept"
    REPEAT = "repeat"
    """It was kept before: the answer is that of then."""
    NO_MESSAGE = "no-message"
    REFUSED = "refused"
    """It is not taken, now or later."""
    FAILED = "failed"
    """It could not be kept now: the same message may be sent again."""


TAKEN = frozenset({Outcome.KEPT, Outcome.REPEAT})


class Answer(NamedTuple):
    """What became of one message, and what its sender is told: several answers parted by `BETWEEN`, or nothing."""

    outcome: Outcome
    reply: bytes


class Answers(NamedTuple):
    """What became of each message of a payload, and what the sender is told of all."""

    outcomes: tuple[Outcome, ...]
    reply: bytes


class Unsaid(Exception):
    """A message could not be kept, and its sender wants no answer: only a broken connection tells it."""


Acknowledged = Callable[[str, str, float], None]
"""Told of each answer: feed, outcome (kept, repeat, refused), seconds."""
NotAllowed = Callable[[str, str | None], None]
"""Told of each message whose sender its certificate does not cover: feed, and what the certificate is called."""


def _unacknowledged(feed: str, outcome: str, seconds: float) -> None:
    return None


def _unnoticed(feed: str, called: str | None) -> None:
    return None


def _reply_of(outcome: Outcome, said: bytes) -> bytes:
    if outcome is Outcome.FAILED and not said:
        raise Unsaid
    return said


class Reception:
    """One feed's. AA or CA only after the commit; AR for what is no message or not the sender's to send; AE when the
    store fails now.
    """

    def __init__(
        self,
        feed: str,
        intake: Intake,
        clock: Clock,
        acknowledged: Acknowledged = _unacknowledged,
        types: MessageTypes | None = None,
        senders: Senders | None = None,
        not_allowed: NotAllowed = _unnoticed,
        certificate: Certificate | None = None,
        silence: bool = False,
    ) -> None:
        """`types`: which the feed takes, all when it is None. `silence`: whether a sender that asks for no answer gets
        none.
        """
        self._feed = feed
        self._intake = intake
        self._clock = clock
        self._acknowledged = acknowledged
        self._types = types
        self._senders = senders or None
        self._not_allowed = not_allowed
        self._certificate = certificate
        self._silence = silence

    def behind(self, certificate: Certificate | None) -> Reception:
        """The same, for messages that come over a connection with this certificate."""
        if self._senders is None:
            return self
        known = copy(self)
        known._certificate = certificate
        return known

    def receive(self, payload: bytes) -> Promise[bytes]:
        """The answer to a payload, once what it holds is kept: one reply, whatever it holds. Unsaid is raised where a
        message could not be kept and no answer is wanted.
        """
        if payload[:3] == b"MSH" and _is_one(payload):
            return self._begin(payload, _reply_of)
        batch = split_batch(payload)
        if len(batch.messages) < 2 and not batch.envelope:
            return self._begin(payload, _reply_of)
        return promised(self._reply_to(batch))

    def take(self, message: bytes) -> Promise[Answer]:
        """What became of one message, once it is settled."""
        return self._begin(message, Answer)

    async def take_all(self, batch: Batch) -> Answers:
        """What became of the messages of a payload. Where an envelope does not keep its counts, nothing is taken."""
        if batch.envelope and not batch.sound:
            error = AckError(ErrorCode.SEGMENT_SEQUENCE, f"the batch is not taken: {batch.problems[0].text}")
            heads = [route(message) for message in batch.messages] or [route(b"")]
            answers = [self._refused(head, AckCode.REJECT, error) for head in heads]
        else:
            answers = await self._each(batch.messages)
        outcomes = tuple(answer.outcome for answer in answers)
        if batch.envelope:
            now, id = self._clock.now(), str(self._intake.new_id())
            said = batch_reply(batch.headers, [answer.reply for answer in answers], now=now, batch_id=id)
            return Answers(outcomes, said)
        return Answers(outcomes, _for_all(answers))

    def refuse(self, head: bytes, reason: str) -> bytes:
        """The refusal of a message of which only the head was read."""
        return self._refused(route(head), AckCode.REJECT, AckError(ErrorCode.VALUE_TOO_LONG, reason)).reply

    async def _reply_to(self, batch: Batch) -> bytes:
        answers = await self.take_all(batch)
        if not answers.reply and Outcome.FAILED in answers.outcomes:
            raise Unsaid
        return answers.reply

    async def _each(self, messages: Sequence[bytes]) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(messages), TOGETHER):
            answers += await asyncio.gather(*map(self.take, messages[start : start + TOGETHER]))
        return answers

    def _begin(self, message: bytes, form: Callable[[Outcome, bytes], T]) -> Promise[T]:
        started = time.perf_counter()
        answer: Promise[T] = Promise()
        header = route(message)
        if not header.present:
            answer.set_result(form(*self._refused(header, AckCode.REJECT, _NO_MESSAGE, started, Outcome.NO_MESSAGE)))
            return answer
        if self._senders is not None and not self._senders.allows(self._certificate, header):
            answer.set_result(form(*self._turned_away(header, started)))
            return answer
        type = _type(header)
        if self._types is not None and not self._types.take(type):
            answer.set_result(form(*self._refused(header, AckCode.REJECT, _NOT_TAKEN, started)))
            return answer
        id = self._intake.new_id()
        said = reply(header, AckCode.ACCEPT, now=self._clock.now(), ack_id=str(id), silence=self._silence)
        received = Received(self._feed, Format.HL7V2, type, header.control, message, said)
        keeping = self._intake.accept(received, message_id=id)
        keeping.add_done_callback(partial(self._tell, answer, form, header, id, started))
        return answer

    def _tell(
        self,
        answer: Promise[T],
        form: Callable[[Outcome, bytes], T],
        header: Header,
        id: int,
        started: float,
        keeping: Promise[Message],
    ) -> None:
        """The answer, from what became of the message. A fault that is nobody's to expect leaves it unanswered."""
        if answer.cancelled():
            return
        try:
            answer.set_result(form(*self._kept(header, id, started, keeping)))
        except Exception as fault:  # noqa: BLE001 - raised where the answer is awaited
            answer.set_exception(fault)

    def _kept(self, header: Header, id: int, started: float, keeping: Promise[Message]) -> tuple[Outcome, bytes]:
        try:
            kept = keeping.result()
        except StoreFault as fault:
            self._fault(fault)
            return self._refused(header, AckCode.ERROR, _NOT_KEPT, started, Outcome.FAILED)
        except Unstorable as fault:
            self._fault(fault)
            return self._refused(header, AckCode.REJECT, _UNSTORABLE, started)
        outcome = Outcome.KEPT if kept.id == id else Outcome.REPEAT
        self._acknowledged(self._feed, outcome, time.perf_counter() - started)
        return outcome, kept.reply

    def _fault(self, fault: Exception) -> None:
        log.error("reception.not_kept", feed=self._feed, fault=type(fault).__name__)

    def _turned_away(self, header: Header, started: float) -> Answer:
        called = self._senders.called(self._certificate) if self._senders is not None else None
        log.warning("reception.not_allowed", feed=self._feed, client=called or "unknown")
        self._not_allowed(self._feed, called)
        return self._refused(header, AckCode.REJECT, _NOT_ALLOWED, started)

    def _refused(
        self,
        header: Header,
        code: AckCode,
        error: AckError,
        started: float | None = None,
        outcome: Outcome = Outcome.REFUSED,
    ) -> Answer:
        self._acknowledged(self._feed, "refused", 0.0 if started is None else time.perf_counter() - started)
        id = str(self._intake.new_id())
        now, silence = self._clock.now(), self._silence
        return Answer(outcome, reply(header, code, now=now, ack_id=id, error=error, silence=silence))


def _is_one(payload: bytes) -> bool:
    """Whether no second header like the first follows. Its escape character is looked for first: that is a search for
    one byte, which most messages have nowhere else.
    """
    return payload.find(payload[6:7], 7) < 0 or payload.find(payload[:8], 8) < 0


def _for_all(answers: Sequence[Answer]) -> bytes:
    """One reply to several messages that came as one: the first that is not taken, else that of the first. A sender
    waits for one answer to what it sent at once, and would take a second one for that of its next message.
    """
    return next(
        (answer.reply for answer in answers if answer.outcome not in TAKEN), answers[0].reply if answers else b""
    )


def _type(header: Header) -> str:
    """`DFT^P03` (tables 0076 and 0003 have codes of three signs)."""
    said = header.type
    return said if _TYPE.fullmatch(said) else OTHER_TYPE
