"""/api for analysts and supervisors: where values come from, code tables, what became of every charge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime

from pydantic import Field

from gateway.access.roles import Permission
from gateway.adapters.desk.asking import INSTANT, TEXT, actor, moment, refusals_told, text
from gateway.adapters.desk.models import Id, View
from gateway.adapters.http.body import parsed
from gateway.adapters.http.exchange import Answer, Call, Fault, told
from gateway.adapters.http.routing import Parameter, Route
from gateway.analysis.charge_report import ChargeReport
from gateway.analysis.code_tables import LONGEST, CodeTables, NoSuchEntry
from gateway.analysis.explaining import Explaining, UnknownField
from gateway.analysis.rebuilding import Rebuilding
from gateway.desk.desk import Desk
from gateway.mappings.errors import MappingError
from gateway.store.interface import Conflict

MAX_BODY = 64 * 1024


class SayingView(View):
    message: Id
    feed: str
    type: str
    received: datetime
    place: str
    mapping: str


class ExplainedView(View):
    path: str
    value: str | None
    said: tuple[SayingView, ...]


class ExplanationView(View):
    items: tuple[ExplainedView, ...]


class RebuiltView(View):
    key: str
    changed: bool


class UnmappedView(View):
    feed: str
    table: str
    code: str
    encounters: int
    example: str


class UnmappedListView(View):
    items: tuple[UnmappedView, ...]


class EntryView(View):
    feed: str
    table: str
    code: str
    value: str
    source: str


class EntriesView(View):
    items: tuple[EntryView, ...]


class Mapping(View):
    """What a sender's code means; without a value, what was mapped is taken back."""

    feed: str = Field(max_length=100)
    table: str = Field(max_length=100)
    code: str = Field(min_length=1, max_length=LONGEST)
    value: str | None = Field(default=None, max_length=1_000)


class MappedView(View):
    went_on: int
    """How many encounters waited for the code, and changed."""


class ChargeDayView(View):
    feed: str
    day: date
    said: int
    became: dict[str, int]
    unaccounted: int


class ChargesView(View):
    items: tuple[ChargeDayView, ...]


class AnalysisApi:
    """The routes of /api for those who look into feeds."""

    def __init__(
        self, desk: Desk, explaining: Explaining, rebuilding: Rebuilding, tables: CodeTables, charges: ChargeReport
    ) -> None:
        self._desk = desk
        self._explaining = explaining
        self._rebuilding = rebuilding
        self._tables = tables
        self._charges = charges

    def routes(self) -> tuple[Route, ...]:
        one = "/api/encounters/{key}"
        p = Permission
        return (
            Route("GET", one + "/explanation", p.ENCOUNTER_READ, self.explain,
                  "Where an encounter's values come from; reading it is audited",
                  gives=ExplanationView, query=_EXPLANATION, refuses=(404, 409)),
            Route("POST", one + "/rebuild", p.MESSAGE_REPLAY, self.rebuild,
                  "Make the encounter again of its messages, by the mappings in force",
                  gives=RebuiltView, max_body=MAX_BODY, refuses=(404, 409)),
            Route("GET", "/api/codes", p.CODES_READ, self.entries, "A feed's code tables",
                  gives=EntriesView, query=_ENTRIES, refuses=(404,)),
            Route("PUT", "/api/codes", p.CODES_MAP, self.map_code, "Say what a sender's code means",
                  takes=Mapping, gives=MappedView, max_body=MAX_BODY, refuses=(409,)),
            Route("GET", "/api/codes/unmapped", p.CODES_READ, self.unmapped,
                  "Codes that no table has, those that most encounters wait for first", gives=UnmappedListView),
            Route("GET", "/api/charges", p.CHARGES_READ, self.charges,
                  "What became of every charge, by feed and day", gives=ChargesView, query=_CHARGES),
        )  # fmt: skip

    async def explain(self, call: Call) -> Answer:
        key, field = call.params["key"], call.query.get("field", "")
        with refusals_told(), _told():
            await self._desk.show(key, call.who)
            found = await self._explaining.explain(key, field)
        return told(ExplanationView(items=tuple(map(ExplainedView.model_validate, found or ()))))

    async def rebuild(self, call: Call) -> Answer:
        key = call.params["key"]
        with refusals_told(), _told():
            await self._desk.show(key, call.who)
            changed = await self._rebuilding.rebuild(key, actor(call.who))
        return told(RebuiltView(key=key, changed=changed))

    async def entries(self, call: Call) -> Answer:
        feed = text(call, "feed")
        if feed is None:
            raise Fault(400, "Name the feed whose tables you want", where="feed")
        with refusals_told():
            try:
                found = await self._tables.entries(feed, text(call, "table"), text(call, "value"))
            except NoSuchEntry as wrong:
                raise Fault(404, str(wrong), where="feed") from None
        return told(EntriesView(items=tuple(map(EntryView.model_validate, found))))

    async def map_code(self, call: Call) -> Answer:
        said = parsed(Mapping, call.body)
        with refusals_told(), _told():
            count = await self._tables.set(said.feed, said.table, said.code, said.value, actor(call.who))
        return told(MappedView(went_on=count))

    async def unmapped(self, call: Call) -> Answer:
        with refusals_told():
            found = await self._tables.unmapped()
        return told(UnmappedListView(items=tuple(map(UnmappedView.model_validate, found))))

    async def charges(self, call: Call) -> Answer:
        since = moment(call, "since")
        if since is None:
            raise Fault(400, "Say since when", where="since")
        with refusals_told():
            days = await self._charges.days(since, moment(call, "until"), text(call, "feed"))
        return told(ChargesView(items=tuple(map(ChargeDayView.model_validate, days))))


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be done, as HTTP faults."""
    try:
        yield
    except NoSuchEntry as wrong:
        raise Fault(422, str(wrong)) from None
    except UnknownField as wrong:
        raise Fault(404, str(wrong), where="field") from None
    except (MappingError, Conflict) as wrong:
        raise Fault(409, str(wrong)) from None


_EXPLANATION = (Parameter("field", "As visit.discharged, charges[0] or charges[T1].code; everything when left out"),)
_ENTRIES = (
    Parameter("feed", "The feed's name", TEXT, required=True),
    Parameter("table", "Only this table, as procedure_system or charge_codes", TEXT),
    Parameter("value", "Only the sender's codes that mean this", TEXT),
)
_CHARGES = (
    Parameter("since", "Received from this instant on", INSTANT, required=True),
    Parameter("until", "Received before this instant", INSTANT),
    Parameter("feed", "Only this feed", TEXT),
)
