"""ORU^R01: results (chapter 7, 7.3.1), as evidence for codes and queries: a report for each order, OBR with its OBX."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from gateway.encounter.change import Change, Content, Places
from gateway.encounter.model import Document, DocumentKind, DocumentStatus, Provider, ProviderRole
from gateway.mappings.hl7v2.delimiters import DELETE
from gateway.mappings.hl7v2.files import stated, with_files
from gateway.mappings.hl7v2.kinds import parse_instant
from gateway.mappings.hl7v2.mapped import FeedProfile, MappingError, Unused
from gateway.mappings.hl7v2.obx import plain_content, read_attachments
from gateway.mappings.hl7v2.plan import Values
from gateway.mappings.hl7v2.providers import provider
from gateway.mappings.hl7v2.reading import At, Reading, Unreadable
from gateway.mappings.hl7v2.registration import has_number, register
from gateway.mappings.hl7v2.results import Observations

FAMILY = "ORU"
EVENT = "R01"

_LABORATORY = ("BG", "BLB", "CH", "CP", "HM", "IMM", "LAB", "MB", "MCB", "MYC", "OSL", "SR", "TX", "VR")
_IMAGING = ("CT", "CTH", "CUS", "IMG", "NMR", "NMS", "OUS", "RAD", "RUS", "RX", "VUS", "XRC")
_PATHOLOGY = ("CG", "CY", "PAT", "SP")
SECTIONS: dict[str, DocumentKind] = {
    **dict.fromkeys(_LABORATORY, DocumentKind.LABORATORY_REPORT),
    **dict.fromkeys(_IMAGING, DocumentKind.IMAGING_REPORT),
    **dict.fromkeys(_PATHOLOGY, DocumentKind.PATHOLOGY_REPORT),
}
"""OBR-24, table 0074. Where it says nothing, and the dialect's table does not know OBR-4, a report is of no kind that
supports a code.
"""

_AUTHOR = provider(ProviderRole.AUTHOR)


class _Order(NamedTuple):
    """One OBR, counted from 1, with the positions of its OBX segments. Observations that no order is named for have
    none.
    """

    number: int
    position: int | None
    observations: list[int]


def results(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change | Unused:
    """A document for each order. Without an account or a visit a result is no encounter's: nothing is guessed from the
    patient.
    """
    if not has_number(reading, source):
        return Unused(f"{FAMILY}^{trigger} names no account or visit that its results belong to")
    if len(reading.message.positions("PID")) > 1:
        raise MappingError("several-patients", "PID[2]", "results of several patients; have one sent in a message")
    orders = list(_orders(reading))
    if not orders:
        return Unused(f"{FAMILY}^{trigger} holds no result: it has neither OBR nor OBX")
    registered = register(reading, source, FAMILY)
    reports = _Reports(reading, source, message_id)
    for order in orders:
        reports.add(order)
    items = stated(tuple(reports.documents), reports.whole)
    return registered.change(
        message_id,
        reading,
        event=trigger,
        documents=items,
        contents=tuple(reports.contents),
        places=reports.places,
    )


def _orders(reading: Reading) -> Iterator[_Order]:
    message = reading.message
    positions, observations = message.positions("OBR"), message.positions("OBX")
    if observations and not positions:
        yield _Order(1, None, observations)
    ends = [*positions[1:], len(message)]
    for number, (start, end) in enumerate(zip(positions, ends, strict=False), start=1):
        yield _Order(number, start, observations[bisect_left(observations, start) : bisect_left(observations, end)])


class _Reports:
    """The reports of one message, with their contents and places."""

    def __init__(self, reading: Reading, source: FeedProfile, message_id: int) -> None:
        self._reading = reading
        self._source = source
        self._message_id = message_id
        self._kinds = source.dialect.lookups["document_kind"]
        self._names = reading.message.names
        self._ids: set[str] = set()
        self.documents: list[Document] = []
        self.contents: list[Content] = []
        self.places: list[Places] = []
        self.whole: list[str] = []
        """The reports of which the message says all."""

    def add(self, order: _Order) -> None:
        """The report of one order, and the files in it."""
        found = Observations(self._reading, order.observations, self._names)
        text = plain_content(found.text())
        files = read_attachments(self._reading, found.standing)
        contents = (*((text,) if text else ()), *(each.content for each in files))
        group = f"documents[{len(self.documents)}]"
        said, fields = self._described(order, found)
        if fields:
            self.places.append(Places(group, f"OBR[{order.number}]", fields))
        if found.standing:
            first = bisect_left(self._reading.message.positions("OBX"), found.standing[0]) + 1
            own = {} if "status" in fields else {"status": "11[1].1"}
            if contents:
                own["digest"] = "5[1]"
            self.places.append(Places(group, f"OBX[{first}]", own))
        elif "status" not in fields:
            self.places.append(Places(group, "MSH[1]", {"status": "9[1].2"}))
        if contents or said["status"] is DocumentStatus.CANCELLED:
            self.whole.append(str(said["id"]))
        self.documents += with_files(said, contents)
        self.contents += contents

    def _described(self, order: _Order, found: Observations) -> tuple[Values, dict[str, str]]:
        """What OBR says of the report, and in which of its fields."""
        code, title = self._text(order, 4), self._text(order, 4, component=1)
        numbered = next((field for field in (3, 2) if self._text(order, field)), None)
        written, at = self._written(order)
        kind, by = self._kind(order, code)
        stated = (self._text(order, 25) or "").upper()
        values = {
            "id": (self._id(order, numbered, code), f"{numbered}[1].1" if numbered else None),
            "kind": (kind if by else None, by),
            "type": (code, "4[1].1"),
            "title": (title, "4[1].2"),
            "status": (found.status(stated), "25[1]" if stated else None),
            "author": (self._author(order), "32[1]"),
            "written": (written, at),
            "source": (self._source.name, None),
            "origin": (f"{self._message_id} {'OBX' if order.position is None else 'OBR'}[{order.number}]", None),
        }
        said: Values = {name: value for name, (value, _) in values.items() if value is not None}
        return said, {name: place for name, (value, place) in values.items() if value is not None and place}

    def _id(self, order: _Order, field: int | None, code: str | None) -> str:
        """The filler's number of the order, else the placer's, with what was asked for: a correction comes under the
        same. Without either, the same for the same bytes.
        """
        if field is None:
            digest = hashlib.sha256(self._reading.message.encode()).hexdigest()[:16]
            return f"{digest}-{order.number}"
        id = "-".join(part for part in (self._text(order, field), code) if part)
        if id in self._ids:
            id = f"{id}-{order.number}"
        self._ids.add(id)
        return id

    def _kind(self, order: _Order, code: str | None) -> tuple[DocumentKind, str | None]:
        """What the report is good for, and the place that says it."""
        known = self._kinds.get((code or "").upper())
        if isinstance(known, DocumentKind):
            return known, "4[1].1"
        section = SECTIONS.get((self._text(order, 24) or "").upper())
        return (section, "24[1]") if section else (DocumentKind.OTHER, None)

    def _author(self, order: _Order) -> Provider | None:
        """OBR-32, who interpreted the results: an NDL, whose first component holds the person (CNN)."""
        reading = self._reading
        raw = self._raw(order, 32).split(reading.repetition)[0]
        person = raw.split(reading.component)[0]
        if reading.subcomponent in person:
            raw = person.replace(reading.subcomponent, reading.component)
        found = _AUTHOR(reading, raw, At()) if raw and raw != DELETE else None
        return found if isinstance(found, Provider) else None

    def _written(self, order: _Order) -> tuple[datetime | None, str | None]:
        """OBR-22, when the results were reported, else OBR-7, when they were observed."""
        for field in (22, 7):
            value = self._text(order, field)
            if value is not None:
                try:
                    return parse_instant(self._reading, value), f"{field}[1].1"
                except Unreadable as wrong:
                    self._reading.problem("value-unreadable", f"OBR[{order.number}]-{field}", f"written: {wrong}")
        return None, None

    def _raw(self, order: _Order, field: int) -> str:
        fields = self._reading.message.fields(order.position) if order.position is not None else []
        return fields[field] if len(fields) > field else ""

    def _text(self, order: _Order, field: int, component: int = 0) -> str | None:
        raw = self._raw(order, field)
        value = self._reading.leaf(raw, At(component=component)) if raw else None
        return None if value is DELETE else value
