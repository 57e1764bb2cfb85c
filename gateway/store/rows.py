"""A step as rows: for each statement of `writes`, what it is given. Pure; both engines write the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

import orjson

from gateway.alert import Alert
from gateway.audit.events import Event
from gateway.case import Case, Draw
from gateway.encounter.change import Content
from gateway.encounter.identity import Identifier
from gateway.encounter.model import Coverage, Encounter
from gateway.encounter.record import Record
from gateway.lookup import Lookup
from gateway.message import Message
from gateway.release.model import Claim, Delivery, Suspension
from gateway.review.model import Decision, Hold, Query
from gateway.review.query_delivery import QueryDelivery
from gateway.store import writes
from gateway.store.fetches import Fetch, fetch_body
from gateway.store.instants import micros, micros_or_none
from gateway.store.interface import (
    Attempt,
    CaseChange,
    LeafBlock,
    MessageOutcome,
    Seal,
    Step,
)
from gateway.store.resource_rows import resource_rows
from gateway.store.texts import plain, plain_or_none
from gateway.store.trail_rows import export_rows
from gateway.store.upkeep import ConfigurationVersion, Pass
from gateway.store.writes import Row, Write

Batch = dict[Write, list[Row]]

ItemT = TypeVar("ItemT", Hold, Query, Decision, Claim, Delivery)

ACCOUNT = "AN"
VISIT = "VN"


def _body(record: Record) -> bytes:
    return record.as_json()


def message_row(message: Message) -> Row:
    """Only what a feed sent has a digest, and can be recognised when it comes again."""
    return (
        message.id,
        message.feed,
        message.format.value,
        plain(message.type),
        plain(message.control),
        None if message.replay_of is not None else message.digest or sha256(message.payload).digest(),
        message.state.value,
        plain_or_none(message.reason),
        message.encounter,
        micros(message.received),
        message.replay_of,
    )


def payload_row(message: Message) -> Row:
    return (message.id, message.payload, message.reply)


def event_row(event: Event) -> Row:
    """The event with its hash. It is hashed as it will be read back: its instant in UTC, its subject storable."""
    subject = plain(event.subject)
    if event.at.tzinfo is not UTC or subject is not event.subject:
        event = replace(event, at=event.at.astimezone(UTC), subject=subject)
    detail = event.written_detail()
    return (
        micros(event.at),
        event.actor,
        event.action.value,
        event.subject,
        event.encounter,
        event.message,
        detail,
        event.digest(detail),
    )


def _outcome_row(outcome: MessageOutcome) -> Row:
    return (
        outcome.id,
        outcome.expected.value,
        outcome.state.value,
        plain_or_none(outcome.reason),
        outcome.encounter,
    )


def _number_rows(outcome: MessageOutcome) -> list[Row]:
    return [(plain(value), outcome.id) for value in outcome.numbers]


def _content_row(encounter: str, content: Content) -> Row:
    return (encounter, content.digest, plain(content.content_type), content.body)


def identifier_rows(encounter: Encounter, key: str) -> set[Row]:
    """Every number that leads to the encounter: its account and visit numbers, its other numbers, its patient's. None
    leads to one that became part of another.
    """
    if encounter.merged_into is not None:
        return set()
    found: list[tuple[Identifier, str]] = [(i, i.type or "") for i in encounter.identifiers]
    found += [(i, i.type or "") for i in encounter.patient.identifiers]
    if encounter.visit.account is not None:
        found.append((encounter.visit.account, ACCOUNT))
    if encounter.visit.number is not None:
        found.append((encounter.visit.number, VISIT))
    facility = plain(encounter.key.facility)
    several = {(i.value, kind, i.authority or "") for i, kind in found}  # most of them stand there twice
    return {(plain(value), plain(kind), plain(authority), facility, key) for value, kind, authority in several}


def _numbers(before: Case, after: Case, into: Batch) -> None:
    if after.encounter is None:
        return
    now = identifier_rows(after.encounter, after.key)
    then = identifier_rows(before.encounter, before.key) if before.encounter is not None else set()
    if fresh := now - then:
        _add(into, writes.IDENTIFIERS, sorted(fresh))
    if gone := then - now:
        _add(into, writes.IDENTIFIERS_GONE, sorted(gone))


def _unmapped_rows(encounter: Encounter, key: str) -> set[Row]:
    """The codes of the encounter that no table has."""
    if encounter.merged_into is not None:
        return set()
    return {
        (plain(p.feed or ""), p.table, plain(p.value), key)
        for p in encounter.problems
        if p.table is not None and p.value is not None
    }


def _unmapped(before: Encounter | None, after: Encounter, key: str, into: Batch) -> None:
    if not after.problems and (before is None or not before.problems):
        return
    now = _unmapped_rows(after, key)
    then = _unmapped_rows(before, key) if before is not None else set()
    _add(into, writes.UNMAPPED, sorted(now - then))
    _add(into, writes.UNMAPPED_GONE, sorted(then - now))


def lookup_row(lookup: Lookup) -> Row:
    return (
        plain(lookup.feed),
        plain(lookup.table),
        plain(lookup.code),
        plain_or_none(lookup.value),
        lookup.actor,
        micros(lookup.changed),
    )


def _first_coverage(coverages: Sequence[Coverage]) -> Coverage | None:
    return min(coverages, key=lambda c: c.rank if c.rank is not None else 1_000, default=None)


def _listed(change: CaseChange, changed: int) -> Row:
    """The columns for lists."""
    encounter, due = change.after.encounter, micros_or_none(change.due)
    if encounter is None:
        return (change.stage, str(change.total), None, None, None, changed, due)
    first = _first_coverage(encounter.coverages)
    payer = None if first is None else first.payer_name or (first.payer.value if first.payer else None)
    kind = encounter.visit.encounter_class
    return (
        change.stage,
        str(change.total),
        kind.value if kind is not None else None,
        plain_or_none(payer),
        plain_or_none(encounter.coding.coder),
        changed,
        due,
    )


def _encounter(change: CaseChange, changed: int, into: Batch) -> None:
    before, after = change.before, change.after
    if after.version != before.version + 1 or after.key != before.key:
        raise ValueError("a case changes from the version that was read to the next one")
    listed = _listed(change, changed)
    body = after.encounter.to_json() if after.encounter is not None else None
    if before.version == 0:
        _add(into, writes.NEW_ENCOUNTERS, [(after.key, 1, body, change.fingerprint, *listed)])
    elif after.encounter is before.encounter:
        row = (after.key, before.version, after.version, change.fingerprint, *listed)
        _add(into, writes.ENCOUNTERS_REVIEWED, [row])
    else:
        row = (after.key, before.version, after.version, body, change.fingerprint, *listed)
        _add(into, writes.ENCOUNTERS, [row])


def _hold_row(hold: Hold, key: str) -> Row:
    return (hold.id, key, hold.kind.value, plain(hold.rule), hold.state.value, _body(hold))


def _hold_change(hold: Hold, key: str) -> Row:
    return (hold.id, key, hold.state.value, _body(hold))


def _query_row(query: Query, key: str) -> Row:
    provider = plain(query.draft.provider)
    changed, look = micros(query.changed), micros_or_none(query.look)
    people = (plain(query.asked_by), plain_or_none(query.answered_by))
    return (query.id, query.number, key, provider, query.status.value, changed, look, _body(query), *people)


def _query_change(query: Query, key: str) -> Row:
    changed, look = micros(query.changed), micros_or_none(query.look)
    return (query.id, key, query.status.value, changed, look, _body(query), plain_or_none(query.answered_by))


def _query_versions(new: Sequence[Query], changed: Sequence[tuple[Query, Query]]) -> list[Row]:
    """What can be read as a version of its own. When the clock looks at a query next is no part of it."""
    after = [query for before, query in changed if query.version != before.version]
    return [(query.id, query.version, _body(query)) for query in (*new, *after)]


def _query_delivery_row(row: QueryDelivery) -> Row:
    return (row.query, row.ehr, row.state.value, row.attempts, micros(row.due), _body(row))


def _query_delivery_change(before: QueryDelivery, after: QueryDelivery) -> Row:
    given = (after.query, before.state.value, before.attempts)
    return (*given, after.state.value, after.attempts, micros(after.due), _body(after))


def _claim_row(claim: Claim, key: str) -> Row:
    return (claim.id, claim.number, claim.version, claim.destination, key, _body(claim))


def _draw_row(draw: Draw, key: str) -> Row:
    return (plain(draw.sample), plain(draw.frame), draw.position, key, int(draw.chosen))


def _delivery_body(delivery: Delivery) -> bytes:
    return delivery.model_dump_json(exclude_defaults=True, exclude={"payload"}).encode()


def _delivery_row(delivery: Delivery) -> Row:
    return (
        delivery.id,
        delivery.claim,
        delivery.encounter,
        delivery.destination,
        delivery.state.value,
        delivery.attempts,
        micros(delivery.due),
        delivery.payload,
        _delivery_body(delivery),
    )


def _delivery_change(before: Delivery, after: Delivery) -> Row:
    return (
        after.id,
        before.state.value,
        before.attempts,
        after.state.value,
        after.attempts,
        micros(after.due),
        after.payload,
        _delivery_body(after),
    )


def _attempt_row(attempt: Attempt) -> Row:
    return (
        attempt.delivery,
        attempt.number,
        attempt.owner,
        attempt.epoch,
        attempt.payload_hash,
        micros(attempt.started),
    )


def _suspension_row(suspension: Suspension) -> Row:
    return (plain(suspension.destination), micros(suspension.since), suspension.actor, plain(suspension.reason))


def _configuration_row(version: ConfigurationVersion) -> Row:
    body = orjson.dumps(dict(version.files), option=orjson.OPT_SORT_KEYS)
    written = micros(version.written)
    return (version.number, version.node, version.digest, version.state.value, version.actor, written, body)


def _alert_row(alert: Alert) -> Row:
    since = micros(alert.since)
    return (alert.node, alert.name.value, alert.subject, alert.state.value, since, alert.text, int(alert.told))


def _pass_row(one: Pass) -> Row:
    return (one.name, one.about, one.place, int(one.done), micros(one.changed))


def _differing(before: Sequence[ItemT], after: Sequence[ItemT]) -> tuple[list[ItemT], list[tuple[ItemT, ItemT]]]:
    """(new, [(old, changed)]). What is the same object as before is not looked into."""
    if before is after:
        return [], []
    known = {item.id: item for item in before}
    new = [item for item in after if item.id not in known]
    changed = [(known[item.id], item) for item in after if item.id in known and known[item.id] is not item]
    return new, changed


def _immutable(before: Sequence[ItemT], after: Sequence[ItemT]) -> list[ItemT]:
    new, changed = _differing(before, after)
    if any(old != item for old, item in changed):
        raise ValueError("what was decided or released is never rewritten")
    return new


def _case(change: CaseChange, changed_at: int, into: Batch) -> None:
    before, after, key = change.before, change.after, change.after.key
    _encounter(change, changed_at, into)
    if after.encounter is not before.encounter:
        _numbers(before, after, into)
        if after.encounter is not None:
            _unmapped(before.encounter, after.encounter, key, into)
    new_holds, holds = _differing(before.holds, after.holds)
    _add(into, writes.NEW_HOLDS, [_hold_row(hold, key) for hold in new_holds])
    _add(into, writes.HOLDS, [_hold_change(hold, key) for _, hold in holds])
    new_queries, queries = _differing(before.queries, after.queries)
    _add(into, writes.NEW_QUERIES, [_query_row(query, key) for query in new_queries])
    _add(into, writes.QUERIES, [_query_change(query, key) for _, query in queries])
    _add(into, writes.QUERY_VERSIONS, _query_versions(new_queries, queries))
    decisions = _immutable(before.decisions, after.decisions)
    _add(into, writes.DECISIONS, [(decision.id, key, _body(decision)) for decision in decisions])
    if after.draws is not before.draws:
        _add(into, writes.DRAWS, [_draw_row(draw, key) for draw in after.draws if draw not in before.draws])
    _add(into, writes.CLAIMS, [_claim_row(claim, key) for claim in _immutable(before.claims, after.claims)])
    new_deliveries, deliveries = _differing(before.deliveries, after.deliveries)
    _add(into, writes.NEW_DELIVERIES, [_delivery_row(delivery) for delivery in new_deliveries])
    _add(into, writes.DELIVERIES, [_delivery_change(old, delivery) for old, delivery in deliveries])


def _add(into: Batch, write: Write, rows: list[Row]) -> None:
    if rows:
        into.setdefault(write, []).extend(rows)


def changed_at(step: Step, now: datetime) -> datetime:
    """When the step's cases changed: as its last event says, so that lists and audit trail tell one time."""
    return step.events[-1].at if step.events else now


