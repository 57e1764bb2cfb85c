"""What `gateway.yaml` says of feeds that are polled, and of attachments that are fetched.

    poll: {url: https://ehr.example/fhir, types: [Encounter, DocumentReference], token_env: EHR_TOKEN}
    attachments: {hosts: [documents.example]}

A validator's text is `what is wrong; what to do`.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.addresses import LOOPBACK, Settings
from gateway.config.smart import SmartClient, secure_address

MANNERLY_SECONDS = 300.0
"""Between two looks at a server that is others': the manners of polling (Da Vinci CDex) allow no less."""


class PolledType(StrEnum):
    """The types that may be searched for, in the order in which they are: what others refer to comes first."""

    ORGANIZATION = "Organization"
    PRACTITIONER = "Practitioner"
    PRACTITIONER_ROLE = "PractitionerRole"
    LOCATION = "Location"
    PATIENT = "Patient"
    RELATED_PERSON = "RelatedPerson"
    COVERAGE = "Coverage"
    ACCOUNT = "Account"
    CONDITION = "Condition"
    PROCEDURE = "Procedure"
    ENCOUNTER = "Encounter"
    DOCUMENT_REFERENCE = "DocumentReference"
    CLAIM = "Claim"


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Not by a minimum of its type: an item that is wrong would be told a second time, as missing."""
    if not value:
        raise ValueError("is empty; list at least one")
    return value


SOME = AfterValidator(_some)

_OURS = frozenset({"_lastUpdated", "_sort", "_count", "_include", "_format", "_total", "_summary", "_elements"})
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")


def _instant(value: object) -> object:
    """A date, or a moment with its offset; a YAML date and its text are one."""
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime(value.year, value.month, value.day, tzinfo=UTC)
    else:
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError as error:
            raise ValueError("is neither a date nor a moment; write 2026-01-31, or 2026-01-31T08:00:00Z") from error
        if len(str(value)) == len("2026-01-31"):
            found = found.replace(tzinfo=UTC)
    if found.tzinfo is None:
        raise ValueError("has no offset from UTC; write it as 2026-01-31T08:00:00Z")
    return found.astimezone(UTC)


Start = Annotated[datetime, BeforeValidator(_instant)]


def _parameter(value: str) -> str:
    if not _PARAMETER.fullmatch(value):
        raise ValueError("is no search parameter; write its name, as status")
    if value.partition(":")[0] in _OURS:
        raise ValueError("is the gateway's own to say; take it out")
    return value


Parameter = Annotated[str, AfterValidator(_parameter)]
ParameterValue = Annotated[str, Field(min_length=1, max_length=2048)]


class Poll(Settings):
    """An EHR's FHIR server, searched for what has changed since the last look."""

    often: bool = False
    """Looks more often than every five minutes at a server beyond loopback: only when this says so."""
    url: str
    """The base address of its FHIR server, as `https://ehr.example/fhir`."""
    token: SecretStr | None = None
    """Resolved from `token_env` or `token_file`."""
    smart: SmartClient | None = None
    """Instead of a token: SMART Backend Services."""
    types: Annotated[tuple[PolledType, ...], SOME] = (
        PolledType.ENCOUNTER,
        PolledType.DOCUMENT_REFERENCE,
        PolledType.CLAIM,
    )
    """What is searched for. What these refer to is read, too."""
    params: dict[PolledType, dict[Parameter, ParameterValue]] = Field(default_factory=dict)
    """More search parameters for a type: `{Encounter: {patient: "12,13"}}`."""
    start: Start | None = None
    """What changed from then on is read at first; from the first look on when it is not said."""
    every_seconds: Annotated[float, Field(gt=0, le=86_400)] = MANNERLY_SECONDS
    overlap_seconds: Annotated[float, Field(ge=0, le=86_400)] = 120.0
    """Each look begins so much before where the last one ended, for what a server shows late."""
    count: Annotated[int, Field(ge=1, le=1000)] = 100
    """Resources of a page, as they are asked for."""
    pages: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Pages of one look; the next one goes on."""
    max_page: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 32 * 1024 * 1024
    """Bytes of a page."""
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 30.0

    @field_validator("url")
    @classmethod
    def _secure(cls, value: str) -> str:
        secure_address(value)
        return value.rstrip("/")

    @field_validator("types")
    @classmethod
    def _once_each(cls, value: tuple[PolledType, ...]) -> tuple[PolledType, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a type stands twice; name each once")
        return value

    @model_validator(mode="after")
    def _with_manners(self) -> Poll:
        if self.token is not None and self.smart is not None:
            remedy = "keep one of the two"
            raise PydanticCustomError("poll", "stands beside a token", {"at": ("smart",), "remedy": remedy})
        if self.every_seconds < MANNERLY_SECONDS and not self.often and urlsplit(self.url).hostname not in LOOPBACK:
            remedy = f"write {MANNERLY_SECONDS:g} or more, or set often: true if the EHR's people agreed"
            text = "burdens the EHR's server"
            raise PydanticCustomError("poll", text, {"at": ("every_seconds",), "remedy": remedy})
        strange = next((kind for kind in self.params if kind not in self.types), None)
        if strange is not None:
            remedy = "add the type to types, or take its parameters out"
            text = "has parameters for a type that is not searched for"
            raise PydanticCustomError("poll", text, {"at": ("params",), "remedy": remedy})
        return self


class Polled(Settings):
    """Stands where the others say what they listen on: nothing comes to such a feed by itself."""

    url: str
    port: None = None

    def __str__(self) -> str:
        return self.url


def polled_instead(said: Any) -> Any:
    """A feed's settings with `listen` for `poll`; as they are when they have none, or name both."""
    if isinstance(said, dict) and "poll" in said and "listen" not in said:
        poll = said["poll"]
        url = poll.url if isinstance(poll, Poll) else poll.get("url") if isinstance(poll, dict) else None
        return {**said, "listen": Polled(url=url if isinstance(url, str) else "")}
    return said


def _host(value: str) -> str:
    """`documents.example` or `documents.example:8443`, in lower case."""
    try:
        parts = urlsplit(f"//{value}")
        whole = bool(parts.hostname) and parts.port != 0 and parts.netloc == value and parts.username is None
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("is not a host; write its name alone, as documents.example or documents.example:8443")
    return value.lower()


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError("is not a network; write it as 10.20.0.0/16") from error


Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
ContentType = Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$")]

READABLE: tuple[str, ...] = (
    "text/plain",
    "text/html",
    "text/rtf",
    "text/xml",
    "application/rtf",
    "application/xml",
    "application/pdf",
    "application/hl7-cda+xml",
    "application/fhir+json",
    "application/fhir+xml",
)


class Attachments(Settings):
    """From where documents' contents are fetched that come as an address only. From nowhere when it is not said."""

    hosts: Annotated[tuple[Host, ...], SOME]
    """Each with its port where it is not 443."""
    networks: tuple[Network, ...] = ()
    """Networks that are not public and in which these hosts may be, as `10.20.0.0/16`."""
    content_types: Annotated[tuple[ContentType, ...], SOME] = READABLE
    max_bytes: Annotated[int, Field(ge=1, le=256 * 1024 * 1024)] = 16 * 1024 * 1024
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 30.0
