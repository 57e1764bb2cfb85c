"""All that people write for the gateway, as one: the texts of gateway.yaml, the policy, the site's dialects and its
templates of provider queries.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import orjson

from gateway.config.model import Config
from gateway.yamlfile import Mistake, Mistakes

LARGEST = 16 * 1024 * 1024
"""Bytes of all files together."""
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Written:
    """The files' texts by name: the path below the directory of gateway.yaml, or the whole path of one elsewhere."""

    main: str
    """The name of gateway.yaml itself."""
    files: Mapping[str, str] = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over names and texts, hexadecimal."""
        return digest(self.files)


def digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(orjson.dumps(dict(files), option=orjson.OPT_SORT_KEYS)).hexdigest()


def different(before: Written | None, after: Written | None) -> list[str]:
    """The names of the files that say something else, are new or gone."""
    old, new = (said.files if said is not None else {} for said in (before, after))
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def paths(config: Config) -> list[Path]:
    """Every file that people write for this configuration, gateway.yaml first. Empty when it was read from no file."""
    return files_of(config.file.absolute(), Named.by(config)) if config.file is not None else []


@dataclass(frozen=True, slots=True)
class Named:
    """What gateway.yaml names besides itself, where it is there."""

    review: Path | None = None
    dialects: Path | None = None
    templates: Path | None = None

    @classmethod
    def by(cls, config: Config) -> Named:
        return cls(config.review, config.dialects, config.queries.templates)

    @property
    def listed(self) -> list[Path]:
        """The files of the site's directories: to add one there is to change the configuration."""
        return [*_files_in(self.dialects), *_files_in(self.templates)]


def files_of(file: Path, named: Named) -> list[Path]:
    """gateway.yaml, the policy where there is one, the site's dialects, and its templates of provider queries."""
    return [file, *([named.review] if named.review is not None else ()), *named.listed]


def _files_in(directory: Path | None) -> Iterator[Path]:
    """The YAML files of a directory, by name."""
    if directory is not None and directory.is_dir():
        yield from sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES)


def name_of(path: Path, folder: Path) -> str:
    """A file's name in a version."""
    whole = Path(os.path.normpath(path.absolute()))
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else whole.as_posix()


def gather(config: Config) -> Written:
    """What stands in the files now. Mistakes when one cannot be read as text, or all are too large."""
    found = paths(config)
    folder = found[0].parent
    files: dict[str, str] = {}
    for path in found:
        files[name_of(path, folder)] = _text(path)
        if sum(map(len, files.values())) > LARGEST:
            raise Mistakes([Mistake(str(path), None, "", "all files together are larger than 16 MiB", "take some out")])
    return Written(found[0].name, files)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1).decode()
    except OSError as error:
        text, remedy = f"cannot be read ({error.strerror})", "check its path, and that the gateway may read it"
        raise Mistakes([Mistake(str(path), None, "", text, remedy)]) from None
    except UnicodeDecodeError:
        raise Mistakes([Mistake(str(path), None, "", "is not UTF-8 text", "save the file as UTF-8")]) from None


def is_below(name: str) -> bool:
    """Whether a file of this name stands below the directory of gateway.yaml."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
