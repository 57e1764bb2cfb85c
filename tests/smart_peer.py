"""A client of SMART Backend Services made with PyJWT: it shares no code with the gateway."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GONE = object()
"""As the value of a claim or header: leave it out."""


@cache
def rsa_key(bits: int = 2048, which: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(curve: str = "P-384", which: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1() if curve == "P-384" else ec.SECP256R1())


def public_jwk(key: Any, kid: str, **more: str) -> dict[str, Any]:
    form = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    said = json.loads(form.to_jwk(key.public_key()))
    said.pop("key_ops", None)
    return {**said, "kid": kid, **more}


def pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass
class Peer:
    """One client with a key of each kind."""

    name: str
    keys: dict[str, Any] = field(default_factory=lambda: {"ES384": ec_key(), "RS384": rsa_key()})

    def jwks(self) -> bytes:
        keys = [public_jwk(key, f"{self.name}-{alg}", use="sig", alg=alg) for alg, key in self.keys.items()]
        return json.dumps({"keys": keys}).encode()

    def write(self, directory: Path) -> Path:
        path = directory / f"{self.name}.jwks"
        path.write_bytes(self.jwks())
        return path

    def claims(self, audience: str, now: datetime, **changes: Any) -> dict[str, Any]:
        moment = int(now.timestamp())
        said = {"iss": self.name, "sub": self.name, "aud": audience, "jti": str(uuid.uuid4()), "exp": moment + 240}
        return {name: value for name, value in {**said, **changes}.items() if value is not GONE}

    def signed(self, claims: dict[str, Any], algorithm: str = "ES384", key: Any = None, **headers: Any) -> str:
        whole = {"kid": f"{self.name}-{algorithm}", **headers}
        said = {name: value for name, value in whole.items() if value is not GONE}
        return jwt.encode(claims, key or self.keys[algorithm], algorithm=algorithm, headers=said)

    def form(self, assertion: str, scope: str) -> dict[str, str]:
        return {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
