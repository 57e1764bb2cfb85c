"""Amounts as people read them: two decimals, and never fewer than the amount has."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from gateway.adapters.desk.models import EncounterView, WorkItemView
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Charge, Encounter

AMOUNTS = [
    ("414.4", "414.40"),
    ("0", "0.00"),
    ("-7", "-7.00"),
    ("1E+3", "1000.00"),
    ("12.345", "12.345"),
    ("162.00", "162.00"),
    ("123456789012345678901234567890.1", "123456789012345678901234567890.10"),
]


def line(**said: Any) -> dict[str, Any]:
    return {
        "key": "MAIN:MAIN:A1",
        "stage": "held",
        "encounter_class": None,
        "payer": None,
        "coder": None,
        "holds": (),
        "changed": "2026-11-21T09:00:00Z",
        **said,
    }


def seen(total: Decimal, *amounts: Decimal | None) -> dict[str, Any]:
    charges = tuple(Charge(id=str(number), amount=amount) for number, amount in enumerate(amounts))
    encounter = Encounter(key=EncounterKey("MAIN", "", "A1"), charges=charges)
    parts = ("holds", "documents", "queries", "decisions", "claims", "deliveries")
    view = EncounterView.model_validate(
        {
            "key": "MAIN::A1",
            "version": 1,
            "stage": "held",
            "fingerprint": "0" * 64,
            "total": total,
            "encounter": encounter,
            **dict.fromkeys(parts, ()),
        }
    )
    told: dict[str, Any] = orjson.loads(view.model_dump_json())
    return told


@pytest.mark.parametrize(("amount", "shown"), AMOUNTS)
def test_the_worklist_shows_amounts(amount: str, shown: str) -> None:
    view = WorkItemView.model_validate(line(total=amount))
    assert orjson.loads(view.model_dump_json())["total"] == shown


@pytest.mark.parametrize(("amount", "shown"), AMOUNTS)
def test_an_encounter_shows_amounts_in_its_total_and_lines(amount: str, shown: str) -> None:
    told = seen(Decimal(amount), Decimal(amount), None)
    assert told["total"] == shown
    assert [charge.get("amount") for charge in told["encounter"]["charges"]] == [shown, None]


def test_the_encounter_itself_is_unchanged() -> None:
    charge = Charge(id="1", amount=Decimal("414.4"))
    assert orjson.loads(charge.model_dump_json())["amount"] == "414.4", "what is stored and fingerprinted"


def test_a_total_that_is_no_amount_is_not_shown() -> None:
    with pytest.raises(ValidationError):
        WorkItemView.model_validate(line(total="a lot"))


def test_the_description_says_what_amounts_look_like_and_still_describes_the_encounter() -> None:
    _, described = models_json_schema([(EncounterView, "serialization"), (WorkItemView, "serialization")])
    schemas = described["$defs"]
    total = schemas["WorkItemView"]["properties"]["total"]
    assert (total["type"], total["pattern"]) == ("string", r"^-?[0-9]+\.[0-9]{2,}$")
    assert "charges" in schemas["Encounter"]["properties"]
    assert schemas["EncounterView"]["properties"]["encounter"] == {"$ref": "#/$defs/Encounter"}
