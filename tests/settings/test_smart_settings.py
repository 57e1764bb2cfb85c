"""Clients of SMART Backend Services in `gateway.yaml`, and how we come to others' servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from smart_peer import Peer, ec_key, pem

from gateway.assembly.entry import own_address
from gateway.callers.registrations import registrations
from gateway.settings import ConfigErrors, load
from gateway.yamlfile import Mistakes

EHR = Peer("ehr")
CLIENTS = """\
clients:
  - {name: ehr, roles: [feed], smart: {jwks: keys/ehr.jwks, scopes: [system/Claim.write, system/Encounter.cru]}}
  - name: portal
    roles: [provider]
    smart: {jwks_url: "https://portal.example/jwks", scopes: [system/Task.rs], patients: ["MAIN|1", "urn:oid:1.2|7"]}
"""
INBOX = """\
ehrs:
  - name: epic
    delivery: task
    url: https://ehr.example/fhir
    smart: {issuer: "https://ehr.example/fhir", client_id: gateway, KEY, scopes: [system/Task.rs]}
"""


def told(path: Path, text: str, **environ: str) -> list[tuple[str, str]]:
    path.write_text(text)
    with pytest.raises(ConfigErrors) as raised:
        load(path, environ)
    return [(mistake.key, mistake.text) for mistake in raised.value.mistakes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    EHR.write(tmp_path / "keys")
    (tmp_path / "ours.pem").write_bytes(pem(ec_key()))
    return tmp_path / "gateway.yaml"


def test_registrations_are_read(path: Path) -> None:
    path.write_text(CLIENTS)
    config = load(path, {})
    assert all(client.token is None for client in config.clients)
    asked: list[str] = []
    found = registrations(config, lambda url: asked.append(url) or None)  # type: ignore[func-returns-value,arg-type,return-value]
    assert found.keys() == {"ehr", "portal"}
    assert str(found["ehr"].scopes) == "system/Claim.cud system/Encounter.cru"
    assert (found["ehr"].patients, found["ehr"].jwks_url) == (None, None)
    assert found["portal"].patients == {("MAIN", "1"), ("urn:oid:1.2", "7")}
    assert asked == ["https://portal.example/jwks"]


def test_a_file_of_keys_that_is_gone_is_a_mistake_at_its_place(path: Path) -> None:
    path.write_text(CLIENTS)
    config = load(path, {})
    (path.parent / "keys" / "ehr.jwks").unlink()
    with pytest.raises(Mistakes, match=r"clients\[ehr\].smart.jwks"):
        registrations(config, lambda url: None)  # type: ignore[arg-type,return-value]


def test_the_address_is_the_configured_one_or_where_it_listens(path: Path) -> None:
    path.write_text(CLIENTS)
    assert own_address(load(path, {}), ("127.0.0.1", 8080)) == "http://127.0.0.1:8080"
    assert own_address(load(path, {}), ("::1", 8080)) == "http://[::1]:8080"
    path.write_text(CLIENTS + 'http: {listen: "0.0.0.0:8080", plain: true, base_url: "https://gateway.example/"}\n')
    assert own_address(load(path, {}), ("0.0.0.0", 8080)) == "https://gateway.example"  # noqa: S104 - not bound


def test_beyond_loopback_the_address_must_be_said(path: Path) -> None:
    found = told(path, CLIENTS + 'http: {listen: "0.0.0.0:8080", plain: true}\n')
    assert [key for key, _ in found] == ["http.base_url"]


@pytest.mark.parametrize(
    ("key", "environ"), [("key_file: ours.pem", {}), ("key_env: OUR_KEY", {"OUR_KEY": pem(ec_key()).decode()})]
)
def test_our_own_key_stands_elsewhere(path: Path, key: str, environ: dict[str, str]) -> None:
    path.write_text(INBOX.replace("KEY", key))
    [ehr] = load(path, environ).ehrs
    assert ehr.smart is not None
    assert "PRIVATE" in ehr.smart.key.get_secret_value()
    assert "PRIVATE" not in repr(ehr)


@pytest.mark.parametrize(
    ("key", "place", "text"),
    [
        ("key_env: NOT_SET", "ehrs[epic].smart.key_env", "the environment variable NOT_SET is not set"),
        ("key_file: absent.pem", "ehrs[epic].smart.key_file", "the file cannot be read (No such file or directory)"),
        ("key: in-the-file", "ehrs[epic].smart.key", "a secret does not belong in this file"),
        ("key_file: keys/ehr.jwks", "ehrs[epic].smart.key", "is not an unencrypted private key in PEM"),
        ("key_id: x", "ehrs[epic].smart.key_file", "there is no private key"),
    ],
)
def test_a_key_that_cannot_be_used_is_told(path: Path, key: str, place: str, text: str) -> None:
    assert told(path, INBOX.replace("KEY", key)) == [(place, text)]
