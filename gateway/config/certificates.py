"""Certificates of a server: read from PEM files into what TLS is spoken with, each mistake told at its setting."""

from __future__ import annotations

import ssl
from pathlib import Path


class CertificateFault(OSError):
    """A file cannot be used. `setting` is the one that names it; the texts hold nothing of what the file says."""

    def __init__(self, setting: str, text: str, remedy: str) -> None:
        super().__init__(f"{setting}: {text}; {remedy}")
        self.setting, self.text, self.remedy = setting, text, remedy


def server_context(certificate: Path, key: Path | None, client_ca: Path | None, *, required: bool) -> ssl.SSLContext:
    """TLS 1.2 or newer with this certificate. With `client_ca` clients are asked for a certificate that comes from it,
    and let in without one only when it is not `required`. Raises CertificateFault.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.num_tickets = 0  # a session that is resumed would show no certificate, nor ask for one that was changed
    _load_own(context, certificate, key)
    if client_ca is not None:
        _load_roots(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    readable("certificate", certificate)
    if key is not None:
        readable("key", key)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as fault:
        if fault.reason == "KEY_VALUES_MISMATCH":
            raise CertificateFault("key", "is not the key of the certificate", "name the pair") from None
        if "PASSWORD" in str(fault.reason):
            raise CertificateFault("key", "is encrypted", "decrypt it, and let none but the gateway read it") from None
        setting = "key" if key is not None and _is_certificate(certificate) else "certificate"
        raise CertificateFault(setting, "is not PEM that can be used", _PEM[setting]) from None
    except ValueError:
        raise CertificateFault("key", "is encrypted", "decrypt it, and let none but the gateway read it") from None


_PEM = {
    "certificate": "name a PEM file with the certificate, and its key in it or in `key`",
    "key": "name a PEM file with the private key",
}


def _no_password() -> str:
    """Instead of asking at the terminal."""
    raise ValueError("the key is encrypted")


def _load_roots(context: ssl.SSLContext, client_ca: Path) -> None:
    readable("client_ca", client_ca)
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError:
        remedy = "name a PEM file with the certificates that senders' certificates come from"
        raise CertificateFault("client_ca", "holds no certificate", remedy) from None


def _is_certificate(path: Path) -> bool:
    return b"-----BEGIN CERTIFICATE-----" in path.read_bytes()


def readable(setting: str, path: Path) -> None:
    """CertificateFault when the file at `path`, which `setting` names, cannot be read."""
    try:
        with path.open("rb"):
            return
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "not a path"
        raise CertificateFault(setting, f"the file cannot be read ({reason})", f"put it at {path}") from None
