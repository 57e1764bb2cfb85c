"""Charges (FT1, chapter 6, 6.5.1): what each says, under an id of its own, and what it points to."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal

from gateway.encounter.change import Items, Places
from gateway.encounter.credits import COMPARED
from gateway.encounter.model import Charge, ChargeKind, CodeSystem
from gateway.mappings.hl7v2.actions import listed
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.codes import CHARGE, Code, Pointers, unknown_system
from gateway.mappings.hl7v2.diagnoses import DiagnosisList
from gateway.mappings.hl7v2.dialect import CHARGE_CODES, ChargeCode
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.plan import Span, Values, decided
from gateway.mappings.hl7v2.procedures import PERFORMERS
from gateway.mappings.hl7v2.reading import CODE_UNMAPPED, Reading

_PERFORMERS = ("rendering", "ordering", "supervising")
_BILLED = frozenset({ChargeKind.CHARGE, ChargeKind.CREDIT})
_MARKS = {
    ChargeKind.CREDIT: "CD",
    ChargeKind.PAYMENT: "PY",
    ChargeKind.ADJUSTMENT: "AJ",
    ChargeKind.COPAYMENT: "CO",
}
"""What sets the id of a credit apart from its charge's: sites send both under one FT1-2."""


@dataclass(frozen=True, slots=True)
class Charges:
    """All that a message says of charges."""

    items: Items[Charge] | None
    counted: int
    """How many FT1 segments there are, whatever was read of them."""
    passed_over: int
    """How many of those are no charges, as the dialect says."""
    match: tuple[str, ...]
    """What a credit and its charge have in common, as the dialect says."""


