"""Whatever is done to a trail, in whatever combination, each event that it was done to is named."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_trail import MemoryTrail, Sealing

from gateway.audit.keys import SealKey, trusted
from gateway.audit.seals import LEAF_SIZE
from gateway.trail.sealing import verify

KEY = SealKey.generate()
ACTS = ("edit", "rehash", "hash", "delete", "leaf", "swap")


async def sealed(folder: Path, sizes: list[int], tail: int) -> Sealing:
    sealing = Sealing(MemoryTrail(), KEY, folder / "seals.ndjson")
    sealer = sealing.sealer()
    for size in sizes:
        sealing.trail.write(size)
        await sealer.seal()
    sealing.trail.write(tail)
    return sealing


def tamper(trail: MemoryTrail, act: str, seq: int, other: int) -> None:
    index = trail.at(seq)
    if act in ("edit", "rehash"):
        trail.edit(seq, rehash=act == "rehash")
    elif act == "hash":
        trail.lines[index] = replace(trail.lines[index], hash=b"\x07" * 32)
    elif act == "delete":
        trail.delete(seq)
    elif act == "swap":
        trail.swap(seq, other)
    else:
        block = bytearray(trail.blocks[0])
        block[(seq - 1) * LEAF_SIZE + 8] ^= 0xFF
        trail.blocks[0] = bytes(block)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    tail=st.integers(0, 4),
    acts=st.lists(st.sampled_from(ACTS), min_size=0, max_size=4),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_each_event_that_was_tampered_with_is_named(
    sizes: list[int], tail: int, acts: list[str], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(1, sum(sizes) + 1)))
    pairs = list(zip(acts, order[::2], order[1::2], strict=False))

    async def run() -> None:
        with TemporaryDirectory() as folder:
            sealing = await sealed(Path(folder), sizes, tail)
            for act, seq, other in pairs:
                tamper(sealing.trail, act, seq, other)
            report = await verify(sealing.trail, trusted([KEY.public]), sealing.anchor)
            assert report.intact is (not pairs)
            for act, seq, other in pairs:
                touched = (seq, other) if act == "swap" else (seq,)
                for place in touched:
                    assert any(fault.names(place) for fault in report.faults), (act, place, report.faults)

    asyncio.run(run())
