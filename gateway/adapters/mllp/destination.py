"""A billing system on MLLP: one connection, one message at a time, each answered before the next.

MSA-2 must be the message's own MSH-10. A connection on which an answer is outstanding is never used again. What is done
upon which answer stands in a table (`gateway.config.answers`), not here.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.adapters.mllp.connection import Connection, Ended, Unreadable
from gateway.config.answers import BEFORE, UNCERTAIN, Action, Heard, Met, Rule, decide, defaults
from gateway.config.model import Mllp
from gateway.config.sending import AcknowledgementMode
from gateway.logs import logger
from gateway.mappings.hl7v2.answer import Answer, read_answer
from gateway.mappings.hl7v2.header import route
from gateway.release.model import Outcome, Result

CONNECT_SECONDS = 5.0
TURN_SECONDS = 10.0
"""How long a message waits for another one's answer before it is put off."""
HANDSHAKE_GRACE = 0.1
"""Seconds after a TLS handshake in which a receiver that refuses our certificate says so (in TLS 1.3 it does only
then): nothing has been sent yet."""

_FRAMING = (b"\x0b", b"\x1c")

log = logger("delivery")


@dataclass(frozen=True, slots=True)
class _Talk:
    """What one attempt came to: `met` when it was no acceptance, `told` for people. `kept`: CA came, and no verdict."""

    told: str
    met: Met | None = None
    kept: bool = False


WORDS: dict[Heard, str] = {
    Heard.REFUSED: "no connection",
    Heard.UNTRUSTED: "no trust: TLS did not come about",
    Heard.LOST: "the connection ended before the answer",
    Heard.NO_ANSWER: "no answer within the time limit",
    Heard.MISMATCH: "the answer is for another message",
    Heard.UNREADABLE: "the answer is no acknowledgement",
}


class _Unsure(Exception):
    """The attempt ended after its first byte and before a usable answer."""

    def __init__(self, heard: Heard) -> None:
        super().__init__(heard.value)
        self.heard = heard


