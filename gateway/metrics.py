"""What the gateway counts of itself, for Prometheus. Labels are from closed sets: feeds, kinds, states; never ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ACKNOWLEDGEMENT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The registry and the named metrics. One instance, made by whoever builds the gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._acknowledging: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self.messages = Counter(
            "gateway_messages",
            "Messages by feed and outcome (kept, repeat, refused, processed, unused, set-aside)",
            ["feed", "outcome"],
            registry=self.registry,
        )
        self.acknowledgement_seconds = Histogram(
            "gateway_acknowledgement_seconds",
            "From a message's last byte to its acknowledgement",
            ["feed"],
            registry=self.registry,
            buckets=_ACKNOWLEDGEMENT_BUCKETS,
        )
        self.requests = Counter(
            "gateway_http_requests", "HTTP answers by route and status", ["route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "gateway_http_request_seconds",
            "From a request's head to its answer",
            ["route"],
            registry=self.registry,
            buckets=_REQUEST_BUCKETS,
        )
        self.refusals = Counter(
            "gateway_http_refusals", "Refusals of access by status", ["status"], registry=self.registry
        )
        self.releases = Counter("gateway_claims_released", "Claims released", registry=self.registry)
        self.backlog = Gauge("gateway_backlog", "Messages kept and not yet processed", registry=self.registry)
        self.holds = Gauge("gateway_holds_open", "Open holds by kind", ["kind"], registry=self.registry)
        self.encounters = Gauge("gateway_encounters", "Encounters by stage", ["stage"], registry=self.registry)
        self.deliveries = Gauge("gateway_deliveries", "Deliveries by state", ["state"], registry=self.registry)
        self.stored_messages = Gauge(
            "gateway_messages_stored", "Stored messages by state", ["state"], registry=self.registry
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """An HTTP answer. `route` is the route's pattern, never the address that was asked for."""
        self.requests.labels(route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)

    def refused(self, status: int, method: str, route: str, caller: str | None) -> None:
        """A refusal of access."""
        self.refusals.labels(str(status)).inc()

    def acknowledged(self, feed: str, outcome: str, seconds: float) -> None:
        """A message was acknowledged: `outcome` is kept, repeat or refused."""
        counter, clock = self._acknowledging.get((feed, outcome)) or self._of_feed(feed, outcome)
        counter.inc()
        clock.observe(seconds)

    def _of_feed(self, feed: str, outcome: str) -> tuple[Counter, Histogram]:
        """Looked up once for each feed and outcome: this is on the acknowledging path."""
        found = self.messages.labels(feed, outcome), self.acknowledgement_seconds.labels(feed)
        self._acknowledging[feed, outcome] = found
        return found

    def processed(self, feed: str, outcome: str) -> None:
        """The pipeline settled a message: `outcome` is its new state."""
        counter, _ = self._acknowledging.get((feed, outcome)) or self._of_feed(feed, outcome)
        counter.inc()

    def show(self, counts: Mapping[str, Mapping[str, int]], backlog: int) -> None:
        """Takes over what the store counted (`Store.counts`); what has gone to nothing shows 0."""
        self.backlog.set(backlog)
        for group, gauge in (
            ("holds", self.holds),
            ("encounters", self.encounters),
            ("deliveries", self.deliveries),
            ("messages", self.stored_messages),
        ):
            _set(gauge, counts.get(group, {}))

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)


def _set(gauge: Gauge, values: Mapping[str, int]) -> None:
    for label in _labels(gauge) - values.keys():
        gauge.labels(label).set(0)
    for label, count in values.items():
        gauge.labels(label).set(count)


def _labels(gauge: Gauge) -> set[str]:
    return {value for metric in gauge.collect() for value in _label_values(metric.samples)}


def _label_values(samples: Iterable[object]) -> Iterable[str]:
    for sample in samples:
        yield from getattr(sample, "labels", {}).values()
