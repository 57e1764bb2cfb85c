"""Documents that are said again, and documents that replace others."""

from __future__ import annotations

from gateway.encounter.documents import said_again, superseded
from gateway.encounter.model import Document, DocumentKind, DocumentStatus

NOTE = Document(
    id="D1", kind=DocumentKind.PROGRESS_NOTE, title="Note", digest="aa", size=2, status=DocumentStatus.FINAL
)


def test_what_a_notice_leaves_out_stays() -> None:
    (after,) = said_again((NOTE,), (Document(id="D1", status=DocumentStatus.CANCELLED),))
    assert after == NOTE.model_copy(update={"status": DocumentStatus.CANCELLED})


def test_content_that_comes_again_says_all() -> None:
    said = Document(id="D1", digest="bb", size=3)
    assert said_again((NOTE,), (said,)) == (said,)


def test_another_document_is_its_own() -> None:
    said = Document(id="D2")
    assert said_again((NOTE,), (said,)) == (said,)


def test_a_cancelled_replacement_replaces_nothing() -> None:
    replacement = Document(id="D2", replaces="D1", status=DocumentStatus.CANCELLED)
    assert superseded((NOTE, replacement)) == (NOTE, replacement)
    stands = replacement.model_copy(update={"status": DocumentStatus.PRELIMINARY})
    assert [d.status for d in superseded((NOTE, stands))] == [DocumentStatus.CANCELLED, DocumentStatus.PRELIMINARY]
