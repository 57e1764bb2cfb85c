"""What `gateway.yaml` says of SMART Backend Services (SMART App Launch 2.2), on both sides: clients that come to us
with signed assertions, and servers that we come to. A validator's text is `what is wrong; what to do`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.access.compartment import PatientNumber
from gateway.access.keys import KeyFault, SigningKey
from gateway.access.scopes import Scope, ScopeFault
from gateway.config.addresses import LOOPBACK, Settings

LONGEST_URL = 2048


def secure_address(value: str) -> SplitResult:
    """The parts of an https address (http on loopback). ValueError with the remedy."""
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not value.isprintable() or len(value) > LONGEST_URL:
        raise ValueError("not a web address; write it whole, with https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user or password in the address; take it out")
    if parts.query or parts.fragment:
        raise ValueError("a query or fragment in the address; take it out")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("tokens and keys would cross the network unprotected; use https:// beyond loopback")
    return parts


def _scope(value: str) -> str:
    try:
        Scope.parse(value)
    except ScopeFault as fault:
        raise PydanticCustomError("scope", "{text}", {"text": fault.text, "remedy": fault.remedy}) from None
    return value


def _patient(value: str) -> str:
    if PatientNumber.parse(value) is None:
        raise ValueError("not a patient's number with its authority; write it as authority|value, as MAIN|123456")
    return value


ScopeText = Annotated[str, AfterValidator(_scope)]
ScopeTexts = Annotated[tuple[ScopeText, ...], Field(min_length=1)]
PatientText = Annotated[str, AfterValidator(_patient)]


class SmartRegistration(Settings):
    """A client that proves who it is by a signed assertion (private_key_jwt) instead of a fixed token. Its `client_id`
    is its name.
    """

    jwks: Path | None = None
    """A file with its public keys, a JWK Set (RFC 7517)."""
    jwks_url: str | None = None
    """Where its public keys are: fetched from there and from nowhere else. One of the two, not both."""
    scopes: ScopeTexts
    """What it may ask for, at most: `system/Task.rs`, or in the older form `system/Task.read`."""
    patients: Annotated[tuple[PatientText, ...], Field(min_length=1)] | None = None
    """Patients' numbers as `authority|value`: the client sees these patients' data only. Any patient's by default."""

    @field_validator("jwks_url")
    @classmethod
    def _https_only(cls, value: str | None) -> str | None:
        if value is not None and secure_address(value).scheme != "https":
            raise ValueError("keys are fetched over https only; write https://, or name a file: jwks: PATH")
        return value

    @model_validator(mode="after")
    def _one_place_of_keys(self) -> SmartRegistration:
        if (self.jwks is None) == (self.jwks_url is None):
            said = "says two places for its keys" if self.jwks else "says no place for its keys"
            remedy = "write jwks: PATH or jwks_url: https://..., one of them"
            raise PydanticCustomError("keys", said, {"remedy": remedy})
        return self


class SmartClient(Settings):
    """How we prove who we are to an EHR's server (client side). What polls or writes to an EHR has this as its `smart`:

    smart: {issuer: https://ehr.example/fhir, client_id: gateway, key_file: ehr.pem, scopes: [system/Task.rs]}
    """

    issuer: str | None = None
    """The FHIR server's base address: `.well-known/smart-configuration` below it says where tokens are given."""
    token_url: str | None = None
    """Where tokens are given, when the server does not say so itself. One of the two is needed."""
    client_id: Annotated[str, Field(min_length=1, max_length=256)]
    key: SecretStr
    """Private key (PEM): RSA of 2048 bits or more, or EC on P-384. Resolved from `key_env` or `key_file`."""
    key_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """The key's name as the EHR has it registered; its thumbprint (RFC 7638) when it is not said."""
    jwks_url: str | None = None
    """Where the EHR finds our public key (`jku`), when it asks for that in each assertion."""
    scopes: ScopeTexts
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0

    @field_validator("issuer", "token_url", "jwks_url")
    @classmethod
    def _secure(cls, value: str | None) -> str | None:
        if value is not None:
            secure_address(value)
        return value

    @field_validator("key")
    @classmethod
    def _usable(cls, value: SecretStr) -> SecretStr:
        pem = value.get_secret_value()
        if pem:  # empty when a mistake was told about it already
            try:
                SigningKey.load(pem.encode())
            except KeyFault as fault:
                raise PydanticCustomError("key", "{text}", {"text": fault.text, "remedy": fault.remedy}) from None
        return value

    @model_validator(mode="after")
    def _somewhere(self) -> SmartClient:
        if self.issuer is None and self.token_url is None:
            remedy = "write issuer: https://... (the FHIR server's base), or token_url: https://..."
            raise PydanticCustomError("token_url", "does not say where tokens are given", {"remedy": remedy})
        return self
