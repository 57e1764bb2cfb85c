"""Counts of acknowledgements as plain numbers, shown to Prometheus when it asks.

Its own counters take a lock for each number: measured, a twentieth of what the acknowledging path costs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

Metric = CounterMetricFamily | HistogramMetricFamily


class Times:
    """How many seconds something took, how often."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, how many took at most that), as Prometheus has it."""
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return [(name, float(count)) for name, count in zip(names, accumulate(self.counts), strict=True)]


class Tallies(Collector):
    """Messages by feed and outcome, and each feed's times of acknowledging. For one thread."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts: dict[tuple[str, str], int] = {}
        self._times: dict[str, Times] = {}

    def count(self, feed: str, outcome: str) -> None:
        key = (feed, outcome)
        self._counts[key] = self._counts.get(key, 0) + 1

    def took(self, feed: str, seconds: float) -> None:
        times = self._times.get(feed)
        if times is None:
            times = self._times[feed] = Times(self._bounds)
        times.add(seconds)

    def collect(self) -> Iterator[Metric]:
        messages = CounterMetricFamily(
            "gateway_messages",
            "Messages by feed and outcome (kept, repeat, refused, processed, unused, set-aside)",
            labels=("feed", "outcome"),
        )
        for labels, count in tuple(self._counts.items()):
            messages.add_metric(labels, count)
        yield messages
        seconds = HistogramMetricFamily(
            "gateway_acknowledgement_seconds",
            "From a message's last byte to its acknowledgement",
            labels=("feed",),
        )
        for feed, times in tuple(self._times.items()):
            seconds.add_metric((feed,), times.cumulative(), times.total)
        yield seconds
