"""/api: the worklist, encounters, decisions, queries, deliveries, messages, the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from gateway.access.roles import Permission
from gateway.adapters.desk.asking import (
    INSTANT,
    actor,
    moment,
    path_id,
    refusals_told,
    some_of,
    up_to,
    words,
)
from gateway.adapters.desk.models import (
    Approval,
    DeliveryView,
    EncounterView,
    QueryView,
    Resolution,
    ReturnToCoder,
    RulingView,
    Settlement,
    WorkItemView,
    WorklistView,
)
from gateway.adapters.http.body import parsed
from gateway.adapters.http.exchange import NDJSON, Answer, Call, told
from gateway.adapters.http.parameters import number
from gateway.adapters.http.routing import Parameter, Route
from gateway.desk.desk import Desk, Dossier, Filters, Ruling
from gateway.desk.queries import QueryDesk
from gateway.desk.settling import Settling
from gateway.review.model import HoldKind, Query, QueryDraft, Stage

MAX_BODY = 256 * 1024
PAGE = 50
MAX_PAGE = 200


class Trail(Protocol):
    """The audit trail, for those who may read it. That it was exported is an event of its own."""

    def export(self, actor: str, *, encounter: str | None, since: datetime | None) -> AsyncIterator[bytes]:
        """Lines of NDJSON, each with its line end."""
        ...


class DeskApi:
    """The routes of /api for people who decide."""

    def __init__(self, desk: Desk, queries: QueryDesk, settling: Settling, trail: Trail) -> None:
        self._desk = desk
        self._queries = queries
        self._settling = settling
        self._trail = trail

    def routes(self) -> tuple[Route, ...]:
        """All of them."""
        return (*self._encounter_routes(), self._trail_route())

    def _encounter_routes(self) -> tuple[Route, ...]:
        one = "/api/encounters/{key}"
        p = Permission
        return (
            Route(
                "GET", "/api/worklist", p.WORKLIST_READ, self.worklist, "Encounters by stage and kind of hold",
                gives=WorklistView, query=_WORKLIST,
            ),
            Route("GET", one, p.ENCOUNTER_READ, self.encounter, "An encounter with all that was found and decided",
                  gives=EncounterView, refuses=(404,)),
            Route("GET", one + "/documents/{document}", p.ENCOUNTER_READ, self.document,
                  "A document's content, of the kind that its sender said", produces="*/*", refuses=(404,)),
            Route("POST", one + "/approve", p.APPROVE, self.approve, "Approve exactly what the fingerprint names",
                  takes=Approval, gives=RulingView, max_body=MAX_BODY, refuses=(404, 409)),
            Route("POST", one + "/return", p.RETURN, self.return_to_coder, "Return to the coder with feedback",
                  takes=ReturnToCoder, gives=RulingView, max_body=MAX_BODY, refuses=(404, 409)),
            Route("POST", one + "/holds/{id}/resolve", p.HOLD_RESOLVE, self.resolve, "End one hold, for a reason",
                  takes=Resolution, gives=RulingView, max_body=MAX_BODY, refuses=(404, 409)),
            Route("POST", one + "/queries", p.QUERY_ASK, self.ask, "Ask the provider a query",
                  takes=QueryDraft, gives=RulingView, status=201, max_body=MAX_BODY, refuses=(404, 409)),
            Route("GET", "/api/queries/{id}", p.QUERY_READ, self.query, "A query with its status and answer",
                  gives=QueryView, refuses=(404,)),
            Route("POST", "/api/queries/{id}/withdraw", p.QUERY_ASK, self.withdraw, "Take back a query",
                  takes=Resolution, gives=RulingView, max_body=MAX_BODY, refuses=(404, 409)),
            Route("POST", "/api/deliveries/{id}/settle", p.DELIVERY_RESOLVE, self.settle,
                  "Say what became of a delivery", takes=Settlement, gives=DeliveryView, max_body=MAX_BODY,
                  refuses=(404, 409)),
        )  # fmt: skip

    def _trail_route(self) -> Route:
        return Route("GET", "/api/audit/events", Permission.AUDIT_READ, self.events, "The audit trail, an event a line",
                     produces=NDJSON, query=_EVENTS)  # fmt: skip

    async def worklist(self, call: Call) -> Answer:
        limit = number(call, "limit", PAGE, MAX_PAGE)
        stages = tuple(Stage(word) for word in words(call, "stage", {stage.value for stage in Stage}))
        kinds = tuple(HoldKind(word) for word in words(call, "hold", {kind.value for kind in HoldKind}))
        with refusals_told():
            items = await self._desk.worklist(Filters(stages, kinds, call.query.get("after", ""), limit))
        next_ = items[-1].key if len(items) == limit else None
        return told(WorklistView(items=tuple(map(WorkItemView.model_validate, items)), next=next_))

    async def encounter(self, call: Call) -> Answer:
        with refusals_told():
            return told(_encounter_view(await self._desk.show(call.params["key"], call.who)))

    async def document(self, call: Call) -> Answer:
        """The bytes as they were received, never to be shown by a browser as a page of ours."""
        with refusals_told():
            _, content = await self._desk.document(call.params["key"], call.params["document"], call.who)
        headers = {
            "Content-Disposition": "attachment",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Digest": content.digest,
        }
        kind = content.content_type
        plain = kind if kind.isascii() and kind.isprintable() and "/" in kind else "application/octet-stream"
        return Answer(200, content.body, plain, headers)

    async def approve(self, call: Call) -> Answer:
        body = parsed(Approval, call.body)
        with refusals_told():
            return ruled(await self._desk.approve(call.params["key"], call.who, body.fingerprint, body.comment))

    async def return_to_coder(self, call: Call) -> Answer:
        body = parsed(ReturnToCoder, call.body)
        with refusals_told():
            return ruled(await self._desk.return_to_coder(call.params["key"], call.who, body.feedback))

    async def resolve(self, call: Call) -> Answer:
        body = parsed(Resolution, call.body)
        with refusals_told():
            return ruled(await self._desk.resolve(call.params["key"], path_id(call), call.who, body.reason))

    async def ask(self, call: Call) -> Answer:
        draft = parsed(QueryDraft, call.body)
        with refusals_told():
            query, ruling = await self._queries.ask(call.params["key"], call.who, draft)
        return ruled(ruling, query, 201)

    async def query(self, call: Call) -> Answer:
        with refusals_told():
            asked = await self._queries.get(path_id(call), call.who)
        return told(QueryView.model_validate(asked.query))

    async def withdraw(self, call: Call) -> Answer:
        body = parsed(Resolution, call.body)
        with refusals_told():
            query, ruling = await self._queries.withdraw(path_id(call), call.who, body.reason)
        return ruled(ruling, query)

    async def settle(self, call: Call) -> Answer:
        body = parsed(Settlement, call.body)
        with refusals_told():
            delivery = await self._settling.settle(path_id(call), call.who, body.outcome, body.reason)
        return told(DeliveryView.model_validate(delivery))

    async def events(self, call: Call) -> Answer:
        lines = self._trail.export(actor(call.who), encounter=call.query.get("encounter"), since=moment(call, "since"))
        return Answer(200, lines, NDJSON)


_WORKLIST = (
    Parameter("stage", "One of the stages, or several separated by commas", some_of(stage.value for stage in Stage)),
    Parameter("hold", "A kind of open hold, or several separated by commas", some_of(kind.value for kind in HoldKind)),
    Parameter("after", "The last key of the page before"),
    Parameter("limit", f"At most {MAX_PAGE}", up_to(MAX_PAGE)),
)
_EVENTS = (
    Parameter("encounter", "Only events about this encounter"),
    Parameter("since", "Only events since this instant", INSTANT),
)


def _encounter_view(dossier: Dossier) -> EncounterView:
    case = dossier.case
    views = {
        "holds": case.holds,
        "documents": dossier.encounter.documents,
        "queries": case.queries,
        "decisions": case.decisions,
        "claims": case.claims,
        "deliveries": case.deliveries,
    }
    return EncounterView.model_validate(
        {
            "key": case.key,
            "version": case.version,
            "stage": dossier.stage,
            "fingerprint": dossier.fingerprint,
            "total": dossier.total,
            "encounter": dossier.encounter,
            **views,
        }
    )


def ruled(ruling: Ruling, query: Query | None = None, status: int = 200) -> Answer:
    """The answer to a decision: what it came to."""
    view = RulingView.model_validate(
        {
            "key": ruling.case.key,
            "stage": ruling.stage,
            "fingerprint": ruling.fingerprint,
            "open_holds": ruling.open_holds,
            "released": ruling.released,
            "query": query,
        }
    )
    return told(view, status)
