"""Dialects, feed profiles and messages for the tests of HL7 v2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.encounter.change import Change
from gateway.mappings.hl7v2.dialect import Dialect, load_dialects
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapping import FeedProfile, Mapped, map_message

Says = Callable[..., Change]
Maps = Callable[..., Mapped]
Site = Callable[[str], FeedProfile]


@pytest.fixture(scope="session")
def dialects() -> dict[str, Dialect]:
    return load_dialects()


@pytest.fixture
def epic(dialects: dict[str, Dialect]) -> FeedProfile:
    return FeedProfile("epic-adt", "MAIN", ZoneInfo("America/Chicago"), dialects["epic"])


@pytest.fixture
def base(dialects: dict[str, Dialect]) -> FeedProfile:
    return FeedProfile("encoder", "MAIN", ZoneInfo("America/Chicago"), dialects["base"])


@pytest.fixture
def site(base: FeedProfile, tmp_path: Path) -> Site:
    """The feed with a dialect of its own that extends base."""

    def profile(text: str) -> FeedProfile:
        (tmp_path / "site.yaml").write_text(f"extends: base\n{text}")
        return replace(base, dialect=load_dialects(tmp_path)["site"])

    return profile


@pytest.fixture
def fixture_change(fixtures: Path) -> Callable[[str, FeedProfile], Change]:
    """What one of the repository's own messages says to a feed."""

    def change(name: str, source: FeedProfile) -> Change:
        message = Er7Message.parse((fixtures / "hl7v2" / f"{name}.hl7").read_bytes())
        mapped = map_message(message, source, 7)
        assert isinstance(mapped, Change)
        return mapped

    return change


@pytest.fixture
def says(base: FeedProfile) -> Says:
    """What a DFT of these segments, beside MSH and PID, says; to the base dialect unless another profile is given."""

    def change(
        *segments: str, source: FeedProfile = base, type: str = "DFT^P03", pid: str = "PID|1||M1|||||||||||||||900"
    ) -> Change:
        header = f"MSH|^~\\&|CDM|F|G|H|20260120||{type}|1|P|2.5.1"
        mapped = map_message(Er7Message.parse("\r".join((header, pid, *segments)).encode()), source, 7)
        assert isinstance(mapped, Change)
        return mapped

    return change


@pytest.fixture
def maps(base: FeedProfile) -> Maps:
    """What a message of these segments, beside MSH, is mapped to; by the base dialect unless another is given."""

    def mapped(
        type: str, *segments: str, source: FeedProfile = base, msh7: str = "20260120101500", message: int = 7
    ) -> Mapped:
        header = f"MSH|^~\\&|ADM|F|G|H|{msh7}||{type}|1|P|2.5.1"
        return map_message(Er7Message.parse("\r".join((header, *segments)).encode()), source, message)

    return mapped
