"""A document with the files that came beside its text, each a document of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.encounter.change import Content, Items, Mode
from gateway.encounter.documents import FILE
from gateway.encounter.model import Document
from gateway.mappings.hl7v2.plan import Values


def with_files(said: Values, contents: Sequence[Content]) -> tuple[Document, ...]:
    """The document that `said` describes, with the first of `contents` as its own, and one more for each of the others.
    Without any it is only announced.
    """
    if not contents:
        return (Document.model_validate(said),)
    return tuple(
        Document.model_validate({**said, **_content(each), "id": f"{said['id']}{FILE}{n}" if n else said["id"]})
        for n, each in enumerate(contents)
    )


def _content(content: Content) -> Values:
    return {"digest": content.digest, "content_type": content.content_type, "size": len(content.body)}


def stated(documents: tuple[Document, ...], whole: Collection[str]) -> Items[Document]:
    """The documents as a message states them. Of those whose ids are in `whole` it says all: their files before are
    gone, for a content that is sent again may have fewer, and a cancelled document has none.
    """
    if not whole:
        return Items(documents)
    return Items(documents, Mode.REPLACE, within=tuple(f"{id}{FILE}" for id in whole))
