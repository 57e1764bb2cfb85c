"""The reader keeps every byte, whatever the delimiters, and refuses what is no interchange."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.errors import MappingError
from gateway.mappings.x12.reader import read

UNREADABLE = {"x12_bad_first_line.txt", "x12_no_isa_line.txt", "x12_missing_elements.txt"}
"""Of the public samples: those whose ISA is broken or absent on purpose."""


def isa(
    element: str = "*", repetition: str = "^", component: str = ":", segment: str = "~", version: str = "00501"
) -> str:
    fields = ["00", " " * 10, "00", " " * 10, "ZZ", "S".ljust(15), "ZZ", "R".ljust(15), "250305", "0930", repetition]
    return element.join(["ISA", *fields, version, "000000001", "0", "T", component]) + segment


def test_the_declared_delimiters_are_used() -> None:
    data = (isa("|", "!", ">", "\n") + "GS|HC|A*B\nHI|ABK>E119|ABF>I10\nIEA|1|000000001\n").encode()
    (found,) = read(data)
    assert found.named("GS")[0].element(2) == "A*B"
    assert found.components(found.named("HI")[0].element(1)) == ("ABK", "E119")
    assert found.to_bytes() == data


def test_line_ends_between_segments_are_kept_and_no_part_of_them() -> None:
    data = (isa() + "\r\nGS*HC~\r\n IEA*1*000000001~\r\n").encode()
    (found,) = read(data)
    assert [segment.id for segment in found.segments] == ["ISA", "GS", "IEA"]
    assert found.to_bytes() == data


def test_several_interchanges_each_with_delimiters_of_its_own() -> None:
    one = isa() + "TA1*1~IEA*0*000000001~\n"
    two = isa("|", "!", ">", "'") + "IEA|0|000000001'"
    found = read((one + two).encode())
    assert [interchange.to_bytes().decode() for interchange in found] == [one, two]


def test_isa11_is_no_repetition_mark_in_old_versions() -> None:
    (found,) = read((isa(repetition="U", version="00401") + "IEA*0*000000001~").encode())
    assert found.delimiters.repetition == ""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"GS*HC~", "no-isa"),
        (isa().replace("S     ", "S    ", 1).encode() + b"IEA*0*1~", "isa-length"),
        (isa().encode(), "cut-off"),
        (isa().encode() + b"IEA*0*1~ and more", "trailing"),
        (isa(component="*").encode() + b"IEA*0*1~", "isa-length"),
        (isa(component="~").encode() + b"IEA*0*1~", "delimiters"),
    ],
)
def test_what_is_no_interchange_is_refused_with_its_reason(data: bytes, code: str) -> None:
    with pytest.raises(MappingError) as refused:
        read(data)
    assert refused.value.code == code


def test_more_than_the_limit_is_not_read() -> None:
    with pytest.raises(MappingError, match="too-long"):
        read(isa().encode(), limit=50)


@given(
    st.lists(st.lists(st.text(alphabet="AZ09 .:^é", max_size=5), max_size=4), max_size=6), st.sampled_from(["", "\n"])
)
def test_every_byte_comes_back(segments: list[list[str]], between: str) -> None:
    body = "".join("*".join(["NTE", *elements]) + "~" + between for elements in segments)
    data = (isa() + between + body + "IEA*0*000000001~" + between).encode("latin-1")
    assert b"".join(interchange.to_bytes() for interchange in read(data)) == data


def test_public_samples_are_kept_byte_for_byte(shared_data: Path) -> None:
    read_whole, refused = 0, set()
    for path in sorted((shared_data / "x12").rglob("*")):
        if not path.is_file() or path.suffix not in {".txt", ".837", ".835", ".277"} or path.name.startswith("map837"):
            continue
        data = path.read_bytes()
        try:
            found = read(data)
        except MappingError:
            refused.add(path.name)
            continue
        assert b"".join(interchange.to_bytes() for interchange in found) == data
        read_whole += 1
    assert read_whole > 50
    assert refused <= UNREADABLE
