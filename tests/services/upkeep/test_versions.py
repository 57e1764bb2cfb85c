"""What people wrote, as versions: recorded once, told apart, compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services_world import StillClock

from conformance.store_samples import NOON
from gateway.audit.events import Action
from gateway.config.model import Config
from gateway.settings import document, load
from gateway.settings.secrets import stands_plainly
from gateway.settings.written import Written, gather, is_below
from gateway.store.interface import Store
from gateway.store.open import open_store
from gateway.store.upkeep import ConfigurationVersion, VersionState
from gateway.upkeep import versions as module
from gateway.upkeep.versions import Versions, difference, ordered, ordered_by
from gateway.yamlfile import Mistakes

SETTINGS = "facility: MAIN\nreview: policy.yaml\ndialects: dialects\nreference: {reference}\n"


@pytest.fixture
def site(tmp_path: Path, hospital: Config) -> Path:
    (tmp_path / "gateway.yaml").write_text(SETTINGS.format(reference=hospital.reference))
    (tmp_path / "policy.yaml").write_text("version: 1\n")
    (tmp_path / "dialects").mkdir()
    (tmp_path / "dialects" / "own.yaml").write_bytes(b"\xef\xbb\xbfextends: base\r\n")
    (tmp_path / "dialects" / "notes.txt").write_text("no dialect")
    return tmp_path / "gateway.yaml"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    one = open_store("sqlite://")
    await one.open()
    yield one
    await one.close()


def kept(store: Store, node: int = 0) -> Versions:
    return Versions(store, node, StillClock())


def written(text: str) -> Written:
    return Written("gateway.yaml", {"gateway.yaml": text})


def test_all_that_people_write_is_gathered_as_it_stands(site: Path) -> None:
    said = ordered(site, {})
    assert said.written is not None
    assert set(said.written.files) == {"gateway.yaml", "policy.yaml", "dialects/own.yaml"}
    for name, text in said.written.files.items():
        assert text.encode() == (site.parent / name).read_bytes()
    before = said.written.digest
    (site.parent / "dialects" / "own.yaml").write_bytes(b"extends: base\n")
    assert gather(said.config).digest != before


def test_a_file_elsewhere_goes_by_its_whole_path(site: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "policy.yaml"
    elsewhere.write_text("version: 1\n")
    site.write_text(site.read_text().replace("policy.yaml", str(elsewhere)))
    assert str(elsewhere) in gather(load(site, {})).files
    assert is_below("dialects/own.yaml")
    assert not any(is_below(name) for name in (str(elsewhere), "../x", "a/../../x", "", "/"))


def test_files_that_change_while_they_are_read_are_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    read = module.read

    def changing(*arguments: object) -> object:
        nonlocal count
        count += 1
        said = read(*arguments)  # type: ignore[arg-type]
        (site.parent / "policy.yaml").write_text(f"version: 1\n# {count}\n")
        return said

    monkeypatch.setattr(module, "read", changing)
    with pytest.raises(Mistakes, match="being changed just now"):
        ordered(site, {})


def test_a_file_that_changed_since_it_was_read_is_not_taken_for_what_is_in_force(site: Path) -> None:
    config = load(site, {})
    assert ordered_by(config).written is not None
    site.write_text(site.read_text() + "\n# changed\n")
    with pytest.raises(Mistakes, match="being changed"):
        ordered_by(config)


def test_a_configuration_of_no_file_has_no_version(hospital: Config) -> None:
    assert ordered_by(Config(reference=hospital.reference)).written is None


async def test_what_differs_in_nothing_is_no_new_version(store: Store) -> None:
    versions = kept(store)
    assert [await versions.activate(written(text), "gateway") for text in "aab"] == [1, 1, 2]
    assert await versions.activate(written("a"), "user:ops") == 3
    assert await versions.activate(None, "gateway") == 0
    told = [s.event async for s in store.events()]
    assert {event.action for event in told} == {Action.CONFIGURATION_ACTIVATED}
    assert [event.detail["version"] for event in told] == [1, 2, 3]
    assert told[-1].detail["sha256"] == written("a").digest


async def test_each_gateway_has_versions_of_its_own_under_numbers_of_all(store: Store) -> None:
    here, there = kept(store), kept(store, 1)
    numbers = await asyncio.gather(*(versions.activate(written("x"), "gateway") for versions in (here, there)))
    assert sorted(numbers) == [1, 2]
    assert await here.activate(written("y"), "gateway") == 3
    earlier = await here.earlier()
    assert earlier is not None
    assert (earlier.node, earlier.files) == (0, {"gateway.yaml": "x"})
    assert await there.earlier() is None


async def test_the_earlier_version_is_one_that_says_something_else(store: Store) -> None:
    versions = kept(store)
    for text in "abab":
        await versions.activate(written(text), "gateway")
    await versions.keep(written("broken"), "user:ops")
    earlier = await versions.earlier()
    assert earlier is not None
    assert earlier.files == {"gateway.yaml": "a"}
    assert await versions.keep(written("b"), "user:ops") == 4, "that is in force: it is there already"


def version(number: int, **files: str) -> ConfigurationVersion:
    named = {name.replace("_", "."): text for name, text in files.items()}
    return ConfigurationVersion(number, 0, "", VersionState.ACTIVATED, "user:a", NOON, named)


def test_a_difference_names_files_and_lines() -> None:
    before = version(1, gateway_yaml="a: 1\nb: 2\n", policy_yaml="version: 1\n")
    after = version(2, gateway_yaml="a: 1\nb: 3", own_yaml="extends: base\n")
    told = difference(before, after).splitlines()
    assert told[:2] == ["--- gateway.yaml (version 1)", "+++ gateway.yaml (version 2)"]
    assert {"-b: 2", "+b: 3", "--- /dev/null", "+extends: base", "-version: 1", "+++ /dev/null"} <= set(told)
    assert difference(before, before) == ""


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("clients: [{name: a, token_env: A}]", False),
        ("clients: [{name: a, token: '${A}'}]", False),
        ("clients: [{name: a, token: zebra}]", True),
        ("destinations: [{kind: fhir-claim, token: zebra}]", True),
        ("audit: {key: zebra}", True),
        ("audit: {key_file: var/audit.key}", False),
        ("store_key: zebra", True),
        ("alerts: {token: zebra}", True),
        ("store: 'postgresql://u:zebra@h/db'", True),
        ("store: 'postgresql://u:${PW}@h/db'", False),
        ("feeds: [{name: a, key: [account]}]", False),
        ("feeds: [", True),
    ],
)
def test_a_secret_that_stands_in_the_file_is_seen(tmp_path: Path, text: str, plain: bool) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text + "\n")
    assert stands_plainly(document.read(path, {"A": "aaa", "PW": "secret"})) is plain
