"""Ed25519 keys of the audit trail: the private one signs seals, public ones check them, also those of earlier keys."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
_KEY_LIMIT = 16 * 1024


class KeyFault(Exception):
    """A key that cannot be used; the text says what to do, and shows nothing of the key."""


class PublicKey:
    """Checks signatures. `id` is the first 16 hex digits of SHA-256 over the 32 bytes of the key."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.id = hashlib.sha256(key.public_bytes(*_RAW)).hexdigest()[:16]

    @classmethod
    def load(cls, pem: bytes) -> PublicKey:
        """From PEM (SubjectPublicKeyInfo). KeyFault when it is anything but an Ed25519 public key."""
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyFault("the public key is not readable PEM; give the .pub file beside the key") from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyFault("the public key is not an Ed25519 key; give the .pub file beside the key")
        return cls(key)

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether this key's owner signed exactly these bytes."""
        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class SealKey:
    """Signs seals. Its text shows only the id."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())
        self.id = self.public.id

    def __repr__(self) -> str:
        return f"SealKey({self.id})"

    @classmethod
    def generate(cls) -> SealKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, pem: bytes) -> SealKey:
        """From unencrypted PEM (PKCS#8). KeyFault when it is anything but an Ed25519 private key."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFault(
                "the audit key is not readable PEM; make one with: openssl genpkey -algorithm ed25519"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFault("the audit key is not an Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
        return cls(key)

    @classmethod
    def load_or_make(cls, path: Path) -> SealKey:
        """The key in the file; where there is none, a new one, readable by its owner only, and its .pub beside it.

        Of two gateways that start at one moment, one makes the key and both use it. KeyFault when the file is no key.
        """
        if not path.exists():
            _place(path, cls.generate())
        with path.open("rb") as file:
            return cls.load(file.read(_KEY_LIMIT))

    def sign(self, content: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(content)

    def pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def trusted(keys: Iterable[PublicKey]) -> dict[str, PublicKey]:
    """The keys by their ids."""
    return {key.id: key for key in keys}


def load_public_keys(paths: Iterable[Path]) -> dict[str, PublicKey]:
    """The public keys in these PEM files, by id. KeyFault names the file that is none."""
    found: list[PublicKey] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                found.append(PublicKey.load(file.read(_KEY_LIMIT)))
        except KeyFault as fault:
            raise KeyFault(f"{path}: {fault}") from fault
        except OSError as error:
            raise KeyFault(f"{path}: cannot be read ({error.strerror})") from error
    return trusted(found)


def _place(path: Path, key: SealKey) -> None:
    """Written whole beside its place and linked there, which fails where a key stands: none is ever overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write(draft, key.pem(), 0o600)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
    public = path.with_name(f"{path.name}.pub")
    with contextlib.suppress(FileExistsError):
        _write(public, key.public.pem(), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
