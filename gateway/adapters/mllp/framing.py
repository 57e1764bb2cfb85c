"""The framing of MLLP, without sockets: bytes in, frames out. <VT> message <FS><CR>."""

from __future__ import annotations

START = b"\x0b"
END = b"\x1c\r"

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
    return is ended by the next block's start, as some senders do.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._inside = False
        self._scanned = 0
        self._stray = 0

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
        if len(data) - 3 > self._limit:
            raise FrameTooLong(data[1:1025], self._limit)
        return [data[1:-2]]

    def _next(self) -> bytes | None:
        if not self._inside and not self._enter():
            return None
        end, skip = self._end()
        if end < 0:
            if len(self._buffer) > self._limit:
                raise FrameTooLong(bytes(self._buffer[:1024]), self._limit)
            self._scanned = max(0, len(self._buffer) - 1)
            return None
        if end > self._limit:
            raise FrameTooLong(bytes(self._buffer[:1024]), self._limit)
        message = bytes(self._buffer[:end])
        del self._buffer[: end + skip]
        self._inside = False
        return message

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
