"""An encoder: returns final codes as BAR^P05, the form that HL7 v2.4 and later give to coded accounts (6.4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from conformance.ehr import dg1, escape, header, message, pid, pv1, segment, timestamp
from conformance.hospital import Visit


def final_codes(
    visit: Visit,
    control: str,
    sent: datetime,
    *,
    diagnoses: Sequence[str] | None = None,
    coder: str | None = None,
) -> bytes:
    """The visit's final diagnoses (DG1-6 `F`), by its coder (EVN-5). `diagnoses` when they differ from the visit's."""
    codes = visit.diagnoses if diagnoses is None else diagnoses
    return message(
        header("BAR^P05", control, sent, application="ENCODER"),
        segment("EVN", (1, "P05"), (2, timestamp(sent)), (5, escape(coder or visit.coder)), (6, timestamp(sent))),
        pid(visit),
        pv1(visit, discharged=True),
        *(dg1(place, code, "F") for place, code in enumerate(codes, start=1)),
    )
