"""Each of pydantic's complaints as a mistake at its place in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic_core import ErrorDetails

from gateway.yamlfile.file import Loc, YamlFile, below
from gateway.yamlfile.words import Wording, instead, words

_KEY = "[key]"
"""pydantic's last step to a key of a mapping that is wrong itself."""


@dataclass(frozen=True, slots=True)
class _Complaint:
    loc: Loc
    variant: bool
    """Whether a variant of a union complains about the whole value: another may have come further."""
    error: ErrorDetails


def tell(
    file: YamlFile, errors: Iterable[ErrorDetails], known: Callable[[Loc], Iterable[str]], own: Wording | None = None
) -> None:
    """Tell the mistakes in `file`. `known` gives the names that may stand in the group at a place; `own` are words for
    types of errors that only this kind of file has.

    A validator may add to the place: `at` in its context, counted from what it validates.
    """
    for complaint in _apt([_placed(file, error) for error in errors]):
        loc, error = complaint.loc, complaint.error
        if error["type"] == "extra_forbidden":
            file.tell(loc, "there is no such setting", instead(loc[-1], sorted(known(loc[:-1])), "there are"))
        elif error["type"] == "union_tag_invalid":
            context = error["ctx"]
            tags = re.findall(r"'([^']*)'", context["expected_tags"])
            file.tell(
                (*loc, context["discriminator"].strip("'")), "is not one of its values", instead(context["tag"], tags)
            )
        else:
            file.tell(loc, *words(error, own or {}))


def _apt(complaints: list[_Complaint]) -> Iterable[_Complaint]:
    """Of what the variants of a union say: what is said furthest down, and once about each value."""
    further = {one.loc[:end] for one in complaints for end in range(len(one.loc))}
    told: set[Loc] = set()
    for one in complaints:
        if one.variant and (one.loc in further or one.loc in told):
            continue
        told.add(one.loc)
        yield one


def _placed(file: YamlFile, error: ErrorDetails) -> _Complaint:
    """The complaint at its place in the file, of which the names of a union's variants are no part."""
    found: Loc = ()
    here: object = file.data
    variant = False
    steps: Loc = (*error["loc"], *error.get("ctx", {}).get("at", ()))
    for end, step in enumerate(steps, 1):
        if step == _KEY:
            variant = end < len(steps)
            break
        absent = error["type"] == "missing" and end == len(steps) and isinstance(here, dict)
        variant = not absent and not _stands(here, step)
        if not variant:
            found = (*found, step)
            here = below(here, step)
    return _Complaint(found, variant, error)


def _stands(here: object, step: str | int) -> bool:
    if isinstance(here, dict):
        return step in here
    return isinstance(here, list) and isinstance(step, int)
