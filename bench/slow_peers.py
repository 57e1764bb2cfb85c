"""What 1,000 slow senders cost the honest ones: `python -m bench.slow_peers` (`--slow`, `--half`, `--seconds`).

The gateway only acknowledges here. Each slow sender sends half a message, and then a byte now and then. Shown are the
honest senders' p99 with and without the crowd, what memory the gateway took, and when the slow were cut.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile

from bench.measured import ROOT
from bench.messages import dft
from conformance.slow_peers import Cost, Crowd

MIB = 1024 * 1024


async def measured(port: int, process: int, slow: int, half: int, seconds: float) -> Cost:
    return await Crowd("127.0.0.1", port, dft, process, slow=slow, half=half).measure(seconds)


def show(name: str, cost: Cost) -> None:
    cut = f"{min(cost.cut_after):.1f} to {max(cost.cut_after):.1f} s" if cost.cut_after else "none"
    print(
        f"{name:>16}: p99 {cost.p99 * 1000:6.1f} ms of {len(cost.latencies)} messages, "
        f"memory +{cost.grown / MIB:.1f} MiB, cut {len(cost.cut_after)} (after {cut}), uncut {cost.uncut}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--slow", type=int, default=1000)
    arguments.add_argument("--half", type=int, default=16 * 1024)
    arguments.add_argument("--seconds", type=float, default=10.0)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "bench.peers.acknowledging_gateway", f"{directory}/bench.db"]
        command += [str(options.seconds), str(options.slow + 100)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        ) as gateway:
            assert gateway.stdout is not None
            port = int(gateway.stdout.readline())
            try:
                show("alone", asyncio.run(measured(port, gateway.pid, 1, 100, 3.0)))
                crowd = measured(port, gateway.pid, options.slow, options.half, options.seconds + 10)
                show(f"{options.slow} slow", asyncio.run(crowd))
            finally:
                gateway.terminate()


if __name__ == "__main__":
    main()
