"""`gateway check`: the mistakes of all files, in one form, at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.commands import app
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.rules import check
from gateway.yamlfile import Mistake, Mistakes

FEEDS = "feeds:\n  - {name: adt, listen: mllp://127.0.0.1:2575, dialect: %s}\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration in order; each test spoils what it is about."""
    (tmp_path / "gateway.yaml").write_text("review: policy.yaml\ndialects: dialects\n" + FEEDS % "site")
    (tmp_path / "policy.yaml").write_text("bill_hold_days: 3\n")
    (tmp_path / "dialects").mkdir()
    (tmp_path / "dialects" / "site.yaml").write_text("extends: base\n")
    return tmp_path


def mistakes(site: Path) -> list[tuple[str, int | None, str]]:
    with pytest.raises(Mistakes) as raised:
        check(site / "gateway.yaml", {})
    return [(str(Path(m.file).relative_to(site)), m.line, m.key) for m in raised.value.mistakes]


def spoil(site: Path, name: str, text: str) -> None:
    with (site / name).open("a") as file:
        file.write(text)


def test_a_configuration_in_order(site: Path) -> None:
    assert check(site / "gateway.yaml", {}).feeds[0].dialect == "site"


def test_the_policy_and_the_dialects_are_read_though_the_configuration_has_mistakes(site: Path) -> None:
    spoil(site, "gateway.yaml", "stoer: x\n")
    spoil(site, "policy.yaml", "documentation: maybe\n")
    spoil(site, "dialects/site.yaml", "final: [ADT, XYZ]\n")
    assert mistakes(site) == [
        ("gateway.yaml", 5, "stoer"),
        ("policy.yaml", 2, "documentation"),
        ("dialects/site.yaml", 2, "final[1]"),
    ]


def test_what_is_not_there_is_told_once(site: Path) -> None:
    (site / "policy.yaml").unlink()
    (site / "dialects" / "site.yaml").unlink()
    (site / "dialects").rmdir()
    assert mistakes(site) == [("gateway.yaml", 1, "review"), ("gateway.yaml", 2, "dialects")]


def test_a_dialect_that_is_not_there_is_told_at_its_feed(site: Path) -> None:
    spoil(
        site, "gateway.yaml", (FEEDS % "sight").removeprefix("feeds:\n").replace("adt", "lab").replace("2575", "2576")
    )
    with pytest.raises(Mistakes) as raised:
        check(site / "gateway.yaml", {})
    assert raised.value.mistakes == (
        Mistake(
            str(site / "gateway.yaml"),
            5,
            "feeds[lab].dialect",
            "there is no dialect sight",
            f"did you mean site? write one of {', '.join(sorted([*load_dialects(), 'site']))}",
        ),
    )


def test_a_character_set_that_is_not_known_is_told_at_its_feed(site: Path) -> None:
    feed = (FEEDS % "base").removeprefix("feeds:\n").replace("adt", "lab").replace("2575", "2576")
    spoil(site, "gateway.yaml", feed.rstrip("}\n") + ", charset: UNICODE UTF8}\n")
    with pytest.raises(Mistakes) as raised:
        check(site / "gateway.yaml", {})
    (mistake,) = raised.value.mistakes
    assert (mistake.key, mistake.text) == ("feeds[lab].charset", "there is no such character set")
    assert mistake.remedy.startswith("did you mean UNICODE UTF-8? write one of ASCII, 8859/1, ")


def test_the_command_prints_them_all_in_one_form(site: Path) -> None:
    spoil(site, "policy.yaml", "documentation: maybe\n")
    spoil(site, "dialects/site.yaml", "finl: [ADT]\n")
    answer = CliRunner().invoke(app, ["check", "--config", str(site / "gateway.yaml")])
    assert answer.exit_code == 2
    assert answer.output == (
        "2 mistakes in the configuration\n"
        f"{site}/policy.yaml:2: documentation: is not one of its values\n    write one of required, off\n"
        f"{site}/dialects/site.yaml:2: finl: is not a setting of dialects\n"
        "    did you mean final? write one of description, extends, key, registration, final, snapshot, credits, only, "
        "fields, tables, charge_codes, confirm\n"
    )
