"""Writing the files of an earlier version back, so that it can be taken back itself when it turns out not to do."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from gateway.settings import ConfigErrors, document, load
from gateway.settings.secrets import stands_plainly
from gateway.settings.written import Named, Written, digest, files_of, is_below, name_of
from gateway.store.upkeep import ConfigurationVersion
from gateway.upkeep.versions import Ordered, ordered
from gateway.yamlfile import Mistake, Mistakes


class NotRestorable(Exception):
    """The version cannot be written back. Says why; nothing was changed."""


class Restoration:
    """The files on the disk while a version takes their place. One use; `undo` until the version is in force."""

    def __init__(self, path: Path, environ: Mapping[str, str], known: Collection[Path]) -> None:
        """`known`: files elsewhere than below the directory of `path` that may be written, as those in force."""
        self._path = path.absolute()
        self._folder = self._path.parent
        self._environ = environ
        self._known = set(known)
        self._before: dict[Path, bytes | None] = {}

    def present(self) -> Written | None:
        """What stands in the files, whether or not it can be used; None when it cannot be kept as a version: it is no
        text, or may hold a secret.
        """
        try:
            files = {name_of(path, self._folder): path.read_bytes().decode() for path in self._present()}
        except (OSError, UnicodeDecodeError):
            return None
        if stands_plainly(document.read(self._path, self._environ)):
            return None
        return Written(self._path.name, files)

    def set_aside(self, mark: str) -> list[Path]:
        """Copies of the present files beside them; their paths. For what no version can keep."""
        copies = []
        for path in self._present():
            if path.is_file():
                copy = path.with_name(f"{path.name}.replaced-{mark}")
                shutil.copy2(path, copy)
                copies.append(copy)
        return copies

    def write(self, version: ConfigurationVersion) -> Ordered:
        """Put the version's files in the place of those that stand there; what they say now.

        Raises Mistakes when it no longer passes the check, NotRestorable, and OSError: all is then as it was.
        """
        if digest(version.files) != version.digest:
            raise NotRestorable(f"version {version.number} is not as it was recorded: its texts were changed")
        places = {self._place(name): text.encode() for name, text in version.files.items()}
        if self._path not in places:
            raise NotRestorable(f"version {version.number} was of a file of another name than {self._path.name}")
        try:
            return self._written(version, places)
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Everything as it was before `write`. OSError when the disk does not take it."""
        while self._before:
            path, content = self._before.popitem()
            if content is None:
                path.unlink(missing_ok=True)
            else:
                _replace(path, content)

    def _written(self, version: ConfigurationVersion, places: Mapping[Path, bytes]) -> Ordered:
        for path, content in places.items():
            self._change(path, lambda path=path, content=content: _replace(path, content))  # type: ignore[misc]
        for path in self._named().listed:
            if path not in places:
                self._change(path, path.unlink)
        said = ordered(self._path, self._environ)
        if said.written is None or said.written.digest != version.digest:
            text = f"with the files of version {version.number} in place, others are read besides"
            raise Mistakes([Mistake(str(self._path), None, "", text, "look for files that it does not name")])
        return said

    def _change(self, path: Path, change: Callable[[], None]) -> None:
        before = path.read_bytes() if path.is_file() else None
        self._before.setdefault(path, before)
        change()

    def _place(self, name: str) -> Path:
        if is_below(name):
            return self._folder / name
        path = Path(name)
        if path not in self._known:
            raise NotRestorable(f"the version has a file that is none of this configuration's: {name}")
        return path

    def _present(self) -> list[Path]:
        """The files that stand now, of a configuration in order or not."""
        return files_of(self._path, self._named())

    def _named(self) -> Named:
        try:
            return Named.by(load(self._path, self._environ))
        except ConfigErrors as errors:
            return errors.named


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all, with the rights that the file had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, name)
        else:
            os.chmod(name, 0o640)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
