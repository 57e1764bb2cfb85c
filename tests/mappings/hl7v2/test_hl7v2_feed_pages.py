"""The pages in docs/feeds say of each dialect what its file says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.mappings.hl7v2.dialect import Dialect, load_dialects
from gateway.mappings.hl7v2.dialect_source import read_source
from gateway.mappings.hl7v2.transforms import COMMA_NAMES, PARAMETERS, TRANSFORMS
from gateway.yamlfile import Mistakes

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "feeds"
SOURCES = ("public specification", "common practice", "confirm on site")
NAMES = sorted(path.stem for path in (ROOT / "gateway/mappings/hl7v2/dialects").glob("*.yaml"))
_ROW = re.compile(r"^\| `([a-z_.]+)` \| (.*) \| (.*) \|$", re.MULTILINE)
_PATH = re.compile(r"(?<!where )(?<!and )`([A-Z0-9]{3}(?:\[\d+\])?-[\d.\[\]]+)`")
_SNIPPET = re.compile(r"```yaml\n(extends:.*?)```", re.DOTALL)


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text()


def rows(name: str, heading: str) -> dict[str, tuple[str, str]]:
    """The table below a heading: its first column -> the others."""
    text = page(name).split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {first: (second, third) for first, second, third in _ROW.findall(text)}


def own(name: str) -> dict[str, dict[str, dict[str, object]]]:
    file = read_source(ROOT / "gateway/mappings/hl7v2/dialects" / f"{name}.yaml")
    assert not file.mistakes
    return file.data  # type: ignore[return-value]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_the_places_of_its_dialect(dialects: dict[str, Dialect], name: str) -> None:
    table = rows(name, "Where values stand")
    for field, (where, source) in table.items():
        group, _, canonical = field.partition(".")
        rule = dialects[name].fields.get(group, {}).get(canonical)
        assert tuple(_PATH.findall(where)) == (rule.paths if rule else ()), field
        assert any(each in source for each in SOURCES), field
    if name != "base":
        changed = {f"{group}.{field}" for group, fields in own(name).get("fields", {}).items() for field in fields}
        assert changed <= table.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_lists_what_must_be_confirmed(name: str) -> None:
    text = page(name).split("## To confirm at the site\n", 1)[1]
    for key, what in own(name)["confirm"].items():
        assert f"| `{key}` | {what} |" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_linked(name: str) -> None:
    for linking in ("connect", "dialects"):
        assert f"({name}.md)" in page(linking)


@pytest.mark.parametrize("name", [*NAMES, "dialects"])
def test_the_dialects_of_a_page_load(name: str, tmp_path: Path) -> None:
    for number, snippet in enumerate(_SNIPPET.findall(page(name))):
        (tmp_path / f"site{number}.yaml").write_text(snippet)
    try:
        load_dialects(tmp_path)
    except Mistakes as wrong:
        pytest.fail(str(wrong))


def test_the_manual_names_every_transform() -> None:
    manual = page("dialects")
    for name in (*TRANSFORMS, *PARAMETERS, COMMA_NAMES):
        assert f"`{name}`" in manual or f"{{{name}:" in manual, name
