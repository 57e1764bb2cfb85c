"""What a merge or a move says: a number is retired, another survives it, and what stood under it follows.

ADT^A18, A34 to A36, A40 to A45, A47, A49 to A51 (chapter 3, 3.6.2). The same few kinds cover all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import Patient
from gateway.encounter.renumbering import Numbered, Renumbering, same_number


class MergeKind(StrEnum):
    PATIENT = "patient"
    """A patient's number is retired (A18, A34, A40, A43, A47): every encounter under it gets the surviving one."""
    ACCOUNT = "account"
    """An account is retired (A35, A41, A49): its encounter becomes part of the surviving account's."""
    VISIT = "visit"
    """A visit number is retired (A42, A50, A51): its encounter becomes part of the surviving visit's."""
    MOVE_ACCOUNT = "move-account"
    """One account goes from one patient to another (A44): `subject` is the account, the numbers are the patients'."""
    MOVE_VISIT = "move-visit"
    """One visit goes from one account to another (A45): `subject` is the visit, the numbers are the accounts'."""


@dataclass(frozen=True, slots=True)
class Merge:
    """One pair: `retired` (MRG) gives way to `surviving` (PID, PV1). `where` is the place of MRG, as `MRG[1]-1`; the
    other two are the places of the surviving number and of the subject.
    """

    kind: MergeKind
    retired: Identifier
    surviving: Identifier
    subject: Identifier | None = None
    where: str = "MRG"
    survives_at: str = field(default="", compare=False)
    subject_at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Merges:
    """All that one message merges or moves, in its order.

    `patient` is what the message says of the surviving patient. `at` is when it happened, as the sender says.
    """

    message: int
    facility: str
    pairs: tuple[Merge, ...]
    at: datetime | None = None
    patient: Patient | None = None


_NUMBERED = {
    MergeKind.PATIENT: Numbered.PATIENT,
    MergeKind.ACCOUNT: Numbered.ACCOUNT,
    MergeKind.VISIT: Numbered.VISIT,
    MergeKind.MOVE_ACCOUNT: Numbered.PATIENT,
    MergeKind.MOVE_VISIT: Numbered.ACCOUNT,
}
"""What the two numbers of a pair name."""


def merged_change(merges: Merges, key: EncounterKey, numbers: Iterable[Identifier]) -> Change:
    """What the message means for one encounter, that has the account and visit `numbers`."""
    has = (*numbers, Identifier(value=key.number, authority=key.authority or None))
    renumbered = [each for pair in merges.pairs for each in _renumbering(pair, has)]
    return Change(merges.message, key, patient=merges.patient, renumbered=tuple(renumbered), at=merges.at)


def _renumbering(pair: Merge, has: Sequence[Identifier]) -> Iterator[Renumbering]:
    names = _NUMBERED[pair.kind]
    if pair.subject is not None:
        if _among(pair.subject, has):
            yield Renumbering(names=names, retired=pair.retired, surviving=pair.surviving, moved=True)
        elif names is Numbered.ACCOUNT and _among(pair.retired, has):
            # The account that the visit left: whatever a merge said before, the other account's number is not its own.
            yield Renumbering(names=names, retired=pair.surviving, surviving=pair.retired, moved=True)
    elif names is Numbered.PATIENT or _among(pair.retired, has) or _among(pair.surviving, has):
        yield Renumbering(names=names, retired=pair.retired, surviving=pair.surviving)


def _among(number: Identifier, numbers: Iterable[Identifier]) -> bool:
    return any(same_number(number, each) for each in numbers)
