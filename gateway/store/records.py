"""Rows as records: the way back from `rows`. Pure; columns come in the order of `statements`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.audit.events import Action, Event
from gateway.case import Case, Draw
from gateway.encounter.change import Content
from gateway.encounter.model import Encounter
from gateway.message import Format, Message, MessageState
from gateway.release.model import Claim, Delivery, Suspension
from gateway.review.model import Decision, Hold, Query
from gateway.store.instants import instant
from gateway.store.interface import LeafBlock, ResourceVersion, Seal, StoredEvent, WorkItem

Found = Sequence[Any]
"""A row as the driver gives it."""


_FORMATS = {format_.value: format_ for format_ in Format}
_STATES = {state.value: state for state in MessageState}


def message(row: Found) -> Message:
    """With its bytes, when the statement asked for them."""
    id_, feed, format_, type_, control, received, state, reason, encounter, replay_of, *content = row
    return Message(
        id=id_,
        feed=feed,
        format=_FORMATS[format_],
        type=type_,
        control=control,
        received=instant(received),
        state=_STATES[state],
        payload=content[0] if content else b"",
        reply=content[1] if content else b"",
        reason=reason,
        encounter=encounter,
        replay_of=replay_of,
    )


def event(row: Found) -> StoredEvent:
    seq, digest, at, actor, action, subject, encounter, message_id, detail = row
    return StoredEvent(
        seq=seq,
        hash=digest,
        event=Event(
            at=instant(at),
            actor=actor,
            action=Action(action),
            subject=subject,
            encounter=encounter,
            message=message_id,
            detail=orjson.loads(detail),
        ),
    )


def delivery(row: Found) -> Delivery:
    """The bytes that are sent stand beside the body: JSON cannot carry them as they are."""
    _, body, payload = row
    found = Delivery.model_validate_json(body)
    return found if payload is None else found.model_copy(update={"payload": payload})


def suspension(row: Found) -> Suspension:
    destination, since, actor, reason = row
    return Suspension(destination=destination, since=instant(since), actor=actor, reason=reason)


def query(body: bytes) -> Query:
    return Query.model_validate_json(body)


def content(row: Found) -> Content:
    return Content(digest=row[0], content_type=row[1], body=row[2])


def resource(row: Found) -> ResourceVersion:
    type_, id_, version, client, message_id, written = row
    return ResourceVersion(type_, id_, version, client, message_id, instant(written))


def seal(row: Found) -> Seal:
    id_, size, last_seq, root, sealed, key_id, signature = row
    return Seal(id_, size, last_seq, root, instant(sealed), key_id, signature)


def leaf_block(row: Found) -> LeafBlock:
    return LeafBlock(number=row[0], leaves=row[1])


def work_item(row: Found, holds: Sequence[str]) -> WorkItem:
    key, stage, encounter_class, payer, coder, total, changed = row
    return WorkItem(key, stage, encounter_class, payer, coder, total, tuple(holds), instant(changed))


@dataclass(slots=True)
class _Parts:
    """What the tables hold about one case, until it is put together."""

    version: int = 0
    encounter: Encounter | None = None
    holds: list[Hold] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    def add_encounter(self, version: int, body: bytes | None) -> None:
        self.version = version
        self.encounter = None if body is None else Encounter.from_json(body)

    def add_hold(self, _: int, body: bytes) -> None:
        self.holds.append(Hold.model_validate_json(body))

    def add_query(self, _: int, body: bytes) -> None:
        self.queries.append(query(body))

    def add_decision(self, _: int, body: bytes) -> None:
        self.decisions.append(Decision.model_validate_json(body))

    def add_claim(self, _: int, body: bytes) -> None:
        self.claims.append(Claim.model_validate_json(body))

    def case(self, key: str) -> Case:
        """Lists in the order of their ids, which is that of their making."""
        return Case(
            key=key,
            version=self.version,
            encounter=self.encounter,
            holds=tuple(sorted(self.holds, key=_id)),
            queries=tuple(sorted(self.queries, key=_id)),
            decisions=tuple(sorted(self.decisions, key=_id)),
            draws=tuple(self.draws),
            claims=tuple(sorted(self.claims, key=_id)),
            deliveries=tuple(self.deliveries),
        )


_ADD: dict[str, Callable[[_Parts, int, bytes], None]] = {
    "encounters": _Parts.add_encounter,
    "holds": _Parts.add_hold,
    "queries": _Parts.add_query,
    "decisions": _Parts.add_decision,
    "claims": _Parts.add_claim,
}


def _id(item: Hold | Query | Decision | Claim) -> int:
    return item.id


def cases(
    keys: Sequence[str], bodies: Sequence[Found], draws: Iterable[Found], deliveries: Iterable[Found]
) -> dict[str, Case]:
    """The cases of `keys`; one that no row speaks of is an empty case of version 0."""
    parts = {row[1]: _Parts() for row in bodies}
    for table, key, number, body in bodies:
        _ADD[table](parts[key], number, body)
    for key, sample, frame, position, chosen in draws:
        parts[key].draws.append(Draw(sample, frame, position, bool(chosen)))
    for row in deliveries:
        one = delivery(row)
        parts[one.encounter].deliveries.append(one)
    return {key: parts[key].case(key) if key in parts else Case(key) for key in keys}
