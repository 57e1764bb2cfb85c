"""Documents that are said again: what a later message leaves out stays, and what is replaced no longer counts."""

from __future__ import annotations

import re

from gateway.encounter.model import Document, DocumentStatus

FILE = "~"
"""Sets the id of a document's further file apart: `D1~1`. In HL7 v2 the sign separates repetitions, and is in no id."""

_QUERY = re.compile(r"\bquery(?:\s+(?:number|no\.?))?[\s:#]{1,4}(Q\d{1,20})\b", re.IGNORECASE)


def answered_query(*texts: str | None) -> str | None:
    """The number of the one provider query that a document's texts name, as `Query Q1234567`; None when they name none
    or several.
    """
    found = {number.upper() for text in texts if text for number in _QUERY.findall(text)}
    return found.pop() if len(found) == 1 else None


def said_again(standing: tuple[Document, ...], said: tuple[Document, ...]) -> tuple[Document, ...]:
    """`said`, each with its content as it stands where the message brings none: a notice of a new status, or of a
    cancel, comes without the text.
    """
    known = {document.id: document for document in standing if document.digest is not None}
    return tuple([_with_content(known[each.id], each) if each.id in known else each for each in said])


def _with_content(known: Document, said: Document) -> Document:
    """What is known with all that is said besides."""
    if said.digest is not None:
        return said
    return known.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def superseded(documents: tuple[Document, ...]) -> tuple[Document, ...]:
    """The documents, those that another one replaces cancelled with their files. Either may come first."""
    gone = {each.replaces for each in documents if each.replaces and each.status is not DocumentStatus.CANCELLED}
    if not gone:
        return documents
    return tuple([_cancelled(each) if each.id.partition(FILE)[0] in gone else each for each in documents])


def _cancelled(document: Document) -> Document:
    if document.status is DocumentStatus.CANCELLED:
        return document
    return document.model_copy(update={"status": DocumentStatus.CANCELLED})
