"""Logs: one JSON object a line on standard error, without patients' data.

Nothing is logged by accident: a field must be in `FIELDS`, an event's name must look like a name, and of an exception
only its type and place are told, never its text. What other libraries log is reduced to the same: who, how bad, where.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import IO, Any, cast

import orjson
import structlog

FIELDS = frozenset(
    {
        "attempt",
        "backlog",
        "batch",
        "bytes",
        "claims",
        "client",
        "code",
        "connections",
        "count",
        "delivery",
        "destination",
        "dialect",
        "engine",
        "fault",
        "feed",
        "host",
        "job",
        "kind",
        "limit",
        "listener",
        "message",
        "mistake",
        "method",
        "node",
        "outcome",
        "place",
        "port",
        "query",
        "request",
        "result",
        "route",
        "rule",
        "seal",
        "seconds",
        "signal",
        "size",
        "source",
        "stage",
        "state",
        "status",
        "tick",
        "type",
        "version",
    }
)
"""The names a log line may carry beside `event`, `level`, `time` and `part`. Ids are the gateway's own, never a
patient's, an account's or a visit's number."""

_ALWAYS = ("time", "level", "part", "event")
_NAME = re.compile(r"[a-z][a-z_-]*(\.[a-z][a-z_-]*)*")
_MAX_TEXT = 200

Event = MutableMapping[str, Any]


def logger(part: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one part of the gateway: `log.error("pipeline.store_fault", fault="Timeout")`."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(part=part))


def configure(stream: IO[str] | None = None, level: int = logging.INFO) -> None:
    """Send every log line, other libraries' too, to `stream` (standard error) as JSON. Call once, at start."""
    out = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            place_only,
            allow_listed,
            _rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=cast(Any, out)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(_Foreign())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


def allow_listed(_logger: object, _method: str, event: Event) -> Mapping[str, Any]:
    """A processor: drops each field that `FIELDS` does not name, and each value that is not a short scalar."""
    kept = {name: _scalar(event[name]) for name in _ALWAYS if name in event}
    if not _NAME.fullmatch(str(kept.get("event", ""))):
        kept["event"] = "unnamed"
    for name in sorted(FIELDS & event.keys()):
        value = _scalar(event[name])
        if value is not None:
            kept[name] = value
    return kept


def place_only(_logger: object, _method: str, event: Event) -> Event:
    """A processor: an exception becomes its type (`fault`) and the innermost place of ours (`place`)."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["fault"] = type(error).__qualname__
        event["place"] = place(error.__traceback__)
    return event


def place(trace: TracebackType | None) -> str:
    """`module:function:line` of the innermost frame in the gateway; of any frame when there is none."""
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    if not frames:
        return "unknown"
    lines = [line for _, line in traceback.walk_tb(trace)]
    names = [str(frame.f_globals.get("__name__", "")) for frame in frames]
    inner = max((i for i, name in enumerate(names) if name.startswith("gateway")), default=len(frames) - 1)
    return f"{names[inner]}:{frames[inner].f_code.co_name}:{lines[inner]}"


def _scalar(value: object) -> str | int | float | bool | None:
    if isinstance(value, bool | int | float):
        return value
    return value[:_MAX_TEXT] if isinstance(value, str) else None


def _rendered(_logger: object, _method: str, event: Event) -> str:
    return orjson.dumps(event).decode()


class _Foreign(logging.Formatter):
    """Another library's record: its logger, level and place. Its text may quote data, so it is not told."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "level": record.levelname.lower(),
            "part": record.name[:_MAX_TEXT],
            "event": "library",
            "place": f"{record.module}:{record.funcName}:{record.lineno}",
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["fault"] = record.exc_info[0].__qualname__
        return orjson.dumps(line).decode()
