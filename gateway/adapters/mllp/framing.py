"""The framing of MLLP, without sockets: bytes in, frames out. <VT> message <FS><CR>."""

from __future__ import annotations

START = b"\x0b"
END = b"\x1c\r"
_MESSAGE_STARTS = (b"\x0bMSH", b"\x0bFHS", b"\x0bBHS")

STRAY_LIMIT = 64 * 1024
"""Bytes that a connection may send between two frames; a peer that sends more does not speak MLLP."""


class Broken(Exception):
    """The stream cannot be read on. `before`: the messages that were complete when it broke."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.before: list[bytes] = []


class FrameTooLong(Broken):
    """A frame exceeded the limit. `head` is how it began: enough to name the message in a refusal."""

    def __init__(self, head: bytes, limit: int) -> None:
        super().__init__(f"a frame exceeds the limit of {limit} bytes")
        self.head = head
        self.limit = limit


class NotMllp(Broken):
    """The peer sends bytes outside of frames beyond all patience."""


def frame(message: bytes) -> bytes:
    """`message` in its frame."""
    return START + message + END


class Framer:
    """Cuts a stream into frames. Feed it whatever arrives; it holds at most one unfinished frame.

    Bytes between frames (a stray CR LF, keep-alive noise) are passed over. A block that ends without its carriage
    return is ended by the next block's start, as some senders do. A start block and a message's first segment inside a
    frame are the sender's new beginning: what came before it was given up. Any other such byte is part of a text.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._inside = False
        self._scanned = 0
        self._stray = 0
        self.given_up = 0
        """How many frames were begun anew before they ended."""

    @property
    def held(self) -> int:
        """Bytes of the unfinished frame."""
        return len(self._buffer)

    @property
    def begun(self) -> bool:
        """Whether a frame was begun that has not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, unframed. Raises FrameTooLong or NotMllp: close the connection then."""
        if (
            not self._buffer
            and data.startswith(START)
            and data.endswith(END)
            and data.find(b"\x1c", 1) == len(data) - 2
        ):
            return self._whole(data)
        self._buffer += data
        messages: list[bytes] = []
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except Broken as fault:
            fault.before = messages
            raise
        return messages

    def _whole(self, data: bytes) -> list[bytes]:
        message = data[1:-2]
        if message.find(START) >= 0:
            message = self._begun_anew(message)
        if len(message) > self._limit:
            raise FrameTooLong(message[:1024], self._limit)
        return [message]

    def _next(self) -> bytes | None:
        if not self._inside and not self._enter():
            return None
        end, skip = self._end()
        if end < 0:
            self._hold()
            return None
        message = self._begun_anew(bytes(self._buffer[:end]))
        if len(message) > self._limit:
            raise FrameTooLong(message[:1024], self._limit)
        del self._buffer[: end + skip]
        self._inside = False
        return message

    def _hold(self) -> None:
        """Wait for the rest, unless it is too long whatever comes."""
        if len(self._buffer) > self._limit:
            self._buffer[:] = self._begun_anew(bytes(self._buffer))
            if len(self._buffer) > self._limit:
                raise FrameTooLong(bytes(self._buffer[:1024]), self._limit)
        self._scanned = max(0, len(self._buffer) - 1)

    def _begun_anew(self, message: bytes) -> bytes:
        at = max(message.rfind(start) for start in _MESSAGE_STARTS)
        if at < 0:
            return message
        self.given_up += 1
        return message[at + 1 :]

    def _enter(self) -> bool:
        start = self._buffer.find(START)
        self._stray += len(self._buffer) if start < 0 else start
        if self._stray > STRAY_LIMIT:
            raise NotMllp(f"more than {STRAY_LIMIT} bytes outside of frames")
        del self._buffer[: len(self._buffer) if start < 0 else start + 1]
        self._inside = start >= 0
        if self._inside:
            self._stray = 0
        self._scanned = 0
        return self._inside

    def _end(self) -> tuple[int, int]:
        """Where the message ends, and how many bytes of the end block follow; -1 when it has not ended."""
        at = self._buffer.find(b"\x1c", self._scanned)
        while at >= 0:
            follows = self._buffer[at + 1 : at + 2]
            if follows == b"\r":
                return at, 2
            if follows == START:
                return at, 1
            if not follows:
                return -1, 0
            at = self._buffer.find(b"\x1c", at + 1)
        return -1, 0
