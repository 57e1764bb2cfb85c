"""A provider's system: polls the gateway for the queries addressed to it, takes them up, and answers them.

It knows FHIR R4 and nothing of the gateway: Task search, update with If-Match, Questionnaire, QuestionnaireResponse.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from conformance.desk_client import refusal
from conformance.ehr_fhir import NPI_SYSTEM

Resource = dict[str, Any]

FHIR = "application/fhir+json"
MAX_PAGES = 20


class ProviderSystem:
    """The in-basket of one provider, by NPI. `url` is the gateway's FHIR base, as `http://host:port/fhir`."""

    def __init__(self, url: str, token: str, npi: str, *, timeout: float = 10.0) -> None:
        self.npi = npi
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {token}", "Accept": FHIR, "Content-Type": FHIR},
            timeout=timeout,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def inbox(self, status: str = "requested") -> list[Resource]:
        """The Tasks of this provider in `status`, every page of them."""
        params = {"owner:identifier": f"{NPI_SYSTEM}|{self.npi}", "status": status}
        page = (await self._call("GET", "Task", params=params)).json()
        tasks: list[Resource] = []
        for _ in range(MAX_PAGES):
            tasks += [
                entry["resource"] for entry in page.get("entry", ()) if entry["resource"]["resourceType"] == "Task"
            ]
            following = [link["url"] for link in page.get("link", ()) if link["relation"] == "next"]
            if not following:
                break
            page = (await self._call("GET", following[0])).json()
        return tasks

    async def take_up(self, task: Resource, status: str = "accepted") -> Resource:
        """The Task moved to `status`, unless someone changed it since it was read (Refused, 412)."""
        headers = {"If-Match": f'W/"{task["meta"]["versionId"]}"'}
        updated: Resource = (
            await self._call("PUT", f"Task/{task['id']}", json={**task, "status": status}, headers=headers)
        ).json()
        return updated

    async def questionnaire(self, task: Resource) -> Resource:
        """The form that the Task asks to be filled in, contained in it or behind its canonical address."""
        named = self.form(task)
        for inner in task.get("contained", ()):
            if inner["resourceType"] == "Questionnaire" and named in (f"#{inner['id']}", inner.get("url", "")):
                return dict(inner)
        form: Resource = (await self._call("GET", f"Questionnaire/{named.rsplit('/', 1)[-1].split('|')[0]}")).json()
        return form

    @staticmethod
    def form(task: Resource) -> str:
        """The canonical address of the Task's Questionnaire."""
        for value in task.get("input", ()):
            if "valueCanonical" in value:
                return str(value["valueCanonical"])
        raise ValueError("the Task names no Questionnaire")

    async def answer(self, task: Resource, *, option: str | None = None, text: str | None = None) -> Resource:
        """Answer by a QuestionnaireResponse: `option` as the form words it, `text` in the provider's own words."""
        form = await self.questionnaire(task)
        items = [item for question in form.get("item", ()) for item in _filled(question, option, text)]
        response = {
            "resourceType": "QuestionnaireResponse",
            "questionnaire": self.form(task),
            "status": "completed",
            "basedOn": [{"reference": f"Task/{task['id']}"}],
            "authored": datetime.now(UTC).isoformat(timespec="seconds"),
            "author": {"identifier": {"system": NPI_SYSTEM, "value": self.npi}},
            "item": items,
        }
        kept: Resource = (await self._call("POST", "QuestionnaireResponse", json=response)).json()
        return kept

    async def _call(self, method: str, path: str, **content: Any) -> httpx.Response:
        answer = await self._http.request(method, path, **content)
        if answer.is_error:
            raise refusal(answer)
        return answer


def _filled(question: Resource, option: str | None, text: str | None) -> list[Resource]:
    """The question with its answer; nothing for what is only shown. Groups are walked into."""
    inner = [item for each in question.get("item", ()) for item in _filled(each, option, text)]
    values = _values(question, option, text)
    if not values and not inner:
        return []
    filled: Resource = {"linkId": question["linkId"]}
    if values:
        filled["answer"] = values
    if inner:
        filled["item"] = inner
    return [filled]


def _values(question: Resource, option: str | None, text: str | None) -> list[Resource]:
    kind = question["type"]
    if kind in ("choice", "open-choice") and option is not None:
        codings = [choice["valueCoding"] for choice in question.get("answerOption", ()) if "valueCoding" in choice]
        return [{"valueCoding": coding} for coding in codings if coding.get("display") == option][:1]
    if kind == "boolean" and option is not None:
        return [{"valueBoolean": option.casefold() == "yes"}]
    return [{"valueString": text}] if kind in ("text", "string") and text is not None else []
