"""The watch: looks at each condition, and tells a change of its state once, by log line, metric, trail and webhook.

What is raised stands in the store: a restart tells nothing again. A state that the webhook has not taken is offered
again until it has; there is at most one to tell of each condition, so nothing piles up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from gateway.alert import Alert, AlertName, AlertState, Look, Seen, ended, judged
from gateway.audit.events import Action, Event
from gateway.clock import Clock, first_id
from gateway.config.model import Config, Source
from gateway.logs import logger
from gateway.store.interface import Step, Store
from gateway.upkeep.vitals import Vitals

log = logger("watch")

CALM = timedelta(minutes=2)
"""How long after a start what was raised before is not taken as ended for want of knowledge."""
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)


class Outages(Protocol):
    """The outbox, as the watch sees it."""

    def outages(self) -> dict[str, datetime]:
        """The destinations that are down or suspended, and since when."""
        ...


class Failing(Protocol):
    """What a feed's polling suffers from."""

    @property
    def since(self) -> datetime: ...
    @property
    def text(self) -> str:
        """Without patients' data."""
        ...

    @property
    def lasting(self) -> bool:
        """Waiting does not mend it."""
        ...


class Teller(Protocol):
    """Posts an alert to the webhook. Whether it was taken; never raises for what the receiver does."""

    async def tell(self, alert: Alert) -> bool: ...


class Gauge(Protocol):
    """Shows alerts as a metric."""

    def alerted(self, name: str, subject: str, raised: bool) -> None: ...


