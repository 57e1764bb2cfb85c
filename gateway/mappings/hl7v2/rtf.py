"""The words of an RTF text, without its formatting: for people who read the record, not for printing it."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\\([a-z]{1,32})(-?[0-9]{1,10})?[ ]?|\\'([0-9a-f]{2})|\\(\*|[^a-z'])|([{}])|[\r\n]+|(.)", re.IGNORECASE
)
_SKIPPED = frozenset(
    (
        *("colortbl", "datafield", "datastore", "filetbl", "fldinst", "fonttbl", "footer", "footerf", "footerl"),
        *("footerr", "footnote", "generator", "header", "headerf", "headerl", "headerr", "info", "listtable"),
        *("listoverridetable", "objdata", "pict", "rsidtbl", "stylesheet", "themedata", "xmlnstbl"),
    )
)
"""Destinations that hold no words of the text."""

_BREAKS = {"par": "\n", "line": "\n", "row": "\n", "page": "\n", "sect": "\n", "tab": "\t", "cell": "\t"}
_SIGNS = {
    "emdash": "\u2014",
    "endash": "\u2013",
    "lquote": "\u2018",
    "rquote": "\u2019",
    "ldblquote": "\u201c",
    "rdblquote": "\u201d",
    "bullet": "\u2022",
}
_WORDS = {**_BREAKS, **_SIGNS}


def is_rtf(text: str) -> bool:
    """Whether `text` begins as RTF does."""
    return text.lstrip()[:5] == "{\\rtf"


def plain(text: str) -> str:
    """The text of the RTF document `text`; one pass, whatever its nesting. Fonts, pictures and headers are left out."""
    written: list[str] = []
    outer: list[tuple[bool, int]] = []
    skipping, replacement, pending = False, 1, 0
    for match in _TOKEN.finditer(text):
        word, number, code, sign, brace, character = match.groups()
        if brace == "{":
            outer.append((skipping, replacement))
        elif brace == "}":
            skipping, replacement = outer.pop() if outer else (False, 1)
        elif sign == "*" or word in _SKIPPED:
            skipping = True
        elif word == "uc":
            replacement = int(number or 1)
        elif not skipping and word == "u":
            written.append(_character(int(number or 0)))
            pending = replacement
            continue
        elif not skipping:
            said = _said(word, code, sign, character)
            if said and pending and (code or character):
                pending -= 1
                continue
            written.append(said)
        pending = 0 if word or brace else pending
    return "".join(written).strip()


def _said(word: str | None, code: str | None, sign: str | None, character: str | None) -> str:
    if character:
        return character
    if word:
        return _WORDS.get(word, "")
    if code:
        return bytes.fromhex(code).decode("cp1252", "replace")
    return {"~": " ", "_": "-", "-": ""}.get(sign or "", sign if sign in ("\\", "{", "}") else "")


def _character(number: int) -> str:
    point = number % 65536
    return "\ufffd" if 0xD800 <= point < 0xE000 or point < 9 else chr(point)
