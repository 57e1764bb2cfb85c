"""How provider queries are put together: who is asked where, what the clock does about them, and the EHRs' inboxes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import httpx

from gateway.adapters.ehr_inbox import CommunicationInbox, FhirPeer, TaskInbox, limits
from gateway.adapters.fhir_client import server_at
from gateway.clock import Clock, Ids
from gateway.config.ehr import Ehr, InboxDelivery
from gateway.config.model import Config
from gateway.desk.chasing import Chasing
from gateway.desk.queries import QueryDesk
from gateway.desk.query_placing import Placement
from gateway.desk.query_report import asked_between, by_template
from gateway.desk.work import Work
from gateway.encounter.model import Encounter
from gateway.inboxes import Inbox, Inboxes
from gateway.review.query_template import QueryTemplate
from gateway.store.interface import Store
from gateway.upkeep.metrics import Metrics

CHASE_INTERVAL = timedelta(seconds=5)
INBOX_INTERVAL = timedelta(seconds=1)
MEASURE_INTERVAL = timedelta(minutes=1)
MEASURED = timedelta(days=30)

Tick = Callable[[], Awaitable[object]]


class Ticking(Protocol):
    def every(self, interval: timedelta, name: str, tick: Tick) -> None: ...


class Querying:
    """Provider queries of one gateway. `configuration` and `fhir_base` are asked at the moment: both may change."""

    def __init__(
        self,
        work: Work,
        store: Store,
        clock: Clock,
        ids: Ids,
        configuration: Callable[[], Config],
        fhir_base: Callable[[], str],
        metrics: Metrics,
    ) -> None:
        self.templates: Mapping[str, QueryTemplate] = {}
        """The templates in force."""
        self._store = store
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._fhir_base = fhir_base
        self.work = work
        self.placement = Placement(
            zone=lambda: configuration().zone,
            inbox=lambda encounter: inbox_of(encounter, configuration().ehrs),
            templates=lambda: self.templates,
            fhir_base=fhir_base,
        )
        self.desk = QueryDesk(work, self.placement)
        self._inboxes: list[Inbox] = []

    def begin(self, clockwork: Ticking, ehrs: Sequence[Ehr], client: httpx.AsyncClient) -> None:
        """Let the clock look at what is due, and each EHR's inboxes have what is theirs."""
        clockwork.every(CHASE_INTERVAL, "queries", Chasing(self.work, self.placement))
        clockwork.every(MEASURE_INTERVAL, "query-figures", self.measure)
        for ehr in ehrs:
            inbox = self._inbox(ehr, client)
            if inbox is not None:
                self._inboxes.append(inbox)
                inboxes = Inboxes(inbox, self._store, self.desk, self._clock, epoch=self._ids.next())
                clockwork.every(INBOX_INTERVAL, f"inbox {ehr.name}", inboxes.turn)

    async def close(self) -> None:
        """End what the inboxes hold open."""
        for inbox in self._inboxes:
            await inbox.close()

    async def measure(self) -> None:
        """Show how the queries of the last days fare."""
        now = self._clock.now()
        for line in by_template(await asked_between(self._store, now - MEASURED, now)):
            self._metrics.show_queries(line.template, line.open, line.agreement, line.median_hours)

    def _inbox(self, ehr: Ehr, client: httpx.AsyncClient) -> Inbox | None:
        if ehr.delivery is InboxDelivery.POLL or ehr.url is None:
            return None
        limited = limits(ehr.timeout_seconds)
        server = server_at(ehr.url, client, limited, self._clock, smart=ehr.smart, token=ehr.token)
        made = TaskInbox if ehr.delivery is InboxDelivery.TASK else CommunicationInbox
        return made(ehr.name, FhirPeer(server), self._fhir_base)


def inbox_of(encounter: Encounter, ehrs: Sequence[Ehr]) -> str | None:
    """The EHR that queries about the encounter are sent to: the first that takes it. None where it comes to us."""
    feeds = sources(encounter)
    ehr = next((each for each in ehrs if not each.feeds or feeds & set(each.feeds)), None)
    return None if ehr is None or ehr.delivery is InboxDelivery.POLL else ehr.name


def sources(encounter: Encounter) -> set[str]:
    """The feeds that told of the encounter's charges, codes or documents."""
    said = {document.source for document in encounter.documents} | {charge.source for charge in encounter.charges}
    said |= {diagnosis.source for diagnosis in encounter.diagnoses}
    said |= {procedure.source for procedure in encounter.procedures}
    return {feed for feed in said if feed}
