"""Every mistake at once, each with its file, line, key and remedy, and none with a secret."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.settings import ConfigErrors, load

ENVIRON = {
    "EHR_TOKEN": "ehr-0123456789abcdef",
    "SAME_TOKEN": "ehr-0123456789abcdef",
    "OTHER_TOKEN": "other-0123456789abcdef",
    "THIRD_TOKEN": "third-0123456789abcdef",
    "EMPTY_TOKEN": "",
    "SHORT_TOKEN": "tooshort",
    "SPACED_TOKEN": "with spaces 0123456789",
}
SECRETS = (*filter(None, ENVIRON.values()), "in-the-file", "0123456789abcdef-secret", "hidden")

CONFIG = Path(__file__).parents[2] / "fixtures" / "config"
BAD = sorted(path.stem for path in CONFIG.glob("bad-*.yaml"))


def mistakes(path: Path, environ: dict[str, str] | None = None) -> ConfigErrors:
    with pytest.raises(ConfigErrors) as raised:
        load(path, ENVIRON if environ is None else environ)
    return raised.value


def written(tmp_path: Path, text: str | bytes, environ: dict[str, str] | None = None) -> list[tuple[object, ...]]:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [(found.line, found.key, found.text) for found in mistakes(path, environ).mistakes]


def test_there_are_bad_examples() -> None:
    assert len(BAD) >= 8


@pytest.mark.parametrize("name", BAD)
def test_each_mistake_of_the_bad_examples_is_told(name: str) -> None:
    """The whole text that a user sees stands beside each example."""
    told = str(mistakes(CONFIG / f"{name}.yaml")).replace(f"{CONFIG}/", "")
    assert told + "\n" == (CONFIG / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", BAD)
def test_each_mistake_has_file_line_key_text_and_remedy(name: str) -> None:
    path = CONFIG / f"{name}.yaml"
    found = mistakes(path).mistakes
    assert found
    for mistake in found:
        assert mistake.file == str(path)
        assert mistake.text
        assert mistake.remedy
        if name not in ("bad-list", "bad-syntax", "bad-tab"):
            assert mistake.line
            assert mistake.key or "plain word" in mistake.text


@pytest.mark.parametrize("name", BAD)
def test_no_mistake_shows_a_secret(name: str) -> None:
    error = mistakes(CONFIG / f"{name}.yaml")
    shown = f"{error}{error!r}{error.mistakes!r}{error.__cause__!r}{error.__context__!r}"
    assert not [secret for secret in SECRETS if secret in shown]


def test_the_lines_of_mistakes_rise() -> None:
    lines = [mistake.line or 0 for mistake in mistakes(CONFIG / "bad-types.yaml").mistakes]
    assert lines == sorted(lines)
    assert len(lines) > 25


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path / "gateway.yaml").mistakes
    assert found.text == "cannot be read (No such file or directory)"
    assert "path" in found.remedy


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path).mistakes
    assert found.text == "cannot be read (Is a directory)"


def test_a_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    assert written(tmp_path, "#" * (1024 * 1024 + 1)) == [(None, "", "is larger than 1 MiB")]


def test_bytes_that_are_not_utf8_are_told_with_their_line(tmp_path: Path) -> None:
    assert written(tmp_path, b"facility: MAIN\nbilling: {city: Z\xfcrich}\n") == [(2, "", "is not UTF-8 text")]


def test_a_control_character_is_told_with_its_line(tmp_path: Path) -> None:
    found = written(tmp_path, b"facility: MAIN\nnode: \x01\n")
    assert found == [(2, "", "has a character that YAML does not allow")]


def test_two_documents_are_refused(tmp_path: Path) -> None:
    ((line, key, text),) = written(tmp_path, "facility: A\n---\nfacility: B\n")
    assert (line, key) == (2, "")
    assert "is not YAML" in str(text)


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert written(tmp_path, "\n".join(lines)) == [(None, "", "has too many settings")]


def test_an_alias_of_itself_is_refused(tmp_path: Path) -> None:
    assert (1, "feeds", "is nested too deeply") in written(tmp_path, "feeds: &a [*a]\n")


@pytest.mark.parametrize("depth", [40, 100_000])
def test_deep_nesting_is_refused(tmp_path: Path, depth: int) -> None:
    found = written(tmp_path, "feeds: " + "[" * depth + "]" * depth)
    assert "is nested too deeply" in [text for _, _, text in found]


def test_a_number_too_long_for_python_is_a_mistake(tmp_path: Path) -> None:
    assert (1, "node", "is not a number that can be used") in written(tmp_path, f"node: {'9' * 5000}\n")


@pytest.mark.parametrize("text", ["review:\n", "feeds: ~\n", "http: {listen: null}\n"])
def test_a_setting_left_empty_is_a_mistake_not_its_default(tmp_path: Path, text: str) -> None:
    assert [text for _, _, text in written(tmp_path, text)] == ["is empty"]


@pytest.mark.parametrize(
    ("store", "text"),
    [
        ("sqlite://var/gateway.db", "does not name a SQLite file"),
        ("sqlite:///", "does not name a SQLite file"),
        ("sqlite:///:memory:", "does not name a SQLite file"),
        ("sqlite:///a.db?mode=ro", "does not name a SQLite file"),
        ("var/gateway.db", "is not a database that the gateway can use"),
        ("postgres://db/gateway", "is not a database that the gateway can use"),
        ("postgresql://db", "names no host or no database"),
        ("postgresql:///gateway", "names no host or no database"),
        ("postgresql://db:port/gateway", "is not an address"),
        ("postgresql://me:pw@db/gateway", "a password does not belong in this file"),
        ("postgresql://me:x${PW}@db/gateway", "a password does not belong in this file"),
        ("postgresql://db/gateway?password=pw", "a password does not belong in this file"),
    ],
)
def test_the_form_of_the_databases_address_is_checked(tmp_path: Path, store: str, text: str) -> None:
    assert written(tmp_path, f'facility: MAIN\nstore: "{store}"\n', {"PW": "pw"}) == [(2, "store", text)]


@pytest.mark.parametrize(("key", "text"), [("", "is empty"), ("short", "is shorter than 16 characters")])
def test_a_key_of_the_store_that_does_not_encrypt_is_a_mistake(tmp_path: Path, key: str, text: str) -> None:
    found = written(tmp_path, "facility: MAIN\n", {"GATEWAY_STORE_KEY": key})
    assert found == [(None, "GATEWAY_STORE_KEY", f"the environment variable GATEWAY_STORE_KEY {text}")]


def test_a_missing_variable_is_told_once_though_the_setting_is_wrong_without_it(tmp_path: Path) -> None:
    text = 'http: {listen: "${LISTEN}"}\nstore: "${STORE}"\nclients: [{name: a, roles: [feed], token: "${TOKEN}"}]\n'
    assert written(tmp_path, text, {}) == [
        (1, "http.listen", "the environment variable LISTEN is not set"),
        (2, "store", "the environment variable STORE is not set"),
        (3, "clients[a].token", "the environment variable TOKEN is not set"),
    ]


def test_an_empty_token_file_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    text = "clients:\n  - {name: a, roles: [feed], token_file: token}\n"
    assert written(tmp_path, text) == [(2, "clients[a].token_file", "the file is empty, or not text")]


def test_one_key_for_the_seals(tmp_path: Path) -> None:
    text = "audit: {key_file: a.key, key_env: KEY}\n"
    found = written(tmp_path, text, {"KEY": "-----BEGIN PRIVATE KEY-----"})
    assert found == [(1, "audit.key_env", "stands beside key_file")]


@given(st.text(alphabet=st.sampled_from("abfeds{}[]:,-&*!|>'\"$#%@ \n\t0123~<=?"), max_size=60))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_makes_anything_but_a_configuration_or_mistakes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    with contextlib.suppress(ConfigErrors):
        load(path, {})
