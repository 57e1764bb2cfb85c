"""/api/configuration: versions, reloading the files, returning to earlier ones. And /api/alerts: what is raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

import orjson
from pydantic import BaseModel, ConfigDict

from gateway.access.roles import Permission
from gateway.adapters.http.body import parsed
from gateway.adapters.http.exchange import LARGEST_ID, PROBLEM, Answer, Call, Fault, own_id, told
from gateway.adapters.http.parameters import number
from gateway.adapters.http.routing import Parameter, Route
from gateway.alert import Alert, AlertName, AlertState
from gateway.store.interface import Conflict, StoreFault
from gateway.store.upkeep import ConfigurationVersion, VersionState
from gateway.yamlfile import Mistakes

MAX_BODY = 4096
PAGE = 50
MAX_PAGE = 200


class Taken(Protocol):
    """What came into force."""

    @property
    def version(self) -> int: ...
    @property
    def changed(self) -> tuple[str, ...]: ...
    @property
    def files(self) -> tuple[str, ...]: ...
    @property
    def kept(self) -> int | None: ...
    @property
    def copies(self) -> tuple[str, ...]: ...


class Refused(Exception):
    """What was asked for cannot be done. Says why."""


class Configuration(Protocol):
    """The configuration in force and its versions. Changes raise Mistakes, Refused, StoreFault or Conflict: all is then
    as it was.
    """

    async def reload(self, actor: str) -> Taken: ...

    async def roll_back(self, number: int | None, actor: str) -> Taken: ...

    async def listed(self, before: int | None, limit: int) -> list[ConfigurationVersion]: ...

    async def version_of(self, number: int) -> ConfigurationVersion | None: ...


class Alerts(Protocol):
    async def raised(self) -> list[Alert]: ...


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class VersionView(_View):
    number: int
    node: int
    digest: str
    state: VersionState
    actor: str
    written: datetime


class WholeVersionView(VersionView):
    files: dict[str, str]


class VersionsView(_View):
    items: tuple[VersionView, ...]
    next: int | None


class TakenView(_View):
    version: int
    changed: tuple[str, ...]
    files: tuple[str, ...]
    kept: int | None
    copies: tuple[str, ...]


class RollBack(BaseModel):
    """Which version to return to; the one before when it is not said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int | None = None


class AlertView(_View):
    node: int
    name: AlertName
    subject: str
    state: AlertState
    since: datetime
    text: str
    told: bool


class AlertsView(_View):
    items: tuple[AlertView, ...]


class ConfigurationApi:
    """The routes of /api/configuration and /api/alerts."""

    def __init__(self, configuration: Configuration, alerts: Alerts) -> None:
        self._configuration = configuration
        self._alerts = alerts

    def routes(self) -> tuple[Route, ...]:
        p, at = Permission, "/api/configuration"
        return (
            Route("GET", at + "/versions", p.CONFIGURATION_READ, self.versions, "Versions, newest first",
                  gives=VersionsView, query=_PAGES),
            Route("GET", at + "/versions/{id}", p.CONFIGURATION_READ, self.version, "A version with its files",
                  gives=WholeVersionView, refuses=(404,)),
            Route("POST", at + "/reload", p.CONFIGURATION_CHANGE, self.reload, "Read the files again, all or nothing",
                  gives=TakenView, max_body=MAX_BODY, refuses=(409, 422)),
            Route("POST", at + "/rollback", p.CONFIGURATION_CHANGE, self.roll_back, "Return to an earlier version",
                  takes=RollBack, gives=TakenView, max_body=MAX_BODY, refuses=(409,)),
            Route("GET", "/api/alerts", p.METRICS_READ, self.alerts, "The alerts that are raised", gives=AlertsView),
        )  # fmt: skip

    async def versions(self, call: Call) -> Answer:
        limit = number(call, "limit", PAGE, MAX_PAGE)
        before = number(call, "before", 0, LARGEST_ID) or None
        with _faults_told():
            found = await self._configuration.listed(before, limit)
        next_ = found[-1].number if len(found) == limit else None
        return told(VersionsView(items=tuple(map(VersionView.model_validate, found)), next=next_))

    async def version(self, call: Call) -> Answer:
        asked = own_id(call.params["id"])
        with _faults_told():
            found = await self._configuration.version_of(asked) if asked is not None else None
        if found is None:
            raise Fault(404, "There is no version of this number")
        return told(WholeVersionView.model_validate(found))

    async def reload(self, call: Call) -> Answer:
        with _faults_told():
            try:
                return told(TakenView.model_validate(await self._configuration.reload(_actor(call))))
            except Mistakes as wrong:
                return _mistaken(wrong, call.request_id)

    async def roll_back(self, call: Call) -> Answer:
        wanted = parsed(RollBack, call.body).version
        with _faults_told():
            try:
                return told(TakenView.model_validate(await self._configuration.roll_back(wanted, _actor(call))))
            except Mistakes as wrong:
                return _mistaken(wrong, call.request_id)

    async def alerts(self, call: Call) -> Answer:
        with _faults_told():
            found = await self._alerts.raised()
        return told(AlertsView(items=tuple(map(AlertView.model_validate, found))))


_PAGES = (
    Parameter("before", "The last number of the page before", {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}),
    Parameter("limit", f"At most {MAX_PAGE}", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}),
)


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        raise Fault(409, str(refused)) from None
    except Conflict:
        raise Fault(409, "Others are changing the configuration just now; try again") from None
    except StoreFault:
        raise Fault(503, "The store can't serve just now; try again", headers={"Retry-After": "5"}) from None


def _mistaken(wrong: Mistakes, request_id: str) -> Answer:
    """RFC 9457, with every mistake: they speak of files, lines and keys, never of values."""
    document = {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": str(wrong),
        "code": "invalid",
        "request": request_id,
        "mistakes": [
            {"file": one.file, "line": one.line, "key": one.key, "text": one.text, "remedy": one.remedy}
            for one in wrong.mistakes
        ],
    }
    return Answer(422, orjson.dumps(document), PROBLEM)


def _actor(call: Call) -> str:
    return f"user:{call.who.name}"
