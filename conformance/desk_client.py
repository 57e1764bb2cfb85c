"""People at the desk, by their tokens: what coders, CDI specialists and supervisors do over `/api`."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx


class Refused(Exception):
    """The gateway said no. `status` is HTTP's, `text` what the answer tells."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class DeskClient:
    """One person's connection to the desk. `url` is the gateway's, without a path."""

    def __init__(self, url: str, token: str, *, timeout: float = 10.0) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def worklist(self, **filters: str) -> Any:
        return await self._call("GET", "/api/worklist", params=filters)

    async def encounter(self, key: str) -> Any:
        return await self._call("GET", f"/api/encounters/{quote(key, safe=':')}")

    async def find(self, key: str) -> Any | None:
        """The encounter; None when the gateway has none of this key (yet)."""
        try:
            return await self.encounter(key)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def approve(self, key: str, fingerprint: str, comment: str = "") -> Any:
        return await self._post(key, "approve", {"fingerprint": fingerprint, "comment": comment})

    async def send_back(self, key: str, feedback: str) -> Any:
        """Return the encounter to its coder."""
        return await self._post(key, "return", {"feedback": feedback})

    async def resolve(self, key: str, hold: str, reason: str) -> Any:
        return await self._post(key, f"holds/{hold}/resolve", {"reason": reason})

    async def ask(self, key: str, query: dict[str, Any]) -> Any:
        """Ask a provider: kind, title, question, indicators, options, provider, due_days."""
        return await self._post(key, "queries", query)

    async def explained(self, key: str, field: str) -> Any:
        """Where the values at `field` come from: the message that counts first, then those that it overruled."""
        path = f"/api/encounters/{quote(key, safe=':')}/explanation"
        return (await self._call("GET", path, params={"field": field}))["items"]

    async def unmapped(self) -> Any:
        """The codes that no table has."""
        return (await self._call("GET", "/api/codes/unmapped"))["items"]

    async def map_code(self, feed: str, table: str, code: str, value: str) -> int:
        """Say what a sender's code means; how many encounters went on."""
        body = {"feed": feed, "table": table, "code": code, "value": value}
        return int((await self._call("PUT", "/api/codes", json=body))["went_on"])

    async def charges(self, since: datetime) -> Any:
        """What became of every charge, by feed and day."""
        return (await self._call("GET", "/api/charges", params={"since": since.isoformat()}))["items"]

    async def _post(self, key: str, what: str, body: dict[str, Any]) -> Any:
        return await self._call("POST", f"/api/encounters/{quote(key, safe=':')}/{what}", json=body)

    async def _call(self, method: str, path: str, **content: Any) -> Any:
        answer = await self._http.request(method, path, **content)
        if answer.is_error:
            raise refusal(answer)
        return answer.json() if answer.content else None


def refusal(answer: httpx.Response) -> Refused:
    """What an error says, of problem details (RFC 9457) or of an OperationOutcome; else its bare text."""
    try:
        said = answer.json()
        texts = [said["detail"]] if "detail" in said else [issue["diagnostics"] for issue in said["issue"]]
    except (ValueError, KeyError, TypeError):
        texts = [answer.text[:500]]
    return Refused(answer.status_code, "; ".join(map(str, texts)))
