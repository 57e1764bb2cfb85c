"""What a candidate mapping would change: outcomes are compared, not the words that tell them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from services_world import EHR, NOON, World

from conformance import ehr
from conformance.day import routine
from gateway.analysis.diffing import Diffing, MessageDiff
from gateway.encounter.change import Change
from gateway.encounter.merge import Merges
from gateway.mappings.errors import MappingError, Unused
from gateway.message import Format, Message
from gateway.pipeline.building import Reader


def setting_aside(code: str, where: str, text: str) -> Reader:
    async def read(message: Message) -> Change | Merges | Unused:
        raise MappingError(code, where, text)

    return read


def passing_over(reason: str) -> Reader:
    async def read(message: Message) -> Change | Merges | Unused:
        return Unused(reason)

    return read


async def differences(world: World, now: Reader, then: Reader) -> list[MessageDiff]:
    diffing = Diffing(world.store, world.rules, {Format.HL7V2: now}, {Format.HL7V2: then}, NOON)
    return [found async for found in diffing.messages(EHR, NOON - timedelta(days=1))]


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (setting_aside("value", "PID-7", "no date"), setting_aside("value", "PID-7", "is no date")),
        (passing_over("nobody uses it"), passing_over("nothing is made of it")),
    ],
)
async def test_another_word_for_the_same_is_no_difference(gateway: World, now: Reader, then: Reader) -> None:
    await gateway.send(ehr.adt("A04", routine(NOON.date()), "C1", NOON.replace(tzinfo=None)))
    assert await differences(gateway, now, then) == []


async def test_another_place_or_fate_is_one(gateway: World) -> None:
    await gateway.send(ehr.adt("A04", routine(NOON.date()), "C1", NOON.replace(tzinfo=None)))
    now = setting_aside("value", "PID-7", "no date")
    for then in (setting_aside("value", "PV1-44", "no date"), passing_over("nobody uses it")):
        (found,) = await differences(gateway, now, then)
        assert found.now == "set aside: value at PID-7: no date"
        assert found.then != found.now
