"""How a mapping's refusal reads, in a log and in the list of messages."""

from __future__ import annotations

from gateway.mappings.errors import MappingError


def test_a_refusal_names_its_place_when_it_has_one() -> None:
    assert str(MappingError("batch", "MSH[2]", "several messages")) == "batch at MSH[2]: several messages"
    assert str(MappingError("too-long", "", "5001 segments")) == "too-long: 5001 segments"
