"""Which message structure an event has (table 0354), where MSH-9.3 does not say it or says what there is not."""

from __future__ import annotations

_EVENTS: dict[str, tuple[str, ...]] = {
    "ADT_A01": ("A01", "A04", "A08", "A13"),
    "ADT_A05": ("A05", "A14", "A28", "A31"),
    "ADT_A06": ("A06", "A07"),
    "ADT_A09": ("A09", "A10", "A11"),
    "ADT_A21": ("A21", "A22", "A23", "A25", "A26", "A27", "A29", "A32", "A33"),
    "ADT_A30": ("A30", "A34", "A35", "A36", "A46", "A47", "A48", "A49"),
    "ADT_A39": ("A39", "A40", "A41", "A42"),
    "ADT_A43": ("A43", "A44"),
    "ADT_A50": ("A50", "A51"),
    "ADT_A52": ("A52", "A53"),
    "ADT_A54": ("A54", "A55"),
    "ADT_A61": ("A61", "A62"),
    "MDM_T01": ("T01", "T03", "T05", "T07", "T09", "T11"),
    "MDM_T02": ("T02", "T04", "T06", "T08", "T10"),
    "SIU_S12": tuple(f"S{number}" for number in (*range(12, 25), 26)),
}
"""Events that share a structure; every other event has the one that is called by it."""

STRUCTURES = {f"{name[:3]}^{event}": name for name, events in _EVENTS.items() for event in events}


def structures(code: str, event: str, said: str) -> tuple[str, ...]:
    """The structures to try, the sender's own word first."""
    own = f"{code}_{event}" if event else code
    return tuple(dict.fromkeys(name for name in (said, STRUCTURES.get(f"{code}^{event}", own), own) if name))
