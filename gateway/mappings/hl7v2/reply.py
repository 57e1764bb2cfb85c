"""Which answers a sender asks for (MSH-15, MSH-16; table 0155), and those answers.

| MSH-15, MSH-16 | taken | not taken |
|---|---|---|
| both empty: original mode | AA | AE or AR |
| AL, empty or NE | CA | CE or CR |
| AL, AL | CA, then AA | CE or CR |
| NE or empty, AL | AA | AE or AR |
| NE, NE | nothing, or as in original mode | the same |

ER asks for an answer when a message is not taken, SU when it is. A field that holds nothing of table 0155 is empty; and
an empty one beside NE leaves original mode, for a sender that gets no answer must have said so twice. Silence must be
allowed besides: many senders that write NE wait for an answer, and would stop.
"""

from __future__ import annotations

from datetime import datetime

from gateway.mappings.hl7v2.ack import AckCode, AckError, acknowledge
from gateway.mappings.hl7v2.header import Header

BETWEEN = b"\x1c\r\x0b"
"""Parts the answers to one message: how MLLP ends one block and begins the next. No answer has it inside."""

_ORIGINAL = (False,)
_ON_SUCCESS = frozenset({b"AL", b"SU"})
_ON_REFUSAL = frozenset({b"AL", b"ER"})
_NEVER = b"NE"
_SAID = _ON_SUCCESS | _ON_REFUSAL | {_NEVER}


def reply(
    header: Header,
    code: AckCode,
    *,
    now: datetime,
    ack_id: str,
    error: AckError | None = None,
    silence: bool = False,
) -> bytes:
    """The answers to the message that `header` begins, parted by `BETWEEN`. When none is asked for it is empty with
    `silence`, and without that the answer of original mode.
    """
    modes = _ORIGINAL if len(header.fields) < 15 else asked(header, code is AckCode.ACCEPT)
    if not modes and not silence:
        modes = _ORIGINAL
    if len(modes) == 1:
        return acknowledge(header, code, now=now, ack_id=ack_id, error=error, commit=modes[0])
    ids = (ack_id, f"{ack_id}A")
    return BETWEEN.join(
        acknowledge(header, code, now=now, ack_id=id, error=error, commit=commit)
        for commit, id in zip(modes, ids, strict=False)
    )


def asked(header: Header, taken: bool) -> tuple[bool, ...]:
    """The answers in their order: True for one of the commit (CA, CE, CR), False for one of the application.

    A message that is not taken is never processed: what is answered then is one or the other, not both.
    """
    accept, application = (value if value in _SAID else b"" for value in (header.raw(15), header.raw(16)))
    if not (accept or application) or {accept, application} == {b"", _NEVER}:
        return _ORIGINAL
    wanted = _ON_SUCCESS if taken else _ON_REFUSAL
    answers = tuple(commit for commit, said in ((True, accept), (False, application)) if said in wanted)
    return answers if taken else answers[:1]
