"""`gateway.yaml` as frozen models. How it is read, and how its mistakes are told, stands in `gateway.settings`.

A validator's text is `what is wrong; what to do`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.access.roles import Role
from gateway.config.addresses import LOOPBACK, Endpoint, HttpListen, MllpAddress, MllpReceiver, Name, Settings
from gateway.config.answers import UNCERTAIN, Action, Rule
from gateway.config.ehr import Ehr, QuerySettings
from gateway.config.message_types import TYPE
from gateway.config.polled import Attachments, Poll, Polled, polled_instead
from gateway.config.sending import AcknowledgementMode, ReceiverTls
from gateway.config.smart import SmartRegistration
from gateway.config.transport import Directory, Files, Listen, OverHttp, Tls
from gateway.config.upkeep import Alerts, HoursOfDay, Minutes, Retention
from gateway.encounter.model import ClaimKind
from gateway.yamlfile import Loc, Mistake, Places


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
    authorities: dict[str, str] = Field(default_factory=dict)
    """What the systems of identifiers (FHIR's URIs) are called in HL7 v2: one number is then one in both worlds."""
    time_zone: str | None = None
    dialect: Name = "base"
    attachments: Attachments | None = None
    """From where documents' contents are fetched that come as an address only (FHIR)."""
    silent_after: Minutes | None = None
    """Minutes without a message after which an alert is raised; never when it is not said."""
    silent_hours: HoursOfDay = None
    """The hours of the day, in the feed's time zone, in which silence counts; all of them when it is not said."""

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


MessageType = Annotated[str, Field(pattern=f"^{TYPE}$")]
Family = Literal["ADT", "DFT", "BAR", "MDM"]
ListGroup = Literal["coverages", "diagnoses", "procedures", "charges"]


class Feed(Source):
    """An EHR or encoder: it sends HL7 v2 over MLLP, over HTTP or in files, or its FHIR server is polled."""

    name: Name
    charset: str = ""
    """The character set of messages that name none in MSH-18, as table 0211 names it: `8859/1`. UTF-8 when empty."""
    plain: bool = False
    """Unencrypted MLLP on an address other than loopback: only when this says so."""
    tls: Tls | None = None
    listen: Listen
    poll: Poll | None = None
    """Instead of `listen`: its FHIR server."""
    max_message: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 16 * 1024 * 1024
    idle_seconds: Annotated[float, Field(gt=0)] = 3600.0
    frame_seconds: Annotated[float, Field(gt=0)] = 30.0
    """A frame that was begun must end within this time."""
    max_connections: Annotated[int, Field(ge=1)] = 256
    max_per_address: Annotated[int, Field(ge=1)] = 128
    """Connections of one remote address."""
    files: Files = Files()
    silence: bool = False
    """Whether a sender whose MSH-15 and MSH-16 ask for no answer gets none."""
    refuse: tuple[MessageType, ...] = ()
    """Types of message that are answered with AR and not kept: `ADT`, `ADT^A60`."""
    only: tuple[MessageType, ...] = ()
    """The only types that are taken; any when empty."""
    snapshot: dict[Family, frozenset[ListGroup]] = Field(default_factory=dict)
    """Family -> the lists of which its messages say all there is. For the families it names, in the dialect's place."""

    @model_validator(mode="before")
    @classmethod
    def _polled(cls, value: Any) -> Any:
        return polled_instead(value)

    @field_validator("listen")
    @classmethod
    def _plain_only_on_loopback(cls, value: Listen, info: ValidationInfo) -> Listen:
        if not isinstance(value, MllpAddress):
            return value
        if value.tls and "tls" in info.data and info.data["tls"] is None:
            raise ValueError("TLS needs a certificate; add tls: {certificate: FILE, key: FILE}")
        if not value.tls and value.host not in LOOPBACK and not info.data.get("plain", True):
            raise ValueError(
                "plain MLLP beyond loopback shows patients' data to the network; "
                "listen with mllps:// or on 127.0.0.1, or set plain: true knowingly"
            )
        return value

    @model_validator(mode="after")
    def _of_its_transport(self) -> Feed:
        """What is said is used: nobody believes in a limit that nothing heeds."""
        said = self.model_fields_set - _TRANSPORTS[type(self.listen)]
        stray = next((name for name in type(self).model_fields if name in said & _OF_TRANSPORTS), None)
        if stray is None and self.tls is not None and not getattr(self.listen, "tls", False):
            stray = "tls"
        if stray is not None:
            remedy = "listen with mllps://" if stray == "tls" else "take it out, or listen otherwise"
            polled = isinstance(self.listen, Polled)
            text = "has no meaning for " + ("a feed that is polled" if polled else "what this feed listens on")
            raise PydanticCustomError("stray_setting", text, {"at": (stray,), "remedy": remedy})
        return self


_OF_CONNECTIONS = frozenset({"idle_seconds", "frame_seconds", "max_connections", "max_per_address", "plain", "tls"})
_OF_HL7 = frozenset({"charset", "dialect", "silence", "refuse", "only", "snapshot"})
_TRANSPORTS: dict[type, frozenset[str]] = {
    MllpAddress: _OF_CONNECTIONS | _OF_HL7,
    Directory: frozenset({"files"}) | _OF_HL7,
    OverHttp: _OF_HL7,
    Polled: frozenset({"poll", "attachments"}),
}
_OF_TRANSPORTS = frozenset().union(*_TRANSPORTS.values())


class Client(Source):
    """Someone who calls the HTTP interfaces with a bearer token."""

    name: Name
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    token: SecretStr | None = None
    """Resolved from `token_env` or `token_file`."""
    smart: SmartRegistration | None = None
    """Instead of a token: the client signs assertions of who it is (SMART Backend Services)."""
    feeds: tuple[Name, ...] = ()
    """For the feed role: the feeds over HTTP to which this client may send HL7 v2; none when empty."""
    npi: tuple[str, ...] = ()
    """For the provider role: whose queries this client sees; all of them when empty."""
    since: str | None = None


class DestinationKind(StrEnum):
    X12_FILE = "x12-file"
    FHIR_CLAIM = "fhir-claim"
    MLLP = "mllp"


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


class Mllp(_Destination):
    """A billing system that takes charges as DFT^P03 messages over MLLP."""

    kind: Literal[DestinationKind.MLLP]
    plain: bool = False
    """Unencrypted MLLP to an address other than loopback: only when this says so."""
    address: MllpReceiver
    concurrency: Literal[1] = 1
    """One connection, one message at a time."""
    tls: ReceiverTls = ReceiverTls()
    """For an address with mllps://."""
    sending_application: str = "GATEWAY"
    sending_facility: str | None = None
    """MSH-4; the configuration's facility when it is not said."""
    receiving_application: str | None = None
    receiving_facility: str | None = None
    usage: Literal["P", "T", "D"] = "T"
    """MSH-11: production, training or debugging."""
    acknowledgement: AcknowledgementMode = AcknowledgementMode.ORIGINAL
    timeout_seconds: Annotated[float, Field(gt=0, le=45)] = 30.0
    """For one answer; in enhanced mode for each of the two."""
    idle_seconds: Annotated[float, Field(gt=0)] = 300.0
    """A connection that was idle for longer is opened anew rather than trusted."""
    max_answer: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 64 * 1024
    idempotent: bool = False
    """The receiver recognises MSH-10, and answers a repeat as it did the first: what is unknown may be sent again."""
    window_hours: Annotated[float, Field(gt=0)] = 24.0
    answers: tuple[Rule, ...] = ()
    """What is done upon which answer, before the rules of `gateway.config.answers`."""

    @field_validator("address")
    @classmethod
    def _plain_only_on_loopback(cls, value: MllpAddress, info: ValidationInfo) -> MllpAddress:
        if not value.tls and value.host not in LOOPBACK and not info.data.get("plain", True):
            raise ValueError(
                "plain MLLP beyond loopback shows patients' data to the network; write mllps://, or set plain: true "
                "knowingly"
            )
        return value

    @field_validator("tls")
    @classmethod
    def _with_tls(cls, value: ReceiverTls, info: ValidationInfo) -> ReceiverTls:
        address = info.data.get("address")
        if isinstance(address, MllpAddress) and not address.tls:
            raise ValueError("certificates have no meaning without TLS; write the address with mllps://")
        return value

    @field_validator("answers")
    @classmethod
    def _no_second_copy(cls, value: tuple[Rule, ...], info: ValidationInfo) -> tuple[Rule, ...]:
        for index, rule in enumerate(value):
            if rule.do is Action.RETRY and rule.when in UNCERTAIN and not info.data.get("idempotent"):
                remedy = "set idempotent: true if the receiver recognises MSH-10, else write do: park"
                text = f"a retry after {rule.when.value} may bill a claim twice"
                raise PydanticCustomError("second_copy", text, {"at": (index, "do"), "remedy": remedy})
        return value


Destination = Annotated[X12File | FhirClaim | Mllp, Field(discriminator="kind")]


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
    reassess: bool = True
    """Open encounters are looked at again when the policy, the destinations or what else decides on them changed."""


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
    ehrs: tuple[Ehr, ...] = ()
    queries: QuerySettings = QuerySettings()
    review: Path | None = None
    dialects: Path | None = None
    """A directory of the site's own dialect files, beside those that come with the gateway."""
    reference: Path = Path("var/reference")
    audit: Audit = Audit()
    processing: Processing = Processing()
    alerts: Alerts = Alerts()
    retention: Retention = Retention()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return _zone(value) or "UTC"

    _places: Places = PrivateAttr(default=Places("the configuration"))

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def hl7_feeds(self) -> tuple[Feed, ...]:
        """The feeds that speak HL7 v2."""
        return tuple(feed for feed in self.feeds if feed.poll is None)

    @property
    def polled_feeds(self) -> tuple[Feed, ...]:
        """The feeds whose FHIR servers are polled."""
        return tuple(feed for feed in self.feeds if feed.poll is not None)

    @property
    def file(self) -> Path | None:
        """The file that it was read from; None when it was not read from one."""
        return Path(self._places.file) if self._places.digest else None

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, hexadecimal; empty without a file."""
        return self._places.digest

    def placed(self, places: Places) -> Config:
        """The same, knowing where in a file its settings stand."""
        config = self.model_copy()
        config._places = places
        return config

    def mistake(self, loc: Loc, text: str, remedy: str) -> Mistake:
        """A mistake of the setting at `loc` that shows only beside what the configuration names."""
        return self._places.mistake(loc, text, remedy)
