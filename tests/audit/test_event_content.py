"""What is hashed of an event: the same bytes as its plain definition gives, whichever way they are made."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.events import Action, Event

zones = st.sampled_from([UTC, timezone(timedelta(0)), timezone(timedelta(hours=-5)), timezone(timedelta(minutes=345))])
moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
events = st.builds(
    Event,
    moments,
    texts,
    st.sampled_from(Action),
    texts,
    st.one_of(st.none(), texts),
    st.one_of(st.none(), st.integers(0, 2**62)),
    st.dictionaries(texts, values, max_size=4),
)


def by_definition(event: Event) -> bytes:
    fields = [
        event.at.isoformat(),
        event.actor,
        event.action,
        event.subject,
        event.encounter,
        event.message,
        event.detail,
    ]
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


@given(events)
def test_the_content_is_what_its_definition_says(event: Event) -> None:
    assert event.content() == by_definition(event)
    assert event.content(event.written_detail()) == by_definition(event)
    assert event.digest() == hashlib.sha256(b"\x00" + by_definition(event)).digest()
    assert event.digest(event.written_detail()) == event.digest()
    assert orjson.loads(event.written_detail()) == event.detail
