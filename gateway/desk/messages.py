"""The analyst's desk: finding messages, looking into one, and taking them again. Who looked at what is in the trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.access.asking import origin
from gateway.access.roles import Permission, needed
from gateway.audit.events import Action, Event
from gateway.clock import Clock, Ids
from gateway.desk.acknowledged import Acknowledged, acknowledged
from gateway.desk.ports import Person
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import user
from gateway.intake.replay import NotReplayable, replay
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read
from gateway.mappings.hl7v2.er7 import Er7Error, Er7Message
from gateway.message import Format, Message
from gateway.store.interface import AsideGroup, MessagePage, MessageSearch, Step, Store

SHORTEST_TEXT = 3
BOUNDS = ("since", "control", "encounter", "number")
"""What a search for text must be bounded by, one at least: payloads are in no index."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A message, its payload left out. `segments`: how often each segment stands in it, in their order."""

    message: Message
    acknowledged: Acknowledged | None
    segments: tuple[tuple[str, int], ...]
    attempts: tuple[int, ...]
    """The replays of it, oldest first."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: the new attempt's id, or why there is none."""

    message: int
    attempt: int | None = None
    refused: str | None = None


class MessageDesk:
    """Every method raises Refusal, and StoreFault when the store cannot serve."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, on_replayed: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._on_replayed = on_replayed

    async def search(self, search: MessageSearch, caller: Person) -> MessagePage:
        """Newest first. UNACCEPTABLE for text without a bound, NOT_ALLOWED for text by who may not see payloads."""
        _bounded(search, caller)
        page = await self._store.search_messages(search)
        await self._told(caller, Action.MESSAGES_SEARCHED, "messages", None, None, _asked(search, page))
        return page

    async def show(self, id: int) -> Shown:
        message = await self._message(id)
        attempts = await self._store.attempts(id)
        return Shown(replace(message, payload=b""), acknowledged(message), _segments(message), tuple(attempts))

    async def payload(self, id: int, caller: Person) -> Message:
        """The message with its bytes. That it was read is in the trail before anything is shown."""
        message = await self._message(id)
        if not message.payload:
            raise Refusal(Reason.UNKNOWN, "The message's bytes are no longer kept")
        await self._told(caller, Action.MESSAGE_READ, f"message/{id}", message.encounter, id, {})
        return message

    async def replay(self, id: int, caller: Person) -> int:
        """A new attempt, linked to the message; its id. Raises NotReplayable."""
        await self._message(id)
        attempt = await replay(self._store, id, actor=user(caller), clock=self._clock, ids=self._ids)
        self._on_replayed()
        return attempt

    async def replay_all(self, ids: Sequence[int], caller: Person) -> list[Replayed]:
        """Each by itself, in the order of receipt: one that cannot be taken again keeps no other from it."""
        results = []
        for id in sorted(dict.fromkeys(ids)):
            try:
                results.append(Replayed(id, await self.replay(id, caller)))
            except (NotReplayable, Refusal) as refused:
                results.append(Replayed(id, refused=str(refused)))
        return results

    async def quarantine(self) -> list[AsideGroup]:
        """What is set aside now, by feed and rule."""
        return await self._store.set_aside()

    async def _message(self, id: int) -> Message:
        message = await self._store.message(id)
        if message is None:
            raise Refusal(Reason.UNKNOWN, "There is no message of this id")
        return message

    async def _told(
        self,
        caller: Person,
        action: Action,
        subject: str,
        encounter: str | None,
        message: int | None,
        detail: dict[str, object],
    ) -> None:
        told = {**detail, **origin(caller)}
        event = Event(self._clock.now(), user(caller), action, subject, encounter, message, told)
        await self._store.commit(Step(events=[event]))


def _bounded(search: MessageSearch, caller: Person) -> None:
    if search.text is None:
        return
    if Permission.MESSAGE_PAYLOAD not in caller.permissions:
        raise Refusal(Reason.NOT_ALLOWED, f"To search in payloads needs {needed(Permission.MESSAGE_PAYLOAD)}")
    if len(search.text) < SHORTEST_TEXT:
        raise Refusal(Reason.UNACCEPTABLE, f"Search for a text of {SHORTEST_TEXT} letters or more")
    if all(getattr(search, name) is None for name in BOUNDS):
        raise Refusal(
            Reason.UNACCEPTABLE,
            f"Payloads are in no index: bound a search for text by one of {', '.join(BOUNDS)}",
        )


_WORDS = ("state", "feed", "type", "control", "encounter", "number", "rule")


def _asked(search: MessageSearch, page: MessagePage) -> dict[str, object]:
    """What was asked, but never the text, which may be a name; and, of a search for a patient, what was shown."""
    asked = {name: str(value) for name in _WORDS if (value := getattr(search, name)) is not None}
    moments = {name: value.isoformat() for name in ("since", "until") if (value := getattr(search, name)) is not None}
    detail: dict[str, object] = {**asked, **moments, "found": len(page.items)}
    if search.text is not None:
        detail["text"] = True
    if search.text is not None or search.number is not None:
        detail["messages"] = [message.id for message in page.items]
    return detail


def _segments(message: Message) -> tuple[tuple[str, int], ...]:
    """For FHIR, the resource's type in the place of segments."""
    if message.format is Format.FHIR:
        try:
            kind = read(message.payload).get("resourceType")
        except MappingError:
            return ()
        return ((kind, 1),) if isinstance(kind, str) and kind.isalnum() else ()
    try:
        names = Er7Message.parse(message.payload).names
    except Er7Error:
        return ()
    return tuple(Counter(names).items())
