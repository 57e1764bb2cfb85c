"""/api: templates of provider queries, drafts, spoken and replaced queries, and how queries fare."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from gateway.access.roles import Permission
from gateway.adapters.desk.api import ruled
from gateway.adapters.desk.asking import (
    IDENTITY,
    INSTANT,
    TEXT,
    moment,
    one_of,
    path_id,
    refusals_told,
    text,
    up_to,
)
from gateway.adapters.desk.models import Asked, Comment, Id, RulingView, View
from gateway.adapters.http.body import parsed
from gateway.adapters.http.exchange import LARGEST_ID, Answer, Call, Fault, told
from gateway.adapters.http.parameters import number
from gateway.adapters.http.routing import Parameter, Route
from gateway.clock import Clock
from gateway.desk.queries import QueryDesk
from gateway.desk.query_list import OPEN, QueryFilters, listed
from gateway.desk.query_report import Queries, asked_between, figures
from gateway.desk.verbal import SpokenAnswer, VerbalQueries
from gateway.review.model import Query, QueryDraft, QueryKind, QueryStatus
from gateway.review.queries import FINAL
from gateway.review.query_template import Family, Filling

MAX_BODY = 256 * 1024
PAGE = 50
MAX_PAGE = 200
PERIOD = timedelta(days=30)
LONGEST_PERIOD = timedelta(days=400)


class NamedView(View):
    name: str
    meaning: str


class NeededView(NamedView):
    at_least: int


class OfferedView(View):
    text: str
    supported_by: tuple[str, ...]


class TemplateView(View):
    name: str
    about: Family
    kind: QueryKind
    subject: str | None
    title: str
    question: str
    values: tuple[NamedView, ...]
    indicators: tuple[NeededView, ...]
    options: tuple[OfferedView, ...]
    own_options: bool


class TemplatesView(View):
    items: tuple[TemplateView, ...]


class DraftView(View):
    draft: QueryDraft
    breaches: tuple[str, ...]
    """Why it may not be asked; empty when it may."""


class Replacement(Asked):
    """What is asked instead, written out or by a template, and why."""

    reason: Comment
    query: QueryDraft | None = None
    filling: Filling | None = None


class VerbalQuery(Asked):
    """A query that was asked by word of mouth, written out or by a template, and its answer."""

    query: QueryDraft | None = None
    filling: Filling | None = None
    answer: SpokenAnswer


class QueryItemView(View):
    """A query in the worklist: without its question and what was cited."""

    id: Id
    number: str
    encounter: str
    provider: Annotated[str, Field(description="NPI")]
    title: str
    template: str | None
    status: QueryStatus
    asked_by: str
    asked: datetime
    due: datetime
    overdue: bool
    """Still open when its day is over."""
    answered: datetime | None
    reminders: int
    escalated: int


class QueryListView(View):
    items: tuple[QueryItemView, ...]
    next: Id | None = None
    """Give it as `after` for the next page."""


class QueryFiguresView(View):
    provider: Annotated[str, Field(description="NPI")]
    template: str
    asked: int
    open: int
    answered: int
    agreed: int
    disagreed: int
    agreement: float | None
    escalated: int
    median_hours: float | None
    longest_hours: float | None


class QueryReportView(View):
    since: datetime
    until: datetime
    items: tuple[QueryFiguresView, ...]


class QueriesApi:
    """The routes of queries beside asking, reading and withdrawing one."""

    def __init__(self, queries: QueryDesk, verbal: VerbalQueries, store: Queries, clock: Clock) -> None:
        self._queries = queries
        self._verbal = verbal
        self._store = store
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """All of them."""
        of = "/api/encounters/{key}/queries"
        ask = Permission.QUERY_ASK
        return (
            Route("GET", "/api/queries", Permission.WORKLIST_READ, self.listed, "Provider queries, the oldest first",
                  gives=QueryListView, query=_LIST),
            Route("GET", "/api/query-templates", ask, self.templates, "The templates of provider queries",
                  gives=TemplatesView),
            Route("POST", of + "/draft", ask, self.draft, "What a filled-in template would ask, and what it breaks",
                  takes=Filling, gives=DraftView, max_body=MAX_BODY, refuses=(404, 409)),
            Route("POST", of + "/template", ask, self.ask, "Ask the provider by a template",
                  takes=Filling, gives=RulingView, status=201, max_body=MAX_BODY, refuses=(404, 409)),
            Route("POST", of + "/verbal", ask, self.verbal, "Record a query that was asked and answered by mouth",
                  takes=VerbalQuery, gives=RulingView, status=201, max_body=MAX_BODY, refuses=(404, 409)),
            Route("POST", "/api/queries/{id}/replace", ask, self.replace, "Ask another query in the place of one",
                  takes=Replacement, gives=RulingView, status=201, max_body=MAX_BODY, refuses=(404, 409)),
            Route("GET", "/api/query-report", Permission.WORKLIST_READ, self.report,
                  "Agreement and turnaround by provider and template", gives=QueryReportView, query=_PERIOD),
        )  # fmt: skip

    async def listed(self, call: Call) -> Answer:
        state = text(call, "state")
        if state not in (None, *_STATES):
            raise Fault(400, f"One of: {', '.join(_STATES)}", where="state")
        provider, now = text(call, "provider"), self._clock.now()
        filters = QueryFilters(
            statuses=_STATES[state] if state is not None else (),
            providers=(provider,) if provider is not None else (),
            encounter=text(call, "encounter"),
            overdue=state == OVERDUE,
            after=number(call, "after", 0, LARGEST_ID),
            limit=number(call, "limit", PAGE, MAX_PAGE),
        )
        with refusals_told():
            page = await listed(self._store, filters, now)
        return told(QueryListView(items=tuple(_item(query, now) for query in page.items), next=page.next))

    async def templates(self, call: Call) -> Answer:
        items = tuple(TemplateView.model_validate(template) for template in self._queries.templates())
        return told(TemplatesView(items=items))

    async def draft(self, call: Call) -> Answer:
        filling = parsed(Filling, call.body)
        with refusals_told():
            draft, breaches = await self._queries.drafted(call.params["key"], call.who, filling)
        return told(DraftView(draft=draft, breaches=tuple(breaches)))

    async def ask(self, call: Call) -> Answer:
        filling = parsed(Filling, call.body)
        with refusals_told():
            query, ruling = await self._queries.from_template(call.params["key"], call.who, filling)
        return ruled(ruling, query, 201)

    async def verbal(self, call: Call) -> Answer:
        body = parsed(VerbalQuery, call.body)
        with refusals_told():
            draft = self._written(body.query, body.filling)
            query, ruling = await self._verbal.record(call.params["key"], call.who, draft, body.answer)
        return ruled(ruling, query, 201)

    async def replace(self, call: Call) -> Answer:
        body = parsed(Replacement, call.body)
        with refusals_told():
            draft = self._written(body.query, body.filling)
            query, ruling = await self._queries.replace(path_id(call), call.who, draft, body.reason)
        return ruled(ruling, query, 201)

    async def report(self, call: Call) -> Answer:
        until = moment(call, "until") or self._clock.now()
        since = moment(call, "since") or until - PERIOD
        if not timedelta(0) < until - since <= LONGEST_PERIOD:
            raise Fault(400, f"A report covers up to {LONGEST_PERIOD.days} days", where="since")
        with refusals_told():
            queries = await asked_between(self._store, since, until)
        items = tuple(QueryFiguresView.model_validate(line) for line in figures(queries))
        return told(QueryReportView(since=since, until=until, items=items))

    def _written(self, query: QueryDraft | None, filling: Filling | None) -> QueryDraft:
        if (query is None) == (filling is None):
            raise Fault(422, "Give the query written out, or a filled-in template, one of them", where="query")
        return query if query is not None else self._queries.filled(_given(filling))


def _item(query: Query, now: datetime) -> QueryItemView:
    draft, names = query.draft, set(QueryItemView.model_fields) - {"provider", "title", "template", "overdue"}
    said = {name: getattr(query, name) for name in names}
    overdue = query.status in OPEN and query.due < now
    about = {"provider": draft.provider, "title": draft.title, "template": draft.template, "overdue": overdue}
    return QueryItemView.model_validate({**said, **about})


def _given(filling: Filling | None) -> Filling:
    if filling is None:
        raise Fault(422, "Give a filled-in template", where="filling")
    return filling


OVERDUE = "overdue"
_STATES: Mapping[str, tuple[QueryStatus, ...]] = {
    "open": OPEN,
    OVERDUE: OPEN,
    "answered": (QueryStatus.COMPLETED,),
    "over": tuple(FINAL),
}
_LIST = (
    Parameter("state", "Open, open though its day is over, answered, or over for whatever reason", one_of(_STATES)),
    Parameter("provider", "Only queries to this provider, by NPI", TEXT),
    Parameter("encounter", "Only queries about this encounter, by its key", TEXT),
    Parameter("after", "The `next` of the page before", IDENTITY),
    Parameter("limit", f"At most {MAX_PAGE}", up_to(MAX_PAGE)),
)
_PERIOD = (
    Parameter("since", "Queries asked since this instant; 30 days before the end by default", INSTANT),
    Parameter("until", "Queries asked before this instant; now by default", INSTANT),
)
