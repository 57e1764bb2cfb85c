"""A client's signed assertion of who it is (SMART App Launch 2.2, asymmetric client authentication; RFC 7523).

A JWT library checks signatures and dates. What makes an assertion safe to take is more, and stands here: a short life,
a number that is used once, our own address as the only audience, two algorithms, the registered keys and no others.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from gateway.access.keys import ALGORITHMS, LONGEST_ID, no_constant, unique

LIFE = timedelta(minutes=5)
"""How far ahead an assertion may end, at most."""
SKEW = timedelta(seconds=60)
"""How far a client's clock may be ahead of ours, for when an assertion was made and begins."""
LONGEST = 8192
"""Characters of an assertion."""
LONGEST_JTI = 256
_PART = re.compile(r"[A-Za-z0-9_-]+")
_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999."""


class Why(StrEnum):
    """Why an assertion or what was asked with it is refused. For the audit trail: the client is told less."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    HEADER = "header"
    NO_KEY_ID = "no-key-id"
    KEYS_ADDRESS = "keys-address"
    ISSUER_UNKNOWN = "issuer-unknown"
    ISSUER_NOT_SUBJECT = "issuer-not-subject"
    CLIENT_ID = "client-id"
    AUDIENCE = "audience"
    EXPIRY = "expiry"
    EXPIRED = "expired"
    TOO_FAR_AHEAD = "too-far-ahead"
    NOT_YET = "not-yet"
    ISSUED_AT = "issued-at"
    NO_JTI = "no-jti"
    KEY_UNKNOWN = "key-unknown"
    KEYS_UNREACHABLE = "keys-unreachable"
    SIGNATURE = "signature"
    REUSED = "reused"
    SCOPE = "scope"
    SCOPE_BEYOND = "scope-beyond"


class Refused(Exception):
    """The assertion does not show who the client is."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Presented:
    """An assertion as it came: read, and not yet believed."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Presented:
        """Raises Refused when it is no JWT in compact form, or its header is not one that is taken here."""
        parts = text.split(".")
        if len(text) > LONGEST or len(parts) != 3 or not parts[2]:
            raise Refused(Why.MALFORMED)
        header, claims = _object(parts[0]), _object(parts[1])
        if header.get("alg") not in ALGORITHMS:
            raise Refused(Why.ALGORITHM)
        if "crit" in header or str(header.get("typ", "JWT")).upper() != "JWT":
            raise Refused(Why.HEADER)
        kid = header.get("kid")
        if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_ID:
            raise Refused(Why.NO_KEY_ID)
        return cls(text, header, claims)

    @property
    def algorithm(self) -> str:
        return str(self.header["alg"])

    @property
    def kid(self) -> str:
        return str(self.header["kid"])

    @property
    def issuer(self) -> str | None:
        """Who it says that it comes from."""
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else None


@dataclass(frozen=True, slots=True)
class Asserted:
    """What an assertion says that matters once it is believed."""

    issuer: str
    jti: str
    expires: datetime


def checked(said: Presented, *, jwks_url: str | None, token_url: str, now: datetime) -> Asserted:
    """All that can be checked without a key, for a client whose keys are registered at `jwks_url`, or with us (None).

    `token_url` is our own address, from our configuration and not from the request. Raises Refused.
    """
    claims = said.claims
    if "jku" in said.header and (jwks_url is None or said.header["jku"] != jwks_url):
        raise Refused(Why.KEYS_ADDRESS)
    issuer = said.issuer
    if issuer is None or claims.get("sub") != issuer:
        raise Refused(Why.ISSUER_NOT_SUBJECT)
    audience = claims.get("aud")
    if not isinstance(audience, str) or audience != token_url:
        raise Refused(Why.AUDIENCE)
    expires = _times(claims, now)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise Refused(Why.NO_JTI)
    return Asserted(issuer, jti, expires)


def _times(claims: dict[str, Any], now: datetime) -> datetime:
    """When it ends. Raises Refused when it does not, has, does so too late, or was not made in the past."""
    expires = _moment(claims, "exp", Why.EXPIRY)
    if expires is None:
        raise Refused(Why.EXPIRY)
    if expires <= now:
        raise Refused(Why.EXPIRED)
    if expires > now + LIFE:
        raise Refused(Why.TOO_FAR_AHEAD)
    begins = _moment(claims, "nbf", Why.NOT_YET)
    if begins is not None and begins > now + SKEW:
        raise Refused(Why.NOT_YET)
    issued = _moment(claims, "iat", Why.ISSUED_AT)
    if issued is not None and (issued > now + SKEW or issued > expires):
        raise Refused(Why.ISSUED_AT)
    return expires


def _moment(claims: dict[str, Any], name: str, why: Why) -> datetime | None:
    """A NumericDate (RFC 7519, section 2); None when it is not there."""
    value = claims.get(name)
    if name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LAST_MOMENT:
        raise Refused(why)
    return datetime.fromtimestamp(value, UTC)


def _object(part: str) -> dict[str, Any]:
    """A part of the token as a JSON object in which no name stands twice."""
    if not _PART.fullmatch(part):
        raise Refused(Why.MALFORMED)
    try:
        content = urlsafe_b64decode(part + "=" * (-len(part) % 4))
        found = json.loads(content, object_pairs_hook=unique, parse_constant=no_constant)
    except (binascii.Error, ValueError, RecursionError):
        raise Refused(Why.MALFORMED) from None
    if not isinstance(found, dict):
        raise Refused(Why.MALFORMED)
    return found