def step_rows(step: Step, now: datetime) -> Batch:
    """All that the step writes. ValueError for what no engine can hold or a case that skips a version."""
    rows: Batch = {}
    _add(rows, writes.MESSAGES, [message_row(message) for message in step.messages])
    _add(rows, writes.PAYLOADS, [payload_row(message) for message in step.messages])
    for write, versions in resource_rows(step):
        _add(rows, write, versions)
    _add(rows, writes.OUTCOMES, [_outcome_row(outcome) for outcome in step.outcomes])
    _add(rows, writes.MESSAGE_NUMBERS, [row for outcome in step.outcomes for row in _number_rows(outcome)])
    _add(rows, writes.CONTENTS, [_content_row(key, content) for key, content in step.contents])
    changed = micros(changed_at(step, now))
    for change in step.cases:
        _case(change, changed, rows)
    _add(rows, writes.DELIVERIES, [_delivery_change(c.before, c.after) for c in step.deliveries])
    _add(rows, writes.NEW_QUERY_DELIVERIES, [_query_delivery_row(row) for row in step.query_deliveries])
    moved = [_query_delivery_change(before, after) for before, after in step.query_delivery_moves]
    _add(rows, writes.QUERY_DELIVERIES, moved)
    _add(rows, writes.LOOKUPS, [lookup_row(lookup) for lookup in step.lookups])
    _add(rows, writes.ATTEMPTS, [_attempt_row(attempt) for attempt in step.attempts])
    _add(rows, writes.SUSPENSIONS, [_suspension_row(suspension) for suspension in step.suspensions])
    _add(rows, writes.RESUMPTIONS, [(plain(destination),) for destination in step.resumptions])
    _upkeep(step, rows)
    _access(step, rows)
    _fetches(step, rows)
    for write, exports in export_rows(step):
        _add(rows, write, exports)
    _add(rows, writes.EVENTS, [event_row(event) for event in step.events])
    return rows


