"""DocumentReference: a document of the record, with its content where the EHR sends it along, or wrote it as a Binary.

A content's address is kept, and never fetched here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from gateway.encounter.change import Change, Content, Items, Places
from gateway.encounter.documents import answered_query
from gateway.encounter.model import Document, DocumentKind, DocumentStatus, ProviderRole
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.numbers import both, named_encounter, referred_numbers
from gateway.mappings.fhir.parties import code_of, codings, first_code, instant, provider
from gateway.mappings.fhir.source import Reading, logical_identifier, reference_name

_STATUS = {
    "preliminary": DocumentStatus.PRELIMINARY,
    "final": DocumentStatus.FINAL,
    "amended": DocumentStatus.AMENDED,
    "entered-in-error": DocumentStatus.CANCELLED,
}


def document_encounters(resource: Element) -> list[Element]:
    """The references in which a DocumentReference names its encounter; those to episodes of care don't count."""
    named = resource.one("context").many("encounter")
    return [
        r for r in named if r.text("type") != "EpisodeOfCare" and "EpisodeOfCare/" not in (r.text("reference") or "")
    ]


def document_change(reading: Reading) -> Change:
    """The change that a DocumentReference makes: one document, and its content when it came along."""
    resource = reading.resource
    named = [referred_numbers(reading, reference) for reference in document_encounters(resource)]
    key, numbers = named_encounter(reading, named, "DocumentReference.context.encounter")
    attachment = _attachment(reading)
    content = _content(attachment) or _addressed(reading, attachment)
    document = _document(reading, attachment, content)
    places = Places("documents[0]", "DocumentReference", _PLACES, ".")
    return Change(
        message=reading.message,
        key=key,
        identifiers=both(numbers),
        documents=Items((document,)),
        contents=(content,) if content else (),
        places=(places,),
        problems=tuple(reading.problems),
        notices=tuple(reading.notices),
    )


_WORD = re.compile(r"[a-z][a-z-]{0,39}")
_PLACES = {
    "kind": "type",
    "status": "docStatus",
    "author": "author[0]",
    "written": "date",
    "content_type": "content[0].attachment.contentType",
    "digest": "content[0].attachment.data",
}


def _document(reading: Reading, attachment: Element, content: Content | None) -> Document:
    resource = reading.resource
    kind = resource.one("type")
    said: dict[str, Any] = {
        "type": code_of(kind, systems.LOINC) or first_code(kind),
        "title": attachment.text("title") or resource.text("description"),
        "author": provider(reading, resource.first("author"), ProviderRole.AUTHOR),
        "written": instant(reading, attachment, "creation") or instant(reading, resource, "date"),
        "content_type": attachment.text("contentType") or (content.content_type if content else None),
        "digest": content.digest if content else None,
        "size": len(content.body) if content else attachment.integer("size"),
        "url": attachment.text("url"),
        "replaces": _replaced(resource),
        "answers": _answered(resource, content),
    }
    return Document(
        id=_identity(reading),
        kind=document_kind(kind),
        status=_status(reading),
        source=reading.source.feed,
        origin=reading.origin(resource),
        **{name: value for name, value in said.items() if value is not None},
    )


def document_kind(concept: Element) -> DocumentKind:
    """What the document is good for, by the first LOINC type that is known; `other` when none is."""
    codes = (code for system, code in codings(concept) if system == systems.LOINC)
    return next((systems.DOCUMENT_KIND[code] for code in codes if code in systems.DOCUMENT_KIND), DocumentKind.OTHER)


def _identity(reading: Reading) -> str:
    resource = reading.resource
    name = (
        resource.one("masterIdentifier").text("value")
        or resource.first("identifier").text("value")
        or reading.logical_id
    )
    if not name:
        raise MappingError("required", "DocumentReference.identifier", "a document has an identifier or an id")
    return name


