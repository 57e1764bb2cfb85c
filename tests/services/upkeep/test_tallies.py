"""What Prometheus reads of the acknowledgements is what its own counters would have told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from gateway.upkeep.metrics import Metrics

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
answers = st.tuples(
    st.sampled_from(["ehr", "encoder"]),
    st.sampled_from(["kept", "repeat", "refused"]),
    st.one_of(st.sampled_from(BOUNDS), st.floats(0, 10)),
)


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    names = ("gateway_messages", "gateway_acknowledgement_seconds")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for metric in registry.collect()
        if metric.name in names
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(answers, max_size=20))
def test_they_are_what_prometheus_own_counters_tell(given_answers: list[tuple[str, str, float]]) -> None:
    ours = Metrics()
    theirs = CollectorRegistry()
    messages = Counter("gateway_messages", "", ["feed", "outcome"], registry=theirs)
    seconds = Histogram("gateway_acknowledgement_seconds", "", ["feed"], registry=theirs, buckets=BOUNDS)
    for feed, outcome, took in given_answers:
        ours.acknowledged(feed, outcome, took)
        messages.labels(feed, outcome).inc()
        seconds.labels(feed).observe(took)
    assert samples(ours.registry) == samples(theirs)
    assert b"gateway_messages" in ours.exposition()
