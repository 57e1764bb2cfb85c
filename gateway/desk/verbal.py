"""A query that was asked and answered by word of mouth: the same content, checks and record as one that was sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import Field

from gateway.case import Case
from gateway.desk.asking import asking, permitted
from gateway.desk.desk import Ruling, ruling
from gateway.desk.ports import Person
from gateway.desk.query_moves import answered
from gateway.desk.query_placing import Placement, kept_texts
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import Decided, Work, processed, user
from gateway.encounter.apply import apply
from gateway.encounter.change import Change
from gateway.encounter.model import Encounter
from gateway.encounter.record import Record
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.mapping import map_resource
from gateway.mappings.fhir.query import chosen
from gateway.mappings.fhir.questionnaire import questionnaire_response
from gateway.mappings.fhir.source import FhirSource
from gateway.message import Format, Received
from gateway.reference.npi import npi_is_valid
from gateway.review.model import Query, QueryDraft
from gateway.review.query_events import query_moved

FEED = "desk"
"""Under which a spoken answer is kept."""


class SpokenAnswer(Record):
    """What the provider said, as the person who heard it writes it down."""

    option: Annotated[str, Field(max_length=400)] | None = None
    """A choice, as the query words it."""
    text: Annotated[str, Field(max_length=4_000)] | None = None
    answered_by: str
    """NPI of who answered."""
    at: datetime | None = None
    """When; now when it is not said."""


class VerbalQueries:
    """Records spoken queries. Raises Refusal."""

    def __init__(self, work: Work, placement: Placement | None = None) -> None:
        self._work = work
        self._placement = placement or Placement()

    async def record(self, key: str, caller: Person, draft: QueryDraft, said: SpokenAnswer) -> tuple[Query, Ruling]:
        """Keep the query and its answer. UNACCEPTABLE when it would not have been asked so, or is not answered so."""
        permitted(caller)
        if not npi_is_valid(said.answered_by):
            raise Refusal(
                Reason.UNACCEPTABLE, "The answer names nobody", ["answered_by: Name who answered by the NPI."]
            )
        kept = await kept_texts(self._work.store, key, draft)

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[tuple[Query, Ruling]]:
            by = user(caller)
            asked = asking(self._work, self._placement, draft, case, encounter, kept, caller, now, verbal=True)
            query = asked.query
            resource, change = self._written(query, said, now)
            after = answered(query, change.answers[0], now, implied=True)
            received = Received(FEED, Format.FHIR, "QuestionnaireResponse", query.number, orjson.dumps(resource), b"")
            message, told = processed(received, change.message, case.key, now)
            advance = self._work.casework.advance(
                case,
                now=now,
                actor=by,
                encounter=apply(encounter, change, now),
                queries=(*case.queries, after),
                decisions=(asked.decision,),
                message=message.id,
            )
            events = (asked.event, *told, query_moved(query, after, now, by, message.id))
            return Decided(
                advance,
                events,
                lambda advanced: (after, ruling(advanced)),
                contents=change.contents,
                messages=(message,),
            )

        return await self._work.decide(key, decision)

    def _written(self, query: Query, said: SpokenAnswer, now: datetime) -> tuple[dict[str, Any], Change]:
        """The answer as a QuestionnaireResponse, and what it says of the encounter."""
        if said.at is not None and (said.at.tzinfo is None or said.at > now):
            raise Refusal(
                Reason.UNACCEPTABLE, "The answer's time cannot be", ["at: Give a past instant with its zone."]
            )
        if said.option is not None and chosen(query, said.option) is None:
            raise Refusal(Reason.UNACCEPTABLE, "The answer was not offered", ["option: Word it as the query does."])
        spoken = {
            "answer": said.text,
            "answer_option": said.option,
            "answered_by": said.answered_by,
            "answered": (said.at or now).astimezone(UTC),
        }
        try:
            resource = questionnaire_response(query.model_copy(update=spoken), self._placement.fhir_base())
            source = FhirSource(feed=FEED, facility="", queries={query.number: query})
            change = map_resource(resource, source, self._work.ids.next())
        except MappingError as wrong:
            raise Refusal(Reason.UNACCEPTABLE, "The answer is not one", [str(wrong)]) from None
        if not isinstance(change, Change):
            raise Refusal(Reason.UNACCEPTABLE, "The answer is not one")
        return resource, change
