"""A query as a Communication at the EHR's FHIR server. It cannot be taken back: its Task, which it points at, says how
the query stands, and the answer comes to us.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.adapters.ehr_inbox.peer import FhirPeer, addressed
from gateway.inboxes.ports import Heard, Posted
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.communication import communication_resource
from gateway.mappings.fhir.source import Numbers
from gateway.review.asked import AskedQuery


class CommunicationInbox:
    """The Communications of one EHR. `base` gives our own FHIR address, under which the Task is read."""

    is_read_back = False

    def __init__(self, name: str, peer: FhirPeer, base: Callable[[], str]) -> None:
        self.name = name
        self._peer = peer
        self._base = base

    async def find(self, number: str) -> Sequence[str]:
        return addressed(await self._peer.search("Communication", {"identifier": f"{systems.QUERY_NUMBER}|{number}"}))

    async def put(self, asked: AskedQuery) -> Posted:
        numbers = Numbers(account=asked.account, visit=asked.visit)
        resource = communication_resource(asked.query, asked.patient, numbers, self._base())
        unless = f"identifier={systems.QUERY_NUMBER}|{asked.query.number}"
        return Posted(await self._peer.create(resource, unless))

    async def look(self, reference: str) -> Heard:
        resource, version = await self._peer.read(reference)
        return Heard(resource, version)

    async def remind(self, reference: str, heard: Heard) -> None:
        """Nothing: a second Communication would be a second query in the inbox."""

    async def withdraw(self, reference: str, heard: Heard, reason: str) -> None:
        """Nothing: these servers let no Communication be changed."""

    async def close(self) -> None:
        await self._peer.close()
