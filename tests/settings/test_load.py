"""A whole configuration read as its writer means it."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from gateway.access.roles import Role
from gateway.config.model import Config, FhirClaim, KeyChoice, X12File
from gateway.encounter.model import ClaimKind
from gateway.settings import load

ENVIRON = {
    "EHR_TOKEN": "ehr-0123456789abcdef",
    "PROVIDER_TOKEN": "provider-0123456789abcdef",
    "PAYER_TOKEN": "short",
    "PAYER_HOST": "payer.example.org",
    "AUDIT_KEY": "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n",
    "GATEWAY_STORE_KEY": "0123456789abcdef0123",
}


@pytest.fixture
def good(fixtures: Path, tmp_path: Path) -> Path:
    shutil.copy(fixtures / "config" / "good.yaml", tmp_path / "gateway.yaml")
    (tmp_path / "policy.yaml").touch()
    (tmp_path / "dialects").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "supervisor.token").write_text("supervisor-0123456789\n")
    return tmp_path / "gateway.yaml"


def written(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    return load(path, environ or {})


def test_feeds_clients_and_destinations_stand_as_written(good: Path) -> None:
    config = load(good, ENVIRON)
    assert [(feed.name, str(feed.listen), feed.dialect) for feed in config.feeds] == [
        ("epic-adt", "127.0.0.1:2575", "epic"),
        ("encoder", "localhost:2576", "base"),
    ]
    assert config.feeds[0].key == (KeyChoice.ACCOUNT, KeyChoice.VISIT)
    assert config.clients[1].roles == {Role.SUPERVISOR, Role.CODER}
    assert config.clients[1].since == "2024-05-01"
    assert config.clients[2].npi == ("1234567893",)
    files, payer = config.destinations
    assert isinstance(files, X12File)
    assert files.claims == (ClaimKind.PROFESSIONAL,)
    assert isinstance(payer, FhirClaim)
    assert payer.url == "https://payer.example.org/fhir/Claim"
    assert config.billing.name == "GENERAL $ HOSPITAL"
    assert config.zone.key == "America/Chicago"


def test_secrets_come_from_variables_files_and_placeholders(good: Path) -> None:
    config = load(good, ENVIRON)
    assert [client.token.get_secret_value() for client in config.clients] == [
        "ehr-0123456789abcdef",
        "supervisor-0123456789",
        "provider-0123456789abcdef",
    ]
    payer = config.destinations[1]
    assert isinstance(payer, FhirClaim)
    assert payer.token is not None
    assert payer.token.get_secret_value() == "short"
    assert config.audit.key is not None
    assert config.audit.key.get_secret_value().endswith("-----END PRIVATE KEY-----")
    assert config.store_key is not None
    assert config.store_key.get_secret_value() == "0123456789abcdef0123"


def test_nothing_secret_shows_in_the_configurations_text(good: Path) -> None:
    shown = repr(load(good, ENVIRON))
    assert "0123456789" not in shown
    assert "PRIVATE KEY" not in shown


def test_paths_start_from_the_files_directory_those_by_default_too(good: Path) -> None:
    config = load(good, ENVIRON)
    folder = good.parent
    files = config.destinations[0]
    assert isinstance(files, X12File)
    assert config.store == f"sqlite:///{folder}/var/gateway.db"
    assert files.directory == folder / "out" / "x12"
    assert config.review == folder / "policy.yaml"
    assert config.dialects == folder / "dialects"
    assert config.reference == folder / "var" / "reference"
    assert config.audit.anchor == folder / "var" / "seals.ndjson"
    assert config.audit.key_file == folder / "var" / "audit.key"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    config = written(tmp_path, "store: sqlite:////srv/gateway.db\nreference: /srv/reference\n")
    assert config.store == "sqlite:////srv/gateway.db"
    assert config.reference == Path("/srv/reference")


@pytest.mark.parametrize("written_path", ["my%20data/a.db", "my data/a.db"])
def test_the_files_directory_may_have_any_name(tmp_path: Path, written_path: str) -> None:
    folder = tmp_path / "50% off #1?"
    folder.mkdir()
    config = written(folder, f"store: sqlite:///{written_path}\n")
    path = urlsplit(config.store).path[1:]
    assert unquote(path) == str(folder / "my data" / "a.db")


def test_a_relative_name_of_the_file_gives_absolute_paths(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(good.parent)
    assert load(Path("gateway.yaml"), ENVIRON) == load(good, ENVIRON)


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_is_all_defaults(tmp_path: Path, text: str) -> None:
    config = written(tmp_path, text)
    assert config.store == f"sqlite:///{tmp_path}/var/gateway.db"
    assert config.feeds == ()
    assert config.audit.key is None


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert written(tmp_path, "\ufefffacility: NORTH\n").facility == "NORTH"


def test_placeholders_fill_any_text_and_dollars_can_be_written(tmp_path: Path) -> None:
    text = 'facility: "${SITE}-${WING}"\nnode: ${NODE}\nbilling: {name: "$$5 ${SITE} $x", city: "$${SITE}"}\n'
    config = written(tmp_path, text, {"SITE": "MAIN", "WING": "EAST", "NODE": "7"})
    assert config.facility == "MAIN-EAST"
    assert config.node == 7
    assert config.billing.name == "$5 MAIN $x"
    assert config.billing.city == "${SITE}"


def test_what_a_variable_says_is_not_read_again(tmp_path: Path) -> None:
    assert written(tmp_path, "facility: ${SITE}\n", {"SITE": "${OTHER} $$"}).facility == "${OTHER} $$"


def test_a_few_aliases_may_repeat_a_part(tmp_path: Path) -> None:
    text = "feeds:\n- {name: a, key: &k [visit], listen: 127.0.0.1:1}\n- {name: b, key: *k, listen: 127.0.0.1:2}\n"
    assert written(tmp_path, text).feeds[1].key == (KeyChoice.VISIT,)


@pytest.mark.parametrize(
    ("store", "resolved"),
    [
        ("postgresql://gateway@db/gateway", "postgresql://gateway@db/gateway"),
        ("postgresql://gateway:${PW}@db:5433/gateway", "postgresql://gateway:p%40ss%2Fw%3Ard@db:5433/gateway"),
        ("postgresql://gateway:${PW}@${DB}/gateway", "postgresql://gateway:p%40ss%2Fw%3Ard@db.example.org/gateway"),
        ("${URL}", "postgresql://u:secret@db/gateway"),
    ],
)
def test_a_password_of_the_database_comes_from_the_environment(tmp_path: Path, store: str, resolved: str) -> None:
    environ = {"PW": "p@ss/w:rd", "DB": "db.example.org", "URL": "postgresql://u:secret@db/gateway"}
    config = written(tmp_path, f'store: "{store}"\n', environ)
    assert config.store == resolved
    assert "secret" not in repr(config)


def test_systems_of_identifiers_are_keys_as_fhir_writes_them(tmp_path: Path) -> None:
    text = """
clients:
  - name: ehr
    roles: [feed]
    token_env: EHR_TOKEN
    authorities:
      urn:oid:2.16.840.1.113883.19.5: GENERAL    # PID-3.4
      http://hospital.example/accounts: HAR
"""
    (client,) = written(tmp_path, text, ENVIRON).clients
    assert client.authorities == {
        "urn:oid:2.16.840.1.113883.19.5": "GENERAL",
        "http://hospital.example/accounts": "HAR",
    }
