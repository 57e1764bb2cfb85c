"""Credits: which charge each takes back, and whether it takes back the whole of it."""

from __future__ import annotations

from decimal import Decimal

from gateway.encounter.model import Charge, ChargeKind


def match_credits(charges: tuple[Charge, ...]) -> tuple[Charge, ...]:
    """Ties each unmatched credit to a charge that nothing reverses yet and that has in common with it what its feed's
    rule says, or else code, date, units and amount.

    Among several the first in order is taken when they are equal in all that is billed: then it is all one which is
    taken back. Otherwise, and with none, the credit stays unmatched and is found by the edits.
    """
    if not any(c.kind is ChargeKind.CREDIT and c.reverses is None for c in charges):
        return charges
    reversed_ids = {c.reverses for c in charges if c.reverses}
    result = list(charges)
    for index, credit in enumerate(charges):
        if credit.kind is not ChargeKind.CREDIT or credit.reverses:
            continue
        alike = [c for c in charges if c.kind is ChargeKind.CHARGE and c.id not in reversed_ids and _offsets(credit, c)]
        if alike and all(_billed_alike(alike[0], other) for other in alike[1:]):
            reversed_ids.add(alike[0].id)
            result[index] = credit.model_copy(update={"reverses": alike[0].id})
    return tuple(result)


def _billed_alike(one: Charge, other: Charge) -> bool:
    """Whether two charges differ in nothing but their names and where they came from."""
    unnamed = {"id": "", "source": None, "origin": None}
    return one.model_copy(update=unnamed) == other.model_copy(update=unnamed)


COMPARED = ("code", "local_code", "modifiers", "start", "units", "amount")
"""What a credit and its charge have in common where the feed has no rule of its own."""


def _offsets(credit: Charge, charge: Charge) -> bool:
    return all(_alike(getattr(credit, name), getattr(charge, name)) for name in credit.match or COMPARED)


def _alike(one: object, other: object) -> bool:
    """Units and amounts are compared by their size: senders write a credit's with a minus, or without."""
    if isinstance(one, Decimal) or isinstance(other, Decimal):
        return abs(Decimal(str(one or 0))) == abs(Decimal(str(other or 0)))
    return one == other


def _takes_back_whole(credit: Charge, charge: Charge) -> bool:
    """Whether a credit that names its charge is for all of it; what the credit does not say is not held against it."""
    said = ((credit.units, charge.units), (credit.amount, charge.amount))
    return all(of is None or abs(of) == abs(whole or 0) for of, whole in said)


def _settled(charges: tuple[Charge, ...]) -> dict[str, str]:
    """Each charge that is taken back whole -> the credit that does so, the first one."""
    by_id = {c.id: c for c in charges if c.kind is ChargeKind.CHARGE}
    settled: dict[str, str] = {}
    for credit in charges:
        charge = by_id.get(credit.reverses or "") if credit.kind is ChargeKind.CREDIT else None
        if charge is not None and _takes_back_whole(credit, charge):
            settled.setdefault(charge.id, credit.id)
    return settled


def taken_back(charges: tuple[Charge, ...]) -> frozenset[str]:
    """The ids of the charges that a credit takes back whole. A part taken back leaves the charge, for a person."""
    if not any(c.kind is ChargeKind.CREDIT for c in charges):
        return frozenset()
    return frozenset(_settled(charges))


def unmatched(charges: tuple[Charge, ...]) -> list[tuple[int, Charge]]:
    """The credits, with their positions, that take back no charge, a part of one, or one that is taken back already:
    only a person can tell what is left to bill.
    """
    if not any(c.kind is ChargeKind.CREDIT for c in charges):
        return []
    matched = set(_settled(charges).values())
    return [(n, c) for n, c in enumerate(charges) if c.kind is ChargeKind.CREDIT and c.id not in matched]
