"""The keys that assertions are signed by: two kinds, strong, public."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st
from smart_peer import Peer, ec_key, pem, public_jwk, rsa_key

from gateway.access.keys import ES384, RS384, KeyFault, KeySet, SigningKey

EC, RSA = public_jwk(ec_key(), "ec"), public_jwk(rsa_key(), "rsa")


def key_set(*keys: Any) -> KeySet:
    return KeySet.read(json.dumps({"keys": keys}).encode())


def test_both_kinds_are_found_by_kid_and_algorithm() -> None:
    found = key_set(EC, RSA, {**RSA, "kid": "ec"})
    assert len(found) == 3
    assert found.find("ec", ES384) is not None
    assert found.find("ec", RS384) is not None, "one kid may name a key of each kind"
    assert found.find("rsa", ES384) is None
    assert found.find("none", RS384) is None


@pytest.mark.parametrize(
    "other",
    [
        {**RSA, "use": "enc"},
        {**RSA, "alg": "RS256"},
        {**RSA, "key_ops": ["encrypt"]},
        {**RSA, "key_ops": "verify"},
        public_jwk(ec_key("P-256"), "x"),
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "x"},
        {"kty": 7},
        {},
    ],
)
def test_what_is_of_no_use_here_is_left_out(other: dict[str, Any]) -> None:
    assert len(key_set(other, EC)) == 1
    with pytest.raises(KeyFault, match="no key that can be used"):
        key_set(other)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (public_jwk(rsa_key(1024), "weak"), "2048 bits"),
        (public_jwk(rsa_key(2047), "weak"), "2048 bits"),
        ({**EC, "d": "AA"}, "private"),
        ({**RSA, "p": "AA"}, "private"),
        ({"kty": "oct", "k": "AA", "kid": "x"}, "shared secret"),
        ({name: value for name, value in EC.items() if name != "kid"}, "no kid"),
        ({**EC, "kid": ""}, "no kid"),
        ({**EC, "kid": 1}, "no kid"),
        ({**EC, "x": "AA"}, "cannot be read"),
        ({**EC, "y": EC["x"]}, "cannot be read"),
        ({**RSA, "n": "!!!"}, "cannot be read"),
        ({**RSA, "e": "AQ"}, "cannot be read"),
        ({"kty": "RSA", "kid": "x"}, "cannot be read"),
    ],
)
def test_a_key_that_should_not_be_there_spoils_the_set(key: dict[str, Any], text: str) -> None:
    with pytest.raises(KeyFault, match=text) as refused:
        key_set(EC, key)
    assert refused.value.remedy
    assert EC["x"] not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'{"keys":{}}', b'{"keys":[1]}', b'{"keys":[],"keys":[]}', b"[" * 9999, b'{"keys":NaN}'],
)
def test_what_is_no_set_of_keys_is_refused(content: bytes) -> None:
    with pytest.raises(KeyFault):
        KeySet.read(content)


def test_a_set_has_limits() -> None:
    with pytest.raises(KeyFault, match="64 KiB"):
        KeySet.read(b" " * 70_000)
    with pytest.raises(KeyFault, match="more than 64"):
        key_set(*({**EC, "kid": str(number)} for number in range(65)))
    with pytest.raises(KeyFault, match="same kid"):
        key_set(EC, EC)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(content: bytes) -> None:
    with pytest.raises(KeyFault):
        KeySet.read(content)


@pytest.mark.parametrize(("key", "algorithm"), [(ec_key(), ES384), (rsa_key(), RS384)])
def test_others_can_check_what_we_sign(key: Any, algorithm: str) -> None:
    """PyJWT is the other."""
    ours = SigningKey.load(pem(key))
    assert ours.algorithm == algorithm
    token = ours.sign({"kid": "k"}, {"iss": "gateway"})
    published = jwt.PyJWK(ours.public("k"))
    assert jwt.decode(token, published.key, algorithms=[algorithm]) == {"iss": "gateway"}
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT", "kid": "k"}
    assert "d" not in ours.public("k")
    assert key_set(ours.public("k")).find("k", algorithm) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
        pem(ec_key("P-256")),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(rsa_key(1024)),
    ],
)
def test_a_key_of_another_kind_does_not_sign(content: bytes) -> None:
    with pytest.raises(KeyFault):
        SigningKey.load(content)


def test_a_signature_is_of_one_key_and_one_algorithm() -> None:
    peer = Peer("ehr")
    found = KeySet.read(peer.jwks())
    token = peer.signed({"a": 1})
    right = found.find("ehr-ES384", ES384)
    other = found.find("ehr-RS384", RS384)
    assert right is not None
    assert other is not None
    assert right.signed(token)
    assert not other.signed(token)
    assert not right.signed(token[:-2])
    assert not right.signed("a.b.c")
    assert not right.signed("")
