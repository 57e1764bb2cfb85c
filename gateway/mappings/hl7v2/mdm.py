"""MDM^T02 and its kin: documents with their content (chapter 9, 9.6.2 to 9.6.10)."""

from __future__ import annotations

import hashlib

from gateway.encounter.change import Change, Content, Items, Places
from gateway.encounter.model import Document, DocumentStatus
from gateway.mappings.hl7v2.mapped import FeedProfile, MappingError
from gateway.mappings.hl7v2.obx import Attachment, read_attachments, read_text
from gateway.mappings.hl7v2.plan import Values
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.registration import register

_REPLACEMENT = "T10"


def document(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """The document, and another one for each file beside its text."""
    registered = register(reading, source, "MDM")
    if not reading.message.positions("TXA"):
        raise MappingError("no-document", "TXA", "the message has no TXA segment, so there is no document to keep")
    plan = source.dialect.plans["documents"]
    values, mask = plan.read(reading, reading.message.first(plan.own))
    said = _described(values, reading, trigger)
    said["source"] = source.name
    said["origin"] = f"{message_id} TXA"
    text, attachments = read_text(reading), read_attachments(reading)
    documents = _documents(said, text, attachments)
    contents = (*((text,) if text else ()), *(each.content for each in attachments))
    places: tuple[Places, ...] = plan.places(mask, 0)
    if text:
        places = (*places, Places("documents[0]", "OBX", {"digest": "5"}))
    return registered.change(message_id, reading, documents=Items(documents), contents=contents, places=places)


def _described(values: Values, reading: Reading, trigger: str) -> Values:
    """TXA's values as a document has them. Only a status that says so makes a document final."""
    parent = values.pop("parent", None)
    if parent is not None and trigger == _REPLACEMENT:
        values["replaces"] = parent
    gone = values.pop("availability", None) is DocumentStatus.CANCELLED
    values["status"] = DocumentStatus.CANCELLED if gone else values.get("status") or DocumentStatus.PRELIMINARY
    if values.get("kind", "") is None:
        del values["kind"]
    if not values.get("id"):
        values["id"] = hashlib.sha256(reading.message.encode()).hexdigest()[:16]
    return values


def _documents(said: Values, text: Content | None, attachments: list[Attachment]) -> tuple[Document, ...]:
    """The text is the document's own content; without any, the first file is. The others get documents of their own."""
    own = [text] if text else []
    own += [each.content for each in attachments]
    if not own:
        return (Document.model_validate(said),)
    return tuple(
        Document.model_validate({**said, **_content(each), "id": f"{said['id']}.{n}" if n else said["id"]})
        for n, each in enumerate(own)
    )


def _content(content: Content) -> Values:
    return {"digest": content.digest, "content_type": content.content_type, "size": len(content.body)}