def _upkeep(step: Step, into: Batch) -> None:
    _add(into, writes.CONFIGURATIONS, [_configuration_row(version) for version in step.configurations])
    _add(into, writes.ALERTS, [_alert_row(alert) for alert in step.alerts])
    _add(into, writes.PASSES, [_pass_row(one) for one in step.passes])
    _add(into, writes.MESSAGES_PRUNED, [(one.id, one.state.value, one.reason) for one in step.pruned])
    _add(into, writes.PAYLOADS_PRUNED, [(one.id, b"") for one in step.pruned])
    _add(into, writes.NUMBERS_PRUNED, [(one.id,) for one in step.pruned])
    _add(into, writes.VALUES_PRUNED, [(one.id,) for one in step.pruned])
    _add(into, writes.RESOURCES_PRUNED, [(one.id, 0) for one in step.pruned])
    _add(into, writes.ENCOUNTERS_PRUNED, [(one.key, one.version, micros(one.at)) for one in step.pruned_encounters])


def _access(step: Step, into: Batch) -> None:
    expired: list[Row] = [(micros(moment),) for moment in step.access_expired]
    _add(into, writes.ASSERTIONS_EXPIRED, expired)
    _add(into, writes.ACCESS_TOKENS_EXPIRED, expired)
    _add(into, writes.ASSERTIONS, [(plain(a.client), a.digest, micros(a.expires)) for a in step.assertions])
    _add(
        into,
        writes.ACCESS_TOKENS,
        [(t.digest, plain(t.client), plain(t.scope), micros(t.expires)) for t in step.access_tokens],
    )


