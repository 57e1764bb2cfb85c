"""What an event establishes about a visit by itself: what is taken back when the event is (chapter 3, 3.3).

A message says much more than its event: an A03 repeats name and payers as they are. Those are true whether or not the
discharge is, so a cancel takes back these fields of the visit only.
"""

from __future__ import annotations

from collections.abc import Mapping

EVENT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "A01": ("status", "admitted"),
    "A02": ("location",),
    "A03": ("status", "discharged", "disposition"),
    "A04": ("status", "admitted"),
    "A05": ("status",),
    "A06": ("encounter_class",),
    "A07": ("encounter_class",),
    "A09": ("location",),
    "A10": ("location",),
}
"""Trigger event -> the fields of `Visit` that it establishes. An event that is not here establishes none by itself."""
