"""What the settings are called, for those who misspell them: the names as the file has them, not as the models do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway import yamlfile
from gateway.config.addresses import Settings
from gateway.config.answers import Rule
from gateway.config.model import (
    Audit,
    Billing,
    Client,
    Config,
    DestinationKind,
    Feed,
    FhirClaim,
    Http,
    Mllp,
    Processing,
    X12File,
)
from gateway.config.polled import Attachments, Poll
from gateway.config.sending import ReceiverTls
from gateway.config.smart import SmartClient, SmartRegistration
from gateway.config.transport import Files, Sender, Tls
from gateway.config.upkeep import Alerts, Retention
from gateway.settings.document import Document
from gateway.yamlfile import Loc

_KINDS: Mapping[str, type[Settings]] = {
    DestinationKind.X12_FILE: X12File,
    DestinationKind.FHIR_CLAIM: FhirClaim,
    DestinationKind.MLLP: Mllp,
}

_SECTIONS: Mapping[str, type[BaseModel]] = {
    "feeds": Feed,
    "clients": Client,
    "http": Http,
    "billing": Billing,
    "audit": Audit,
    "processing": Processing,
    "alerts": Alerts,
    "retention": Retention,
}

_OF_FEEDS: Mapping[str, type[BaseModel]] = {"tls": Tls, "files": Files, "poll": Poll, "attachments": Attachments}

_WITHIN_DESTINATIONS: Mapping[Loc, type[BaseModel]] = {("answers",): Rule, ("tls",): ReceiverTls}

_SECRETS: Mapping[type[BaseModel], tuple[str, frozenset[str]]] = {
    Client: ("token", frozenset({"token_env", "token_file"})),
    FhirClaim: ("token", frozenset({"token_env", "token_file"})),
    Audit: ("key", frozenset({"key_env"})),
    Alerts: ("token", frozenset({"token_env", "token_file"})),
    Poll: ("token", frozenset({"token_env", "token_file"})),
    Config: ("store_key", frozenset()),
    SmartClient: ("key", frozenset({"key_env", "key_file"})),
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
    secret, instead = _SECRETS.get(model, ("", frozenset[str]()))
    return (set(model.model_fields) - {secret}) | instead


def _model(document: Document, loc: Loc) -> type[BaseModel]:
    if not loc:
        return Config
    if loc[2:3] == ("smart",):
        return SmartRegistration if loc[0] == "clients" else SmartClient
    if loc[0] == "feeds" and loc[2:4] == ("poll", "smart"):
        return SmartClient
    if loc[0] == "clients" and loc[2:3] == ("attachments",):
        return Attachments
    if loc[0] == "feeds" and len(loc) > 2:
        return Sender if loc[3:4] == ("clients",) else _OF_FEEDS.get(str(loc[2]), Feed)
    if loc[0] == "destinations" and loc[2:3] in _WITHIN_DESTINATIONS:
        return _WITHIN_DESTINATIONS[loc[2:3]]
    if loc[0] == "destinations":
        return _KINDS.get(str(document.at((*loc[:2], "kind"))), X12File)
    return _SECTIONS.get(str(loc[0]), Config)