def _fetches(step: Step, into: Batch) -> None:
    newest = {(fetch.client, fetch.id): fetch for fetch in step.fetches}
    rows = [(plain(f.client), plain(f.id), *_fetch_row(f)) for f in newest.values()]
    _add(into, writes.FETCHES, [*rows])
    moves = [(plain(b.client), plain(b.id), b.state.value, b.attempts, *_fetch_row(a)) for b, a in step.fetch_moves]
    _add(into, writes.FETCHES_MOVED, [*moves])


def _fetch_row(fetch: Fetch) -> tuple[str, int, int, bytes]:
    return fetch.state.value, fetch.attempts, micros(fetch.due), fetch_body(fetch)


def seal_rows(seal: Seal, blocks: Sequence[LeafBlock]) -> Batch:
    row: Row = (seal.id, seal.size, seal.last_seq, seal.root, micros(seal.sealed), seal.key_id, seal.signature)
    rows: Batch = {writes.SEALS: [row]}
    _add(rows, writes.LEAF_BLOCKS, [(block.number, block.leaves) for block in blocks])
    return rows


def merged(batches: Sequence[Batch]) -> Batch:
    """One batch in which each statement's rows stand in the order of the steps."""
    if len(batches) == 1:
        return batches[0]
    whole: Batch = {}
    for batch in batches:
        for write, rows in batch.items():
            whole.setdefault(write, []).extend(rows)
    return whole
