"""YAML files that people write: read strictly, with the line of everything in them, and every mistake told at once.

YAML's safe tags only: no tags of its own, no merging, no key twice, no bomb of aliases, no bottomless nesting.
"""

from gateway.yamlfile.complaints import tell
from gateway.yamlfile.file import Loc, Places, YamlFile, below
from gateway.yamlfile.mistake import Mistake, Mistakes
from gateway.yamlfile.reading import Form, parse_into, read, read_into
from gateway.yamlfile.words import NAME, Wording, instead

__all__ = [
    "NAME",
    "Form",
    "Loc",
    "Mistake",
    "Mistakes",
    "Places",
    "Wording",
    "YamlFile",
    "below",
    "instead",
    "parse_into",
    "read",
    "read_into",
    "tell",
]
