"""A dialect's own file as it is read, before what it extends is put under it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gateway.yamlfile import Form, Mistakes, YamlFile, read

FORM = Form(values=200_000, codes=True, key=re.compile(r"[^\x00-\x1f\x7f]{0,200}"))
"""The senders' codes are keys and values, whatever they look like; none at all is one too."""


class DialectError(Mistakes):
    """Dialect files that cannot be used: all that was found, not only the first."""


def read_source(path: Path) -> YamlFile:
    """The file at `path`. What is wrong with it as YAML is in its `mistakes`."""
    return read(path, FORM)


_DEPTH = {"fields": 2, "tables": 2, "snapshot": 1, "only": 1, "charge_codes": 1, "confirm": 1}
"""How many levels of names are joined: under `fields` a group's field is one thing, and replaced whole."""


def merged(under: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """The data of a dialect with what one that extends it says: named things are joined, each of them is replaced."""
    return {
        **under,
        **{
            key: _joined(under[key], value, _DEPTH.get(key, 0)) if key in under else value
            for key, value in over.items()
        },
    }


def _joined(under: object, over: object, depth: int) -> object:
    if not depth or not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {
        **under,
        **{key: _joined(under[key], value, depth - 1) if key in under else value for key, value in over.items()},
    }
