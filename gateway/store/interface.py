"""What the services ask of a store. SQLite and PostgreSQL both pass the suite in `conformance/store.py`.

Every write is one `Step`: state, audit events and outbox rows commit together or not at all. Steps that wait at one
moment share one fsync. A step that was decided on rows that have changed meanwhile raises `Conflict`: read, decide and
commit again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from gateway.alert import Alert
from gateway.audit.events import Event
from gateway.case import Case
from gateway.encounter.change import Content
from gateway.lookup import Lookup, UnmappedCode
from gateway.message import Message, MessageState
from gateway.promise import Promise
from gateway.release.model import Delivery, DeliveryState, Suspension
from gateway.review.model import Query
from gateway.review.query_delivery import QueryDelivery
from gateway.store.access import Access, AccessToken, UsedAssertion
from gateway.store.fetches import Fetch, FetchStore
from gateway.store.queries import QueryShelf
from gateway.store.resources import Condition, HistorySearch, ResourceSearch, Value
from gateway.store.trail import TrailExport, TrailStore
from gateway.store.upkeep import ConfigurationVersion, Pass, PrunedEncounter, PrunedMessage, Upkeep


class Conflict(Exception):
    """A row that the step was decided on has changed: decide again."""


class StoreFault(Exception):
    """The database cannot serve: transient, nothing was committed."""


class Unstorable(ValueError):
    """A value that no database can hold: permanent, the step is wrong. Nothing of it was committed."""


class UncertainCommit(StoreFault):
    """The connection was lost during a commit: it may or may not stand."""


# Final, not frozen: one is made for every message, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class MessageOutcome:
    """A message leaves `RECEIVED` (or another state that it is expected in)."""

    id: Final[int]
    state: Final[MessageState]
    expected: Final[MessageState] = MessageState.RECEIVED
    reason: Final[str | None] = None
    encounter: Final[str | None] = None
    numbers: Final[tuple[str, ...]] = ()
    """Patient, account and visit numbers by which a message without an encounter is found."""


# Final, not frozen: one is made for every message, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class CaseChange:
    """A case before and after; the store writes what differs. `stage`, `total` and `due` are columns for lists."""

    before: Final[Case]
    after: Final[Case]
    fingerprint: Final[str]
    """Empty while nothing can be bound to it: codes are not final, and nobody has decided anything."""
    stage: Final[str]
    total: Final[Decimal] = Decimal(0)
    due: Final[datetime | None] = None
    """When the clock should look at the encounter again."""


@dataclass(frozen=True, slots=True)
class DeliveryChange:
    """Applied only if the row is still in state `expected` and, for an intent, at `attempts` before."""

    before: Delivery
    after: Delivery


@dataclass(frozen=True, slots=True)
class Attempt:
    """Written before the first byte of an attempt leaves. Unique (delivery, number)."""

    delivery: int
    number: int
    owner: str
    epoch: int
    payload_hash: str
    started: datetime


# Final, not frozen: one is made for every resource, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class ResourceVersion:
    """A FHIR resource that a client wrote: which message holds its bytes. Unique (client, type, id, version).

    Version n + 1 supersedes version n, which stands by then. `values` are what the newest version is found by, None for
    what the bytes say; they are written, and never read back.
    """

    type: Final[str]
    id: Final[str]
    version: Final[int]
    client: Final[str]
    message: Final[int]
    written: Final[datetime]
    values: Final[tuple[Value, ...] | None] = field(default=(), compare=False, repr=False)
    unless: Final[tuple[Condition, ...]] = field(default=(), compare=False, repr=False)
    """Conflict when a resource of the client and type that meets all of these stands at the moment of the commit. In a
    `Step` only, and at most `MAX_UNLESS`."""


@dataclass(slots=True)
class Step:
    """One commit. Lists are applied in the order of the fields."""

    messages: list[Message] = field(default_factory=list)
    resources: list[ResourceVersion] = field(default_factory=list)
    outcomes: list[MessageOutcome] = field(default_factory=list)
    contents: list[tuple[str, Content]] = field(default_factory=list)
    """(encounter key, content)"""
    cases: list[CaseChange] = field(default_factory=list)
    deliveries: list[DeliveryChange] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    query_deliveries: list[QueryDelivery] = field(default_factory=list)
    """New ones, of queries in `cases`."""
    query_delivery_moves: list[tuple[QueryDelivery, QueryDelivery]] = field(default_factory=list)
    """(before, after): applied only if the row is still in the state, and at the attempts, of before."""
    suspensions: list[Suspension] = field(default_factory=list)
    """One that stands already of the same destination stays."""
    resumptions: list[str] = field(default_factory=list)
    """Destinations whose suspension ends; nothing happens where none stands."""
    configurations: list[ConfigurationVersion] = field(default_factory=list)
    """Conflict when a version of that number stands already."""
    alerts: list[Alert] = field(default_factory=list)
    """Each replaces what stands of the same node, name and subject."""
    lookups: list[Lookup] = field(default_factory=list)
    """Each replaces what stands for the same feed, table and code."""
    passes: list[Pass] = field(default_factory=list)
    """Each replaces what stands of the same name."""
    pruned: list[PrunedMessage] = field(default_factory=list)
    pruned_encounters: list[PrunedEncounter] = field(default_factory=list)
    assertions: list[UsedAssertion] = field(default_factory=list)
    access_tokens: list[AccessToken] = field(default_factory=list)
    access_expired: list[datetime] = field(default_factory=list)
    """Assertions and tokens that expired before this moment go."""
    fetches: list[Fetch] = field(default_factory=list)
    """Each replaces what stands of the same client and id."""
    fetch_moves: list[tuple[Fetch, Fetch]] = field(default_factory=list)
    """(before, after): applied only if the row is still in the state, and at the attempts, of before."""
    trail_exports: list[TrailExport] = field(default_factory=list)
    trail_exports_ended: list[int] = field(default_factory=list)
    """These go; nothing happens where none stands."""
    trail_exports_expired: list[datetime] = field(default_factory=list)
    """Those that expired before this moment go."""
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its place in the trail and the hash that was stored with it."""

    seq: int
    hash: bytes
    event: Event


