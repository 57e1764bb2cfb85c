"""What SMART Backend Services asks of a server: where to go, where to get a token, and our own public keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

from gateway.access.assertion import Why
from gateway.access.keys import ALGORITHMS
from gateway.adapters.http.exchange import JSON, Answer, Call, Fault
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.adapters.smart.throttle import Failures
from gateway.callers.granting import Error, Granted, Granting, NotGranted
from gateway.store.interface import StoreFault

TOKEN = "/oauth/token"  # noqa: S105 - an address
JWKS = "/oauth/jwks"
DISCOVERY = "/fhir/.well-known/smart-configuration"

FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_FORM = 16 * 1024
MAX_FIELDS = 16

STATUSES: Mapping[Error, int] = {
    Error.INVALID_REQUEST: 400,
    Error.INVALID_CLIENT: 401,
    Error.INVALID_SCOPE: 400,
    Error.UNSUPPORTED_GRANT_TYPE: 400,
    Error.SLOW_DOWN: 429,
    Error.UNAVAILABLE: 503,
}
_TOLD: Mapping[Error, str] = {
    Error.INVALID_REQUEST: "Send grant_type, scope, client_assertion_type and client_assertion, once each, as a form",
    Error.INVALID_CLIENT: "The assertion does not show a client that is known here; the gateway's audit trail says why",
    Error.INVALID_SCOPE: "A scope is not one that this client is registered for",
    Error.UNSUPPORTED_GRANT_TYPE: "Only client_credentials is offered",
    Error.SLOW_DOWN: "Too many failures; try again later",
    Error.UNAVAILABLE: "No token can be given now; try again with a new assertion",
}

SCOPES = ("system/*.cruds", "system/*.read", "system/*.write", "system/*.*")
CAPABILITIES = ("client-confidential-asymmetric", "permission-v1", "permission-v2")


class Refusals(Protocol):
    """Refusals on their way into the metrics and the audit trail."""

    def refused(
        self, status: int, method: str, route: str, caller: str | None, why: str = "", *, address: str = ""
    ) -> None: ...


class SmartRoutes:
    """The three addresses. `address` is how clients reach the gateway, from the configuration: never from a request."""

    def __init__(
        self,
        granting: Granting,
        failures: Failures,
        refusals: Refusals,
        address: Callable[[], str],
        keys: Callable[[], list[dict[str, Any]]],
    ) -> None:
        """`keys`: our public keys as JWKs, by which we prove who we are to others' servers."""
        self._granting = granting
        self._failures = failures
        self._refusals = refusals
        self._address = address
        self._keys = keys

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", DISCOVERY, PUBLIC, self.discovery, "Where backend services get their tokens"),
            Route(
                "POST",
                TOKEN,
                PUBLIC,
                self.token,
                "An access token for a signed assertion (client credentials)",
                max_body=MAX_FORM,
                accepts=(FORM,),
                faults=oauth,
            ),
            Route("GET", JWKS, PUBLIC, self.jwks, "The gateway's own public keys"),
        )

    async def discovery(self, call: Call) -> Answer:
        """SMART App Launch 2.2, conformance: what concerns backend services."""
        base = self._address()
        return _json(
            {
                "token_endpoint": base + TOKEN,
                "jwks_uri": base + JWKS,
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
                "scopes_supported": list(SCOPES),
                "capabilities": list(CAPABILITIES),
            }
        )

    async def jwks(self, call: Call) -> Answer:
        """RFC 7517; public halves only. None while the gateway comes to nobody's server."""
        return Answer(200, orjson.dumps({"keys": self._keys()}), JSON, {"Cache-Control": "max-age=300"})

    async def token(self, call: Call) -> Answer:
        """RFC 6749, section 4.4, with the client authentication of RFC 7523, section 2.2."""
        form = _form(call.body)
        claimed = self._granting.claimed(form.get("client_assertion", ""))
        wait = self._failures.wait((call.remote, claimed))
        if wait:
            return _refusal(Error.SLOW_DOWN, {"Retry-After": str(wait)})
        try:
            granted = await self._granted(form, {"address": call.remote, "request": call.request_id})
        except NotGranted as refused:
            self._failures.failed((call.remote, claimed))
            status = STATUSES[refused.error]
            self._refusals.refused(status, "POST", TOKEN, refused.client, refused.why.value, address=call.remote)
            return _refusal(refused.error)
        except StoreFault:
            return _refusal(Error.UNAVAILABLE, {"Retry-After": "5"})
        said = {"access_token": granted.token, "token_type": "bearer", "expires_in": granted.seconds}
        return _json({**said, "scope": granted.scope}, Pragma="no-cache")

    async def _granted(self, form: Mapping[str, str], origin: Mapping[str, object]) -> Granted:
        if form.get("grant_type", "client_credentials") != "client_credentials":
            raise NotGranted(Error.UNSUPPORTED_GRANT_TYPE, Why.MALFORMED)
        if form.get("client_assertion_type") != ASSERTION_TYPE or not form.keys() >= {"grant_type", "client_assertion"}:
            raise NotGranted(Error.INVALID_REQUEST, Why.MALFORMED)
        return await self._granting.grant(
            form["client_assertion"], form.get("scope"), self._address() + TOKEN, form.get("client_id"), origin
        )


def _form(body: bytes) -> dict[str, str]:
    """The fields of the form; nothing of one that is broken or has a field twice, so that what is needed is missing."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    form = dict(pairs)
    return form if len(form) == len(pairs) else {}


def _json(said: Mapping[str, object], status: int = 200, **headers: str) -> Answer:
    return Answer(status, orjson.dumps(dict(said)), JSON, headers)


def _refusal(error: Error, headers: Mapping[str, str] | None = None) -> Answer:
    more = dict(headers or {})
    if error is Error.INVALID_CLIENT:
        more["WWW-Authenticate"] = 'Bearer realm="gateway"'
    return _json({"error": error.value, "error_description": _TOLD[error]}, STATUSES[error], **more)


def oauth(fault: Fault, request_id: str) -> Answer:
    """The server's own faults in OAuth's form (RFC 6749, section 5.2)."""
    error = Error.UNAVAILABLE if fault.status >= 500 else Error.INVALID_REQUEST
    said = {"error": error.value, "error_description": fault.text}
    return Answer(fault.status, orjson.dumps(said), JSON, fault.headers)
