"""The ways into rows and back lose nothing, and the statements name no state that is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.store_samples import NOON, Samples, event, sent
from gateway.message import MessageState
from gateway.release.model import DeliveryState
from gateway.review.model import HoldState
from gateway.store import records, rows, schema, statements, texts, writes
from gateway.store.fetches import FetchState
from gateway.store.instants import instant, micros
from gateway.store.statements import Read
from gateway.store.upkeep import VersionState


@given(st.datetimes(timezones=st.timezones()))
def test_an_instant_is_kept_to_the_microsecond(moment: datetime) -> None:
    assert instant(micros(moment)) == moment.astimezone(UTC)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        micros(datetime(2026, 1, 1))  # noqa: DTZ001


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_plain_text_can_be_stored_and_is_plain_already(text: str) -> None:
    shown = texts.plain(text)
    assert "\0" not in shown
    assert shown.encode().decode() == shown
    assert texts.plain(shown) == shown


@given(st.text())
def test_plain_text_is_untouched(text: str) -> None:
    assert texts.plain(text) == text or "\0" in text


@given(st.binary(max_size=300), st.integers(0, 50))
def test_a_delivery_comes_back_with_its_bytes(payload: bytes, attempts: int) -> None:
    samples = Samples()
    case = samples.full_case("1")
    delivery = sent(case.deliveries[0]).model_copy(update={"payload": payload, "attempts": attempts})
    row = rows._delivery_row(delivery)
    assert records.delivery((row[2], row[-1], row[-2])) == delivery


@given(st.integers(-14 * 60, 14 * 60))
def test_an_event_is_hashed_as_it_is_read_back(offset: int) -> None:
    said = event("Claim/\x00", "MAIN::1")
    row = rows.event_row(said)
    east = rows.event_row(
        type(said)(
            NOON.astimezone(timezone(timedelta(minutes=offset))),
            said.actor,
            said.action,
            said.subject,
            said.encounter,
            said.message,
            said.detail,
        )
    )
    assert row == east
    stored = records.event((1, row[-1], *row[:-1]))
    assert stored.event.digest() == stored.hash


def test_only_known_states_stand_in_the_statements() -> None:
    reads = [read for read in vars(statements).values() if isinstance(read, Read)]
    texts = [text for read in reads for text in (read.sqlite, read.postgres)]
    texts += [text for migration in schema.MIGRATIONS for text in migration.sqlite]
    named = {word for text in texts for word in re.findall(r"state = '([^']+)'", text)}
    assert named == {
        MessageState.RECEIVED,
        HoldState.OPEN,
        DeliveryState.READY,
        VersionState.ACTIVATED,
        FetchState.WAITING,
    }


def test_every_statement_has_its_marks_in_one_run() -> None:
    """A gap in the numbers is an error on PostgreSQL, and a wrong count on SQLite."""
    reads = [read for read in vars(statements).values() if isinstance(read, Read)]
    texts = [read.postgres for read in reads] + [write.postgres for write in writes.IN_ORDER]
    for text in (*texts, writes.KEEP_POSTGRES):
        marks = {int(mark) for mark in re.findall(r"\$(\d+)", text)}
        assert marks == set(range(1, len(marks) + 1)), text


def test_what_differs_is_what_is_another_object() -> None:
    holds = Samples().full_case("1").holds
    again = (holds[0], holds[1].model_copy(update={"due": NOON}), Samples().hold("x").model_copy(update={"id": 9}))
    new, changed = rows._differing(holds, again)
    assert new == [again[2]]
    assert changed == [(holds[1], again[1])]
    assert rows._differing(holds, holds) == ([], [])
