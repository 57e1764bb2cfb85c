"""What `listen` says, and the certificates and files that go with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.config.addresses import MllpAddress
from gateway.config.certificates import CertificateFault, server_context
from gateway.config.model import Config
from gateway.config.transport import ClientCertificates, Directory, OverHttp, Sender
from gateway.settings import ConfigErrors, load

FINGERPRINT = "ab" * 32


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate, its key, another key, and an encrypted one."""
    directory = tmp_path_factory.mktemp("pems")
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
    ).sign(key, hashes.SHA256())

    def private(one: ec.EllipticCurvePrivateKey, how: serialization.KeySerializationEncryption) -> bytes:
        return one.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)

    pem = certificate.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    (directory / "cert.pem").write_bytes(pem)
    (directory / "key.pem").write_bytes(private(key, plain))
    (directory / "both.pem").write_bytes(private(key, plain) + pem)
    (directory / "other.pem").write_bytes(private(other, plain))
    (directory / "locked.pem").write_bytes(private(key, serialization.BestAvailableEncryption(b"secret")))
    (directory / "text.pem").write_text("not a certificate")
    return directory


def read(directory: Path, text: str) -> Config:
    path = directory / "gateway.yaml"
    path.write_text(text)
    return load(path, {})


def test_a_feed_listens_over_tls(pems: Path) -> None:
    text = f"""
feeds:
  - name: epic
    listen: mllps://0.0.0.0:2575
    tls:
      certificate: cert.pem
      key: key.pem
      client_ca: cert.pem
      clients:
        - {{certificate: Epic.Example.org, application: EPIC, facility: MAIN}}
        - {{certificate: "SHA256:{":".join(["AB"] * 32)}", application: LAB}}
"""
    feed = read(pems, text).feeds[0]
    assert feed.listen == MllpAddress(host="0.0.0.0", port=2575, tls=True)  # noqa: S104 - not bound
    assert feed.tls is not None
    assert (feed.tls.certificate, feed.tls.key) == (pems / "cert.pem", pems / "key.pem")
    assert feed.tls.client_certificates is ClientCertificates.REQUIRED
    assert feed.tls.clients == (
        Sender(certificate="epic.example.org", application="EPIC", facility="MAIN"),
        Sender(certificate=FINGERPRINT, application="LAB"),
    )


def test_a_feed_reads_files_or_listens_over_http(tmp_path: Path) -> None:
    (tmp_path / "in put").mkdir()
    text = f"""
feeds:
  - {{name: absolute, listen: "file://{tmp_path}"}}
  - {{name: relative, listen: "file:in%20put", files: {{pattern: "*.hl7", settle_seconds: 0}}}}
  - {{name: web, listen: http}}
"""
    absolute, relative, web = read(tmp_path, text).feeds
    assert absolute.listen == Directory(path=tmp_path)
    assert relative.listen == Directory(path=tmp_path / "in put")
    assert (relative.files.pattern, relative.files.settle_seconds) == ("*.hl7", 0)
    assert isinstance(web.listen, OverHttp)
    assert [str(feed.listen) for feed in (relative, web)] == [str(tmp_path / "in put"), "http"]


@pytest.mark.parametrize(
    ("files", "at", "text"),
    [
        ("certificate: key.pem", "certificate", "is not PEM"),
        ("certificate: cert.pem", "certificate", "is not PEM"),
        ("certificate: cert.pem, key: other.pem", "key", "is not the key"),
        ("certificate: cert.pem, key: locked.pem", "key", "is encrypted"),
        ("certificate: cert.pem, key: text.pem", "key", "is not PEM"),
        ("certificate: both.pem, client_ca: text.pem", "client_ca", "holds no certificate"),
        ("certificate: both.pem, client_ca: none.pem", "client_ca", "cannot be read"),
    ],
)
def test_files_that_cannot_be_used_are_told_at_their_setting(pems: Path, files: str, at: str, text: str) -> None:
    with pytest.raises(ConfigErrors) as raised:
        read(pems, f"feeds:\n  - {{name: f, listen: 'mllps://127.0.0.1:0', tls: {{{files}}}}}\n")
    (found,) = raised.value.mistakes
    assert (found.line, found.key) == (2, f"feeds[f].tls.{at}")
    assert text in found.text
    assert found.remedy


def test_one_file_may_hold_certificate_and_key(pems: Path) -> None:
    server_context(pems / "both.pem", None, None, required=False)


def test_an_encrypted_key_asks_nobody(pems: Path) -> None:
    with pytest.raises(CertificateFault, match="encrypted"):
        server_context(pems / "cert.pem", pems / "locked.pem", None, required=False)
