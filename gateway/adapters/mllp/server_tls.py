"""TLS of one incoming connection, without sockets: what came in, what goes out, who the peer is.

Python's own TLS transport holds a quarter of a megabyte for each connection and counts a peer only when its handshake
is over. This one holds what is under way, and a peer counts from its first byte.
"""

from __future__ import annotations

import hashlib
import ssl
from contextlib import suppress
from typing import Any

from gateway.callers.senders import Certificate

_PIECE = 64 * 1024
NO_GOOD_CERTIFICATE = frozenset({"CERTIFICATE_VERIFY_FAILED", "PEER_DID_NOT_RETURN_A_CERTIFICATE"})
"""Why a handshake fails when the peer is not who it should be."""


class TlsSession:
    """The server's side of a session. After each call, `outgoing` has what must be sent."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.ready = False
        """Whether the handshake is over."""
        self.ended = False
        """Whether the peer said that nothing more comes."""

    def receive(self, data: bytes) -> bytes:
        """The plain bytes that `data` completes. Raises ssl.SSLError: send what is outgoing, and close."""
        self._incoming.write(data)
        if not self.ready:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.ready = True
        return self._read()

    def _read(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self._object.read(_PIECE):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(pieces)

    def seal(self, data: bytes) -> bytes:
        """What to send so that the peer reads `data`."""
        self._object.write(data)
        return self.outgoing()

    def outgoing(self) -> bytes:
        return self._outgoing.read()

    def farewell(self) -> bytes:
        """What tells the peer that nothing more comes; empty while the handshake is not over."""
        if self.ready:
            with suppress(ssl.SSLError):  # the peer has not said the same yet, and need not
                self._object.unwrap()
        return self.outgoing()

    @property
    def certificate(self) -> Certificate | None:
        """The peer's, verified; None when it showed none."""
        encoded = self._object.getpeercert(binary_form=True)
        said = self._object.getpeercert()
        return certificate_of(said, encoded) if said and encoded else None


def certificate_of(said: Any, encoded: bytes) -> Certificate:
    """From what `ssl` tells of a verified certificate, and its DER encoding."""
    names = {value for part in said.get("subject", ()) for name, value in part if name == "commonName"}
    names |= {value for _, value in said.get("subjectAltName", ()) if isinstance(value, str)}
    return Certificate(frozenset(name.lower() for name in names), hashlib.sha256(encoded).hexdigest())
