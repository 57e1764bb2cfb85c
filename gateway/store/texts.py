"""Texts at rest: as both engines can hold them."""

from __future__ import annotations


def plain(text: str) -> str:
    """`text` as both engines can hold it: neither NUL nor half a surrogate pair, each shown as U+FFFD or `?`.

    The message's own bytes are kept as they came; this is for what is read out of them and looked up by.
    """
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def plain_or_none(text: str | None) -> str | None:
    return None if text is None else plain(text)
