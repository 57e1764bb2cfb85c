"""A line that is passed over as plain is one in which no test of a line would find anything."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.encounter.billable import billable
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Charge, CodeSystem, Encounter
from gateway.review.edits import charges as edits
from gateway.review.edits.context import EditContext, Limits
from gateway.review.edits.lines import standing

NUMBERS = st.sampled_from(
    [None, *map(Decimal, ("-1", "0", "0.5", "1", "1.00", "2", "99.99", "100", "100.01", "1.005"))]
)
LINES = st.builds(
    Charge,
    id=st.just("1"),
    code=st.sampled_from([None, "99213", "36415", "A0425", "9921", "0001F", "J1885", "ABC", ""]),
    system=st.sampled_from([None, CodeSystem.CPT, CodeSystem.HCPCS, CodeSystem.LOCAL]),
    local_code=st.sampled_from([None, "XR1"]),
    modifiers=st.sampled_from([(), ("25",), ("2",), ("25", "59", "RT", "LT", "76")]),
    units=NUMBERS,
    amount=NUMBERS,
    revenue_code=st.sampled_from([None, "0450", "45"]),
    place_of_service=st.sampled_from([None, "11", "1", "99"]),
)


@given(LINES)
@settings(max_examples=400, deadline=None)
def test_no_test_finds_anything_in_a_plain_line(charge: Charge) -> None:
    encounter = Encounter(key=EncounterKey("MAIN", "", "A1"), charges=(charge,))
    limits = Limits(max_line_units=Decimal(100), max_line_amount=Decimal(100))
    context = EditContext(None, date(2026, 11, 20), billable(encounter), limits=limits)  # type: ignore[arg-type]
    (place,) = standing(encounter, context)
    plain = edits.is_plain(place, limits)
    event(f"plain: {plain}")
    found = [finding for test in edits._LINE_TESTS if (finding := test(place, context)) is not None]
    assert not (plain and found), found


def test_the_line_of_an_office_visit_is_plain() -> None:
    charge = Charge(id="1", code="99213", system=CodeSystem.CPT, units=Decimal(1), amount=Decimal("99.99"))
    encounter = Encounter(key=EncounterKey("MAIN", "", "A1"), charges=(charge,))
    limits = Limits()
    context = EditContext(None, date(2026, 11, 20), billable(encounter), limits=limits)  # type: ignore[arg-type]
    (place,) = standing(encounter, context)
    assert edits.is_plain(place, limits)
