"""Files of messages: one message, several, a batch, or FHIR resources as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.mappings.hl7v2.batch import split_batch

LARGEST = 256 * 1024 * 1024


class UnreadableFile(Exception):
    """The file cannot be tried at all. Says which and why."""


@dataclass(frozen=True, slots=True)
class Messages:
    """What a file holds. `problems`: what is wrong with the file as a whole, as a batch's count that is not kept."""

    file: str
    payloads: tuple[bytes, ...]
    problems: tuple[str, ...] = ()


def hl7_messages(path: Path) -> Messages:
    """The HL7 v2 messages in the file. UnreadableFile."""
    batch = split_batch(_read(path))
    problems = tuple(f"{p.where}: {p.text}" if p.where else p.text for p in batch.problems)
    if not batch.messages and not problems:
        problems = ("the file holds no message",)
    return Messages(str(path), batch.messages, problems)


@dataclass(frozen=True, slots=True)
class Resources:
    """FHIR resources of a file, as a client would write them: `PUT Claim/7` and the bytes."""

    file: str
    written: tuple[tuple[str, bytes], ...]
    problems: tuple[str, ...] = ()


def fhir_resources(path: Path) -> Resources:
    """The resource in the file, or those of a Bundle's entries. UnreadableFile."""
    payload = _read(path)
    try:
        said = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return Resources(str(path), (), ("the file is not JSON",))
    if not isinstance(said, dict) or not isinstance(said.get("resourceType"), str):
        return Resources(str(path), (), ("the file holds no FHIR resource",))
    if said["resourceType"] != "Bundle":
        return Resources(str(path), ((_named(said), payload),))
    listed = said.get("entry")
    entries = [e.get("resource") for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
    found = [each for each in entries if isinstance(each, dict) and isinstance(each.get("resourceType"), str)]
    return Resources(str(path), tuple((_named(each), orjson.dumps(each)) for each in found))


def _named(resource: dict[str, Any]) -> str:
    kind, id = resource["resourceType"], resource.get("id")
    return f"PUT {kind}/{id}" if isinstance(id, str) else f"POST {kind}/new"


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise UnreadableFile(f"{path}: {size} bytes, at most {LARGEST} are read")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from error
