"""`gateway.yaml` as frozen models. How it is read, and how its mistakes are told, stands in `gateway.settings`.

A validator's text is `what is wrong; what to do`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from gateway.access.roles import Role
from gateway.encounter.model import ClaimKind
from gateway.yamlfile import NAME, Loc, Mistake, Places


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, Field(pattern=NAME)]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Endpoint(Settings):
    """Where to listen: `mllp://host:port`, or `host:port` for HTTP. Port 0 takes a free one."""

    host: str
    port: Annotated[int, Field(ge=0, le=65535)]

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _endpoint(value: object, scheme: str, form: str) -> object:
    if isinstance(value, Endpoint | dict):
        return value
    if not isinstance(value, str):
        raise ValueError(f"no host is named; write it as {form}")  # noqa: TRY004 - pydantic collects ValueError only
    try:
        parts = urlsplit(value if "//" in value else f"//{value}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"a port is a number from 0 to 65535; write it as {form}") from error
    beyond = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("", scheme) or not host or port is None or beyond:
        raise ValueError(f"not an address to listen on; write it as {form}")
    return {"host": host, "port": port}


def _http_endpoint(value: object) -> object:
    return _endpoint(value, "http", "host:port, as 127.0.0.1:8080")


def _mllp_endpoint(value: object) -> object:
    return _endpoint(value, "mllp", "mllp://host:port, as mllp://127.0.0.1:2575")


HttpListen = Annotated[Endpoint, BeforeValidator(_http_endpoint)]
MllpListen = Annotated[Endpoint, BeforeValidator(_mllp_endpoint)]


class KeyChoice(StrEnum):
    """Which number makes the billable encounter: the account (PID-18, Encounter.account) or the visit (PV1-19)."""

    ACCOUNT = "account"
    VISIT = "visit"


class Source(Settings):
    """What every source of messages says of itself, whatever its transport."""

    facility: str | None = None
    """Overrides the configuration's facility for this feed."""
    key: tuple[KeyChoice, ...] | None = None
    """The number that keys an encounter; the first that the message has. The dialect's own choice by default."""
    authority: str | None = None
    """Assigning authority for account and visit numbers, whatever the message says of it."""
    time_zone: str | None = None
    dialect: Name = "base"

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return _zone(value)


def _zone(value: str | None) -> str | None:
    if value is not None:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("no such time zone; name one of the tz database, as America/Chicago") from error
    return value


class Feed(Source):
    """An EHR or encoder that speaks HL7 v2 over MLLP."""

    name: Name
    plain: bool = False
    """Unencrypted MLLP on an address other than loopback: only when this says so."""
    listen: MllpListen
    max_message: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 16 * 1024 * 1024
    idle_seconds: Annotated[float, Field(gt=0)] = 3600.0
    frame_seconds: Annotated[float, Field(gt=0)] = 30.0
    """A frame that was begun must end within this time."""
    max_connections: Annotated[int, Field(ge=1)] = 256

    @field_validator("listen")
    @classmethod
    def _plain_only_on_loopback(cls, value: Endpoint, info: ValidationInfo) -> Endpoint:
        if value.host not in LOOPBACK and not info.data.get("plain", True):
            raise ValueError(
                "plain MLLP beyond loopback shows patients' data to the network; "
                "listen on 127.0.0.1, or set plain: true knowingly"
            )
        return value


class Client(Source):
    """Someone who calls the HTTP interfaces with a bearer token."""

    name: Name
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    token: SecretStr
    """Resolved from `token_env` or `token_file`."""
    npi: tuple[str, ...] = ()
    """For the provider role: whose queries this client sees; all of them when empty."""
    since: str | None = None


class DestinationKind(StrEnum):
    X12_FILE = "x12-file"
    FHIR_CLAIM = "fhir-claim"


class _Destination(Settings):
    name: Name
    claims: tuple[ClaimKind, ...] = ()
    """Which kinds of claim go here; all that its form can carry when empty."""
    payers: tuple[str, ...] = ()
    """Payer identifiers that go here; any when empty. A claim goes to the first destination that takes it."""
    concurrency: Annotated[int, Field(ge=1, le=16)] = 4


class X12File(_Destination):
    """837P files in a directory, one interchange a file."""

    kind: Literal[DestinationKind.X12_FILE]
    directory: Path
    sender_id: str = "GATEWAY"
    receiver_id: str = "CLEARINGHOUSE"
    usage: Literal["P", "T"] = "T"

    @field_validator("claims")
    @classmethod
    def _professional_only(cls, value: tuple[ClaimKind, ...]) -> tuple[ClaimKind, ...]:
        if ClaimKind.INSTITUTIONAL in value:
            raise ValueError(
                "an x12-file destination writes the 837P, which carries professional claims only; "
                "list [professional], and send institutional claims to a fhir-claim destination"
            )
        return value