@dataclass(frozen=True, slots=True)
class Seal:
    """A signed head of the Merkle tree over the events' hashes."""

    id: int
    size: int
    """Leaves in the tree: events sealed so far."""
    last_seq: int
    root: bytes
    sealed: datetime
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class LeafBlock:
    """Up to `audit.seals.BLOCK` consecutive leaves, as they were sealed: for each, the event's place and hash."""

    number: int
    """Block 0 holds leaves 0 to BLOCK-1."""
    leaves: bytes
    """For each leaf 8 bytes of `seq` (big-endian) and 32 bytes of hash."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A line of the worklist."""

    key: str
    stage: str
    encounter_class: str | None
    payer: str | None
    coder: str | None
    total: str
    """Decimal text."""
    holds: tuple[str, ...]
    """`kind:rule` of each open hold."""
    changed: datetime


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """A search over messages; empty fields do not restrict."""

    state: MessageState | None = None
    feed: str | None = None
    control: str | None = None
    encounter: str | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class MessageSearch:
    """What an analyst looks for; empty fields do not restrict."""

    state: MessageState | None = None
    feed: str | None = None
    type: str | None = None
    """The beginning of the type: `ADT`, `ADT^A08`."""
    control: str | None = None
    """The beginning of the control id."""
    encounter: str | None = None
    number: str | None = None
    """A patient's, account's or visit's number, as `value`, or with its authority as `authority|value`."""
    rule: str | None = None
    """The beginning of the reason: of what was set aside, the rule."""
    since: datetime | None = None
    until: datetime | None = None
    """Received from `since` on and before `until`; aware."""
    text: str | None = None
    """Stands somewhere in the payload; the case of ASCII letters does not count."""
    before: int | None = None
    limit: int = 50
    scan: int = 50_000
    """How many messages are looked at, at most, before the search ends with what it has."""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages without payloads, newest first. `next` is what to give as `before` to go on; None when nothing is left.

    With fewer messages than were asked for and a `next`, the search ended at its limits: older ones were not looked at.
    """

    items: tuple[Message, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class AsideGroup:
    """Messages of one feed that were set aside for one reason. `text` is the newest one's whole reason."""

    feed: str
    rule: str
    text: str
    count: int
    oldest: datetime
    newest: datetime
    examples: tuple[int, ...]


