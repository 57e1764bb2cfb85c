"""A message's bytes as text of one character for each code unit, so that cutting and joining it loses no byte.

In that text a sign of ASCII stands only where the message has that sign: the second byte of a two-byte character may be
the number of `|`, and is no separator.
"""

from __future__ import annotations

import codecs
import struct

_SHIFT = 0xE000
"""Private characters, for bytes that are no sign of their own though ASCII has their number."""
_SHIFTED = {_SHIFT + byte: byte for byte in range(128)}
_OVERLAPPING = ("gb", "big5", "cp9", "iso2022", "shift", "hz")
"""The codecs in which a byte below 128 may be a part of a character."""


class Unwritable(ValueError):
    """Text holds characters that the message's character set has not."""


class Units:
    """The units of one encoding: pairs of bytes in UTF-16, else bytes."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._wide = {"utf-16-le": "<", "utf-16-be": ">"}.get(encoding, "")
        self._overlapping = encoding.startswith(_OVERLAPPING)

    def read(self, data: bytes) -> str:
        """The units of `data`. A last odd byte of UTF-16 is not among them."""
        if self._wide:
            count = len(data) // 2
            return "".join(map(chr, struct.unpack(f"{self._wide}{count}H", data[: 2 * count])))
        return self._masked(data) if self._overlapping else data.decode("latin-1")

    def write(self, units: str) -> bytes:
        """The bytes of `units`."""
        if self._wide:
            return struct.pack(f"{self._wide}{len(units)}H", *map(ord, units))
        return (units.translate(_SHIFTED) if self._overlapping else units).encode("latin-1")

    def encode(self, text: str) -> str:
        """The units of `text`. Unwritable when the encoding has not all of its characters."""
        try:
            return self.read(text.encode(self._encoding))
        except UnicodeEncodeError as error:
            name = self._encoding
            raise Unwritable(f"the value holds characters that the message's character set, {name}, has not") from error

    def decode(self, units: str) -> str:
        """The text of `units`, with U+FFFD for what has none."""
        return self.write(units).decode(self._encoding, "replace").replace("\0", "\ufffd")

    def _masked(self, data: bytes) -> str:
        decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        units = []
        for byte in data:
            own, text = chr(byte), decoder.decode(bytes((byte,)))
            units.append(own if byte >= 128 or text.endswith(own) else chr(_SHIFT + byte))
        return "".join(units)
