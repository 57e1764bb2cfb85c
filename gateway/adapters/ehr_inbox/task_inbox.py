"""A query as a Task with its Questionnaire at the EHR's FHIR server, read back from there (Da Vinci CDex)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.adapters.ehr_inbox.peer import FhirPeer, addressed
from gateway.inboxes.ports import Fault, Heard, InboxFault, Posted
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.questionnaire import questionnaire
from gateway.mappings.fhir.source import Numbers
from gateway.mappings.fhir.task import task_resource
from gateway.review.asked import AskedQuery

_DONE = frozenset({"completed", "rejected", "failed", "cancelled", "entered-in-error"})
_ANSWER = "QuestionnaireResponse/"


class TaskInbox:
    """The Tasks of one EHR. `base` gives our own FHIR address, under which the Questionnaire is known."""

    is_read_back = True

    def __init__(self, name: str, peer: FhirPeer, base: Callable[[], str]) -> None:
        self.name = name
        self._peer = peer
        self._base = base

    async def find(self, number: str) -> Sequence[str]:
        found = await self._peer.search("Task", {"identifier": f"{systems.QUERY_NUMBER}|{number}"})
        return addressed([task for task in found if task.get("status") not in ("cancelled", "entered-in-error")])

    async def put(self, asked: AskedQuery) -> Posted:
        """The form first: a Task never stands without it."""
        query, unless = asked.query, f"identifier={systems.QUERY_NUMBER}|{asked.query.number}"
        form = await self._peer.create(_new(questionnaire(query, self._base())), unless)
        numbers = Numbers(account=asked.account, visit=asked.visit)
        task = _new(task_resource(query, asked.patient, numbers, self._base(), asked.claim))
        return Posted(await self._peer.create(task, unless), form)

    async def look(self, reference: str) -> Heard:
        task, version = await self._peer.read(reference)
        if task.get("resourceType") != "Task":
            raise InboxFault(Fault.UNKNOWN, "no Task at its address")
        named = _response(task)
        if named is None or task.get("status") != "completed":
            return Heard(task, version)
        response, _ = await self._peer.read(named)
        return Heard(task, version, response)

    async def remind(self, reference: str, heard: Heard) -> None:
        await self._peer.update(reference, {**heard.resource, "priority": "urgent"}, heard.version)

    async def withdraw(self, reference: str, heard: Heard, reason: str) -> None:
        if heard.status in _DONE:
            return
        task = {**heard.resource, "status": "cancelled", "statusReason": {"text": reason}}
        task["businessStatus"] = {"text": "Withdrawn"}
        await self._peer.update(reference, task, heard.version)

    async def close(self) -> None:
        await self._peer.close()


def _new(resource: dict[str, Any]) -> dict[str, Any]:
    """As it is created elsewhere: the id and the version are the server's to give."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name == "profile"}
    written = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    return {**written, "meta": meta} if meta else written


def _response(task: dict[str, Any]) -> str | None:
    """The QuestionnaireResponse beside the Task that its output refers to."""
    outputs = task.get("output")
    for output in outputs if isinstance(outputs, list) else ():
        reference = output.get("valueReference") if isinstance(output, dict) else None
        named = reference.get("reference") if isinstance(reference, dict) else None
        if isinstance(named, str) and named.startswith(_ANSWER) and "/" not in named.removeprefix(_ANSWER):
            return named
    return None
