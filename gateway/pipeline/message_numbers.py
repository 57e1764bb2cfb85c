"""The numbers in a message that leads to no encounter, so that it is found by them all the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read
from gateway.mappings.hl7v2.er7 import DELETE, Er7Error, Er7Message
from gateway.message import Format, Message

PLACES = {
    "PID": (2, 3, 4, 18),
    "PV1": (5, 19, 50),
    "MRG": (1, 2, 3, 4, 5, 6),
}
"""Patient, account and visit numbers (chapter 3, 3.4.2, 3.4.3 and 3.4.9), wherever a dialect looks for them."""
MOST = 32
LONGEST = 64
SEGMENTS = 8
"""Segments of one name that are looked at: a batch of merges names more than one patient."""


def message_numbers(message: Message) -> tuple[str, ...]:
    """At most 32 numbers, each once; none of a message that cannot be read."""
    found = _hl7(message.payload) if message.format is Format.HL7V2 else _fhir(message.payload)
    return tuple(islice(dict.fromkeys(n for n in found if n and n != DELETE and len(n) <= LONGEST), MOST))


def placed_numbers(payload: bytes) -> tuple[tuple[str, str], ...]:
    """(place, number) of the numbers in an HL7 v2 message, at most 32: what a dialect could key an encounter by."""
    found = ((place, number) for place, number in _placed(payload) if number and number != DELETE)
    return tuple(islice(dict.fromkeys(found), MOST))


def _hl7(payload: bytes) -> Iterator[str]:
    return (number for _, number in _placed(payload))


def _placed(payload: bytes) -> Iterator[tuple[str, str]]:
    try:
        message = Er7Message.parse(payload)
    except Er7Error:
        return
    for segment, fields in PLACES.items():
        for occurrence in range(1, min(len(message.positions(segment)), SEGMENTS) + 1):
            for field in fields:
                place = f"{segment}[{occurrence}]-{field}"
                yield from ((place, value.strip()) for value in message.all(place) if value is not None)


def _fhir(payload: bytes) -> Iterator[str]:
    """Of the resource itself, of what it contains, and of the patient that it names by number."""
    try:
        resource = read(payload)
    except MappingError:
        return
    contained = resource.get("contained")
    inside = contained if isinstance(contained, list) else []
    named = [resource.get("subject"), resource.get("patient")]
    for each in (resource, *inside[:SEGMENTS], *named):
        if isinstance(each, dict):
            yield from _identifiers(each.get("identifier"))


def _identifiers(said: Any) -> Iterable[str]:
    listed = said if isinstance(said, list) else [said]
    values = (each.get("value") for each in listed[:MOST] if isinstance(each, dict))
    return [value.strip() for value in values if isinstance(value, str)]
