"""Claims: their numbers and versions, frozen at release."""

from __future__ import annotations

from datetime import datetime

from gateway.encounter.billable import Billable
from gateway.release.model import Claim, Delivery, DeliveryState

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WIDTH = 13
"""Base-36 digits of a 63-bit id."""

FREQUENCIES: dict[tuple[DeliveryState | None, bool], str] = {
    (None, False): "1",
    (DeliveryState.REJECTED, False): "1",
    (DeliveryState.ACCEPTED, False): "7",
    (DeliveryState.ACCEPTED, True): "8",
}
"""What became of the claim before, and whether nothing is billed any more -> frequency. A missing key is the error:
there is nothing to void that was never taken, and nothing to correct while nobody knows whether it was."""


def claim_number(id: int) -> str:
    """CLM01 for a claim's id: fourteen letters and digits, unique as the id is; it says nothing of the patient.

    It begins with a letter, so that no spreadsheet takes it for a number.
    """
    if id < 0:
        raise ValueError("an id is not negative")
    digits = ""
    while id:
        id, rest = divmod(id, 36)
        digits = _DIGITS[rest] + digits
    return "C" + digits.rjust(_WIDTH, "0")


def freeze(
    *,
    id: int,
    billed: Billable,
    fingerprint: str,
    destination: str,
    approved_by: str,
    now: datetime,
    previous: Claim | None = None,
    delivered: DeliveryState | None = None,
    payer_reference: str | None = None,
) -> Claim:
    """The claim that leaves: `billed` under a number and version.

    `previous` is the encounter's last claim, `delivered` what became of it, `payer_reference` the payer's own control
    number of it. A later version keeps the number. With nothing billed any more it voids: it repeats what it voids,
    under the fingerprint of what stands now. ValueError when there is no such version (see FREQUENCIES).
    """
    void = previous is not None and not billed.lines
    frequency = FREQUENCIES.get((delivered if previous else None, void))
    if frequency is None:
        raise ValueError(f"no version can follow a claim whose delivery is {delivered}")
    content = previous.billed if void and previous else billed
    return Claim(
        id=id,
        number=previous.number if previous else claim_number(id),
        version=previous.version + 1 if previous else 1,
        frequency=frequency,
        replaces=payer_reference if frequency != "1" else None,
        encounter=str(billed.key),
        kind=content.kind,
        destination=destination,
        fingerprint=fingerprint,
        billed=content,
        approved_by=approved_by,
        released=now,
    )


def deliver(*, id: int, claim: Claim, now: datetime) -> Delivery:
    """The outbox row of a claim. Its key is the claim's number and version: the same for every attempt."""
    return Delivery(
        id=id,
        claim=claim.id,
        encounter=claim.encounter,
        destination=claim.destination,
        key=f"{claim.number}-{claim.version}",
        due=now,
        changed=now,
    )
