"""How claims go to a receiver of HL7 v2, as settings have it: the answers that it gives, and its certificates.

A validator's text is `what is wrong; what to do`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import ValidationInfo, field_validator

from gateway.config.addresses import Settings


class AcknowledgementMode(StrEnum):
    """Which answers a receiver gives (chapter 2, 2.9)."""

    ORIGINAL = "original"
    """One answer, of the application: AA, AE or AR."""
    ENHANCED = "enhanced"
    """First CA, CE or CR; after CA, on the same connection, the application's answer."""
    COMMIT = "commit"
    """CA, CE or CR, and no more: CA means that the claim is taken."""


class ReceiverTls(Settings):
    """Certificates towards a receiver, all PEM. Its own is always checked, and so is the name that it bears."""

    ca: Path | None = None
    """What the receiver's certificate must come from; the system's certificates when it is not said."""
    certificate: Path | None = None
    """Ours, with those between it and its root, where the receiver asks for one."""
    key: Path | None = None
    """Its private key, not encrypted, where it does not stand in the certificate's file."""
    server_name: str | None = None
    """The name that the receiver's certificate must bear, where it is not the address's host."""

    @field_validator("key")
    @classmethod
    def _of_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("certificate", value) is None:
            raise ValueError("a key without its certificate; name the certificate's file too")
        return value
