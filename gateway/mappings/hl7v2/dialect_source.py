"""A dialect's own file as it is read, before what it extends is put under it."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.yamlfile import Form, Mistakes, YamlFile, read

FORM = Form(size=256 * 1024, codes=True, key=re.compile(r"[^\x00-\x1f\x7f]{0,200}"))
"""The senders' codes are keys and values, whatever they look like; none at all is one too."""


class DialectError(Mistakes):
    """Dialect files that cannot be used: all that was found, not only the first."""


def read_source(path: Path) -> YamlFile:
    """The file at `path`. What is wrong with it as YAML is in its `mistakes`."""
    return read(path, FORM)


def merged(under: object, over: object) -> object:
    """`under` with what `over` says: mappings are joined key by key, anything else is replaced."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {**under, **{key: merged(under[key], value) if key in under else value for key, value in over.items()}}
