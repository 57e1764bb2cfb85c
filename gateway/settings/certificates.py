"""The certificates that feeds name: that they can be used shows before the gateway listens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gateway.config.certificates import CertificateFault, readable, server_context
from gateway.settings.document import Document

_FILES = ("certificate", "key", "client_ca")


def check_certificates(document: Document) -> None:
    """Tell each file of a feed's TLS that cannot be used."""
    for loc, feed in document.items("feeds"):
        tls = feed.get("tls")
        for fault in _faults(document, tls) if isinstance(tls, dict) else ():
            document.tell((*loc, "tls", fault.setting), fault.text, fault.remedy)


def _faults(document: Document, tls: dict[str, object]) -> list[CertificateFault]:
    """Each file that cannot be read; when all can, the first that is not what it should be."""
    named = {name: document.folder / value for name in _FILES if isinstance(value := tls.get(name), str) and value}
    faults = [fault for name, path in named.items() if (fault := _fault(readable, name, path))]
    if not faults and "certificate" in named:
        whole = partial(server_context, named["certificate"], named.get("key"), named.get("client_ca"), required=True)
        faults = [fault for fault in (_fault(whole),) if fault]
    return faults


def _fault(attempt: Callable[..., object], *arguments: object) -> CertificateFault | None:
    try:
        attempt(*arguments)
    except CertificateFault as fault:
        return fault
    return None
