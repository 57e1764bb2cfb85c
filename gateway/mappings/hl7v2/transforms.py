"""What a dialect may do to a single value before it is read: a closed set, named in the dialect's `with`."""

from __future__ import annotations

from collections.abc import Callable

Transform = Callable[[str], str]


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")


TRANSFORMS: dict[str, Transform] = {
    "upper": str.upper,
    "lower": str.lower,
    "digits": _digits,
    "no-blanks": lambda text: "".join(text.split()),
    "no-leading-zeros": lambda text: text.lstrip("0") or "0",
    "before-dash": lambda text: text.partition("-")[0].strip(),
    "after-dash": lambda text: text.partition("-")[2].strip(),
    "first-word": lambda text: text.partition(" ")[0],
    "no-money-signs": lambda text: text.replace("$", "").replace(",", ""),
}
"""Each gives the text to read instead; an empty one counts as absent."""
