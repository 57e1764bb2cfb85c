"""/health and /metrics, and what the log lets through."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping

import orjson
import pytest
import structlog

from gateway.adapters.http.exchange import Call
from gateway.adapters.operations.routes import Operations
from gateway.logs import configure, logger
from gateway.upkeep.metrics import Metrics

CALL = Call("GET", "/metrics", "req-1")


class Counting:
    def __init__(self) -> None:
        self.asked = 0
        self.broken = False
        self.holds = {"review": 2, "edit": 1}

    async def backlog(self) -> int:
        if self.broken:
            raise RuntimeError("disk I/O error: /var/gateway.db")
        return 7

    async def counts(self) -> Mapping[str, Mapping[str, int]]:
        self.asked += 1
        return {"holds": self.holds, "deliveries": {"unknown": 1}, "messages": {"processed": 5}, "encounters": {}}


async def test_health_tells_whether_the_store_answers_and_no_more() -> None:
    store = Counting()
    operations = Operations(store, Metrics())
    assert (await operations.health(CALL)).body == b'{"status":"pass"}'
    store.broken = True
    answer = await operations.health(CALL)
    assert (answer.status, answer.body) == (503, b'{"status":"fail"}')


async def test_metrics_show_what_the_store_counts_and_what_was_observed() -> None:
    store, metrics = Counting(), Metrics()
    operations = Operations(store, metrics)
    metrics.acknowledged("epic-adt", "kept", 0.004)
    metrics.processed("epic-adt", "set-aside")
    metrics.answered("/fhir/Claim/{id}", 201, 0.002)
    metrics.refused(401, "POST", "/fhir/Claim", None)
    text = (await operations.metrics(CALL)).body
    assert isinstance(text, bytes)
    for line in (
        b'gateway_messages_total{feed="epic-adt",outcome="kept"} 1.0',
        b'gateway_messages_total{feed="epic-adt",outcome="set-aside"} 1.0',
        b'gateway_acknowledgement_seconds_bucket{feed="epic-adt",le="0.005"} 1.0',
        b'gateway_http_requests_total{route="/fhir/Claim/{id}",status="201"} 1.0',
        b'gateway_http_refusals_total{status="401"} 1.0',
        b"gateway_backlog 7.0",
        b'gateway_holds_open{kind="review"} 2.0',
        b'gateway_deliveries{state="unknown"} 1.0',
    ):
        assert line in text
    await operations.metrics(CALL)
    assert store.asked == 1


def test_a_kind_of_hold_that_is_gone_shows_zero() -> None:
    metrics = Metrics()
    metrics.show({"holds": {"review": 2}}, 0)
    metrics.show({"holds": {"edit": 1}}, 0)
    assert b'gateway_holds_open{kind="review"} 0.0' in metrics.exposition()


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure(stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_log_line_carries_only_listed_fields_of_plain_values(out: io.StringIO) -> None:
    logger("pipeline").error(
        "pipeline.message_failed", feed="epic-adt", message=12, patient="SMITH", batch=["SMITH"], fault="X" * 999
    )
    line = orjson.loads(out.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "pipeline.message_failed",
        "level": "error",
        "part": "pipeline",
        "feed": "epic-adt",
        "message": 12,
        "fault": "X" * 200,
    }


def test_an_event_that_is_not_a_name_is_not_told(out: io.StringIO) -> None:
    logger("x").info("failed for Jane Smith 1964")
    assert orjson.loads(out.getvalue())["event"] == "unnamed"


def test_an_exception_is_told_by_type_and_place(out: io.StringIO) -> None:
    try:
        configure.__wrapped__("JANE SMITH")  # type: ignore[attr-defined]
    except AttributeError:
        logger("x").exception("x.failed")
    line = orjson.loads(out.getvalue())
    assert line["fault"] == "AttributeError"
    assert "test_an_exception_is_told" in line["place"]


def test_what_other_libraries_say_is_reduced_to_who_and_where(out: io.StringIO) -> None:
    try:
        raise ValueError("SMITH^JANE")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("patient %s", "SMITH^JANE")
    logging.getLogger("apscheduler").info("not told")
    text = out.getvalue()
    assert "SMITH" not in text
    line = orjson.loads(text)
    assert (line["part"], line["fault"], line["level"]) == ("aiohttp.server", "ValueError", "error")
