"""A crowd of slow senders costs the honest ones little, the gateway little memory, and is cut at its limit."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
from served import serving

from conformance.slow_peers import Cost, Crowd

MIB = 1024 * 1024

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def adt(number: int) -> bytes:
    return (
        f"MSH|^~\\&|EPIC|MAIN|GATEWAY|MAIN|20261103081500||ADT^A08^ADT_A01|C{number}|P|2.5.1\r"
        f"EVN|A08|20261103081500\rPID|1||M1^^^MAIN^MR||DOE^JANE||19640203|F||||||||||A1^^^MAIN^AN\rPV1|1|O\r"
    ).encode()


def limits(frame_seconds: float, connections: int) -> str:
    return f"frame_seconds: {frame_seconds}, max_connections: {connections}, max_per_address: {connections}, "


async def crowded(directory: Path, slow: int, frame_seconds: float, half: int) -> Cost:
    async with serving(directory, limits(frame_seconds, slow + 20)) as served:
        crowd = Crowd("127.0.0.1", served.mllp, adt, served.process.pid, slow=slow, half=half)
        cost = await crowd.measure(frame_seconds + 3)
        assert await served.end() == 0
        return cost


def check(cost: Cost, frame_seconds: float) -> None:
    assert cost.uncut == 0
    assert min(cost.cut_after) >= frame_seconds
    assert len(cost.latencies) > 100
    assert cost.p99 < 0.5
    assert cost.grown < 128 * MIB


async def test_a_hundred_slow_senders(tmp_path: Path) -> None:
    cost = await crowded(tmp_path, slow=100, frame_seconds=1.0, half=8 * 1024)
    check(cost, 1.0)
    assert max(cost.cut_after) < 4
    assert cost.grown < 32 * MIB


@pytest.mark.soak
@pytest.mark.parametrize("half", [100, 48 * 1024])
async def test_a_thousand_slow_senders(tmp_path: Path, half: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 < hard < 1200:
        pytest.skip("this machine lets a process open too few sockets")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(1200, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), hard))
    check(await crowded(tmp_path, slow=1000, frame_seconds=10.0, half=half), 10.0)


@pytest.mark.soak
async def test_slow_senders_of_large_messages_cannot_hold_the_memory(tmp_path: Path) -> None:
    """Forty senders, each with four mebibytes of a frame: what they hold together has a bound."""
    async with serving(tmp_path, limits(30.0, 60)) as served:
        crowd = Crowd("127.0.0.1", served.mllp, adt, served.process.pid, slow=40, honest=2, half=3 * MIB)
        cost = await crowd.measure(1.0)
        assert cost.grown < 128 * MIB
        assert cost.cut_after, "those that hold the most are cut"
        assert cost.p99 < 0.5