class MllpDestination:
    """Sends claims to one receiver. `close` it at the end."""

    def __init__(self, settings: Mllp, tls: ssl.SSLContext | None = None) -> None:
        """`tls` when the address asks for it: see `client_tls`."""
        self._settings = settings
        self._tls = tls
        self._standing = defaults(settings.idempotent)
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None
        self._retried: Counter[str] = Counter()
        """How often a claim has met an answer whose retries are limited."""

    @property
    def name(self) -> str:
        return self._settings.name

    async def send(self, key: str, payload: bytes, resend: bool) -> Outcome:
        """One attempt, on the open connection or a new one."""
        wrong = _unsendable(key, payload)
        if wrong:
            return Outcome(result=Result.REJECTED, text=wrong)
        async with AsyncExitStack() as turn:
            try:
                async with asyncio.timeout(TURN_SECONDS):
                    await turn.enter_async_context(self._turn)
            except TimeoutError:
                return Outcome(result=Result.NOT_SENT, text="another message waits for its answer")
            talk = await self._talk(key, payload)
        return self._outcome(key, talk)

    def resend_safe(self, first_attempt: datetime, now: datetime) -> bool:
        """Within the window for which the receiver is configured to recognise control ids."""
        return self._settings.idempotent and now - first_attempt < timedelta(hours=self._settings.window_hours)

    async def inquire(self, key: str, payload: bytes) -> Outcome | None:
        """HL7 v2 has no question for a control id: it cannot say."""
        return None

    async def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()

    # ---- the wire

    async def _talk(self, key: str, payload: bytes) -> _Talk:
        try:
            connection = await self._ready()
        except ssl.SSLError:
            return _Talk(WORDS[Heard.UNTRUSTED], Met(Heard.UNTRUSTED))
        except (OSError, TimeoutError):
            return _Talk(WORDS[Heard.REFUSED], Met(Heard.REFUSED))
        try:
            connection.ask(payload)
            talk = await self._heard(connection, key)
            connection.answered()
        except _Unsure as unsure:
            connection.abort()
            return _Talk(WORDS[unsure.heard], Met(unsure.heard))
        except BaseException:
            connection.abort()  # cancelled, perhaps: its answer may still come
            raise
        return talk

    async def _ready(self) -> Connection:
        """The open connection when it can be trusted; else a new one. OSError or TimeoutError: nothing was sent."""
        standing, self._connection = self._connection, None
        if standing is not None:
            idle = time.monotonic() - standing.used
            if standing.usable and idle <= self._settings.idle_seconds:
                self._connection = standing
                return standing
            standing.close()
        self._connection = await self._open()
        return self._connection

    async def _open(self) -> Connection:
        settings, address = self._settings, self._settings.address
        name = (settings.tls.server_name or address.host) if self._tls else None
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(settings.max_answer), address.host, address.port, ssl=self._tls, server_hostname=name
            )
        if self._tls is not None:
            await connection.quiet(HANDSHAKE_GRACE)
        if not connection.usable:
            connection.abort()
            if self._tls is not None:
                raise ssl.SSLError("the receiver ended the connection after the handshake")
            raise ConnectionResetError("the receiver ended the connection at once")
        return connection

    async def _heard(self, connection: Connection, key: str) -> _Talk:
        """The verdict: the only answer, or in enhanced mode the one after CA."""
        answer = await self._answer(connection, key)
        if answer.code == "CA" and self._settings.acknowledgement is not AcknowledgementMode.COMMIT:
            verdict = await self._verdict(connection, key)
            if verdict is None:
                return _Talk("CA: received; its verdict did not come", kept=True)
            answer = verdict
        if answer.code in ("AA", "CA"):
            return _Talk(f"{answer.code}: taken")
        errors = tuple(error.code for error in answer.errors)
        told = "; ".join([answer.code, *(str(error) for error in answer.errors)])
        return _Talk(told, Met(Heard(answer.code), errors, answer.text))

    async def _verdict(self, connection: Connection, key: str) -> Answer | None:
        """The application's answer after CA; None, and the connection has ended, when it does not come."""
        try:
            answer = await self._answer(connection, key)
        except _Unsure:
            connection.abort()
            return None
        if answer.code == "CA":
            connection.abort()
            return None
        return answer

    async def _answer(self, connection: Connection, key: str) -> Answer:
        """The next answer, known to be `key`'s. Raises _Unsure."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                frame = await connection.answer()
        except TimeoutError:
            raise _Unsure(Heard.NO_ANSWER) from None
        except Unreadable:
            raise _Unsure(Heard.UNREADABLE) from None
        except Ended as end:
            raise _Unsure(Heard.UNTRUSTED if end.refused else Heard.LOST) from None
        answer = read_answer(frame)
        if answer is None or answer.code not in _CODES:
            raise _Unsure(Heard.UNREADABLE)
        if answer.control != key:
            log.error("delivery.answer_mismatch", destination=self.name)
            raise _Unsure(Heard.MISMATCH)
        return answer

    # ---- what it means

    def _outcome(self, key: str, talk: _Talk) -> Outcome:
        if talk.kept:
            return Outcome(result=Result.SENT, text=talk.told)
        if talk.met is None:
            self._retried.pop(key, None)
            return Outcome(result=Result.ACCEPTED, text=talk.told)
        rule = decide(self._settings.answers, self._standing, talk.met)
        action = self._limited(key, rule)
        result = _result(talk.met.heard, action)
        return Outcome(
            result=result,
            text=f"{talk.told}; {action.value}",
            parked=action is Action.PARK,
            suspends=action is Action.SUSPEND,
        )

    def _limited(self, key: str, rule: Rule) -> Action:
        """What the rule says; once its tries are used up a person decides."""
        if rule.tries is None:
            self._retried.pop(key, None)
            return rule.do
        self._retried[key] += 1
        if self._retried[key] < rule.tries:
            return Action.RETRY
        del self._retried[key]
        return Action.PARK


_CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})

_RESULTS: dict[Action, Result] = {
    Action.ACCEPT: Result.ACCEPTED,
    Action.RETRY: Result.NOT_SENT,
    Action.PARK: Result.UNKNOWN,
    Action.REJECT: Result.REJECTED,
    Action.SUSPEND: Result.NOT_SENT,
}


def _result(heard: Heard, action: Action) -> Result:
    """What became of the claim. Where the receiver may have it, no action makes it certain that it has not."""
    if heard in UNCERTAIN:
        return Result.UNKNOWN
    return Result.NOT_SENT if heard in BEFORE else _RESULTS[action]


def _unsendable(key: str, payload: bytes) -> str:
    """Why the bytes cannot be this delivery's message; empty when they can."""
    if any(sign in payload for sign in _FRAMING):
        return "the message holds a character that frames messages"
    if route(payload).control != key:
        return "the message's control id is not the delivery's key"
    return ""