class Watch:
    """Of one gateway. `look` and `tell` are ticks; neither waits for the other."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        config: Callable[[], Config],
        vitals: Vitals,
        outages: Outages,
        teller: Teller,
        gauge: Gauge,
        failing: Callable[[], Mapping[str, Failing]] = dict,
    ) -> None:
        """`failing`: the feeds whose polling fails."""
        self._store = store
        self._clock = clock
        self._config = config
        self._vitals = vitals
        self._outages = outages
        self._teller = teller
        self._gauge = gauge
        self._failing = failing
        self._alerts: dict[tuple[AlertName, str], Alert] | None = None
        self._quiet_until: datetime | None = None
        self._pause = FIRST_PAUSE

    async def raised(self) -> list[Alert]:
        """What is raised now, at every gateway of the store."""
        return [alert for alert in await self._store.alerts() if alert.state is AlertState.RAISED]

    async def look(self) -> list[Alert]:
        """Look at everything once; the alerts whose state changed. Raises StoreFault: then nothing was told."""
        standing = await self._standing()
        config, now = self._config(), self._clock.now()
        looks = [look async for look in self._looks(config, now)]
        found = [judged(standing.get((look.name, look.subject)), look, config.node, now) for look in looks]
        changed = [alert for alert in found if alert is not None]
        watched = {(look.name, look.subject) for look in looks}
        changed += [
            ended(alert, now, "it is watched no more")
            for key, alert in standing.items()
            if key not in watched and alert.state is AlertState.RAISED
        ]
        if config.alerts.webhook is None:
            changed = [replace(alert, told=True) for alert in changed]
        if changed:
            await self._store.commit(Step(alerts=changed, events=[_event(alert) for alert in changed]))
        for alert in changed:
            standing[alert.key] = alert
            _log(alert)
        for key in watched:
            stands = standing.get(key)
            self._gauge.alerted(key[0].value, key[1], stands is not None and stands.state is AlertState.RAISED)
        return changed

    async def tell(self) -> int:
        """Offer the webhook what it has not taken yet; how many it took."""
        now = self._clock.now()
        waiting = [alert for alert in (await self._standing()).values() if not alert.told]
        if not waiting or self._config().alerts.webhook is None or (self._quiet_until or now) > now:
            return 0
        taken = 0
        for alert in sorted(waiting, key=lambda alert: alert.since):
            if not await self._teller.tell(alert):
                self._refused(now)
                break
            taken += 1
            await self._told(alert)
        else:
            self._quiet_until, self._pause = None, FIRST_PAUSE
        return taken

    async def _told(self, alert: Alert) -> None:
        """Unless it has changed meanwhile: then the new state is told next."""
        standing = await self._standing()
        if standing.get(alert.key) == alert:
            told = replace(alert, told=True)
            await self._store.commit(Step(alerts=[told]))
            if standing.get(alert.key) == alert:
                standing[alert.key] = told

    def _refused(self, now: datetime) -> None:
        if self._quiet_until is None:
            log.warning("watch.webhook_failed")
        self._quiet_until = now + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _standing(self) -> dict[tuple[AlertName, str], Alert]:
        """What this gateway said last of each condition; read from the store at its first look."""
        if self._alerts is None:
            node = self._config().node
            self._alerts = {alert.key: alert for alert in await self._store.alerts() if alert.node == node}
        return self._alerts

    async def _looks(self, config: Config, now: datetime) -> AsyncIterator[Look]:
        sources: dict[str, Source] = {feed.name: feed for feed in config.feeds}
        sources |= {client.name: client for client in config.clients}
        for name, source in sources.items():
            if source.silent_after is not None:
                yield await self._silence(config, source, name, source.silent_after, now)
        feeds = {feed.name for feed in config.feeds}
        for name in sources:
            if name in feeds or name in self._vitals.heard:
                yield self._errors(config, name)
        for feed in config.polled_feeds:
            yield self._polling(config, feed.name, now)
        yield await self._queue(config, now)
        for destination in config.destinations:
            yield self._destination(config, destination.name, now)
        yield self._sealing(config, now)

    async def _silence(self, config: Config, source: Source, feed: str, minutes: float, now: datetime) -> Look:
        limit = timedelta(minutes=minutes)
        since = self._vitals.started
        if source.silent_hours is not None:
            local = now.astimezone(ZoneInfo(source.time_zone or config.time_zone))
            began = source.silent_hours.began(local)
            if began is None:
                return Look(AlertName.FEED_SILENT, feed, Seen.BETWEEN, "outside its hours")
            since = max(since, began.astimezone(now.tzinfo))
        heard = self._vitals.heard.get(feed)
        if now - max(since, heard or since) >= limit:
            heard = await self._store.heard_from(feed, first_id(now - limit))  # by another gateway, perhaps
            if heard is None:
                return Look(AlertName.FEED_SILENT, feed, Seen.BAD, f"nothing was received for {minutes:g} minutes")
            self._vitals.heard_from(feed, heard)
        fine = heard is not None and now - heard < limit
        return Look(AlertName.FEED_SILENT, feed, Seen.FINE if fine else Seen.BETWEEN, "messages are received")

    def _errors(self, config: Config, feed: str) -> Look:
        alerts = config.alerts
        whole, aside = self._vitals.set_aside(feed, timedelta(minutes=alerts.window_minutes))
        share = 100 * aside / whole if whole else 0.0
        text = f"{aside} of {whole} messages were set aside in {alerts.window_minutes} minutes"
        bad = whole >= alerts.window_least and share > alerts.set_aside_percent
        fine = share <= alerts.set_aside_percent / 2 and self._known()
        return Look(AlertName.ERROR_RATE, feed, _seen(bad, fine), text)

    async def _queue(self, config: Config, now: datetime) -> Look:
        oldest = await self._store.oldest_pending()
        age = (now - oldest).total_seconds() / 60 if oldest is not None else 0.0
        limit = config.alerts.queue_minutes
        text = f"the oldest unprocessed message waits for {age:.0f} minutes; the limit is {limit:g}"
        return Look(AlertName.QUEUE_AGE, "", _seen(age > limit, age <= limit / 2), text)

    def _destination(self, config: Config, name: str, now: datetime) -> Look:
        since = self._outages.outages().get(name)
        limit = timedelta(minutes=config.alerts.destination_minutes)
        text = "it answers" if since is None else f"it fails or is suspended since {since:%Y-%m-%d %H:%M} UTC"
        bad = since is not None and now - since >= limit
        return Look(AlertName.DESTINATION_DOWN, name, _seen(bad, since is None and self._known()), text)

    def _polling(self, config: Config, name: str, now: datetime) -> Look:
        failing = self._failing().get(name)
        if failing is None:
            return Look(AlertName.POLL_FAILING, name, _seen(False, self._known()), "it is read")
        long = now - failing.since >= timedelta(minutes=config.alerts.destination_minutes)
        text = f"{failing.text}, since {failing.since:%Y-%m-%d %H:%M} UTC"
        return Look(AlertName.POLL_FAILING, name, _seen(failing.lasting or long, False), text)

    def _sealing(self, config: Config, now: datetime) -> Look:
        last = self._vitals.sealed
        limit = timedelta(minutes=config.alerts.sealing_minutes)
        bad = now - (last or self._vitals.started) > limit
        text = (
            "the audit trail is sealed"
            if not bad
            else f"not sealed for more than {limit.total_seconds() / 60:g} minutes"
        )
        return Look(AlertName.SEALING_LATE, "", _seen(bad, last is not None and not bad), text)

    def _known(self) -> bool:
        """Whether the gateway has run long enough to say that something is well."""
        return self._clock.now() - self._vitals.started >= CALM


def _seen(bad: bool, fine: bool) -> Seen:
    return Seen.BAD if bad else Seen.FINE if fine else Seen.BETWEEN


def _event(alert: Alert) -> Event:
    action = Action.ALERT_RAISED if alert.state is AlertState.RAISED else Action.ALERT_ENDED
    subject = f"alert/{alert.name}" + (f"/{alert.subject}" if alert.subject else "")
    return Event(alert.since, "gateway", action, subject, detail={"node": alert.node})


def _log(alert: Alert) -> None:
    if alert.state is AlertState.RAISED:
        log.warning("alert.raised", kind=alert.name.value, source=alert.subject)
    else:
        log.info("alert.ended", kind=alert.name.value, source=alert.subject)
