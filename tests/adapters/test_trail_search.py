"""Searches for AuditEvents and Provenances: what their parameters come to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.fhir.trail.search import AUDIT_EVENT, PROVENANCE, TrailSearch, trail_search
from gateway.adapters.http.exchange import Fault
from gateway.audit.events import Action, Event
from gateway.store.interface import StoredEvent

NOW = datetime(2026, 11, 11, tzinfo=UTC)
EARLY, LATE = datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2100-01-01")
OWN = "urn:x-coding-review-gateway:"


class Leading:
    """Patient 77 of MAIN has one encounter, patient 78 very many; claim C1 is of another."""

    async def encounters_with(self, values: Sequence[str], authority: str | None = None) -> list[str]:
        found = {"77": ["MAIN::1"], "78": [f"MAIN::{n}" for n in range(201)]}.get(values[0], [])
        return found if authority in (None, "MAIN") else []

    async def encounters_of_claim(self, number: str) -> list[str]:
        return ["MAIN::9"] if number == "C1" else []


async def asked(*pairs: tuple[str, str], strict: bool = False) -> TrailSearch:
    return await trail_search(pairs, AUDIT_EVENT, Leading(), NOW, strict=strict)


async def made(*pairs: tuple[str, str]) -> TrailSearch:
    return await trail_search(pairs, PROVENANCE, Leading(), NOW, actions=("encounter.changed", "claim.released"))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


DAY = (utc(2026, 3, 1), utc(2026, 3, 2))


@pytest.mark.parametrize(
    ("value", "since", "until"),
    [
        ("2026-03-01", *DAY),
        ("eq2026-03-01", *DAY),
        ("ge2026-03-01", DAY[0], None),
        ("gt2026-03-01", DAY[1], None),
        ("sa2026-03-01", DAY[1], None),
        ("lt2026-03-01", None, DAY[0]),
        ("eb2026-03-01", None, DAY[0]),
        ("le2026-03-01", None, DAY[1]),
        ("2026", utc(2026, 1, 1), utc(2027, 1, 1)),
        ("2026-12", utc(2026, 12, 1), utc(2027, 1, 1)),
        ("ap2026-11-01", utc(2026, 10, 31), utc(2026, 11, 3)),
        ("2026-03-01T10:20Z", utc(2026, 3, 1, 10, 20), utc(2026, 3, 1, 10, 21)),
        ("2026-03-01T10:20:30+02:00", utc(2026, 3, 1, 8, 20, 30), utc(2026, 3, 1, 8, 20, 31)),
        ("2026-03-01T10:20:30 02:00", utc(2026, 3, 1, 8, 20, 30), utc(2026, 3, 1, 8, 20, 31)),
        ("2026-03-01T10:20:30.5Z", utc(2026, 3, 1, 10, 20, 30, 500000), utc(2026, 3, 1, 10, 20, 30, 600000)),
    ],
)
async def test_a_date_is_a_range_of_moments(value: str, since: datetime | None, until: datetime | None) -> None:
    found = (await asked(("date", value))).search
    assert (found.since, found.until) == (since, until)


async def test_two_dates_are_the_moments_of_both() -> None:
    found = (await asked(("date", "ge2026-03-01"), ("date", "lt2026-03-05"), ("_lastUpdated", "le2026-03-03"))).search
    assert (found.since, found.until) == (utc(2026, 3, 1), utc(2026, 3, 4))


async def test_not_a_date_is_left_out_of_what_was_found() -> None:
    found = await asked(("date", "ne2026-03-01"))
    assert (found.search.since, found.search.until) == (None, None)
    inside, outside = (
        StoredEvent(1, b"", Event(moment, "gateway", Action.GATEWAY_STARTED, "node/0")) for moment in DAY
    )
    assert not found.counts(inside)
    assert found.counts(outside)


@given(st.datetimes(timezones=st.just(UTC), min_value=EARLY, max_value=LATE), st.integers(0, 6))
async def test_a_moment_lies_in_its_own_text(moment: datetime, digits: int) -> None:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment:%f}"[: digits + 1] if digits else "") + "Z"
    found = (await asked(("date", text))).search
    assert found.since is not None
    assert found.until is not None
    assert found.since <= moment < found.until
    assert found.until - found.since == timedelta(seconds=1) / 10**digits


@pytest.mark.parametrize("value", ["", "yesterday", "2026-13-01", "2026-02-30", "xx2026", "9999", "2026-1-1", "ge"])
async def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(Fault) as refused:
        await asked(("date", value))
    assert (refused.value.status, refused.value.where) == (400, "date")


async def test_tokens_come_to_the_actions_that_say_them() -> None:
    found = (await asked(("subtype", "read,http://hl7.org/fhir/restful-interaction|vread"))).search
    assert found.actions is not None
    assert {"resource.read", "encounter.read", "resource.version-read"} <= set(found.actions)
    assert "message.received" not in found.actions
    own = (await asked(("subtype", OWN + "audit-action|claim.released"))).search
    assert own.actions == ("claim.released",)
    failed = (await asked(("outcome", "8"))).search
    assert failed.actions == ("access.refused",)
    both = (await asked(("action", "R"), ("type", "rest"), ("subtype", "vread"))).search
    assert both.actions == ("resource.version-read",)
    assert (await asked(("action", "R"), ("subtype", "create"))).nothing
    assert (await asked(("type", "http://elsewhere.example|rest"))).nothing


async def test_who_and_what() -> None:
    agent = (await asked(("agent:identifier", OWN + "actor|client:ehr"))).search
    assert agent.actors == ("client:ehr",)
    assert (await asked(("agent", "user:ada,client:ehr"))).search.actors == ("user:ada", "client:ehr")
    assert (await asked(("agent", "http://elsewhere.example|x"))).nothing
    assert (await asked(("entity", "MAIN:AUTH:1"))).search.encounters == ("MAIN:AUTH:1",)
    assert (await asked(("entity:identifier", OWN + "encounter|MAIN::1"))).search.encounters == ("MAIN::1",)
    assert (await asked(("entity", "Claim/7"))).search.subjects == ("Claim/7",)
    message = (await asked(("entity:identifier", OWN + "message|123"))).search
    assert (message.messages, message.newest_first) == ((123,), False)
    assert (await asked(("entity:identifier", "http://elsewhere.example|1"))).nothing


async def test_a_patient_is_the_encounters_that_the_number_leads_to() -> None:
    assert (await asked(("patient:identifier", "MAIN|77"))).search.encounters == ("MAIN::1",)
    assert (await asked(("patient", "Patient/77"))).search.encounters == ("MAIN::1",)
    assert (await asked(("patient", "OTHER|77"))).nothing
    assert (await asked(("patient", "77"), ("entity", "MAIN::2"))).nothing
    with pytest.raises(Fault) as refused:
        await asked(("patient", "78"))
    assert refused.value.status == 422


async def test_what_was_made() -> None:
    of_encounter = (await made(("target", "Encounter/MAIN::1"))).search
    assert of_encounter.encounters == ("MAIN::1",)
    assert of_encounter.actions is not None
    assert "claim.released" not in of_encounter.actions
    released = (await made(("target:identifier", OWN + "claim|C1"))).search
    assert (released.encounters, released.subjects) == (("MAIN::9",), ("claim/C1",))
    assert (await made(("target", "Claim/C2"))).nothing
    assert (await made(("target", "http://elsewhere.example|1"))).nothing


async def test_pages_go_on_the_way_they_are_sorted() -> None:
    newest = await asked(("_after", "40"), ("_count", "7"))
    assert (newest.search.before, newest.search.after, newest.search.limit) == (40, 0, 7)
    assert not newest.first
    oldest = await asked(("_after", "40"), ("_sort", "date"))
    assert oldest.search.after == 40
    assert oldest.link("http://x/AuditEvent", 90) == "http://x/AuditEvent?_sort=date&_after=90"
    assert not (await asked(("_count", "7"))).only_counts
    assert (await asked(("_count", "0"), ("_after", "40"))).only_counts
    assert (await asked(("_summary", "count"))).only_counts
    whole = (await asked(("_count", "0"), ("_after", "40"))).whole().search
    assert (whole.limit, whole.before, whole.after) == (200, 2**63 - 1, 0)
    assert (await asked(("_count", "999999"))).search.limit == 200


@pytest.mark.parametrize(
    "pair",
    [
        ("_count", "x"),
        ("_after", "-1"),
        ("date:missing", "true"),
        ("agent:Device", "1"),
        ("action", ""),
        ("entity", "a,b"),
        ("_id", ","),
    ],
)
async def test_what_is_not_understood_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(Fault) as refused:
        await asked(pair)
    assert refused.value.status == 400


async def test_unknown_parameters_are_left_aside_unless_the_client_is_strict() -> None:
    found = await asked(("policy", "x"), ("_format", "json"), ("date", "2026"))
    assert found.link("a") == "a?date=2026"
    await asked(("_format", "json"), strict=True)
    for pair in (("_sort", "type"), ("_summary", "true")):
        assert (await asked(pair, ("date", "2026"))).link("a") == "a?date=2026"
        with pytest.raises(Fault) as refused:
            await asked(pair, strict=True)
        assert (refused.value.status, refused.value.code, refused.value.where) == (400, "not-supported", pair[0])
    with pytest.raises(Fault):
        await asked(("policy", "x"), strict=True)
    with pytest.raises(Fault):
        await asked(("agent", "a"), ("agent", "b"))


async def test_events_that_are_named_must_fit_the_rest() -> None:
    stored = StoredEvent(3, b"", Event(NOW, "user:ada", Action.ENCOUNTER_READ, "encounter/MAIN::1", "MAIN::1"))
    for pair, fits in (
        (("agent", "user:ada"), True),
        (("agent", "user:bob"), False),
        (("subtype", "read"), True),
        (("action", "C"), False),
        (("date", "2026-11-11"), True),
        (("date", "lt2026-11-11"), False),
        (("entity", "MAIN::1"), True),
        (("entity", "MAIN::2"), False),
    ):
        assert (await asked(("_id", "3"), pair)).holds(stored) is fits, pair
