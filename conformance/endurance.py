"""A frame taken the whole way in, from the wire to what it says: whatever the bytes are, nothing breaks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from gateway.adapters.mllp.framing import Broken, Framer
from gateway.mappings.hl7v2.ack import AckCode, acknowledge
from gateway.mappings.hl7v2.batch import split_batch
from gateway.mappings.hl7v2.edit import Edit, EditError
from gateway.mappings.hl7v2.er7 import Er7Error, Er7Message
from gateway.mappings.hl7v2.header import route
from gateway.mappings.hl7v2.mapped import FeedProfile, MappingError
from gateway.mappings.hl7v2.mapping import map_message

LIMIT = 1024 * 1024
_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Endurance:
    """Takes frames in; what is not as it must be raises. `slowest` is the longest that one took, in seconds of CPU."""

    def __init__(self, profiles: Sequence[FeedProfile]) -> None:
        self._profiles = profiles
        self.frames = 0
        self.messages = 0
        self.mapped = 0
        self.slowest = 0.0

    def take(self, frame: bytes) -> None:
        """One frame, as it comes in two reads."""
        started = time.process_time()
        self.frames += 1
        for message in self._unframed(frame):
            self._message(message)
        self.slowest = max(self.slowest, time.process_time() - started)

    def _unframed(self, frame: bytes) -> list[bytes]:
        framer, half = Framer(LIMIT), len(frame) // 2
        messages = []
        try:
            for part in (frame[:half], frame[half:]):
                messages += framer.feed(part)
        except Broken as broken:
            return [*messages, *broken.before]
        return messages

    def _message(self, payload: bytes) -> None:
        self.messages += 1
        header = route(payload)
        reply = acknowledge(header, AckCode.ACCEPT, now=_NOW, ack_id="1")
        assert Er7Message.parse(reply).get("MSA-1") in ("AA", "CA")
        assert b"\x0b" not in reply
        assert b"\x1c" not in reply
        for message in split_batch(payload).messages:
            assert message in payload
            self._read(message)
        try:
            self._read(payload)
        except Er7Error:
            assert not header.present
        else:
            assert header.present

    def _read(self, payload: bytes) -> None:
        message = Er7Message.parse(payload, ("", "8859/1")[self.frames % 2])
        assert message.encode() == payload
        assert len(message.problems) < 100
        if self.frames % 8 == 0:
            with suppress(EditError):
                assert Edit(message).encode() == payload
        try:
            map_message(message, self._profiles[self.frames % len(self._profiles)], 1)
        except MappingError:
            return
        self.mapped += 1
