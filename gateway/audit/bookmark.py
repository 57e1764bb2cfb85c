"""Where sealing stood, kept beside the anchor file: it spares a start the reading of the whole record of leaves.

Nobody trusts it: what it says must give the root of a signed seal, or else the whole record is read.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from gateway.audit.merkle import Frontier
from gateway.audit.seals import State

_SIZE_LIMIT = 256 * 1024


class Bookmark:
    """`ANCHOR.state`, replaced with each seal."""

    def __init__(self, anchor: Path) -> None:
        self.path = anchor.with_name(f"{anchor.name}.state")

    def write(self, state: State) -> None:
        """Replaced whole, and not synced: losing it costs time only."""
        said = {
            "size": state.frontier.size,
            "peaks": [peak.hex() for peak in state.frontier.peaks],
            "tail": state.tail.hex(),
            "last_seq": state.last_seq,
        }
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        draft.write_bytes(orjson.dumps(said))
        draft.replace(self.path)

    def read(self) -> State | None:
        """None when there is none, or it is not whole."""
        try:
            with self.path.open("rb") as file:
                said = orjson.loads(file.read(_SIZE_LIMIT))
            peaks = tuple(bytes.fromhex(peak) for peak in said["peaks"])
            return State(Frontier(int(said["size"]), peaks), bytes.fromhex(said["tail"]), int(said["last_seq"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None