class ChargeList:
    """The charges of one message, in its order. None is left out, whatever is missing from it."""

    def __init__(self, reading: Reading, source: FeedProfile, message_id: int, coded: CodedParts) -> None:
        self._reading = reading
        self._source = source
        self._diagnoses = coded.listed
        self._procedures = coded.done
        self._plan = source.dialect.plans["charges"]
        self._pointed = self._plan.place("diagnoses")
        self._systems = source.dialect.lookups["procedure_system"]
        self._ids: set[str] = set()
        self._digest = ""
        self.places: list[Places] = []
        self._beside = _beside(reading, coded.listed)
        self._said: list[Values] = []
        problems, noted = reading.problems, len(reading.problems)
        plan, said, places = self._plan, self._said, self.places
        for number, span, values, mask in plan.each(reading):
            mask = self._charge(values, number, span, mask)
            if len(problems) > noted:
                reading.attribute(str(values["id"]), noted)
                noted = len(problems)
            places += plan.places(mask, len(said), number)
            values["source"] = source.name
            values["origin"] = f"{message_id} FT1[{number}]"
            said.append(values)
        counted = len(reading.message.positions("FT1"))
        self._passed_over = counted - len(said) if "charges" in source.dialect.only else 0

    def charges(self) -> Charges:
        """The charges, and how they are to be taken. The count is of segments, apart from what was read of them."""
        replaced = "charges" in self._source.replaces("DFT")
        said = listed(tuple([Charge.unchecked(values) for values in self._said]), (), replaced=replaced)
        counted = len(self._reading.message.positions("FT1"))
        rule = self._source.dialect.credits
        return Charges(said, counted, self._passed_over, () if rule == COMPARED else rule)

    def _charge(self, values: Values, number: int, span: Span, mask: int) -> int:
        """Turn what the fields said into a charge's values; the mask of places that still count."""
        kind = values.get("kind")
        if not isinstance(kind, ChargeKind):
            kind = values["kind"] = self._unsaid_kind(number)
        id = values.get("id")
        if not isinstance(id, str) or kind is not ChargeKind.CHARGE or id in self._ids:
            id = values["id"] = self._id(id, kind, number)
        self._ids.add(id)
        mask = self._code(values, number, span, mask)
        if "unit_amount" in values:
            mask = self._amount(values, number, mask)
        self._procedure(values, span)
        values["diagnoses"] = self._pointers(values.get("diagnoses"), number, span)
        if kind is not ChargeKind.CREDIT:
            values.pop("reverses", None)
        return mask

    def _unsaid_kind(self, number: int) -> ChargeKind:
        """What a charge without a known transaction type is: by the dialect's table, else a charge with a problem."""
        self.places.append(decided(f"charges[{len(self._said)}]", "kind", "tables.transaction"))
        kind = self._source.dialect.lookups["transaction"].get("")
        if isinstance(kind, ChargeKind):
            return kind
        text = "the transaction type is missing or unknown: whether it is a charge must be decided by hand"
        self._problem("transaction-unknown", number, "kind", text)
        return ChargeKind.CHARGE

    def _id(self, said: object, kind: ChargeKind, number: int) -> str:
        """The sender's transaction id; else, the same for the same bytes, the message's digest and the position."""
        id = said if isinstance(said, str) else f"{self._message_digest()}.{number}"
        mark = _MARKS.get(kind)
        if mark is not None:
            id = f"{id}.{mark}"
        if id in self._ids:
            text = "the transaction id stands twice in the message; both are kept"
            self._problem("charge-id-repeated", number, "id", text)
            id = f"{id}.{number}"
        return id

    def _problem(self, rule: str, number: int, field: str, text: str) -> None:
        self._reading.problem(rule, f"FT1[{number}]-{self._plan.place(field)}", text)

    def _message_digest(self) -> str:
        if not self._digest:
            self._digest = hashlib.sha256(self._reading.message.encode()).hexdigest()[:16]
        return self._digest

    def _code(self, values: Values, number: int, span: Span, mask: int) -> int:
        chosen, beside = values.pop("code", None), values.pop("system", None)
        if isinstance(chosen, Code) and chosen.system is None:
            chosen = self._of_system(chosen, beside, values, number)
        local = values.get("local_code")
        if isinstance(chosen, Code):
            values["code"], values["system"] = chosen
            if not isinstance(local, str) or chosen.code == local.upper():
                values.pop("local_code", None)
                return self._plan.without(mask, "local_code")
            if "code" in self._plan.several:
                self._other_code(chosen, number, span)
            return mask
        known = self._source.dialect.charge_codes.get(local) if isinstance(local, str) else None
        if known is not None:
            self._look_up(values, known, number, mask)
        elif values["kind"] in _BILLED:
            self._unmapped(local if isinstance(local, str) else None, number, span)
        return mask

    def _of_system(self, chosen: Code, beside: object, values: Values, number: int) -> Code | None:
        """A code that says no system itself: of the one that the dialect says. One that charges are not billed by makes
        it a local code. Where nothing says any, its form decides; but not against the dialect's charge_codes.
        """
        found = chosen.named(beside, self._systems, CHARGE)
        if found.system is CodeSystem.LOCAL:
            values.setdefault("local_code", chosen.code)
            return None
        known = self._source.dialect.charge_codes.get(chosen.code) if found.system is None else None
        if known is not None and known.code != chosen.code:
            text = "says no system: by its form it is billable as it stands, by charge_codes it means another code"
            self._problem("charge-code-ambiguous", number, "code", text)
        return found

    def _unmapped(self, local: str | None, number: int, span: Span) -> None:
        """Report a charge without a billable code, and which of the sender's codes could be mapped to mend it."""
        said = "no code" if local is None else "no code of a system that charges are billed by"
        text = f"the charge has {said}; map it in the dialect's charge_codes or mend it at its source"
        reading, where = self._reading, f"FT1[{number}]-{self._plan.place('code')}"
        reading.problem("charge-unmapped", where, text, table=CHARGE_CODES, value=local)
        for place, raw, at in self._plan.texts(reading, "code", span):
            name = unknown_system(reading, raw, at, self._systems)
            if name is not None:
                text = "the name of the code's system is not in the dialect's table procedure_system"
                where = f"FT1[{number}]-{place}"
                reading.problem(CODE_UNMAPPED, where, text, table="procedure_system", value=name)

    def _look_up(self, values: Values, known: ChargeCode, number: int, mask: int) -> None:
        """What charge_codes say of a local code: modifiers and revenue code unless the charge has its own."""
        said: Values = {"code": known.code, "system": known.system}
        for name, value in (("modifiers", known.modifiers), ("revenue_code", known.revenue_code)):
            if value and name not in values:
                said[name] = value
        values.update(said)
        self.places += self._plan.looked_up(mask, "local_code", CHARGE_CODES, said, len(self._said), number)

    def _other_code(self, chosen: Code, number: int, span: Span) -> None:
        """Report another place of the code that says another code of a system that charges are billed by."""
        for place, other in self._plan.alternatives(self._reading, "code", span):
            if isinstance(other, Code) and other.system is not None and other.code != chosen.code:
                text = "names another billable code than the one taken; leave the wrong place out of the dialect"
                self._reading.problem("charge-code-differs", f"FT1[{number}]-{place}", text)

    def _amount(self, values: Values, number: int, mask: int) -> int:
        """The line's amount; where it is not said, of that for one unit. Where both are said they must agree."""
        each, units, said = values.pop("unit_amount", None), values.get("units"), values.get("amount")
        if isinstance(each, Decimal) and isinstance(units, Decimal):
            if "amount" not in values:
                values["amount"] = each * units
                return mask
            if isinstance(said, Decimal) and said != each * units and abs(said) != abs(each * units):
                place = self._plan.place("unit_amount")
                text = f"is not the units times the amount for one (FT1-{place}): which is the line's must be made sure"
                self._problem("charge-amount-differs", number, "amount", text)
        return self._plan.without(mask, "unit_amount")

    def _procedure(self, values: Values, span: Span) -> None:
        """The providers, and what the charge's own procedure (PR1) says that the charge does not."""
        providers = [p for n in _PERFORMERS if (p := values.pop(n, None)) is not None]
        claimed = self._procedures.claim(span, values.get("code"))
        if claimed is not None:
            procedure, index = claimed
            taken: list[str] = []
            if not providers:
                taken = [n for n in PERFORMERS if procedure.get(n) is not None]
                providers = [procedure[n] for n in taken]
            if not values.get("modifiers") and procedure.get("modifiers"):
                values["modifiers"] = procedure["modifiers"]
                taken.append("modifiers")
            if taken:
                self.places += self._procedures.places_of(index, taken, f"charges[{len(self._said)}]")
        if not values.get("modifiers"):
            values.pop("modifiers", None)
        values["providers"] = tuple(providers)

    def _pointers(self, codes: object, number: int, span: Span) -> tuple[str, ...]:
        """The codes of FT1-19, first pointer first; without any, those of the DG1 segments that stand beside it."""
        if isinstance(codes, Pointers):
            return self._diagnoses.point(codes, number, self._pointed)
        first, last = bisect_left(self._beside, (span[0], "")), bisect_left(self._beside, (span[1], ""))
        beside = self._beside[first:last]
        if beside:
            segments = self._reading.message.positions("DG1")
            numbers = [f"DG1[{bisect_left(segments, position) + 1}]" for position, _ in beside]
            place = ", ".join(["3", *(f"{each}-3" for each in numbers[1:])])
            self.places.append(Places(f"charges[{len(self._said)}]", numbers[0], {"diagnoses": place}))
        return tuple(dict.fromkeys(code for _, code in beside))


def _beside(reading: Reading, diagnoses: DiagnosisList) -> list[tuple[int, str]]:
    """The DG1 segments that belong to the charge before them.

    After the last of several charges they describe the visit (the structure DFT_P03), so a charge owns them only where
    they stand between charges too, or where there is but one charge.
    """
    charges = reading.message.positions("FT1")
    if not charges or not diagnoses.positions:
        return []
    between = any(charges[0] < position < charges[-1] for position, _ in diagnoses.positions)
    return diagnoses.positions if between or len(charges) == 1 else []
