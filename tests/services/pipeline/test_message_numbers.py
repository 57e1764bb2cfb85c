"""The numbers by which a message is found that leads to no encounter."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.message import Format, Message, MessageState
from gateway.pipeline.message_numbers import LONGEST, MOST, message_numbers


def message(payload: bytes, format: Format = Format.HL7V2) -> Message:
    return Message(1, "f", format, "t", "c", datetime(2026, 1, 1, tzinfo=UTC), MessageState.RECEIVED, payload)


def numbers(*segments: str) -> tuple[str, ...]:
    return message_numbers(message("\r".join(("MSH|^~\\&|A|B|||2026||ADT^A40|1|P|2.5", *segments)).encode()))


def test_patients_accounts_visits_and_what_is_merged_all_count() -> None:
    found = numbers(
        "PID|1|P2|P3^^^H^MR~P3B^^^S^SS|P4|QUILL^MAY" + "|" * 13 + "A18^^^H",
        "PV1|1|I|||PRE5" + "|" * 14 + "V19^^^H",
        "MRG|M1^^^H||M3||M5",
    )
    assert set(found) >= {"P2", "P3", "P3B", "P4", "A18", "PRE5", "V19", "M1", "M3", "M5"}
    assert "QUILL" not in found


def test_every_patient_of_a_merge_counts_and_each_number_once() -> None:
    assert numbers("PID|1||P1", "MRG|P2", "PID|2||P1", "MRG|P3") == ("P1", "P2", "P3")


def test_what_is_no_number_is_left_out() -> None:
    assert numbers('PID|1||""^^^H~ ~' + "9" * (LONGEST + 1) + "~ 7 ") == ("7",)
    assert len(numbers("PID|1||" + "~".join(str(n) for n in range(100)))) == MOST
    assert message_numbers(message(b"no message")) == ()


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"resourceType": "Claim", "identifier": 7, "contained": {}}'])
def test_a_resource_that_cannot_be_read_has_none(payload: bytes) -> None:
    assert message_numbers(message(payload, Format.FHIR)) == ()


def test_a_resource_s_own_and_its_patient_s_numbers_count() -> None:
    payload = (
        b'{"resourceType": "Claim", "identifier": [{"value": "C1"}], "patient": {"identifier": {"value": "P1"}},'
        b' "contained": [{"resourceType": "Patient", "identifier": [{"value": "P2"}, {"system": "x"}, 3]}]}'
    )
    assert message_numbers(message(payload, Format.FHIR)) == ("C1", "P2", "P1")


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_nothing_is_raised(payload: bytes) -> None:
    for each in (payload, b"MSH|^~\\&|" + payload):
        assert len(message_numbers(message(each))) <= MOST
