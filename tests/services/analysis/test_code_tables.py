"""A code that is mapped is in force at once; what waited for it goes on, however much it is."""

from __future__ import annotations

import pytest
from services_world import EHR, SENT, World, key_of, visit_number

from conformance import ehr
from gateway.analysis import code_tables
from gateway.analysis.code_tables import CodeTables, NoSuchEntry
from gateway.analysis.rebuilding import Rebuilding
from gateway.pipeline.reading import FhirReader, Hl7Reader


def tables(gateway: World) -> CodeTables:
    reader = Hl7Reader(gateway.rules.profiles)
    readers = {"hl7v2": reader, "fhir": FhirReader(gateway.rules.sources, gateway.store)}
    return CodeTables(
        gateway.store,
        reader,
        Rebuilding(gateway.store, readers, gateway.casework, gateway.clock),  # type: ignore[arg-type]
        gateway.clock,
    )


async def charge(gateway: World, number: int, code: str) -> str:
    """An encounter whose one charge has a code of the sender's own; its key."""
    visit = visit_number(number)
    await gateway.send(
        ehr.message(
            ehr.header("DFT^P03", "x", SENT),
            ehr.segment("EVN", (1, "P03"), (2, ehr.timestamp(SENT))),
            ehr.pid(visit),
            ehr.pv1(visit, discharged=False),
            ehr.segment("FT1", (1, "1"), (2, f"T{number}"), (4, "20261120"), (6, "CG"), (7, f"{code}^^CDM")),
        )
    )
    await gateway.work()
    return key_of(visit)


async def codes(gateway: World, key: str) -> list[str | None]:
    return [charge.code for charge in (await gateway.encounter(key)).charges]


async def test_what_waits_goes_on_a_part_at_once_and_the_rest_later(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_tables, "AT_ONCE", 1)
    keys = [await charge(gateway, number, "XR1") for number in (1, 2, 3)]
    mapping = tables(gateway)
    (line,) = [line for line in await mapping.unmapped() if line.table == "charge_codes"]
    assert (line.feed, line.code, line.encounters) == (EHR, "XR1", 3)
    assert await mapping.set(EHR, "charge_codes", "XR1", '{"code": "71046", "system": "cpt"}', "user:ann") == 1
    assert [await codes(gateway, key) for key in keys] == [["71046"], [None], [None]]
    await mapping.go_on()
    await mapping.go_on()
    assert [await codes(gateway, key) for key in keys] == [["71046"]] * 3
    assert [line for line in await mapping.unmapped() if line.table == "charge_codes"] == []


async def test_what_is_taken_back_means_nothing_any_more(gateway: World) -> None:
    mapping = tables(gateway)
    await mapping.set(EHR, "charge_codes", "XR1", '{"code": "71046", "system": "cpt"}', "user:ann")
    assert [entry.code for entry in await mapping.entries(EHR, value="71046")] == ["XR1"]
    await mapping.set(EHR, "charge_codes", "XR1", None, "user:ann")
    assert await mapping.entries(EHR, value="71046") == []


@pytest.mark.parametrize("code", ["", "x" * 81, "a\nb"])
async def test_a_code_that_cannot_be_one_is_refused(gateway: World, code: str) -> None:
    with pytest.raises(NoSuchEntry):
        await tables(gateway).set(EHR, "charge_codes", code, '{"code": "71046", "system": "cpt"}', "user:ann")


async def test_a_kind_of_insurance_is_one_that_claims_know(gateway: World) -> None:
    mapping = tables(gateway)
    with pytest.raises(NoSuchEntry, match=r"not a value of filing; write one of: 11, .*, MB, .*, ZZ"):
        await mapping.set(EHR, "filing", "MCRB", "Medicare part B", "user:ann")
    assert await mapping.entries(EHR, "filing", "Medicare part B") == []
    await mapping.set(EHR, "filing", "MCRB", "MB", "user:ann")
    assert [entry.code for entry in await mapping.entries(EHR, "filing", "MB") if entry.source == "user:ann"] == [
        "MCRB"
    ]