class Store(QueryShelf, Upkeep, Access, FetchStore, TrailStore, Protocol):
    """One async interface. Reads see all that committed before they began."""

    async def open(self) -> None:
        """Connect, migrate, check. Raises StoreFault with a remedy when the database cannot be used safely."""
        ...

    async def close(self) -> None: ...

    async def commit(self, step: Step) -> None:
        """Commit durably. Raises Conflict, StoreFault or UncertainCommit."""
        ...

    def keep(self, message: Message, event: Event, resource: ResourceVersion | None = None) -> Promise[Message]:
        """Commit a received message and its event durably, grouped with others; the message that now stands.

        When (feed, control, payload) stands already, that earlier message, unchanged, and nothing is written.
        Conflict when the resource's version stands already.
        """
        ...

    async def pending(self, limit: int) -> list[Message]:
        """Unprocessed messages, oldest first."""
        ...

    async def backlog(self) -> int:
        """How many messages are unprocessed."""
        ...

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]:
        """The cases of `keys`; an unknown key gives an empty case of version 0."""
        ...

    async def encounters_by_number(
        self, numbers: Sequence[tuple[str, str, str, str]]
    ) -> dict[tuple[str, str, str, str], list[str]]:
        """Encounter keys by (facility, type, authority, value), type `AN` or `VN`."""
        ...

    async def encounters_having(self, number: tuple[str, str, str, str], limit: int) -> list[str]:
        """Keys, in order, of the encounters that a number of any type leads to: (facility, type, authority, value)."""
        ...

    async def due_encounters(self, now: datetime, limit: int) -> list[str]: ...

    async def message(self, id: int) -> Message | None: ...

    async def messages(self, query: MessageQuery) -> list[Message]:
        """Newest first, without payloads."""
        ...

    async def search_messages(self, search: MessageSearch) -> MessagePage:
        """Newest first, without payloads. Looks at `search.scan` messages at most, and for less than a second."""
        ...

    async def set_aside(self) -> list[AsideGroup]:
        """What is set aside now, by feed and rule, the largest group first."""
        ...

    async def attempts(self, message: int) -> list[int]:
        """The ids of the replays of a message, oldest first."""
        ...

    async def encounters_with(self, values: Sequence[str], authority: str | None = None) -> list[str]:
        """Keys of the encounters that any of these patient, account or visit numbers leads to, at most 1,000.

        With an `authority`, only by numbers that it gave.
        """
        ...

    async def controls_reused(self, ids: Sequence[int]) -> set[int]:
        """Those of the messages whose feed sent their control id before, with other content."""
        ...

    async def content(self, encounter: str, digest: str) -> Content | None: ...

    async def worklist(
        self, stages: Sequence[str], hold_kinds: Sequence[str], after: str, limit: int
    ) -> list[WorkItem]: ...

    async def queries_to_look_at(self, now: datetime, limit: int) -> list[Query]:
        """Open queries that the clock must look at by now, the longest due first."""
        ...

    async def query_deliveries(self, ehr: str, now: datetime, limit: int) -> list[QueryDelivery]:
        """Deliveries to an EHR that are not ended and whose time has come, or whose query is over; due ones first."""
        ...

    async def query_delivery(self, query: int) -> QueryDelivery | None: ...

    async def resource(self, client: str, type: str, id: str, version: int | None = None) -> ResourceVersion | None:
        """The named version, or the newest, of what `client` wrote: ids are each client's own."""
        ...

    async def catalogue(self) -> None:
        """Enter what has been kept among what is found. Whoever searches does it first; done ahead, nobody waits."""
        ...

    async def resources(self, search: ResourceSearch) -> list[ResourceVersion]:
        """A page of newest versions."""
        ...

    async def count_resources(self, search: ResourceSearch, most: int) -> int:
        """How many a search finds on all its pages; counting ends at `most`."""
        ...

    async def resource_history(self, search: HistorySearch) -> list[ResourceVersion]:
        """A page of versions, the newest first."""
        ...

    async def referring(self, client: str, reference: str) -> list[ResourceVersion]:
        """The newest versions of `client` that refer to `reference` (`Patient/5`), by their messages; of very many the
        last 1,000.
        """
        ...

    async def whole_messages(self, ids: Sequence[int]) -> dict[int, Message]:
        """Messages with their bytes, by id; an unknown id is left out."""
        ...

    async def due_deliveries(self, destination: str, now: datetime, limit: int) -> list[Delivery]:
        """Deliveries in `ready` whose time has come, oldest first."""
        ...

    async def deliveries(self, states: Sequence[DeliveryState], limit: int = 1000) -> list[Delivery]: ...

    async def suspensions(self) -> list[Suspension]:
        """The destinations that are suspended, by name."""
        ...

    async def lookups(self) -> list[Lookup]:
        """What analysts mapped, without what they took back."""
        ...

    async def unmapped(self) -> list[UnmappedCode]:
        """The codes that no table has, those that most encounters wait for first; at most 1,000."""
        ...

    async def waiting_for(self, feed: str, table: str, code: str, after: str = "", limit: int = 500) -> list[str]:
        """Keys of the encounters that wait for a code, in order, beyond `after`."""
        ...

    async def draw_counts(self) -> dict[tuple[str, str], int]:
        """How many draws each (sample, frame's unit) has had; read once at start."""
        ...

    async def counts(self) -> Mapping[str, Mapping[str, int]]:
        """`messages` by state, `holds` by kind (open), `deliveries` by state, `encounters` by stage."""
        ...

    def events(
        self, after: int = 0, *, encounter: str | None = None, since: datetime | None = None
    ) -> AsyncIterator[StoredEvent]:
        """Events in the trail's order, read in pages."""
        ...

    async def unsealed(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """(seq, hash) of events past `after`, in order, only those that no open transaction can still precede."""
        ...

    async def last_seal(self) -> Seal | None: ...

    def seals(self) -> AsyncIterator[Seal]: ...

    def leaf_blocks(self, first: int = 0) -> AsyncIterator[LeafBlock]: ...

    async def add_seal(self, seal: Seal, blocks: Sequence[LeafBlock]) -> None:
        """Write the seal and its new or grown blocks together. Conflict when another seal of that id stands."""
        ...

    async def highest_event(self) -> int:
        """The highest place ever given in the trail, as far as the database knows, deleted events included."""
        ...
