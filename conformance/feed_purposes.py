"""What a feed's messages are for, and so what they must say: rows of canonical fields for each family.

A path with `[]` is asked of every item of a list; one that ends with it, that there is an item at all. A path of
several, parted by `|`, is met by any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance.hl7_referee import Weight


@dataclass(frozen=True, slots=True)
class Wanted:
    """A value that a claim cannot do without (error) or often needs (warning), and why."""

    path: str
    weight: Weight
    why: str


_E, _W = Weight.ERROR, Weight.WARNING

PURPOSES: dict[str, tuple[Wanted, ...]] = {
    "ADT": (
        Wanted("patient.identifiers", _E, "the patient's number: whose encounter it is"),
        Wanted("patient.name", _E, "837 loop 2010BA or 2010CA, NM103"),
        Wanted("patient.birth_date", _E, "837 loop 2010BA or 2010CA, DMG02"),
        Wanted("patient.sex", _W, "837 loop 2010BA or 2010CA, DMG03"),
        Wanted("patient.address", _W, "837 loop 2010BA or 2010CA, N3"),
        Wanted("visit.account|visit.number", _E, "the number that keys the encounter"),
        Wanted("visit.encounter_class", _W, "which form of claim, and which edits"),
        Wanted("visit.admitted", _W, "the day of admission, and which code sets are valid"),
        Wanted("coverages[].payer|coverages[].payer_name", _W, "837 loop 2010BB, NM103 and NM109"),
        Wanted("coverages[].member_id", _W, "837 loop 2010BA, NM109"),
        Wanted("coverages[].relationship", _W, "837 SBR02, PAT01"),
    ),
    "DFT": (
        Wanted("charges[]", _E, "a message of charges has charges"),
        Wanted("charges[].code", _E, "837 SV101 or SV202"),
        Wanted("charges[].units", _E, "837 SV104 or SV205"),
        Wanted("charges[].amount", _W, "837 SV102 or SV203"),
        Wanted("charges[].start", _E, "837 DTP 472"),
        Wanted("charges[].diagnoses", _W, "837 SV107: what the service was for"),
        Wanted("charges[].providers", _W, "837 loop 2310B or 2420A: who rendered it"),
    ),
    "BAR": (
        Wanted("diagnoses[]", _E, "a message of codes has codes"),
        Wanted("diagnoses[].code", _E, "837 HI"),
        Wanted("diagnoses[].rank", _W, "which diagnosis comes first"),
        Wanted("coding.coder", _W, "who coded it: policies go by the coder"),
        Wanted("coding.coded", _W, "when it was coded"),
    ),
    "MDM": (
        Wanted("documents[]", _E, "a message of documents has one"),
        Wanted("documents[].type", _W, "what kind of evidence the document is"),
        Wanted("documents[].status", _E, "only a final document supports a code"),
        Wanted("documents[].author", _W, "who wrote it"),
        Wanted("documents[].digest", _W, "the document's content, not only its announcement"),
    ),
}
"""Only of messages that the gateway uses; a cancel or a merge of a family is asked for nothing."""

REGISTRATIONS = frozenset({"A01", "A04", "A05", "A06", "A07"})
PERSONS = frozenset({"A28", "A31"})
ALWAYS = ("patient.identifiers", "visit.account|visit.number")
"""Of ADT, only a registration says all; another event may say no more than what it changes. A person has no visit."""

NOT_ASKED = frozenset({"A11", "A12", "A13", "A18", "A23", "A29", "A34", "A35", "A36", "A40", "A41", "A42", "A43"}) | {
    *("A44", "A45", "A47", "A49", "A50", "A51", "P06", "T11", "T01", "T03", "T05", "T07", "T09"),
}
"""Events that take something back, move it, or only announce it."""


def purpose(type: str) -> tuple[Wanted, ...]:
    """What messages of a type, as `ADT^A08`, must say."""
    family, _, event = type.partition("^")
    if event in NOT_ASKED:
        return ()
    rows = PURPOSES.get(family, ())
    if family != "ADT" or event in REGISTRATIONS:
        return rows
    if event in PERSONS:
        return tuple(row for row in rows if row.path.startswith("patient."))
    return tuple(row for row in rows if row.path in ALWAYS)
