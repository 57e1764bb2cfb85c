"""From file to frozen models: read, resolve secrets, check, validate; then every mistake at once, or none."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from gateway.config.addresses import Settings
from gateway.config.model import Config
from gateway.settings import checks, document, secrets, wording
from gateway.settings.written import Named
from gateway.yamlfile import Mistakes, below

S = TypeVar("S", bound=Settings)


class ConfigErrors(Mistakes):
    """All mistakes of `gateway.yaml`, in the order of its lines."""

    def __init__(self, found: document.Document) -> None:
        super().__init__(found.mistakes)
        self.named = Named(
            review=_named(found, found.data.get("review"), Path.is_file),
            dialects=_named(found, found.data.get("dialects"), Path.is_dir),
            templates=_named(found, below(found.data.get("queries"), "templates"), Path.is_dir),
        )
        """The other files that it names, where they are there: their mistakes can be told with these."""


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in the file, with secrets resolved from `environ` and paths made absolute from the file's
    directory. Raises ConfigErrors with all mistakes.
    """
    found = document.read(path, environ)
    if not found.readable:
        raise ConfigErrors(found)
    secrets.resolve(found)
    checks.check(found)
    config = None
    try:
        config = Config.model_validate(found.data)
    except ValidationError as error:
        wording.tell(found, error.errors(include_url=False))
    if config is None or found.mistakes:
        raise ConfigErrors(found)  # out here, so that it has no cause that would show values
    return _absolute(config, found.folder).placed(found.places)


def _absolute(settings: S, folder: Path) -> S:
    """The same settings with every path made absolute, those by default too."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    changed = {name: new for name, value in values.items() if (new := _anchored(value, folder)) is not value}
    return settings.model_copy(update=changed) if changed else settings


def _anchored(value: object, folder: Path) -> object:
    if isinstance(value, Path):
        return Path(os.path.normpath(folder / value))
    if isinstance(value, Settings):
        return _absolute(value, folder)
    if isinstance(value, tuple):
        return tuple(_anchored(item, folder) for item in value)
    return value


def _named(found: document.Document, value: object, stands: Callable[[Path], bool]) -> Path | None:
    path = _anchored(Path(value), found.folder) if isinstance(value, str) and value else None
    return path if isinstance(path, Path) and stands(path) else None