def _web_address(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("not a web address; write it whole, with http:// or https://")
    return parts


class FhirClaim(_Destination):
    """A FHIR server's Claim endpoint."""

    kind: Literal[DestinationKind.FHIR_CLAIM]
    url: str
    token: SecretStr | None = None
    """Resolved from `token_env` or `token_file`."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 20.0
    idempotent: bool = True
    """The receiver honours Idempotency-Key: what is unknown may be sent again under the same key."""
    window_hours: Annotated[float, Field(gt=0)] = 24.0

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = _web_address(value)
        if parts.username is not None or parts.password is not None:
            raise ValueError("a user or password in the address; take it out, and name the token's variable: token_env")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("claims carry patients' data; use https:// beyond loopback")
        return value


Destination = Annotated[X12File | FhirClaim, Field(discriminator="kind")]


class Billing(Settings):
    """The billing provider and submitter, as claims must name them (837 loops 1000A, 2010AA).

    Until all but the taxonomy is said, every claim is held: see `unsaid`.
    """

    name: str = "GENERAL HOSPITAL"
    npi: str = "1234567893"
    tax_id: str = "123456789"
    taxonomy: str | None = None
    line: str = "1 HOSPITAL WAY"
    city: str = "SPRINGFIELD"
    state: str = "IL"
    postal_code: str = "627010001"
    contact_name: str = "BILLING OFFICE"
    contact_phone: str = "2175550100"

    @property
    def unsaid(self) -> tuple[str, ...]:
        """What nobody said of the billing provider: the values above are examples, and no claim may carry them."""
        return tuple(name for name in type(self).model_fields if name not in self.model_fields_set | {"taxonomy"})


class Http(Settings):
    plain: bool = False
    """Unencrypted HTTP on an address other than loopback: only when this says so."""
    listen: HttpListen = Endpoint(host="127.0.0.1", port=8080)
    max_body: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    request_seconds: Annotated[float, Field(gt=0)] = 30.0
    base_url: str | None = None
    """How clients reach /fhir, when a proxy stands before the gateway."""

    @field_validator("base_url")
    @classmethod
    def _whole(cls, value: str | None) -> str | None:
        if value is not None:
            _web_address(value)
        return value

    @field_validator("listen")
    @classmethod
    def _plain_only_on_loopback(cls, value: Endpoint, info: ValidationInfo) -> Endpoint:
        if value.host not in LOOPBACK and not info.data.get("plain", True):
            raise ValueError(
                "plain HTTP beyond loopback shows tokens to the network; "
                "put a TLS proxy before 127.0.0.1, or set plain: true knowingly"
            )
        return value


class Audit(Settings):
    seal_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    key: SecretStr | None = None
    """Ed25519 private key (PEM), resolved from `key_env`; else `key_file`, made at the first start if absent."""
    key_file: Path = Path("var/audit.key")
    anchor: Path = Path("var/seals.ndjson")
    """Each seal is appended here too: keep it on other storage, so that a truncated database is found."""
    public_keys: tuple[Path, ...] = ()
    """Public keys (PEM) that sealed before, or seal at other gateways of this database; `key`'s own is always known."""


class Processing(Settings):
    batch: Annotated[int, Field(ge=1, le=1024)] = 64
    high_water: Annotated[int, Field(ge=16)] = 5_000
    """Unprocessed messages above which sockets are read no more until half of them are done."""


class Config(Settings):
    """All of it. Paths are absolute by now; secrets are resolved."""

    store: Annotated[str, Field(repr=False)] = "sqlite:///var/gateway.db"
    """`sqlite:///` and a path, absolute by now; or `postgresql://`, with what the environment said in it."""
    store_key: SecretStr | None = None
    """Encrypts the SQLite file; from the environment's GATEWAY_STORE_KEY."""
    node: Annotated[int, Field(ge=0, lt=64)] = 0
    facility: str = "MAIN"
    time_zone: str = "UTC"
    http: Http = Http()
    feeds: tuple[Feed, ...] = ()
    clients: tuple[Client, ...] = ()
    destinations: tuple[Destination, ...] = ()
    billing: Billing = Billing()
    review: Path | None = None
    dialects: Path | None = None
    """A directory of the site's own dialect files, beside those that come with the gateway."""
    reference: Path = Path("var/reference")
    audit: Audit = Audit()
    processing: Processing = Processing()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return _zone(value) or "UTC"

    _places: Places = PrivateAttr(default=Places("the configuration"))

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def placed(self, places: Places) -> Config:
        """The same, knowing where in a file its settings stand."""
        config = self.model_copy()
        config._places = places
        return config

    def mistake(self, loc: Loc, text: str, remedy: str) -> Mistake:
        """A mistake of the setting at `loc` that shows only beside what the configuration names."""
        return self._places.mistake(loc, text, remedy)
