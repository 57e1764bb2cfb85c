"""The characters that structure a message (MSH-1, MSH-2), and their escapes (chapter 2, 2.5.4 and 2.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_LINE_COMMANDS = frozenset({"br", "sp", "ce", "sk", "in", "ti", "fi", "nf"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MUST_ESCAPE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Delete(str):
    """A field that says `""`: what stands there is to be deleted. Compare with ``is DELETE``."""

    __slots__ = ()


DELETE = Delete('""')


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The five separators of a message; `truncation` (version 2.7) is empty when the sender declares none."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding(self) -> str:
        """MSH-2."""
        return f"{self.component}{self.repetition}{self.escape}{self.subcomponent}{self.truncation}"


STANDARD = Delimiters()


@lru_cache(maxsize=256)
def read_delimiters(field: str, encoding: str) -> Delimiters:
    """The delimiters that MSH-1 and MSH-2 declare.

    A doubled character counts once. What a short or empty MSH-2 leaves out is the standard's own character, and a
    standard character keeps its own role in it (`^~&` has no escape in it, but a subcomponent). An MSH-2 of letters
    or blanks declares nothing.
    """
    declared = _declared(encoding, field)
    if len(declared) < 4:
        declared = _completed(declared, field)
    component, repetition, mark, subcomponent = tuple(declared[:4])
    return Delimiters(field, component, repetition, mark, subcomponent, declared[4:5])


def declares(encoding: str, field: str) -> bool:
    """Whether MSH-2 names delimiters at all, be they few or doubled."""
    return bool(_declared(encoding, field))


def _declared(encoding: str, field: str) -> str:
    signs = "".join(dict.fromkeys(encoding))[:5]
    usable = all(c.isprintable() and not c.isalnum() and c not in (field, " ", "\ufffd") for c in signs)
    return signs if usable else ""


def _completed(declared: str, field: str) -> str:
    standard = STANDARD.encoding
    chosen = "" if set(declared) <= set(standard) else declared
    taken = {*chosen, field}
    spare = (character for character in "!@$%*" if character not in taken)
    return chosen + "".join(c if c not in taken else next(spare) for c in standard[len(chosen) :])


_ASCII = "C2842"
_SETS = frozenset({_ASCII, "C284A", "C2849", "M2440", "M2442", "M242844"})
"""ASCII, and the Japanese sets: JIS X 0201 (Roman, kana), JIS X 0208 (1978, 1990), JIS X 0212."""


@lru_cache(maxsize=64)
def _sequences(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    forms = (
        "([FSTREPHN])",
        "X((?:[0-9A-Fa-f]{2})+)",
        r"\.([a-z]{2})([+-]?[0-9]{0,3})",
        "([CM][0-9A-Fa-f]{4,6})",
    )
    return re.compile(f"{mark}(?:{'|'.join(forms)}){mark}")


def unescape(text: str, delimiters: Delimiters) -> str:
    """The data that `text` stands for. An unknown or unfinished sequence stays as it is; `\\.br\\` is a line feed.

    Hexadecimal data is read as UTF-8, else as ISO 8859-1. Control characters but tab and line ends become U+FFFD.
    Sequences that designate ASCII or a Japanese set (2.7.4) are read where what follows them is of that set.
    """
    mark = delimiters.escape
    if mark not in text:
        return text
    if f"{mark}C" in text or f"{mark}M" in text:
        text = _designated(text, mark)
    meaning = {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": mark,
        "P": delimiters.truncation or "#",
        "H": "",
        "N": "",
    }

    def replaced(match: re.Match[str]) -> str:
        letter, digits, command, count, _ = match.groups()
        if letter:
            return meaning[letter]
        if digits:
            return _hexadecimal(digits)
        return _command(command, count) if command in _LINE_COMMANDS else match.group()

    return _sequences(mark).sub(replaced, text)


def _designated(text: str, mark: str) -> str:
    """`text` with each run after a designation read in its set; as it is when a run is not of its set."""
    found = [match for match in _sequences(mark).finditer(text) if match[5] and match[5].upper() in _SETS]
    if not found:
        return text
    read = [text[: found[0].start()]]
    ends = (*(match.start() for match in found[1:]), len(text))
    for match, end in zip(found, ends, strict=True):
        run = text[match.end() : end]
        try:
            read.append(run if match[5] == _ASCII else _japanese(match[5], run))
        except UnicodeError:
            return text
    return "".join(read)


def _japanese(designation: str, run: str) -> str:
    begin, end = bytes.fromhex(f"1b{designation[1:]}"), b"\x1b(B"
    return (begin + run.encode("ascii") + end).decode("iso2022_jp_ext")


def _hexadecimal(digits: str) -> str:
    data = bytes.fromhex(digits)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return _CONTROL.sub("\ufffd", text)


def _command(command: str, count: str) -> str:
    times = min(int(count), 100) if count.isdecimal() else 1
    if command in ("br", "ce"):
        return "\n"
    if command == "sp":
        return "\n" * times
    return " " * times if command == "sk" else ""


@lru_cache(maxsize=64)
def _escapes(delimiters: Delimiters) -> dict[int, str]:
    mark = delimiters.escape
    pairs = {
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.subcomponent: "T",
        delimiters.repetition: "R",
        mark: "E",
    }
    if delimiters.truncation:
        pairs[delimiters.truncation] = "P"
    return {ord(character): f"{mark}{letter}{mark}" for character, letter in pairs.items()}


def escape(value: str, delimiters: Delimiters = STANDARD) -> str:
    """`value` as it may stand in a message. No value can end its field or segment, or read as a delete."""
    if value.isalnum():
        return value
    mark = delimiters.escape
    if value == DELETE:
        return f"{mark}X2222{mark}"
    safe = value.translate(_escapes(delimiters))
    if _MUST_ESCAPE.search(safe):
        safe = _MUST_ESCAPE.sub(lambda match: f"{mark}X{match.group().encode().hex().upper()}{mark}", safe)
    return safe
