"""The two kinds of keys that SMART asks every server to take (asymmetric client authentication): RSA for RS384 and EC
on P-384 for ES384. Private ones sign, public ones check; both know no other algorithm.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

RS384, ES384 = "RS384", "ES384"
ALGORITHMS = (RS384, ES384)
RSA_BITS = range(2048, 8193)
"""Fewer are weak (SMART: refuse them); more would cost us more than they protect."""
_CURVES = {"secp384r1": "P-384"}
_KINDS: Mapping[str, tuple[str, type[RSAKey] | type[ECKey]]] = {"RSA": (RS384, RSAKey), "EC": (ES384, ECKey)}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
LARGEST_SET = 64 * 1024
MOST_KEYS = 64
LONGEST_ID = 256


class KeyFault(Exception):
    """A key that cannot be used. The texts show nothing of it."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(f"{text}; {remedy}")
        self.text, self.remedy = text, remedy


class _Registry(jws.JWSRegistry):
    """joserfc's limits, for headers that name where keys are; what a header has beyond the standard's is ignored
    (RFC 7515, section 4), unless it says that it is critical.
    """

    max_header_length = 4096
    max_payload_length = 8192


def _registry() -> _Registry:
    return _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class PublicKey:
    """Checks signatures of one algorithm."""

    def __init__(self, key: RSAKey | ECKey, algorithm: str) -> None:
        self._key = key
        self.algorithm = algorithm

    def signed(self, token: str) -> bool:
        """Whether the compact JWS `token` was signed by this key's owner, with this key's own algorithm."""
        try:
            jws.deserialize_compact(token, self._key, algorithms=[self.algorithm], registry=_registry())
        except (JoseError, ValueError):
            return False
        return True


class KeySet:
    """A client's public keys, by their `kid` and algorithm."""

    def __init__(self, keys: Mapping[tuple[str, str], PublicKey]) -> None:
        self._keys = dict(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str, algorithm: str) -> PublicKey | None:
        return self._keys.get((kid, algorithm))

    @classmethod
    def read(cls, content: bytes) -> KeySet:
        """A JWK Set (RFC 7517, section 5). Keys for other uses and of other kinds are left out. KeyFault when none is
        left, or one of them should not be there.
        """
        keys: dict[tuple[str, str], PublicKey] = {}
        for item in _listed(content):
            found = _public(item)
            if found is None:
                continue
            name = (str(item.get("kid")), found.algorithm)
            if name in keys:
                raise KeyFault("two keys of one kind have the same kid", "give each key a kid of its own")
            keys[name] = found
        if not keys:
            remedy = "list a key with a kid: RSA of 2048 bits or more, or EC on the curve P-384"
            raise KeyFault("holds no key that can be used", remedy)
        return cls(keys)


def _listed(content: bytes) -> list[dict[str, Any]]:
    form = 'write a JWK Set: {"keys": [...]}'
    if len(content) > LARGEST_SET:
        raise KeyFault("is larger than 64 KiB", form)
    try:
        said = json.loads(content, object_pairs_hook=unique, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise KeyFault("is not JSON, or has a name twice", form) from None
    keys = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise KeyFault("is not a set of keys", form)
    if len(keys) > MOST_KEYS:
        raise KeyFault(f"has more than {MOST_KEYS} keys", "take out those that are not used any more")
    return keys


def _public(item: Mapping[str, Any]) -> PublicKey | None:
    """The key, when it is of a kind that is used here. KeyFault for a private or a weak one."""
    kind = item.get("kty")
    if kind == "oct" or _PRIVATE & set(item):
        remedy = "take it out, make a new key, and list public keys only"
        raise KeyFault("holds a private key, or a shared secret", remedy)
    if not isinstance(kind, str) or kind not in _KINDS:
        return None
    algorithm, form = _KINDS[kind]
    operations = item.get("key_ops")
    if item.get("use", "sig") != "sig" or item.get("alg", algorithm) != algorithm:
        return None
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        return None
    kid = item.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_ID:
        raise KeyFault("a key has no kid", "give each key a kid: assertions name their key by it")
    if kind == "EC" and item.get("crv") != "P-384":
        return None
    try:
        key = _quietly(form, {name: value for name, value in item.items() if name not in ("alg", "use", "key_ops")})
    except (JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise KeyFault("a key cannot be read", "copy it whole, as it was made") from None
    if isinstance(key, RSAKey):
        _check_bits(key.public_key.key_size)
    return PublicKey(key, algorithm)


def _quietly(form: type[RSAKey] | type[ECKey], item: dict[str, Any]) -> RSAKey | ECKey:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of short keys; they are refused in the next step
        return form.import_key(item)


def _check_bits(bits: int) -> None:
    if bits not in RSA_BITS:
        raise KeyFault("an RSA key has fewer than 2048 bits, or more than 8192", "make one of 3072 bits")


class SigningKey:
    """A private key of ours. Its text shows nothing of it."""

    def __init__(self, key: RSAKey | ECKey, algorithm: str) -> None:
        self._key = key
        self.algorithm = algorithm
        self.thumbprint = key.thumbprint()
        """RFC 7638, SHA-256."""

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm})"

    @classmethod
    def load(cls, pem: bytes) -> SigningKey:
        """From unencrypted PEM. KeyFault when it is anything but an RSA key of 2048 bits or more, or EC on P-384."""
        remedy = "make one with: openssl ecparam -name secp384r1 -genkey -noout"
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyFault("is not an unencrypted private key in PEM", remedy) from None
        if isinstance(key, RSAPrivateKey):
            _check_bits(key.key_size)
            return cls(RSAKey.import_key(_pem(key)), RS384)
        if isinstance(key, EllipticCurvePrivateKey) and key.curve.name in _CURVES:
            return cls(ECKey.import_key(_pem(key)), ES384)
        raise KeyFault("is neither an RSA key nor an EC key on the curve P-384", remedy)

    def public(self, kid: str) -> dict[str, Any]:
        """The public half as a JWK (RFC 7517), to be published."""
        said = dict(self._key.as_dict(private=False))
        return {**said, "kid": kid, "use": "sig", "alg": self.algorithm, "key_ops": ["verify"]}

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """A compact JWS over `claims`; `alg` and `typ` are put into the header."""
        whole = {"alg": self.algorithm, "typ": "JWT", **header}
        payload = json.dumps(dict(claims), separators=(",", ":"))
        return jws.serialize_compact(whole, payload, self._key, algorithms=[self.algorithm], registry=_registry())


def _pem(key: RSAPrivateKey | EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """For `json.loads`: ValueError when a name stands twice."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def no_constant(name: str) -> NoReturn:
    """For `json.loads`: NaN and the infinities are not JSON."""
    raise ValueError(f"{name} is not JSON")
