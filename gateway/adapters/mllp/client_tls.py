"""TLS towards a receiver: at least 1.2, its certificate and name checked, ours shown where it asks for one."""

from __future__ import annotations

import ssl

from gateway.config.model import Mllp


class TlsFault(OSError):
    """A file of certificates or keys cannot be used. Names the destination and the setting, never what is in it."""


def client_tls(settings: Mllp) -> ssl.SSLContext | None:
    """The context for a destination; None when its address is without TLS. Raises TlsFault."""
    if not settings.address.tls:
        return None
    files = settings.tls
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except (OSError, ValueError) as fault:
        raise _unusable(settings, "ca", fault) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key, password=_no_password)
        except (OSError, ValueError) as fault:
            raise _unusable(settings, "certificate and key", fault) from None
    return context


def _no_password() -> str:
    """Instead of a prompt on the terminal, for a key that is encrypted."""
    raise ValueError("the key is encrypted")


def _unusable(settings: Mllp, which: str, fault: Exception) -> TlsFault:
    return TlsFault(f"destination {settings.name}: its tls {which} cannot be used ({type(fault).__name__})")
