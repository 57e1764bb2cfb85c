"""Alerts: told once when a state changes, not again while it lasts, and not again by a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from services_world import StillClock

from conformance.store_samples import Samples, event
from gateway.alert import Alert, AlertName, AlertState
from gateway.audit.events import Action
from gateway.clock import first_id
from gateway.config.model import Config
from gateway.message import Message, MessageState
from gateway.store.interface import MessageOutcome, Step, Store, StoreFault
from gateway.store.open import open_store
from gateway.upkeep.metrics import Metrics
from gateway.upkeep.vitals import Vitals
from gateway.upkeep.watch import Watch

FEED: dict[str, Any] = {"name": "epic", "listen": "mllp://127.0.0.1:0", "silent_after": 30}


@dataclass
class Ear:
    """A webhook that takes what it is told, unless it is deaf."""

    heard: list[tuple[str, str, str]] = field(default_factory=list)
    deaf: bool = False

    async def tell(self, alert: Alert) -> bool:
        if not self.deaf:
            self.heard.append((alert.name.value, alert.subject, alert.state.value))
        return not self.deaf


@dataclass
class Fields:
    """The world around a watch."""

    store: Store
    clock: StillClock = field(default_factory=StillClock)
    ear: Ear = field(default_factory=Ear)
    metrics: Metrics = field(default_factory=Metrics)
    down: dict[str, datetime] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples)

    def outages(self) -> dict[str, datetime]:
        return self.down

    def config(self) -> Config:
        alerts = {"webhook": "http://127.0.0.1:9/", **self.said.get("alerts", {})}
        return Config.model_validate({"feeds": [FEED], **self.said, "alerts": alerts})

    def started(self) -> tuple[Watch, Vitals]:
        vitals = Vitals(self.clock)
        vitals.was_sealed()
        return Watch(self.store, self.clock, self.config, vitals, self, self.ear, self.metrics), vitals

    def message(self, feed: str = "epic") -> Message:
        message = self.samples.message(f"M{self.samples.ids.last}", feed=feed)
        return Message(**{name: getattr(message, name) for name in message.__slots__} | {"received": self.clock.now()})


@pytest.fixture
async def fields() -> AsyncIterator[Fields]:
    store = open_store("sqlite://")
    await store.open()
    yield Fields(store)
    await store.close()


async def told(watch: Watch) -> list[tuple[str, str]]:
    return [(alert.name.value, alert.state.value) for alert in await watch.look()]


async def test_a_silent_feed_is_told_once_and_its_return_once(fields: Fields, log_lines: StringIO) -> None:
    watch, vitals = fields.started()
    vitals.processed(fields.message(), MessageState.PROCESSED)
    fields.clock.advance(minutes=29)
    vitals.was_sealed()
    assert await told(watch) == []
    fields.clock.advance(minutes=1)
    vitals.was_sealed()
    assert await told(watch) == [("feed-silent", "raised")]
    for _ in range(3):
        fields.clock.advance(minutes=10)
        vitals.was_sealed()
        assert await told(watch) == []
    assert b'gateway_alert{alert="feed-silent",subject="epic"} 1.0' in fields.metrics.exposition()
    assert [alert.subject for alert in await watch.raised()] == ["epic"]
    vitals.processed(fields.message(), MessageState.PROCESSED)
    assert await told(watch) == [("feed-silent", "ok")]
    assert b'gateway_alert{alert="feed-silent",subject="epic"} 0.0' in fields.metrics.exposition()
    assert log_lines.getvalue().count("alert.raised") == 1
    trail = [stored.event.action async for stored in fields.store.events()]
    assert trail == [Action.ALERT_RAISED, Action.ALERT_ENDED]


async def test_a_restart_tells_nothing_again(fields: Fields) -> None:
    watch, vitals = fields.started()
    fields.clock.advance(minutes=40)
    vitals.was_sealed()
    assert await told(watch) == [("feed-silent", "raised")]
    assert await watch.tell() == 1
    again, _ = fields.started()
    assert await told(again) == []
    assert await again.tell() == 0
    fields.clock.advance(minutes=5)
    assert [alert.name for alert in await again.raised()] == [AlertName.FEED_SILENT]
    assert fields.ear.heard == [("feed-silent", "epic", "raised")]


async def test_silence_counts_in_the_feed_s_hours_only(fields: Fields) -> None:
    fields.said["feeds"] = [{**FEED, "silent_hours": "07:00-19:00", "time_zone": "America/Chicago"}]
    fields.clock.moment = datetime(2026, 11, 20, 3, tzinfo=UTC)  # 21:00 the evening before
    watch, vitals = fields.started()
    for hours, expected in ((9, []), (1, []), (0.4, []), (0.2, [("feed-silent", "raised")])):
        fields.clock.advance(hours=hours)
        vitals.was_sealed()
        assert await told(watch) == expected, fields.clock.now()


async def test_a_feed_that_another_gateway_hears_is_not_silent(fields: Fields) -> None:
    watch, vitals = fields.started()
    fields.clock.advance(minutes=40)
    vitals.was_sealed()
    fields.samples.ids.last = first_id(fields.clock.now() - timedelta(minutes=5))
    heard = fields.message()
    await fields.store.keep(heard, event())
    await fields.store.commit(Step(outcomes=[MessageOutcome(heard.id, MessageState.PROCESSED)]))
    assert await told(watch) == []
    fields.clock.advance(minutes=31)
    vitals.was_sealed()
    assert await told(watch) == [("feed-silent", "raised")]


async def test_the_share_of_what_is_set_aside_has_two_limits(fields: Fields) -> None:
    watch, vitals = fields.started()
    fields.clock.advance(minutes=3)

    def work(whole: int, aside: int) -> None:
        for number in range(whole):
            outcome = MessageState.SET_ASIDE if number < aside else MessageState.PROCESSED
            vitals.processed(fields.message(), outcome)
        vitals.was_sealed()

    work(19, 19)
    assert await told(watch) == [], "too few to say anything"
    work(1, 0)
    assert await told(watch) == [("error-rate", "raised")]
    work(480, 0)
    assert await told(watch) == [], "3.8 %: between the limits"
    work(400, 0)
    assert await told(watch) == [("error-rate", "ok")]


async def test_what_was_long_ago_is_no_longer_counted(fields: Fields) -> None:
    watch, vitals = fields.started()
    for _ in range(30):
        vitals.processed(fields.message(), MessageState.SET_ASIDE)
    assert await told(watch) == [("error-rate", "raised")]
    fields.clock.advance(minutes=16)
    vitals.was_sealed()
    assert await told(watch) == [("error-rate", "ok")]


async def test_the_queue_s_age(fields: Fields) -> None:
    watch, vitals = fields.started()
    message = fields.message()
    await fields.store.keep(message, event())
    for minutes, expected in ((4, []), (2, [("queue-age", "raised")]), (1, [])):
        fields.clock.advance(minutes=minutes)
        vitals.was_sealed()
        assert await told(watch) == expected
    await fields.store.commit(Step(outcomes=[MessageOutcome(message.id, MessageState.PROCESSED)]))
    assert await told(watch) == [("queue-age", "ok")]


async def test_a_destination_that_is_down(fields: Fields) -> None:
    fields.said["destinations"] = [{"name": "payer", "kind": "x12-file", "directory": "/tmp/out"}]
    watch, vitals = fields.started()
    fields.down["payer"] = fields.clock.now()
    assert await told(watch) == []
    fields.clock.advance(minutes=2)
    assert await told(watch) == [("destination-down", "raised")]
    fields.down.clear()
    assert await told(watch) == [("destination-down", "ok")]
    fields.down["payer"] = fields.clock.now()
    fields.clock.advance(minutes=2)
    assert await told(watch) == [("destination-down", "raised")]
    fields.down.clear()
    again, _ = fields.started()
    assert await told(again) == [], "just after a start nobody knows whether it works"
    fields.clock.advance(minutes=2)
    vitals.was_sealed()
    assert await told(again) == [("destination-down", "ok")]


async def test_sealing_that_stands_still(fields: Fields) -> None:
    watch, vitals = fields.started()
    fields.clock.advance(minutes=6)
    assert await told(watch) == [("sealing-late", "raised")]
    vitals.was_sealed()
    assert await told(watch) == [("sealing-late", "ok")]


async def test_a_feed_that_is_no_more_is_watched_no_more(fields: Fields) -> None:
    watch, vitals = fields.started()
    fields.clock.advance(minutes=40)
    vitals.was_sealed()
    await watch.look()
    fields.said["feeds"] = []
    assert await told(watch) == [("feed-silent", "ok")]
    assert await watch.raised() == []


async def test_a_webhook_that_is_down_hears_the_last_state_later_and_is_not_pestered(
    fields: Fields, log_lines: StringIO
) -> None:
    watch, vitals = fields.started()
    fields.ear.deaf = True
    fields.clock.advance(minutes=40)
    vitals.was_sealed()
    await watch.look()
    for _ in range(10):
        assert await watch.tell() == 0
        fields.clock.advance(seconds=1)
    assert log_lines.getvalue().count("watch.webhook_failed") == 1
    fields.ear.deaf = False
    fields.clock.advance(minutes=5)
    assert await watch.tell() == 1
    assert await watch.tell() == 0
    assert fields.ear.heard == [("feed-silent", "epic", "raised")]


async def test_what_was_not_told_before_a_crash_is_told_after_it(fields: Fields) -> None:
    watch, vitals = fields.started()
    fields.clock.advance(minutes=40)
    vitals.was_sealed()
    await watch.look()
    again, _ = fields.started()
    assert await again.tell() == 1
    assert fields.ear.heard == [("feed-silent", "epic", "raised")]


async def test_without_a_webhook_nothing_waits_for_one(fields: Fields) -> None:
    fields.said["alerts"] = {"webhook": None}
    watch, _ = fields.started()
    fields.clock.advance(minutes=6)
    assert await told(watch) == [("sealing-late", "raised")]
    assert [alert.told for alert in await fields.store.alerts()] == [True]


async def test_a_store_that_fails_tells_nothing(fields: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, _ = fields.started()
    fields.clock.advance(minutes=6)

    async def failing(step: Step) -> None:
        raise StoreFault("disk")

    with monkeypatch.context() as broken:
        broken.setattr(fields.store, "commit", failing)
        with pytest.raises(StoreFault):
            await watch.look()
    assert await told(watch) == [("sealing-late", "raised")]


async def test_alerts_name_no_patient(fields: Fields) -> None:
    watch, vitals = fields.started()
    await fields.store.keep(fields.message(), event())
    fields.clock.advance(minutes=40)
    for alert in await watch.look():
        assert "MSH" not in alert.text
        assert alert.state is AlertState.RAISED
    assert vitals.started < fields.clock.now() - timedelta(minutes=1)


@dataclass
class Failing:
    since: datetime
    text: str = "away: 500"
    lasting: bool = False


async def test_a_feed_that_cannot_be_polled_is_told_at_once_or_after_a_while() -> None:
    store = open_store("sqlite://")
    await store.open()
    failing: dict[str, Failing] = {}
    said = {"feeds": [{"name": "ehr", "poll": {"url": "https://ehr.example/fhir"}}]}
    around = Fields(store, said=said)
    watch = Watch(
        store,
        around.clock,
        around.config,
        Vitals(around.clock),
        around,
        around.ear,
        around.metrics,
        lambda: failing,
    )
    around.clock.advance(minutes=3)
    assert await watch.look() == []
    failing["ehr"] = Failing(around.clock.now())
    assert await watch.look() == []
    around.clock.advance(minutes=around.config().alerts.destination_minutes)
    [alert] = await watch.look()
    assert (alert.name, alert.subject, alert.state) == (AlertName.POLL_FAILING, "ehr", AlertState.RAISED)
    assert alert.text.startswith("away: 500, since")
    del failing["ehr"]
    assert [one.state for one in await watch.look()] == [AlertState.OK]
    failing["ehr"] = Failing(around.clock.now(), "not-allowed: Claim: 403", lasting=True)
    assert [one.state for one in await watch.look()] == [AlertState.RAISED]
    await store.close()
