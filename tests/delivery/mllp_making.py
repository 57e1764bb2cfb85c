"""MLLP destinations for tests: their settings, messages that they may send, and certificates made on the spot."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.adapters.mllp.client_tls import client_tls
from gateway.adapters.mllp.destination import MllpDestination
from gateway.config.model import Mllp
from gateway.mappings.hl7v2.writer import message, segment


def mllp_settings(port: int, **settings: Any) -> Mllp:
    given = {"name": "billing", "kind": "mllp", "address": f"mllp://127.0.0.1:{port}", "timeout_seconds": 0.2}
    return Mllp.model_validate({**given, **settings})


@asynccontextmanager
async def destination(port: int, **settings: Any) -> AsyncIterator[MllpDestination]:
    made = mllp_settings(port, **settings)
    one = MllpDestination(made, client_tls(made))
    try:
        yield one
    finally:
        await one.close()


def charge(key: str, mark: str = "one") -> bytes:
    """A message whose control id is the delivery's key."""
    head = segment(
        "MSH", "GATEWAY", "MAIN", "BILLING", "HOSP", "20250306120000", None, ("DFT", "P03"), key, "T", "2.5.1"
    )
    return message(head, segment("FT1", 1, mark))


@dataclass(frozen=True, slots=True)
class Certificates:
    """A root of our own, and what it signed."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    root: x509.Certificate

    @classmethod
    def make(cls, directory: Path, name: str = "root") -> Certificates:
        key = ec.generate_private_key(ec.SECP256R1())
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        root = _certificate(named, named, key, key, ca=True)
        made = cls(directory, key, root)
        made.ca.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        return made

    @property
    def ca(self) -> Path:
        return self.directory / f"{self.root.subject.rfc4514_string()}.pem"

    def signed(self, name: str, *, host: str = "127.0.0.1") -> Path:
        """A file with a certificate for `host` and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _certificate(subject, self.root.subject, key, self.key, host=host)
        path = self.directory / f"{name}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        return path


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
    host: str = "",
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, ca, ca, False, False),
            critical=True,
        )
    )
    if host:
        general = x509.DNSName(host) if host[0].isalpha() else x509.IPAddress(ipaddress.ip_address(host))
        builder = builder.add_extension(x509.SubjectAlternativeName([general]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def server_tls(pem: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """A receiver's context; with `client_ca` it asks for a certificate of the sender."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
