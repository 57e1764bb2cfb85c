"""What a store keeps for those who run the gateway: versions of the configuration, alerts, how far long work has come,
and what may be pruned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gateway.alert import Alert
from gateway.message import MessageState


class VersionState(StrEnum):
    ACTIVATED = "activated"
    """It came into force at its node, until a later one did."""
    KEPT = "kept"
    """What stood in the files when a return to an earlier version replaced it; it was never in force."""


@dataclass(frozen=True, slots=True)
class ConfigurationVersion:
    """What people wrote, as one version: every file's text. Never a secret: those stand elsewhere."""

    number: int
    """Counted over all gateways of the store, from 1."""
    node: int
    digest: str
    """SHA-256 over the files' names and texts, hexadecimal."""
    state: VersionState
    actor: str
    written: datetime
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By path, relative to the directory of gateway.yaml where it stands below it. Empty in lists."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How far work has come that goes on over many steps and over restarts."""

    name: str
    about: str
    """What it is done for; work for something else begins anew."""
    place: str
    """The last key that was dealt with; empty at the beginning."""
    done: bool
    changed: datetime


@dataclass(frozen=True, slots=True)
class PrunedMessage:
    """The message's bytes go; its row, its acknowledgement and its events stay. Conflict when it is no longer in
    `state`."""

    id: int
    state: MessageState
    reason: str


@dataclass(frozen=True, slots=True)
class PrunedEncounter:
    """The encounter's messages were pruned. Conflict when it is no longer at `version`."""

    key: str
    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Prunable:
    """A message that may be pruned: `size` is its payload's, in bytes, 0 once it is."""

    id: int
    state: MessageState
    reason: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Settled:
    """An encounter whose claim was accepted, and which has not changed since `changed`."""

    key: str
    version: int
    changed: datetime


class Upkeep(Protocol):
    """The part of a store that upkeep works on. What it writes is part of a `Step`."""

    async def oldest_pending(self) -> datetime | None:
        """When the oldest unprocessed message was received; None when none waits."""
        ...

    async def heard_from(self, feed: str, after: int) -> datetime | None:
        """When the newest message of `feed` was received, among those whose id is above `after`."""
        ...

    async def configurations(self, before: int | None = None, limit: int = 50) -> list[ConfigurationVersion]:
        """Newest first, without files; those numbered below `before`."""
        ...

    async def configuration(self, number: int) -> ConfigurationVersion | None:
        """With its files."""
        ...

    async def configuration_in_force(self, node: int) -> ConfigurationVersion | None:
        """The version that was activated last at `node`, with its files."""
        ...

    async def alerts(self) -> list[Alert]:
        """The last state of each alert that was ever raised."""
        ...

    async def work_pass(self, name: str) -> Pass | None: ...

    async def prunable(self, state: MessageState, after: int, below: int, limit: int) -> list[Prunable]:
        """Messages in `state` that belong to no encounter, by id, from above `after` to under `below`; pruned ones
        too, with size 0."""
        ...

    async def prunable_of(self, encounter: str) -> list[Prunable]:
        """All messages of the encounter, by id."""
        ...

    async def settled(self, before: datetime, after: tuple[datetime, str] | None, limit: int) -> list[Settled]:
        """Encounters accepted and unchanged since before `before`, whose messages were not pruned since; in the order
        of (changed, key), past `after`."""
        ...

    async def give_back(self, pages: int) -> int:
        """Give at most `pages` pages of free space back to the disk; how many were. 0 where the engine does so itself
        or cannot."""
        ...
