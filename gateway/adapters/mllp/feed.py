"""What an HL7 v2 feed does with a message: read its header, keep it, acknowledge. Nothing else on this path."""

from __future__ import annotations

import asyncio
import re
import time
from asyncio import Future
from collections.abc import Callable
from functools import partial

from gateway.clock import Clock
from gateway.intake import Intake
from gateway.logs import logger
from gateway.mappings.hl7v2.ack import AckCode, AckError, ErrorCode, acknowledge
from gateway.mappings.hl7v2.header import Header, route
from gateway.message import Format, Message, Received
from gateway.store.interface import StoreFault, Unstorable

log = logger("mllp")

_NOT_KEPT = AckError(ErrorCode.INTERNAL, "the message could not be kept; send it again")
_UNSTORABLE = AckError(ErrorCode.DATA_TYPE, "the message holds what the store cannot keep")

OTHER_TYPE = "other"
"""Stands in lists and in the audit trail for an MSH-9 that is no type of HL7's or of a site's own: it may be anything,
a patient's name in a header whose fields have slipped.
"""
_TYPE = re.compile(r"[A-Z][A-Z0-9]{2}(\^[A-Z][A-Z0-9]{2})?")

Acknowledged = Callable[[str, str, float], None]
"""Told of each answer: feed, outcome (kept, repeat, refused), seconds."""


def _untold(feed: str, outcome: str, seconds: float) -> None:
    return None


class FeedReceiver:
    """The receiver of one feed. AA only after the commit; AR for what is no message; AE when the store fails now."""

    def __init__(self, feed: str, intake: Intake, clock: Clock, acknowledged: Acknowledged = _untold) -> None:
        self._feed = feed
        self._intake = intake
        self._clock = clock
        self._acknowledged = acknowledged

    def receive(self, message: bytes) -> Future[bytes]:
        """The acknowledgement, once the message is kept."""
        started = time.perf_counter()
        answer: Future[bytes] = asyncio.get_running_loop().create_future()
        header = route(message)
        if not header.present:
            answer.set_result(self._refused(header, "the frame holds no message: no MSH segment", started))
            return answer
        id = self._intake.new_id()
        reply = acknowledge(header, AckCode.ACCEPT, now=self._clock.now(), ack_id=str(id))
        received = Received(self._feed, Format.HL7V2, _type(header), header.control, message, reply)
        keeping = self._intake.accept(received, message_id=id)
        keeping.add_done_callback(partial(self._tell, answer, header, id, started))
        return answer

    def refuse(self, head: bytes, reason: str) -> bytes:
        """The refusal of a message of which only the head was read."""
        self._acknowledged(self._feed, "refused", 0.0)
        error = AckError(ErrorCode.VALUE_TOO_LONG, reason)
        return acknowledge(route(head), AckCode.REJECT, now=self._clock.now(), ack_id=self._ack_id(), error=error)

    def _tell(self, answer: Future[bytes], header: Header, id: int, started: float, keeping: Future[Message]) -> None:
        """The answer, from what became of the message. A fault that is nobody's to expect leaves it unanswered."""
        if answer.cancelled():
            return
        try:
            answer.set_result(self._kept(header, id, started, keeping))
        except Exception as fault:  # noqa: BLE001 - raised where the answer is awaited
            answer.set_exception(fault)

    def _kept(self, header: Header, id: int, started: float, keeping: Future[Message]) -> bytes:
        try:
            kept = keeping.result()
        except StoreFault as fault:
            return self._not_kept(header, AckCode.ERROR, _NOT_KEPT, fault, started)
        except Unstorable as fault:
            return self._not_kept(header, AckCode.REJECT, _UNSTORABLE, fault, started)
        self._acknowledged(self._feed, "kept" if kept.id == id else "repeat", time.perf_counter() - started)
        return kept.reply

    def _not_kept(self, header: Header, code: AckCode, error: AckError, fault: Exception, started: float) -> bytes:
        log.error("mllp.not_kept", feed=self._feed, fault=type(fault).__name__)
        self._acknowledged(self._feed, "refused", time.perf_counter() - started)
        return acknowledge(header, code, now=self._clock.now(), ack_id=self._ack_id(), error=error)

    def _refused(self, header: Header, reason: str, started: float) -> bytes:
        self._acknowledged(self._feed, "refused", time.perf_counter() - started)
        error = AckError(ErrorCode.SEGMENT_SEQUENCE, reason, segment="MSH")
        return acknowledge(header, AckCode.REJECT, now=self._clock.now(), ack_id=self._ack_id(), error=error)

    def _ack_id(self) -> str:
        return str(self._intake.new_id())


def _type(header: Header) -> str:
    """`DFT^P03` (tables 0076 and 0003 have codes of three signs)."""
    said = header.type
    return said if _TYPE.fullmatch(said) else OTHER_TYPE
