"""What a sender was told of its message, read from the answer that was kept with it."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from gateway.mappings.hl7v2.answer import Answer, read_answer
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.reply import BETWEEN
from gateway.message import Format, Message


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """MSA-1, or the HTTP status. `text` is the gateway's own, and names no patient."""

    code: str
    text: str | None = None


def acknowledged(message: Message) -> Acknowledged | None:
    """None when nothing was answered, as of a replay's own kind."""
    return acknowledgement(message.reply) if message.format is Format.HL7V2 else _status(message.reply)


def acknowledgement(reply: bytes) -> Acknowledged | None:
    """What the HL7 v2 acknowledgement `reply` says; None when it is none. Of two answers, both: `CA, AA`."""
    parts = [part for part in reply.split(BETWEEN) if part]
    answers = [(read_answer(part), part) for part in parts]
    codes = [answer.code for answer, _ in answers if answer is not None]
    if not codes:
        return None
    texts = [_text(part, answer) for answer, part in answers if answer is not None]
    return Acknowledged(", ".join(codes), next((text for text in texts if text), None))


def _text(reply: bytes, answer: Answer) -> str:
    return Er7Message.parse(reply).get("ERR-8") or answer.text or "; ".join(map(str, answer.errors))


def _status(reply: bytes) -> Acknowledged | None:
    """A list whose first item is the HTTP status: see the FHIR facade's submissions."""
    try:
        said = orjson.loads(reply)
    except orjson.JSONDecodeError:
        return None
    return Acknowledged(str(said[0])) if isinstance(said, list) and said and isinstance(said[0], int) else None
