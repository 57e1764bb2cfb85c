"""Every value of a change has an origin, in all the messages there are and in any that is put together."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.encounter.change import Change
from gateway.mappings.errors import MappingError
from gateway.mappings.hl7v2.dialect import Dialect
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapping import FeedProfile, map_message
from tests.mappings.hl7v2.origins_checked import ORIGIN, unplaced

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Says

_FIELD = st.sampled_from(
    (
        *("", "", "", "1", "O", "F", "W", "CG", "CD", '""', "20260120", "71046^^CPT", "J18.9^^I10~E11.9", "A^B^C^D"),
        *("X^^L^99213^^C4", "1234567893^ADLER^RUTH^^^^^^NPI", "12 ELM ST^^DAYTON^OH", "~~25", "HOUSE^^OWN", "SEL"),
        *("2.50", "J18.9^^WHO^R05.9^^I10", "25~59"),
    )
)
_SEGMENT = st.builds(
    lambda name, fields: "|".join([name, *fields]),
    st.sampled_from(["PV1", "GT1", "IN1", "IN2", "DG1", "PR1", "FT1", "DRG", "TXA", "OBX", "OBR", "EVN", "NTE"]),
    st.lists(_FIELD, max_size=30),
)
_TYPES = st.sampled_from(
    ["ADT^A01", "ADT^A08", "ADT^A13", "DFT^P03", "BAR^P01", "BAR^P05", "BAR^P12", "MDM^T02", "ORU^R01"]
)


def _change(type: str, segments: list[str], source: FeedProfile) -> Change | None:
    header = (f"MSH|^~\\&|A|F|G|H|20260120101500||{type}|1|P|2.5.1", "PID|1||M1^^^F^MR||FERN^IVY|||||||||||||A900^^^F")
    try:
        mapped = map_message(Er7Message.parse("\r".join((*header, *segments)).encode()), source, 1)
    except MappingError:
        return None
    return mapped if isinstance(mapped, Change) else None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(_TYPES, st.lists(_SEGMENT, max_size=8))
def test_whatever_a_message_says_has_its_origin(base: FeedProfile, type: str, segments: list[str]) -> None:
    source = replace(
        base, dialect=base.dialect.with_tables({"charge_codes": {"HOUSE": {"code": "1", "system": "cpt"}}})
    )
    change = _change(type, segments, source)
    if change is not None:
        assert unplaced(change) == []
        assert [place for place in change.origins().values() if not ORIGIN.fullmatch(place)] == []


def test_every_value_of_the_shared_messages_has_its_origin(
    shared_data: Path, dialects: dict[str, Dialect], base: FeedProfile
) -> None:
    with (shared_data / "v2" / "index.csv").open(newline="", encoding="utf-8") as index:
        paths = [row["path"] for row in csv.DictReader(index)]
    seen = 0
    for path in paths:
        message = Er7Message.parse((shared_data / "v2" / path).read_bytes())
        for name in ("base", "oracle-health"):
            try:
                change = map_message(message, replace(base, dialect=dialects[name]), 1)
            except MappingError:
                continue
            if isinstance(change, Change):
                seen += 1
                assert unplaced(change) == [], path
                assert [place for place in change.origins().values() if not ORIGIN.fullmatch(place)] == [], path
    assert seen >= 200


def test_what_has_no_origin_is_found(says: Says) -> None:
    change = says("PV1|1|O", "FT1|1|T1||20260120||CG|||||||||||||||||||71046^^CPT")
    assert unplaced(change) == []
    missing = unplaced(replace(change, places=change.places[:-1]))
    assert "charges[0].code" in missing or "charges[0].system" in missing
    assert "patient.identifiers" in unplaced(replace(change, places=()))


def test_the_code_that_counts_says_where_it_stands(says: Says) -> None:
    charge = "FT1|1|T1||20260120||CG|||||||||||||||||||3000^x^CDM^71046^y^CPT"
    origins = says(charge).origins()
    assert origins["charges[0].code"] == "FT1[1]-25[1].4"
    assert origins["charges[0].system"] == "table procedure_system via FT1[1]-25[1].6"


def test_a_pointer_says_its_own_repetition(says: Says) -> None:
    charge = "FT1|1|T1||20260120||CG|||||||||||||~J18.9~J18.9~E11.9^^I10||||||99213^^CPT"
    origins = says(charge).origins()
    assert origins["diagnoses[0].code"] == "FT1[1]-19[2].1"
    assert origins["diagnoses[1].code"] == "FT1[1]-19[4].1"
    assert origins["diagnoses[1].system"] == "table diagnosis_system via FT1[1]-19[4].3"


def test_what_a_table_of_charge_codes_gave_says_so(says: Says, base: FeedProfile) -> None:
    entry = {"code": "71046", "system": "cpt", "revenue_code": "0324"}
    source = replace(base, dialect=base.dialect.with_tables({"charge_codes": {"H1": entry}}))
    origins = says("FT1|1|T1||20260120||CG|H1", source=source).origins()
    for name in ("code", "system", "revenue_code"):
        assert origins[f"charges[0].{name}"] == "table charge_codes via FT1[1]-7[1].1"


def test_the_system_that_stands_beside_a_code(says: Says) -> None:
    origins = says("DG1|1|I10|J18.9|||F").origins()
    assert origins["diagnoses[0].system"] == "table diagnosis_system via DG1[1]-2[1].1"
    own = says("DG1|1|I9|J18.9^^I10|||F").origins()
    assert own["diagnoses[0].system"] == "table diagnosis_system via DG1[1]-3[1].3"
