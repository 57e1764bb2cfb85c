"""/api for analysts: messages found, shown, taken again, and what was set aside."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.access.roles import Permission
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
    words,
)
from gateway.adapters.desk.models import (
    AsideGroupView,
    FoundMessagesView,
    MessageDetailView,
    MessageView,
    QuarantineView,
    ReplayedMessagesView,
    ReplayedView,
    Replays,
    ReplayView,
)
from gateway.adapters.http.body import parsed
from gateway.adapters.http.exchange import LARGEST_ID, Answer, Call, Fault, told
from gateway.adapters.http.parameters import number
from gateway.adapters.http.routing import Parameter, Route
from gateway.clock import moment_of
from gateway.desk.messages import MessageDesk, Shown
from gateway.intake.replay import NotReplayable
from gateway.message import Format, MessageState
from gateway.store.interface import MessagePage, MessageSearch

MAX_BODY = 64 * 1024
PAGE = 50
MAX_PAGE = 200

CONTENT_TYPES = {Format.HL7V2: "application/hl7-v2", Format.FHIR: "application/fhir+json"}


class MessagesApi:
    """The routes of /api/messages and /api/quarantine."""

    def __init__(self, desk: MessageDesk) -> None:
        self._desk = desk

    def routes(self) -> tuple[Route, ...]:
        one = "/api/messages/{id}"
        p = Permission
        return (
            Route("GET", "/api/messages", p.MESSAGE_READ, self.search, "Messages, newest first; each search is audited",
                  gives=FoundMessagesView, query=_SEARCH, refuses=(422,)),
            Route("GET", one, p.MESSAGE_READ, self.show, "A message, without its payload", gives=MessageDetailView,
                  refuses=(404,)),
            Route("GET", one + "/payload", p.MESSAGE_PAYLOAD, self.payload,
                  "A message's bytes as they were received; reading them is audited",
                  produces=CONTENT_TYPES[Format.HL7V2], also_produces=(CONTENT_TYPES[Format.FHIR],), refuses=(404,)),
            Route("POST", one + "/replay", p.MESSAGE_REPLAY, self.replay, "Process a message again",
                  gives=ReplayView, status=202, max_body=MAX_BODY, refuses=(404, 409)),
            Route("POST", "/api/messages/replay", p.MESSAGE_REPLAY, self.replay_all, "Process messages again",
                  takes=Replays, gives=ReplayedMessagesView, status=202, max_body=MAX_BODY),
            Route("GET", "/api/quarantine", p.MESSAGE_READ, self.quarantine,
                  "What is set aside, by feed and rule", gives=QuarantineView),
        )  # fmt: skip

    async def search(self, call: Call) -> Answer:
        search = _searched(call)
        with refusals_told():
            page = await self._desk.search(search, call.who)
        view = FoundMessagesView(
            items=tuple(map(MessageView.model_validate, page.items)),
            next=page.next,
            searched_to=_searched_to(page, search.limit),
        )
        return told(view)

    async def show(self, call: Call) -> Answer:
        with refusals_told():
            return told(_detail(await self._desk.show(path_id(call))))

    async def payload(self, call: Call) -> Answer:
        """As an attachment, never to be shown by a browser as a page of ours."""
        with refusals_told():
            message = await self._desk.payload(path_id(call), call.who)
        headers = {"Content-Disposition": "attachment", "Content-Security-Policy": "sandbox; default-src 'none'"}
        return Answer(200, message.payload, CONTENT_TYPES[message.format], headers)

    async def replay(self, call: Call) -> Answer:
        with refusals_told():
            try:
                attempt = await self._desk.replay(path_id(call), call.who)
            except NotReplayable as refused:
                raise Fault(409, str(refused)) from None
        return told(ReplayView(message=attempt), 202)

    async def replay_all(self, call: Call) -> Answer:
        ids = parsed(Replays, call.body).messages
        with refusals_told():
            replayed = await self._desk.replay_all(ids, call.who)
        return told(ReplayedMessagesView(items=tuple(map(ReplayedView.model_validate, replayed))), 202)

    async def quarantine(self, call: Call) -> Answer:
        with refusals_told():
            groups = await self._desk.quarantine()
        return told(QuarantineView(items=tuple(map(AsideGroupView.model_validate, groups))))


def _searched(call: Call) -> MessageSearch:
    states = words(call, "state", {state.value for state in MessageState})
    if len(states) > 1:
        raise Fault(400, "One state at a time", where="state")
    return MessageSearch(
        state=MessageState(states[0]) if states else None,
        feed=text(call, "feed"),
        type=text(call, "type"),
        control=text(call, "control"),
        encounter=text(call, "encounter"),
        number=text(call, "number"),
        rule=text(call, "rule"),
        since=moment(call, "since"),
        until=moment(call, "until"),
        text=text(call, "text"),
        before=number(call, "before", 0, LARGEST_ID) or None,
        limit=number(call, "limit", PAGE, MAX_PAGE),
    )


def _searched_to(page: MessagePage, limit: int) -> datetime | None:
    """Down to when was looked, where the search ended for another reason than that the page is full."""
    if page.next is None or len(page.items) >= limit:
        return None
    return moment_of(page.next).astimezone(UTC)


def _detail(shown: Shown) -> MessageDetailView:
    view = MessageView.model_validate(shown.message)
    return MessageDetailView.model_validate(
        {
            **{name: getattr(view, name) for name in MessageView.model_fields},
            "acknowledged": shown.acknowledged,
            "segments": [{"name": name, "count": count} for name, count in shown.segments],
            "attempts": shown.attempts,
        }
    )


_SEARCH = (
    Parameter("state", "The message's state", one_of(state.value for state in MessageState)),
    Parameter("feed", "The feed's name", TEXT),
    Parameter("type", "The beginning of the type, as ADT or ADT^A08", TEXT),
    Parameter("control", "The beginning of the control id that the sender gave", TEXT),
    Parameter("encounter", "The encounter's key", TEXT),
    Parameter("number", "A patient's, account's or visit's number, as value or authority|value", TEXT),
    Parameter("rule", "The beginning of the reason, as no-encounter-number", TEXT),
    Parameter("since", "Received from this instant on", INSTANT),
    Parameter("until", "Received before this instant", INSTANT),
    Parameter(
        "text", "Stands in the payload; needs message.payload, and one of since, control, encounter, number", TEXT
    ),
    Parameter("before", "The `next` of the page before", IDENTITY),
    Parameter("limit", f"At most {MAX_PAGE}", up_to(MAX_PAGE)),
)
