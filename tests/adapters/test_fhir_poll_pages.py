"""Pages, capability statements and documents of servers that nobody vouches for: understood, or refused as such."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.fhir_attachments.wanted import wanted
from gateway.adapters.fhir_poll.capabilities import INCLUDES, includes
from gateway.adapters.fhir_poll.faults import PollFault
from gateway.adapters.fhir_poll.pages import Page, localised, page_of, referred, updated, version_of
from gateway.adapters.fhir_poll.searching import Search

BASE = "https://ehr.example/fhir"
NAMES = st.sampled_from(
    (
        *("resourceType", "entry", "resource", "link", "url", "relation", "meta", "id", "search", "mode", "type"),
        *("content", "lastUpdated", "versionId", "reference", "attachment", "rest", "searchInclude", "status", "data"),
    )
)
WORDS = st.sampled_from(
    (
        *(
            "Bundle",
            "searchset",
            "Encounter",
            "Patient",
            "next",
            "self",
            "match",
            "include",
            "current",
            "1",
            "Patient/1",
        ),
        *(f"{BASE}/Patient/1", "2026-11-20T12:00:00Z", "0001-01-01T00:00:00+14:00", "2026", "http://[::", "", "\x00"),
    )
)
ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=30,
)
OBJECTS = st.dictionaries(NAMES, ANY, max_size=6)


@given(OBJECTS)
def test_whatever_a_server_sends_is_a_page_or_refused(sent: dict[str, Any]) -> None:
    try:
        page = page_of({"resourceType": "Bundle", "type": "searchset", **sent}, "Encounter", BASE)
    except PollFault:
        return
    assert all(one["resourceType"] == "Encounter" and one["id"] for one in page.matches)
    assert page.passed_over >= 0


@given(OBJECTS)
def test_whatever_stands_in_a_resource_it_is_looked_through(sent: dict[str, Any]) -> None:
    updated(sent), version_of(sent), referred(sent), wanted({"resourceType": "DocumentReference", **sent})
    includes(sent, "Encounter")
    assert localised(localised(sent, BASE), BASE) == localised(sent, BASE)


def test_references_to_the_same_server_are_found_and_others_are_left() -> None:
    patient, other = {"reference": f"{BASE}/Patient/1"}, {"reference": "https://other.example/fhir/Patient/2"}
    resource = {"resourceType": "Encounter", "subject": patient, "a": [other, {"url": f"{BASE}/Binary/1"}]}
    turned = localised(resource, BASE + "/")
    assert turned["subject"]["reference"] == "Patient/1"
    assert turned["a"] == resource["a"]
    assert referred(turned) == ["Patient/1"]
    assert referred({"reference": "#inner", "x": {"reference": "Patient?identifier=1"}}) == []


def test_only_includes_that_the_server_declares_are_asked_for() -> None:
    def statement(*declared: str) -> dict[str, Any]:
        return {"rest": [{"resource": [{"type": "Claim", "searchInclude": list(declared)}]}]}

    assert includes(statement("Claim:patient", "Claim:made-up"), "Claim") == ["Claim:patient"]
    assert includes(statement("*"), "Claim") == list(INCLUDES["Claim"])
    assert includes(statement("Claim:patient"), "Encounter") == []


START = datetime(2026, 11, 20, tzinfo=UTC)


def _page(seconds: list[int], following: str | None, *, by_time: bool = True) -> Page:
    said = [{"meta": {"lastUpdated": (START + timedelta(seconds=each)).isoformat()}} for each in seconds]
    return Page(tuple(said), (), following, by_time, 0)


@given(st.lists(st.lists(st.integers(-1000, 1000), max_size=4), min_size=1, max_size=5), st.booleans())
def test_the_cursor_never_passes_what_is_still_to_come(pages: list[list[int]], by_time: bool) -> None:
    search = Search("Encounter", START, START)
    in_order = by_time and [each for page in pages for each in page] == sorted(each for page in pages for each in page)
    for number, seconds in enumerate(pages):
        last = number == len(pages) - 1
        search.kept(_page(seconds, None if last else f"page-{number}", by_time=by_time))
        to_come = [each for page in pages[number + 1 :] for each in page]
        if in_order:
            assert all(START + timedelta(seconds=each) >= search.moved for each in to_come if each > 0)
        elif not by_time and not last:
            assert search.moved == START
        assert search.moved >= START
    assert search.moved == max(
        START, START + timedelta(seconds=max((each for page in pages for each in page), default=0))
    )


def test_a_link_that_is_no_address_is_a_fault() -> None:
    bundle = {"resourceType": "Bundle", "link": [{"relation": "next", "url": "http://[::"}]}
    with pytest.raises(PollFault, match="no address"):
        page_of(bundle, "Encounter", BASE)


def test_links_that_do_not_end_are_a_fault() -> None:
    search = Search("Encounter", START, START)
    search.kept(_page([1], "again", by_time=False))
    with pytest.raises(PollFault, match="do not end"):
        search.kept(_page([2], "again", by_time=False))


def test_from_the_third_page_on_a_server_that_sorts_is_searched_from_where_the_last_page_ended() -> None:
    search = Search("Encounter", START, START)
    search.kept(_page([1, 2], "second"))
    assert search.next == "second"
    search.kept(_page([3, 4], "third"))
    assert (search.next, search.since) == (None, START + timedelta(seconds=2))
    search.kept(_page([2, 3], "more"))
    assert (search.next, search.since) == (None, START + timedelta(seconds=3))
    search.kept(_page([3, 3], "same"))
    assert search.next == "same"  # all of one moment: only the link leads on
    search.kept(_page([3, 4], None))
    assert search.ended
    assert search.moved == START + timedelta(seconds=4)
