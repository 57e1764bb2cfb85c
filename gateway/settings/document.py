"""`gateway.yaml` as it is read: its data, with placeholders filled from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gateway.yamlfile import Form, Loc, YamlFile, read_into

FORM = Form(aliases=True, key=re.compile(r"[^\x00-\x1f\x7f]{1,200}"))
"""Keys are names of settings, but also what others named: systems of identifiers, search parameters."""

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DOLLAR = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")


class Document(YamlFile):
    """The file, and the environment that it may name."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        super().__init__(path)
        self.environ = environ
        self.folder = path.absolute().parent
        """What relative paths start from."""
        self.written: dict[Loc, str] = {}
        """Strings with placeholders, as they stand in the file."""

    def items(self, section: str) -> list[tuple[Loc, dict[str, object]]]:
        """The mappings in a list at the top of the file, each with its place."""
        found = self.data.get(section)
        if not isinstance(found, list):
            return []
        return [((section, index), item) for index, item in enumerate(found) if isinstance(item, dict)]


def read(path: Path, environ: Mapping[str, str]) -> Document:
    """Never raises for what the file says: that is in `mistakes`."""
    document = read_into(Document(path, environ), path, FORM)
    document.data = {key: _filled(document, value, (key,)) for key, value in document.data.items()}
    return document


def _filled(document: Document, value: object, loc: Loc) -> object:
    if isinstance(value, dict):
        return {key: _filled(document, item, (*loc, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(document, item, (*loc, index)) for index, item in enumerate(value)]
    if isinstance(value, str) and "$" in value:
        document.written[loc] = value
        return _DOLLAR.sub(lambda match: _said(document, match, loc), value)
    return value


def _said(document: Document, match: re.Match[str], loc: Loc) -> str:
    """`${NAME}` is that variable of the environment, `$$` a dollar sign; any other `$` is itself."""
    if match.group() == "$$":
        return "$"
    name = match.group(1)
    if name is None:
        remedy = "write ${NAME}; write $$ for a dollar sign"
        document.spoil(loc, "has a placeholder without its end, or without a plain name", remedy)
    elif not document.environ.get(name):
        state = "is empty" if name in document.environ else "is not set"
        remedy = f"set {name} in the gateway's environment before it starts"
        document.spoil(loc, f"the environment variable {name} {state}", remedy)
    else:
        return document.environ[name]
    return ""
