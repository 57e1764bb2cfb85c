"""A document that names a provider query's number: in the note itself, as the provider writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.encounter.documents import answered_query

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Says

TXA = "TXA|1|PN|TX|20260105||20260105103000||||||D1|||||AU||AV"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Addendum to query Q71: acute blood loss anaemia.", "Q71"),
        ("Query number: Q71. Acute.", "Q71"),
        ("QUERY #q71", "Q71"),
        ("Query Q71, and again Query Q71", "Q71"),
        ("Query Q71 and query Q72", None),
        ("No query of mine; Q71 is a bed.", None),
        ("Subquery Q71", None),
    ],
)
def test_the_one_query_that_a_note_names(says: Says, text: str, number: str | None) -> None:
    assert answered_query(None, text) == number
    change = says(TXA, f"OBX|1|TX|||{text}", type="MDM^T06")
    assert change.documents is not None
    assert [document.answers for document in change.documents.items] == [number]
