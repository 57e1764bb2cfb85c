"""The tables and their statements: one interface, two engines."""

from __future__ import annotations

from gateway.store.open import open_store

__all__ = ["open_store"]
