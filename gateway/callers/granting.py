"""Access tokens: given for a signed assertion, known by all gateways of the store, for five minutes.

A token is a random text, of which the store keeps the digest: whoever shares the store knows it, a restart changes
nothing, and a client that is taken out of the configuration has none from that moment on. That an assertion was used,
the token and the audit event are one commit.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from gateway.access.assertion import Asserted, Presented, Refused, Why, checked
from gateway.access.scopes import ScopeFault, Scopes
from gateway.access.tokens import Caller, Callers, bearer, caller_of
from gateway.audit.events import Action, Event
from gateway.callers.registrations import KeysUnreachable, Registration, Registrations
from gateway.clock import Clock
from gateway.config.model import Client
from gateway.store.access import AccessToken, UsedAssertion
from gateway.store.interface import Conflict, Step, Store

LIFE = timedelta(seconds=300)
KEPT = timedelta(minutes=10)
"""How long what has expired stays in the store: clocks of gateways differ."""
MOST_CACHED = 4096
LONGEST_TOKEN = 256


class Error(StrEnum):
    """RFC 6749, section 5.2, and what a server may be for a while."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_SCOPE = "invalid_scope"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    SLOW_DOWN = "slow_down"
    UNAVAILABLE = "temporarily_unavailable"


class NotGranted(Exception):
    """No token. `why` is for the audit trail; `client` is who it was, as far as that is known to be a client."""

    def __init__(self, error: Error, why: Why, client: str | None = None) -> None:
        super().__init__(f"{error.value}: {why.value}")
        self.error, self.why, self.client = error, why, client


@dataclass(frozen=True, slots=True)
class Granted:
    """What a client is given."""

    token: str
    scope: str
    seconds: int


class Tokens(Protocol):
    """The part of the store that tokens are looked up in."""

    async def access_token(self, digest: bytes) -> AccessToken | None: ...


class Granting:
    """Gives tokens. Raises NotGranted, and the store's faults."""

    def __init__(self, store: Store, clock: Clock, registered: Registrations) -> None:
        self._store = store
        self._clock = clock
        self._registered = registered

    def serve(self, registered: Registrations) -> None:
        """Know these clients from now on."""
        self._registered = registered

    def claimed(self, assertion: str) -> str | None:
        """Which client an assertion claims to be of, when there is such a client. Nothing is proven by it."""
        try:
            issuer = Presented.read(assertion).issuer
        except Refused:
            return None
        return issuer if issuer in self._registered else None

    async def grant(
        self,
        assertion: str,
        scope: str | None,
        token_url: str,
        client_id: str | None = None,
        origin: Mapping[str, object] | None = None,
    ) -> Granted:
        """A token for `scope`, to whoever signed `assertion` for `token_url`. `origin` goes into the audit trail."""
        said, registration = self._presented(assertion)
        name = registration.client.name
        try:
            if client_id not in (None, name):
                raise Refused(Why.CLIENT_ID)
            asserted = checked(said, jwks_url=registration.jwks_url, token_url=token_url, now=self._clock.now())
            await _signed(said, registration)
        except Refused as refused:
            raise NotGranted(Error.INVALID_CLIENT, refused.why, name) from None
        try:
            scopes = _wanted(scope, registration)
        except NotGranted:
            await self._use(asserted, name)
            raise
        return await self._give(asserted, scopes, name, origin or {})

    def _presented(self, assertion: str) -> tuple[Presented, Registration]:
        """The assertion, and the client that it names. Nothing is proven yet."""
        try:
            said = Presented.read(assertion)
        except Refused as refused:
            raise NotGranted(Error.INVALID_CLIENT, refused.why) from None
        registration = self._registered.get(said.issuer or "")
        if registration is None:
            raise NotGranted(Error.INVALID_CLIENT, Why.ISSUER_UNKNOWN)
        return said, registration

    async def _give(self, asserted: Asserted, scopes: Scopes, name: str, origin: Mapping[str, object]) -> Granted:
        token, now, scope = secrets.token_urlsafe(32), self._clock.now(), str(scopes)
        kept = AccessToken(digest_of(token), name, scope, now + LIFE)
        detail: dict[str, object] = {"scope": scope, "seconds": int(LIFE.total_seconds()), **origin}
        event = Event(now, f"client:{name}", Action.ACCESS_GRANTED, f"client/{name}", detail=detail)
        await self._use(asserted, name, kept, event)
        return Granted(token, scope, int(LIFE.total_seconds()))

    async def _use(
        self, asserted: Asserted, name: str, token: AccessToken | None = None, event: Event | None = None
    ) -> None:
        """Use the assertion up, and keep what it brings. NotGranted when any gateway took it before."""
        used = UsedAssertion(
            name, hashlib.sha256(asserted.jti.encode("utf-8", "surrogatepass")).digest(), asserted.expires
        )
        step = Step(assertions=[used])
        if token is not None and event is not None:
            step.access_tokens, step.events = [token], [event]
        try:
            await self._store.commit(step)
        except Conflict:
            raise NotGranted(Error.INVALID_CLIENT, Why.REUSED, name) from None

    async def forget(self) -> None:
        """Let go of what expired a while ago."""
        await self._store.commit(Step(access_expired=[self._clock.now() - KEPT]))


async def _signed(said: Presented, registration: Registration) -> None:
    try:
        key = await registration.keys.find(said.kid, said.algorithm)
    except KeysUnreachable:
        raise Refused(Why.KEYS_UNREACHABLE) from None
    if key is None:
        raise Refused(Why.KEY_UNKNOWN)
    if not key.signed(said.text):
        raise Refused(Why.SIGNATURE)


def _wanted(scope: str | None, registration: Registration) -> Scopes:
    name = registration.client.name
    try:
        wanted = Scopes.parse(scope or "")
    except ScopeFault:
        raise NotGranted(Error.INVALID_SCOPE, Why.SCOPE, name) from None
    if not wanted.within(registration.scopes):
        raise NotGranted(Error.INVALID_SCOPE, Why.SCOPE_BEYOND, name)
    return wanted


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Recognition:
    """Who a request speaks for: a client with a fixed token, or one with a token that was given out."""

    def __init__(self, callers: Callers[Client], registered: Registrations, tokens: Tokens, clock: Clock) -> None:
        self._callers = callers
        self.registered = registered
        self._tokens = tokens
        self._clock = clock
        self._cached: OrderedDict[bytes, tuple[datetime, Caller[Client]]] = OrderedDict()

    async def authenticate(self, authorization: str | None) -> Caller[Client] | None:
        """The caller of an Authorization header; None when it is nobody. Raises StoreFault."""
        known = self._callers.authenticate(authorization)
        token = bearer(authorization)
        if known is not None or token is None or not self.registered or len(token) > LONGEST_TOKEN:
            return known
        digest = digest_of(token)
        found = self._cached.get(digest) or await self._looked_up(digest)
        if found is None:
            return None
        expires, caller = found
        return caller if self._clock.now() < expires else None

    async def _looked_up(self, digest: bytes) -> tuple[datetime, Caller[Client]] | None:
        """The token of the store, if its client is still registered: with the scopes that it still may have."""
        kept = await self._tokens.access_token(digest)
        registration = self.registered.get(kept.client) if kept is not None else None
        if kept is None or registration is None or self._clock.now() >= kept.expires:
            return None
        scopes = Scopes.parse(kept.scope).common(registration.scopes)
        found = kept.expires, caller_of(registration.client, scopes, registration.patients)
        self._cached[digest] = found
        while len(self._cached) > MOST_CACHED:
            self._cached.popitem(last=False)
        return found
