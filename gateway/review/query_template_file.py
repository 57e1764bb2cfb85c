"""Reads templates of provider queries, ours and the site's. Every mistake is told at once, with file, line and key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from gateway import yamlfile
from gateway.review.query_template import QueryTemplate, TemplateIndicator, TemplateOption, TemplateValue
from gateway.yamlfile import Form, Loc, Mistake, Mistakes, YamlFile

OWN = Path(__file__).parent / "query_templates"
FORM = Form(size=64 * 1024, values=2_000)
MOST = 500
SUFFIXES = (".yaml", ".yml")

_GROUPS: Mapping[str, type[BaseModel]] = {
    "values": TemplateValue,
    "indicators": TemplateIndicator,
    "options": TemplateOption,
}


class TemplateMistakes(Mistakes):
    """The site's templates cannot be used: all their mistakes."""


def load_templates(directory: Path | None = None) -> dict[str, QueryTemplate]:
    """Our templates by name, with those of the site's directory added or in their place. TemplateMistakes."""
    found = {template.name: template for template, _ in _read(_files(OWN))}
    if directory is None:
        return found
    if not directory.is_dir():
        remedy = "make the directory, or take the setting out"
        raise TemplateMistakes([Mistake(str(directory), None, "", "is not a directory", remedy)])
    site = list(_read(_files(directory)))
    _refuse_twice(site)
    return found | {template.name: template for template, _ in site}


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES)[: MOST + 1]


def _read(paths: list[Path]) -> Iterator[tuple[QueryTemplate, YamlFile]]:
    if len(paths) > MOST:
        place = str(paths[0].parent)
        raise TemplateMistakes([Mistake(place, None, "", f"has more than {MOST} templates", "take some out")])
    mistakes: list[Mistake] = []
    found: list[tuple[QueryTemplate, YamlFile]] = []
    for path in paths:
        file = yamlfile.read(path, FORM)
        template = _template(file)
        if template is not None and not file.mistakes:
            found.append((template, file))
        mistakes.extend(file.mistakes)
    if mistakes:
        raise TemplateMistakes(mistakes)
    yield from found


def _template(file: YamlFile) -> QueryTemplate | None:
    if not file.readable:
        return None
    try:
        return QueryTemplate.model_validate(file.data)
    except ValidationError as wrong:
        yamlfile.tell(file, wrong.errors(include_url=False), _known)
        return None


def _known(loc: Loc) -> Iterable[str]:
    """The names that may stand in the group at `loc`."""
    return set((_GROUPS.get(str(loc[0]), QueryTemplate) if loc else QueryTemplate).model_fields)


def _refuse_twice(site: list[tuple[QueryTemplate, YamlFile]]) -> None:
    seen: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for template, file in site:
        if template.name in seen:
            text = f"the name {template.name} stands in {seen[template.name]} too"
            mistakes.append(file.places.mistake(("name",), text, "give each template its own name"))
        seen[template.name] = Path(file.name).name
    if mistakes:
        raise TemplateMistakes(mistakes)