def _status(reading: Reading) -> DocumentStatus:
    """Of status and docStatus together. Without docStatus a document is final only if someone authenticated it."""
    resource = reading.resource
    if resource.text("status") not in systems.DOCUMENT_STATUS:
        raise MappingError("value", "DocumentReference.status", "is not in the required value set")
    if resource.text("status") != "current":
        return DocumentStatus.CANCELLED
    said = resource.text("docStatus")
    if said is None:
        return DocumentStatus.FINAL if resource.one("authenticator") else DocumentStatus.PRELIMINARY
    known = _STATUS.get(said)
    if known is None:
        raise MappingError("value", "DocumentReference.docStatus", "is not in the required value set")
    return known


def _replaced(resource: Element) -> str | None:
    for relation in resource.many("relatesTo"):
        if relation.text("code") == "replaces":
            target = relation.one("target")
            named = logical_identifier(target)
            return named.value if named else reference_name(target.text("reference") or "").rpartition("/")[2] or None
    return None


def _answered(resource: Element, content: Content | None) -> str | None:
    """The query that it answers: by its number among `context.related`, or as its text or description names it."""
    related = [reference.one("identifier") for reference in resource.one("context").many("related")]
    named = {i.text("value") for i in related if i.text("system") == systems.QUERY_NUMBER} - {None}
    if named:
        return named.pop() if len(named) == 1 else None
    text = content.body.decode(errors="replace") if content and content.content_type.startswith("text/") else None
    return answered_query(resource.text("description"), text)


def attachments(resource: Element) -> list[Element]:
    """The document in all the formats that it has."""
    return [content.one("attachment") for content in resource.many("content")]


def _attachment(reading: Reading) -> Element:
    """The content to keep: the first that came along, or that is known by its address, or else the first. Others are
    the same in other formats.
    """
    found = attachments(reading.resource)
    if not found:
        raise MappingError("required", "DocumentReference.content", "is required")
    known = reading.source.contents
    came = next((a for a in found if a.data.get("data")), None)
    return came or next((a for a in found if (a.text("url") or "") in known), found[0])


def _addressed(reading: Reading, attachment: Element) -> Content | None:
    """The content behind the attachment's address. One that is not here is noticed, and of another size, or with
    another hash, is not it.
    """
    url = attachment.text("url")
    if url is None:
        return None
    content = reading.source.contents.get(url)
    if content is None:
        why = reading.source.absent.get(url)
        known = f": {why}" if why else ""
        reading.notices[f"{attachment.path} stands at an address whose content is not here{known}"] = None
        return None
    _check(attachment, content.body, "url")
    return content


def _content(attachment: Element) -> Content | None:
    """The decoded content. MappingError when it isn't base64, or isn't what its own hash and size say."""
    data = attachment.text("data")
    if data is None:
        return None
    try:
        body = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MappingError("value", attachment.place("data"), "is not base64") from error
    _check(attachment, body, "data")
    kind = attachment.text("contentType") or "application/octet-stream"
    return Content(hashlib.sha256(body).hexdigest(), kind, body)


def _check(attachment: Element, body: bytes, held: str) -> None:
    size, sent = attachment.integer("size"), attachment.text("hash")
    # Attachment.hash is SHA-1 by definition in R4: it finds damage, not forgery.
    if sent and sent != base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode():
        raise MappingError("value", attachment.place("hash"), f"is not that of the {held}'s content")
    if size is not None and size != len(body):
        raise MappingError("value", attachment.place("size"), f"is not that of the {held}'s content")


def absence(binary: dict[str, Any]) -> str | None:
    """Why a Binary that stands for a content at an address does not hold it, in the gateway's own word; None when it
    does, or does not say.
    """
    tags = Element(binary, "Binary").one("meta").many("tag") if "data" not in binary else []
    said = next((tag.text("code") for tag in tags if tag.text("system") == systems.ATTACHMENT), None)
    return said if said is not None and _WORD.fullmatch(said) else None


def binary_content(binary: dict[str, Any]) -> Content | None:
    """The content that a Binary resource holds; None when it holds none. MappingError when it isn't base64."""
    resource = Element(binary, "Binary")
    data = resource.text("data")
    return _content(Element({"data": data, "contentType": resource.text("contentType")}, "Binary")) if data else None
