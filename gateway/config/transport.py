"""How a feed's messages come in, as settings have it: its address, its certificates, its files.

A validator's text is `what is wrong; what to do`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from gateway.config.addresses import Endpoint, MllpAddress, Settings, endpoint
from gateway.config.polled import Polled

_FORM = "mllp://host:port, as mllp://127.0.0.1:2575"
_TLS_FORM = "mllps://host:port, as mllps://0.0.0.0:2575"
_FINGERPRINT = re.compile(r"(?:sha256:)?((?:[0-9A-F]{2}:?){31}[0-9A-F]{2})", re.IGNORECASE)


class OverHttp(Settings):
    """`http`: messages come as `POST /hl7/{feed}`, at the gateway's HTTP address."""

    port: None = None
    """None of its own."""

    def __str__(self) -> str:
        return "http"


class Directory(Settings):
    """`file:///path`: messages come as files in a directory. `file:path` starts at the configuration's own."""

    path: Path
    port: None = None

    def __str__(self) -> str:
        return str(self.path)


def _listen(value: object) -> object:
    if value == "http":
        return OverHttp()
    if isinstance(value, str) and value.startswith("file:"):
        return Directory(path=_path(value))
    if isinstance(value, Endpoint | Directory | OverHttp | Polled):
        return value
    tls = isinstance(value, str) and value.startswith("mllps://")
    found = endpoint(value, "mllps" if tls else "mllp", _TLS_FORM if tls else _FORM)
    return {**found, "tls": tls} if isinstance(found, dict) else found


def _path(value: str) -> Path:
    parts = urlsplit(value)
    path = unquote(parts.path)
    if parts.netloc or parts.query or parts.fragment or not path.strip("/") or "\0" in path:
        raise ValueError("does not name a directory; write it as file:///path, as file:///srv/hl7/in")
    return Path(path)


Listen = Annotated[MllpAddress | OverHttp | Directory | Polled, BeforeValidator(_listen)]


class ClientCertificates(StrEnum):
    """Whether a sender must show a certificate of its own."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class Sender(Settings):
    """One row of who may send as whom: the certificate, and what stands in MSH-3 and MSH-4 of its messages."""

    certificate: str
    """A name that the certificate bears (common name or alternative name), or its SHA-256 fingerprint."""
    application: str | None = None
    """MSH-3: its first component, or all of it with its separators; any when it is not said."""
    facility: str | None = None
    """MSH-4, likewise."""

    @field_validator("certificate")
    @classmethod
    def _named(cls, value: str) -> str:
        fingerprint = _FINGERPRINT.fullmatch(value.strip())
        if fingerprint is not None:
            return fingerprint[1].replace(":", "").lower()
        if not value.strip() or value.lower().startswith("sha256:"):
            raise ValueError("names no certificate; write a name that it bears, or sha256: and 64 hexadecimal digits")
        return value.strip().lower()


class Tls(Settings):
    """Certificates of a feed that listens with TLS, all PEM. They are read again when the gateway is reloaded."""

    certificate: Path
    """Ours, with those between it and its root."""
    key: Path | None = None
    """Its private key, not encrypted, where it does not stand in the certificate's file."""
    client_ca: Path | None = None
    """What senders' certificates must come from; senders are not asked for one when it is not said."""
    client_certificates: ClientCertificates = ClientCertificates.REQUIRED
    """With `client_ca`: whether a sender without a certificate is let in."""
    clients: tuple[Sender, ...] = ()
    """Which certificate may send as whom. When it is empty, every certificate may send as everybody."""
    handshake_seconds: Annotated[float, Field(gt=0)] = 10.0

    @field_validator("clients")
    @classmethod
    def _asked_for(cls, value: tuple[Sender, ...], info: ValidationInfo) -> tuple[Sender, ...]:
        if value and info.data.get("client_ca", True) is None:
            raise ValueError(
                "no sender is asked for a certificate; say client_ca too, the file that their certificates come from"
            )
        return value


class Files(Settings):
    """How files are taken from a directory."""

    pattern: Annotated[str, Field(min_length=1, max_length=200)] = "*"
    """Which names are taken: `*.hl7`. Names that begin with a dot or end as those of unfinished files never are."""
    settle_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5.0
    """A file is whole when its size and time have not changed for so long; 0 for senders that rename it when it is."""
    poll_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    max_file: Annotated[int, Field(ge=1024, le=1024 * 1024 * 1024)] = 64 * 1024 * 1024
    """Bytes."""

    @field_validator("pattern")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("is a pattern of names, and has a slash; write it as *.hl7")
        return value
