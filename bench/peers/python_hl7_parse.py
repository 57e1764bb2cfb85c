"""python-hl7's bare parse of the benchmark's messages, in a process of its own: prints messages a second."""

from __future__ import annotations

import sys
import time

import hl7

from bench.messages import dft

WARM_UP = 50


def main(count: int) -> None:
    texts = [dft(number).decode() for number in range(count + WARM_UP)]
    for text in texts[:WARM_UP]:
        hl7.parse(text)
    start = time.perf_counter()
    for text in texts[WARM_UP:]:
        hl7.parse(text)
    print(count / (time.perf_counter() - start))


if __name__ == "__main__":
    main(int(sys.argv[1]))
