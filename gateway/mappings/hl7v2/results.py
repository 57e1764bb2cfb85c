"""What the observations of a report say, as the lines that a person reads (OBX, chapter 7, 7.4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.encounter.model import DocumentStatus
from gateway.mappings.hl7v2 import rtf
from gateway.mappings.hl7v2.delimiters import DELETE, unescape
from gateway.mappings.hl7v2.reading import At, Reading

_REPORTED = frozenset({"TX", "FT"})
"""OBX-2: text that stands by itself."""
_ELSEWHERE = frozenset({"ED", "RP"})
_CODED = frozenset({"CE", "CWE", "CNE", "CF", "CK"})
_TAKEN_BACK = frozenset({"D", "W"})
"""OBX-11: deleted, or posted as wrong: for the wrong patient, as a rule."""
_NOTHING = frozenset({"N", "O", "X"})
"""OBX-11: not asked for, the order's details only, or impossible to obtain."""

STATUSES: dict[str, DocumentStatus] = {
    "F": DocumentStatus.FINAL,
    "U": DocumentStatus.FINAL,
    "C": DocumentStatus.AMENDED,
    **dict.fromkeys("ABIPRSV", DocumentStatus.PRELIMINARY),
    **dict.fromkeys("DWX", DocumentStatus.CANCELLED),
}
"""OBX-11 (table 0085) and OBR-25 (table 0123). Any other says nothing."""


class Observations:
    """The OBX segments of one report."""

    def __init__(self, reading: Reading, positions: Sequence[int], names: Sequence[str]) -> None:
        """`positions`: where they stand; `names`: those of all the message's segments."""
        self._reading = reading
        self._names = names
        self.standing: list[int] = []
        """Where the segments stand that are not taken back."""
        self._statuses: list[str] = []
        self._count = len(positions)
        for position in positions:
            status = self._said(position, 11).upper()
            if status not in _TAKEN_BACK:
                self.standing.append(position)
                self._statuses.append(status)

    def status(self, said: str) -> DocumentStatus:
        """The report's, of what OBR-25 says and of its observations: as final as the least final of them, and only
        where something says so. With nothing left of its observations it is cancelled.
        """
        whole = STATUSES.get(said)
        if whole is DocumentStatus.CANCELLED or (self._count and not self.standing):
            return DocumentStatus.CANCELLED
        each = {found for s in self._statuses if s not in _NOTHING and (found := STATUSES.get(s))}
        if whole is not None:
            each.add(whole)
        for status in (DocumentStatus.PRELIMINARY, DocumentStatus.AMENDED, DocumentStatus.FINAL):
            if status in each:
                return status
        return DocumentStatus.PRELIMINARY

    def text(self) -> str:
        """A line for each observation; a heading where reported text has a name of its own; notes below what they are
        of.
        """
        lines: list[str] = []
        heading = ""
        for position in self.standing:
            kind, name = self._said(position, 2), self._name(position)
            if kind in _REPORTED:
                if name and name != heading:
                    lines.append(f"{name}:")
                heading = name
                lines.append(self._whole(position))
            elif kind not in _ELSEWHERE:
                lines.append(self._line(position, name, kind))
            lines += self._notes(position)
        text = "\n".join(line for line in lines if line)
        return rtf.plain(text[text.index("{\\rtf") :]) if "{\\rtf" in text else text

    def _line(self, position: int, name: str, kind: str) -> str:
        """`Glucose: 98 mg/dL (reference 70-99) [H]`; empty without a value."""
        value = self._value(position, kind)
        if not value:
            return ""
        units, normal, flag = (self._said(position, field) for field in (6, 7, 8))
        parts = [value, units, f"(reference {normal})" if normal else "", f"[{flag}]" if flag else ""]
        said = " ".join(part for part in parts if part)
        return f"{name}: {said}" if name else said

    def _value(self, position: int, kind: str) -> str:
        reading = self._reading
        raw = self._raw(position, 5)
        if raw == DELETE:
            return ""
        if kind in _CODED:
            each = [part.split(reading.component) for part in raw.split(reading.repetition)]
            return ", ".join(said for code in each if (said := reading.said(code, 1) or reading.said(code, 0)))
        if kind == "SN":
            return "".join(unescape(part, reading.delimiters) for part in raw.split(reading.component)).strip()
        return self._whole(position)

    def _whole(self, position: int) -> str:
        """OBX-5 as it is, each repetition on a line of its own: senders do not escape the signs in a text."""
        raw = self._raw(position, 5)
        text = raw if raw != DELETE else ""
        return unescape(text.replace(self._reading.repetition, "\n"), self._reading.delimiters).strip("\r\n")

    def _name(self, position: int) -> str:
        reading = self._reading
        code = self._raw(position, 3).split(reading.component)
        return reading.said(code, 1) or reading.said(code, 0) or ""

    def _notes(self, position: int) -> list[str]:
        """NTE-3 of the notes that follow an observation directly."""
        message, notes = self._reading.message, []
        for after in range(position + 1, len(self._names)):
            if self._names[after] != "NTE":
                break
            fields = message.fields(after)
            if len(fields) > 3 and fields[3]:
                notes.append(unescape(fields[3].replace(self._reading.repetition, "\n"), self._reading.delimiters))
        return notes

    def _raw(self, position: int, field: int) -> str:
        fields = self._reading.message.fields(position)
        return fields[field] if len(fields) > field else ""

    def _said(self, position: int, field: int) -> str:
        value = self._reading.leaf(self._raw(position, field), At())
        return "" if value is None or value is DELETE else value
