"""What must hold of the repository as a whole: sizes, locks, links, and commands that documents promise."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("gateway/**/*.py"), *ROOT.glob("conformance/**/*.py")])
LOCKS = sorted(ROOT.glob("requirements/*.txt"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
BY_PRODUCTS = re.compile(
    r"(\.git|\.venv|\..*cache|\.hypothesis|build|dist|demo|var|out|node_modules|__pycache__|.*\.egg-info)"
)

MAX_FILE = 500
MAX_FUNCTION = 60
# Written in halves, so that this file does not name what it looks for.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted",
    "npm" + "js.",
    "deb." + "debian",
    "maven" + ".org",
    "crates" + ".io",
    "proxy." + "golang",
    "docker" + ".io",
    "ghcr" + ".io",
    "quay" + ".io",
]


def ours() -> Iterator[Path]:
    """The repository's own files: all but by-products of working on it."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not BY_PRODUCTS.fullmatch(name)]
        yield from (Path(folder) / name for name in files if not BY_PRODUCTS.fullmatch(name))


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def test_no_registry_is_named() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in ours()
        for text in [text_of(path).lower()]
        for host in REGISTRIES
        if host in text
    ]
    assert named == []


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_files_are_read_in_one_sitting() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in SOURCES}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE} == {}


def test_functions_do_one_thing() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in SOURCES
        for node in functions(path)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION} == {}


def requirements(lock: Path) -> list[str]:
    """The lock's requirements, one logical line each, without comments."""
    joined = lock.read_text().replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_pin_and_hash_everything_and_name_no_index(lock: Path) -> None:
    lines = requirements(lock)
    assert lines
    loose = [
        line.split()[0] for line in lines if not re.match(r"^[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
    ]
    assert loose == [], "options, unpinned or unhashed requirements"
    assert "://" not in lock.read_text()


def test_the_lock_for_running_is_part_of_the_lock_for_development() -> None:
    run, dev = (
        {line.split()[0] for line in requirements(ROOT / "requirements" / name)} for name in ("run.txt", "dev.txt")
    )
    assert run <= dev


def test_locks_cover_every_dependency_that_is_declared() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {
        re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-") for line in declared
    }
    locked = {line.split("==")[0].replace(".", "-") for line in requirements(ROOT / "requirements" / "dev.txt")}
    assert names - locked == set(), "run `make lock`"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"^[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        to = (page.parent / file).resolve() if file else page
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors(to)):
            broken.append(target)
    assert broken == []


def commands(page: Path) -> Iterator[list[str]]:
    """Every command line in the page's shell blocks, split into words."""
    for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", page.read_text(), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and ("=" in words[0].split("/")[0]):
                words = words[1:]
            if words:
                yield words


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_make_targets_in_the_pages_exist() -> None:
    missing = [
        f"{page.name}: make {word}"
        for page in PAGES
        for words in commands(page)
        if words[0] == "make"
        for word in words[1:]
        if "=" not in word and not word.startswith("-") and word not in targets()
    ]
    assert missing == []


def test_gateway_commands_in_the_pages_exist() -> None:
    from typer.main import get_command

    from gateway.cli.commands import app

    root = get_command(app)
    missing = []
    for page in PAGES:
        for words in commands(page):
            if words[0].rsplit("/", 1)[-1] != "gateway" or len(words) < 2:
                continue
            group = root
            for word in words[1:3]:
                known = getattr(group, "commands", None)
                if known is None or word.startswith("-"):
                    break
                if word not in known:
                    missing.append(f"{page.name}: {' '.join(words)}")
                    break
                group = known[word]
            options = {name for parameter in group.params for name in parameter.opts} | {"--help"}
            said = {word.split("=")[0] for word in words if word.startswith("-") and len(word) > 1}
            missing += [f"{page.name}: {' '.join(words)} ({option})" for option in sorted(said - options)]
    assert missing == []


def test_every_make_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text()
    assert targets() == set(re.findall(r"^([a-z]+):.*## .+", text, flags=re.MULTILINE))


def test_compose_has_no_default_secret_and_checks_health() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    services = yaml.safe_load(text)["services"]
    secrets = [
        value
        for service in services.values()
        for name, value in service["environment"].items()
        if re.search(r"PASSWORD|TOKEN|KEY", name)
    ]
    assert secrets
    assert all(re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", value) for value in secrets)
    assert "healthcheck" in services["postgres"]
    image = (ROOT / "Dockerfile").read_text()
    assert "HEALTHCHECK" in image
    assert re.search(r"^USER (?!0|root)", image, flags=re.MULTILINE)


def test_the_example_environment_names_every_secret_that_compose_asks_for() -> None:
    wanted = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    example = (ROOT / "examples" / "compose" / "env.example").read_text()
    assert wanted == set(re.findall(r"^([A-Z_]+)=$", example, flags=re.MULTILINE))
