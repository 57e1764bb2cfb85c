"""What the settings are called, for those who misspell them: the names as the file has them, not as the models do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic_core import ErrorDetails

from gateway import yamlfile
from gateway.config import (
    Audit,
    Billing,
    Client,
    Config,
    DestinationKind,
    Feed,
    FhirClaim,
    Http,
    Processing,
    Settings,
    X12File,
)
from gateway.settings.document import Document
from gateway.yamlfile import Loc

_KINDS: Mapping[str, type[Settings]] = {DestinationKind.X12_FILE: X12File, DestinationKind.FHIR_CLAIM: FhirClaim}

_SECTIONS: Mapping[str, type[Settings]] = {
    "feeds": Feed,
    "clients": Client,
    "http": Http,
    "billing": Billing,
    "audit": Audit,
    "processing": Processing,
}

_SECRETS: Mapping[type[Settings], tuple[str, frozenset[str]]] = {
    Client: ("token", frozenset({"token_env", "token_file"})),
    FhirClaim: ("token", frozenset({"token_env", "token_file"})),
    Audit: ("key", frozenset({"key_env"})),
    Config: ("store_key", frozenset()),
}
"""What stands in the file in place of a secret."""

_WORDING: yamlfile.Wording = {
    "union_tag_not_found": lambda _: ("has no kind", f"add kind: {' or kind: '.join(_KINDS)}"),
}


def tell(document: Document, errors: Iterable[ErrorDetails]) -> None:
    """Each complaint of the models as a mistake at its place in the file."""
    yamlfile.tell(document, errors, lambda loc: _settings(document, loc), _WORDING)


def _settings(document: Document, loc: Loc) -> set[str]:
    """The names that may stand in the group at `loc`."""
    model = _model(document, loc)
    secret, instead = _SECRETS.get(model, ("", frozenset()))
    return (set(model.model_fields) - {secret}) | instead


def _model(document: Document, loc: Loc) -> type[Settings]:
    if not loc:
        return Config
    if loc[0] == "destinations":
        return _KINDS.get(str(document.at((*loc[:2], "kind"))), X12File)
    return _SECTIONS.get(str(loc[0]), Config)
