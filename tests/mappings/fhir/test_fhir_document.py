"""A DocumentReference as a change of its encounter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fhir_known import map_resource

from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import (
    DocumentKind,
    DocumentStatus,
)
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.source import FhirSource

Load = Callable[[str], dict[str, Any]]

CHICAGO = ZoneInfo("America/Chicago")
KEY = EncounterKey("MAIN", "AUTH", "A-9001")


def mapped(resource: dict[str, Any], source: FhirSource) -> Change:
    change = map_resource(resource, source, 7)
    assert isinstance(change, Change)
    return change


def test_a_document(load: Load, source: FhirSource) -> None:
    change = mapped(load("document-reference"), source)
    assert change.key == KEY
    assert change.documents is not None
    (document,) = change.documents.items
    (content,) = change.contents
    assert (document.id, document.kind, document.type) == ("DOC-31", DocumentKind.PROGRESS_NOTE, "11506-3")
    assert (document.status, document.title, document.replaces) == (DocumentStatus.FINAL, "Clinic note", "DOC-30")
    assert document.author is not None
    assert document.author.npi == "1234567893"
    assert document.written == datetime(2026, 3, 2, 10, tzinfo=CHICAGO)
    assert (document.digest, document.size) == (content.digest, len(content.body))
    assert content.body.startswith(b"Progress note.")
    assert "Progress note." not in repr(change)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"status": "superseded"}, DocumentStatus.CANCELLED),
        ({"docStatus": "amended"}, DocumentStatus.AMENDED),
        ({"docStatus": None}, DocumentStatus.PRELIMINARY),
        ({"docStatus": None, "authenticator": {"reference": "Practitioner/1"}}, DocumentStatus.FINAL),
    ],
)
def test_document_status(load: Load, source: FhirSource, change: Any, status: DocumentStatus) -> None:
    documents = mapped(load("document-reference") | change, source).documents
    assert documents is not None
    assert documents.items[0].status is status


def test_an_address_is_kept_and_not_fetched(load: Load, source: FhirSource) -> None:
    document = load("document-reference")
    del document["content"][1]
    change = mapped(document, source)
    assert change.documents is not None
    assert change.documents.items[0].url == "https://ehr.example.org/Binary/9"
    assert change.documents.items[0].digest is None
    assert change.contents == ()


@pytest.mark.parametrize("damage", [{"hash": "AAAA"}, {"size": 3}, {"data": "not base64!"}])
def test_damaged_content_is_refused(load: Load, source: FhirSource, damage: Any) -> None:
    document = load("document-reference")
    document["content"][1]["attachment"] |= damage
    with pytest.raises(MappingError) as refused:
        map_resource(document, source, 7)
    assert refused.value.code == "value"
