"""MDM^T01 to T11: documents, their changes and ends (chapter 9, 9.6.1 to 9.6.11). Even events carry the content, odd
ones give notice of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from gateway.encounter.change import Change, Places
from gateway.encounter.documents import answered_query
from gateway.encounter.model import DocumentStatus
from gateway.mappings.hl7v2.files import stated, with_files
from gateway.mappings.hl7v2.mapped import FeedProfile, MappingError
from gateway.mappings.hl7v2.obx import read_attachments, read_text
from gateway.mappings.hl7v2.plan import Values
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.registration import register

FAMILY = "MDM"
EVENTS = tuple(f"T{number:02}" for number in range(1, 12))
_ADDENDA = frozenset({"T05", "T06"})
_REPLACING = frozenset({"T07", "T08", "T09", "T10"})
"""An edit or a replacement: what TXA-13 names, where that is another document, no longer counts."""
_CANCEL = "T11"


def document(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """The document, and another one for each file beside its text."""
    registered = register(reading, source, FAMILY)
    if not reading.message.positions("TXA"):
        raise MappingError("no-document", "TXA", "the message has no TXA segment, so there is no document to keep")
    plan = source.dialect.plans["documents"]
    values, mask = plan.read(reading, reading.message.first(plan.own))
    said = _described(values, reading, trigger)
    said["source"] = source.name
    said["origin"] = f"{message_id} TXA"
    text, attachments = read_text(reading), read_attachments(reading)
    answers = answered_query(str(said.get("title") or ""), text.body.decode() if text else None)
    if answers is not None:
        said["answers"] = answers
    contents = (*((text,) if text else ()), *(each.content for each in attachments))
    documents = with_files(said, contents)
    places = [each for index in range(len(documents)) for each in _places(plan.places(mask, index), said, index)]
    held = (*(("OBX[1]",) if text else ()), *(each.label for each in attachments))
    places += [Places(f"documents[{index}]", label, {"digest": "5[1]"}) for index, label in enumerate(held)]
    items = stated(documents, [str(said["id"])] if contents or trigger == _CANCEL else [])
    return registered.change(message_id, reading, event=trigger, documents=items, contents=contents, places=places)


def _places(found: tuple[Places, ...], said: Values, index: int) -> Iterator[Places]:
    """The places of the document `index`. What TXA-13 names is appended to where it is not replaced; without TXA-17 and
    TXA-19 it is the event that says the status.
    """
    placed: set[str] = set()
    for each in found:
        fields = {"appends" if name == "replaces" and "appends" in said else name: p for name, p in each.fields.items()}
        yield each if fields == each.fields else replace(each, fields=fields)
        placed |= fields.keys()
    if "status" not in placed:
        yield Places(f"documents[{index}]", "MSH[1]", {"status": "9[1].2"})


def _described(values: Values, reading: Reading, trigger: str) -> Values:
    """TXA's values as a document has them. Only a status that says so makes a document final."""
    if not values.get("id"):
        values["id"] = hashlib.sha256(reading.message.encode()).hexdigest()[:16]
    parent = values.pop("parent", None)
    if parent is not None and parent != values["id"]:
        if trigger in _REPLACING:
            values["replaces"] = parent
        elif trigger in _ADDENDA:
            values["appends"] = parent
    gone = values.pop("availability", None) is DocumentStatus.CANCELLED or trigger == _CANCEL
    values["status"] = DocumentStatus.CANCELLED if gone else values.get("status") or DocumentStatus.PRELIMINARY
    if values.get("kind", "") is None:
        del values["kind"]
    return values
