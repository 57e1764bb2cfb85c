"""The dialects that docs/feeds/connect.md gives for senders with ways of their own: each does what the page says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.encounter.change import Change
from gateway.encounter.model import Charge, ChargeKind
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.mappings.hl7v2.mapping import FeedProfile

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Says

PAGE = Path(__file__).parents[3] / "docs" / "feeds" / "connect.md"
_SNIPPET = re.compile(r"```yaml\n(extends:.*?)```", re.DOTALL)

Site = Callable[[str], FeedProfile]


@pytest.fixture
def site(base: FeedProfile, tmp_path: Path) -> Site:
    """The feed with the page's dialect that has `wanted` in it."""

    def profile(wanted: str) -> FeedProfile:
        (snippet,) = (found for found in _SNIPPET.findall(PAGE.read_text()) if wanted in found)
        (tmp_path / "site.yaml").write_text(snippet)
        return replace(base, dialect=load_dialects(tmp_path)["site"])

    return profile


def charges(change: Change) -> tuple[Charge, ...]:
    assert change.charges is not None
    return change.charges.items


def test_every_dialect_of_the_page_is_one(site: Site) -> None:
    assert len(_SNIPPET.findall(PAGE.read_text())) == 7


def test_a_fee_where_costs_stand_and_a_tooth_where_modifiers_stand(says: Says, site: Site) -> None:
    charge = "FT1|1|T1||20260120||CG||||2||||||||||||85.00|||D2332|26^MID"
    (line,) = charges(says(charge, source=site("FT1-22")))
    assert (line.code, line.amount, line.modifiers) == ("D2332", Decimal("170.00"), ())


def test_the_amount_of_one_unit_in_the_lines_place(says: Says, site: Site) -> None:
    change = says("FT1|1|T1||20260120||CG|J1885^^HCPCS|||4|25|25", source=site("amount:\n"))
    assert charges(change)[0].amount == Decimal(100)
    assert change.problems == ()


def test_the_visit_is_named_by_the_charge(says: Says, site: Site) -> None:
    charge = "FT1|1|T1||20260120||CG|73630|||1|||||||||||||783933||73630|RT~GA"
    change = says(charge, source=site("FT1-23"), pid="PID|1||M1")
    assert change.key.number == "783933"
    assert charges(change)[0].modifiers == ("RT", "GA")


def test_the_billable_code_in_a_later_repetition(says: Says, site: Site) -> None:
    change = says("FT1|1|T1||20260120||CG|3000^x^CDM~71046^x^CPT|||1|150", source=site("FT1-7[2]"))
    assert (charges(change)[0].code, charges(change)[0].local_code) == ("71046", "3000")
    assert change.problems == ()


def test_other_names_of_charge_and_credit(says: Says, site: Site) -> None:
    segments = [f"FT1|{n}|T{n}||20260120||{kind}|99213^^CPT|||1|90" for n, kind in enumerate(("CH", "CG", ""))]
    kinds = [line.kind for line in charges(says(*segments, source=site("CH: charge")))]
    assert kinds == [ChargeKind.CHARGE, ChargeKind.CREDIT, ChargeKind.CHARGE]


@pytest.mark.parametrize(
    ("type", "wanted"), [("DFT^P03", "final: [BAR, DFT]"), ("ADT^A08", "final: [BAR, ADT]")], ids=["charges", "update"]
)
def test_codes_that_are_final_without_a_bar(says: Says, site: Site, type: str, wanted: str) -> None:
    change = says("DG1|1||J18.9^^I10", source=site(wanted), type=type)
    assert change.coding is not None
    assert change.coding.final is True
