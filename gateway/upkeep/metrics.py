"""What the gateway counts of itself, for Prometheus. Labels are from closed sets: feeds, kinds, states; never ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from gateway.upkeep.tallies import Tallies

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ACKNOWLEDGEMENT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The registry and the named metrics. One instance, made by whoever builds the gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tallies = Tallies(_ACKNOWLEDGEMENT_BUCKETS)
        self.registry.register(self._tallies)
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
        self._answers: dict[tuple[str, int], Counter] = {}
        self._answering: dict[str, Histogram] = {}
        self.refusals = Counter(
            "gateway_http_refusals", "Refusals of access by status", ["status"], registry=self.registry
        )
        self.releases = Counter("gateway_claims_released", "Claims released", registry=self.registry)
        self.cuts = Counter(
            "gateway_connections_cut",
            "Connections of senders that were ended here, and why",
            ["feed", "why"],
            registry=self.registry,
        )
        self._pull()
        self.backlog = Gauge("gateway_backlog", "Messages kept and not yet processed", registry=self.registry)
        self.holds = Gauge("gateway_holds_open", "Open holds by kind", ["kind"], registry=self.registry)
        self.encounters = Gauge("gateway_encounters", "Encounters by stage", ["stage"], registry=self.registry)
        self.deliveries = Gauge("gateway_deliveries", "Deliveries by state", ["state"], registry=self.registry)
        self.destinations = Gauge(
            "gateway_destinations",
            "1 for the state (up, down, suspended) that a destination is in",
            ["destination", "state"],
            registry=self.registry,
        )
        self.stored_messages = Gauge(
            "gateway_messages_stored", "Stored messages by state", ["state"], registry=self.registry
        )
        self.queries_open = Gauge("gateway_queries_open", "Open queries", ["template"], registry=self.registry)
        self.query_agreement = Gauge(
            "gateway_query_agreement", "Answers that agreed, 0 to 1, 30 days", ["template"], registry=self.registry
        )
        self.query_hours = Gauge(
            "gateway_query_hours", "Median hours to an answer, 30 days", ["template"], registry=self.registry
        )
        self.alerts = Gauge(
            "gateway_alert", "1 while the alert is raised, else 0", ["alert", "subject"], registry=self.registry
        )
        self.configuration = Gauge(
            "gateway_configuration_version", "The version of the configuration in force", registry=self.registry
        )

    def _pull(self) -> None:
        self.polls = Counter(
            "gateway_polls",
            "Searches of a polled feed's types, and how they ended",
            ["feed", "outcome"],
            registry=self.registry,
        )
        self.polls_of_resources = Counter(
            "gateway_polled_resources",
            "Resources that polling came by, and what became of them",
            ["feed", "outcome"],
            registry=self.registry,
        )
        self.attachments = Counter(
            "gateway_attachments",
            "Fetches of documents' contents, and how they ended",
            ["feed", "outcome"],
            registry=self.registry,
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """An HTTP answer. `route` is the route's pattern, never the address that was asked for."""
        counter = self._answers.get((route, status))
        if counter is None:  # its labels are looked up once: that costs more than the counting
            counter = self._answers[route, status] = self.requests.labels(route, str(status))
        counter.inc()
        took = self._answering.get(route)
        if took is None:
            took = self._answering[route] = self.request_seconds.labels(route)
        took.observe(seconds)

    def refused(self, status: int, method: str, route: str, caller: str | None) -> None:
        """A refusal of access."""
        self.refusals.labels(str(status)).inc()

    def acknowledged(self, feed: str, outcome: str, seconds: float) -> None:
        """A message was acknowledged: `outcome` is kept, repeat or refused."""
        self._tallies.count(feed, outcome)
        self._tallies.took(feed, seconds)

    def cut(self, feed: str, why: str) -> None:
        """A sender's connection was ended here: slow, too many, without its certificate."""
        self.cuts.labels(feed, why).inc()

    def polled(self, feed: str, outcome: str) -> None:
        """A type was searched for at an EHR: read, not-kept, or the trouble that it ended with."""
        self.polls.labels(feed, outcome).inc()

    def polled_resources(self, feed: str, outcome: str, count: int) -> None:
        """What became of so many resources: kept, unchanged, too-large, passed-over, missing."""
        self.polls_of_resources.labels(feed, outcome).inc(count)

    def attachment(self, feed: str, outcome: str) -> None:
        """A document's content was fetched, or why not."""
        self.attachments.labels(feed, outcome).inc()

    def processed(self, feed: str, outcome: str) -> None:
        """The pipeline settled a message: `outcome` is its new state."""
        self._tallies.count(feed, outcome)

    def alerted(self, name: str, subject: str, raised: bool) -> None:
        """Whether an alert is raised. `subject` is a feed's or destination's name, or empty."""
        self.alerts.labels(name, subject).set(raised)

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

    def show_destinations(self, states: Mapping[str, str]) -> None:
        """Takes over the state of each destination, by its name."""
        for name, state in states.items():
            for each in ("up", "down", "suspended"):
                self.destinations.labels(name, each).set(int(each == state))

    def show_queries(self, template: str, open: int, agreement: float | None, hours: float | None) -> None:
        """Takes over how a template's queries of the last 30 days fare; `hours` is the median time to the answer."""
        self.queries_open.labels(template).set(open)
        if agreement is not None:
            self.query_agreement.labels(template).set(agreement)
        if hours is not None:
            self.query_hours.labels(template).set(hours)

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
