from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from conformance.billing_endpoint import BillingEndpoint
from conformance.crash import kill_loop, remains

ROOT = Path(__file__).parents[2]


async def _survives(work: Path, kills: int) -> None:
    async with BillingEndpoint() as peer:
        tally = await kill_loop(work, ROOT / "var" / "reference", peer, kills, seed=kills)
        left = await remains(work, peer)
    assert tally.kills == kills
    assert not tally.refused
    assert len(tally.acknowledged) > kills * 5, "the load was too thin to say anything"

    lost = [control for control in tally.acknowledged if not left.messages[control]]
    assert not lost, f"{len(lost)} acknowledged messages are gone"
    doubled = [control for control, count in left.messages.items() if count > 1]
    assert not doubled, f"{len(doubled)} messages stand twice"
    assert left.states == {"processed": len(left.messages)}

    assert left.charges == {2: tally.begun}, "each visit has its two charges, once"
    assert max(left.released.values()) == 1
    kept_back = tally.begun - sum(left.released.values())
    assert tally.begun // 4 <= kept_back <= tally.begun // 4 + 1, "the sample keeps back exactly one of each four"
    assert left.deliveries == {"accepted": sum(left.released.values())}
    assert set(left.arrived.values()) == {1}, "no claim arrived twice"
    assert sum(left.arrived.values()) == sum(left.released.values())

    verify = ("-m", "gateway", "audit", "verify", "--config", str(work / "gateway.yaml"))
    verdict = await asyncio.create_subprocess_exec(sys.executable, *verify, stdout=PIPE, stderr=STDOUT)
    said, _ = await verdict.communicate()
    assert verdict.returncode == 0, said.decode()


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_few_kills(tmp_path: Path) -> None:
    await _survives(tmp_path, 5)


@pytest.mark.soak
async def test_what_was_acknowledged_survives_a_hundred_kills(tmp_path: Path) -> None:
    await _survives(tmp_path, 100)
