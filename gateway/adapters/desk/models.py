"""The bodies of /api. What goes out is listed field by field. Ids have 63 bits, so JSON carries them as strings."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    WrapSerializer,
)

from gateway.encounter.model import ClaimKind, DocumentKind, DocumentStatus, Encounter, Provider
from gateway.message import Format, MessageState
from gateway.release.model import DeliveryState
from gateway.review.model import (
    DecisionKind,
    HoldKind,
    HoldState,
    QueryDraft,
    QueryStatus,
    Severity,
)

ID_PATTERN = "^[1-9][0-9]{0,18}$"

Id = Annotated[int, PlainSerializer(str, return_type=str), Field(json_schema_extra={"pattern": "^[0-9]+$"})]


def dollars(amount: Decimal) -> str:
    """Two decimals, or as many as the amount has: nothing is rounded."""
    exponent = amount.as_tuple().exponent
    return f"{amount:.{max(2, -exponent)}f}" if isinstance(exponent, int) else str(amount)


def _in_dollars(encounter: Encounter, told: SerializerFunctionWrapHandler) -> object:
    """The stored form, with the charges' amounts written as amounts."""
    fields = told(encounter)
    for charge, told_charge in zip(encounter.charges, fields["charges"], strict=True):
        if charge.amount is not None:
            told_charge["amount"] = dollars(charge.amount)
    return fields


InDollars = Annotated[Encounter, WrapSerializer(lambda encounter, told: _in_dollars(encounter, told))]  # noqa: PLW0108
"""By a function without a return type, or else the description of the interface would not show an encounter."""
Money = Annotated[
    Decimal, PlainSerializer(dollars, return_type=str), Field(json_schema_extra={"pattern": r"^-?[0-9]+\.[0-9]{2,}$"})
]
Comment = Annotated[str, Field(min_length=1, max_length=4000)]


class View(BaseModel):
    """What goes out, read from the attributes of the gateway's own value."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Asked(BaseModel):
    """What comes in; an unknown field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Approval(Asked):
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of what the person saw; the approval is refused when it is another by now."""
    comment: Annotated[str, Field(max_length=4000)] | None = None


class ReturnToCoder(Asked):
    feedback: Comment


class Resolution(Asked):
    reason: Comment


class Settlement(Asked):
    """What a person found out about a delivery of which nobody knew whether it arrived."""

    outcome: Literal["accepted", "rejected", "again"]
    """`again` sends the same bytes under the same key once more."""
    reason: Annotated[str, Field(min_length=1, max_length=400)]


class WorkItemView(View):
    key: str
    stage: str
    encounter_class: str | None
    payer: str | None
    coder: str | None
    total: Money
    holds: tuple[str, ...]
    changed: datetime


class WorklistView(View):
    items: tuple[WorkItemView, ...]
    next: str | None = None
    """Give it as `after` for the next page."""


class HoldView(View):
    id: Id
    kind: HoldKind
    rule: str
    subject: str
    severity: Severity
    where: str
    text: str
    remedy: str
    source: str
    evidence: tuple[str, ...]
    state: HoldState
    opened: datetime
    due: datetime | None
    ended: datetime | None
    ended_by: str | None
    ended_reason: str | None
    query: Id | None


class DocumentView(View):
    id: str
    kind: DocumentKind
    type: str | None
    title: str | None
    status: DocumentStatus
    author: Provider | None
    written: datetime | None
    content_type: str | None
    digest: str | None
    size: int | None


class QueryView(View):
    id: Id
    number: str
    encounter: str
    version: int
    draft: QueryDraft
    status: QueryStatus
    status_reason: str | None
    asked_by: str
    asked: datetime
    due: datetime
    changed: datetime
    answer: str | None
    answer_option: str | None
    answered_by: str | None
    answered: datetime | None
    answered_in: str | None
    verbal: bool
    replaces: str | None
    reminders: int
    escalated: int
    agreed: bool | None


class DecisionView(View):
    id: Id
    kind: DecisionKind
    actor: str
    at: datetime
    fingerprint: str
    comment: str | None
    holds: tuple[Id, ...]


class ClaimView(View):
    id: Id
    number: str
    version: int
    frequency: str
    kind: ClaimKind
    destination: str
    fingerprint: str
    approved_by: str
    released: datetime


class DeliveryView(View):
    id: Id
    claim: Id
    encounter: str
    destination: str
    key: str
    state: DeliveryState
    attempts: int
    due: datetime
    outcome: str | None
    reference: str | None
    changed: datetime


class EncounterView(View):
    """An encounter with everything that was found and decided about it."""

    key: str
    version: int
    stage: str
    fingerprint: str
    total: Money
    encounter: InDollars
    holds: tuple[HoldView, ...]
    documents: tuple[DocumentView, ...]
    queries: tuple[QueryView, ...]
    decisions: tuple[DecisionView, ...]
    claims: tuple[ClaimView, ...]
    deliveries: tuple[DeliveryView, ...]


class RulingView(View):
    """What a decision came to."""

    key: str
    stage: str
    fingerprint: str
    open_holds: tuple[HoldView, ...]
    released: ClaimView | None = None
    query: QueryView | None = None


class MessageView(View):
    id: Id
    feed: str
    format: Format
    type: str
    control: str
    received: datetime
    state: MessageState
    reason: str | None
    encounter: str | None
    replay_of: Id | None


class MessagesView(View):
    items: tuple[MessageView, ...]
    next: Id | None = None
    """Give it as `before` for the next page."""


class AcknowledgedView(View):
    """What the sender was told: MSA-1 or the HTTP status."""

    code: str
    text: str | None


class SegmentView(View):
    name: str
    count: int


class MessageDetailView(MessageView):
    """A message without its payload. `attempts` are the replays of it."""

    acknowledged: AcknowledgedView | None
    segments: tuple[SegmentView, ...]
    attempts: tuple[Id, ...]


class FoundMessagesView(MessagesView):
    searched_to: datetime | None = None
    """The search ended at its limits: what was received before this moment was not looked at. Go on with `next`."""


class ReplayView(View):
    message: Id
    """The new attempt's own id."""


def _number(given: object) -> object:
    return int(given) if isinstance(given, str) and given.isascii() and given.isdecimal() else given


GivenId = Annotated[
    int,
    Field(ge=1, lt=2**63),
    BeforeValidator(_number),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, {"type": "string", "pattern": ID_PATTERN}]}
    ),
]
"""An id as it was told, or as a number."""


class Replays(Asked):
    """Messages to take again, at most 200."""

    messages: Annotated[tuple[GivenId, ...], Field(min_length=1, max_length=200)]


class ReplayedView(View):
    """What came of one: the new attempt's id, or why there is none."""

    message: Id
    attempt: Id | None
    refused: str | None


class ReplayedMessagesView(View):
    items: tuple[ReplayedView, ...]


class AsideGroupView(View):
    """Messages of a feed that were set aside by one rule; `text` is the newest one's reason."""

    feed: str
    rule: str
    text: str
    count: int
    oldest: datetime
    newest: datetime
    examples: tuple[Id, ...]


class QuarantineView(View):
    items: tuple[AsideGroupView, ...]


class MistakeView(View):
    file: str
    line: int | None
    key: str
    text: str
    remedy: str


class ProblemView(View):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request: str
    where: str | None = None
    mistakes: tuple[MistakeView, ...] | None = None
    """What is wrong with the configuration's files."""
