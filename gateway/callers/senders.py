"""Who may send as whom: certificates of connections against what messages say in MSH-3 and MSH-4."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gateway.mappings.hl7v2.header import Header


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was verified: its common names and alternative names in lower case, its SHA-256 digest."""

    names: frozenset[str]
    fingerprint: str

    def bears(self, name: str) -> bool:
        return name == self.fingerprint or name in self.names


class Row(Protocol):
    """One row of the configuration: `certificate` is a name or fingerprint, in lower case."""

    @property
    def certificate(self) -> str: ...
    @property
    def application(self) -> str | None: ...
    @property
    def facility(self) -> str | None: ...


class Senders:
    """The rows of one feed. Without any, whoever may connect may send as everybody."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = tuple(rows)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def allows(self, certificate: Certificate | None, header: Header) -> bool:
        """Whether a message with this header may come over a connection with this certificate.

        A sender that a row names must come with that row's certificate: without one, only others may be spoken for.
        """
        if not self._rows:
            return True
        named = [row for row in self._rows if _names(row, header)]
        if certificate is None:
            return not named
        return any(certificate.bears(row.certificate) for row in named)

    def called(self, certificate: Certificate | None) -> str | None:
        """What the configuration calls a certificate; None for one that it does not know."""
        rows = self._rows if certificate is not None else ()
        return next(
            (row.certificate for row in rows if certificate is not None and certificate.bears(row.certificate)), None
        )


def _names(row: Row, header: Header) -> bool:
    return _fits(row.application, header.sending_application, header.raw(3)) and _fits(
        row.facility, header.sending_facility, header.raw(4)
    )


def _fits(wanted: str | None, first: str, whole: bytes) -> bool:
    return wanted is None or wanted == first or wanted.encode() == whole
