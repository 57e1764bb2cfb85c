"""What every store must do. An engine passes when each exercise returns on an empty place of its own:

    for exercise in EXERCISES:
        await exercise(place)

The exercises use nothing but `gateway.store.interface`, and raise AssertionError for what is not as it must be.
"""

from __future__ import annotations

from conformance import (
    store_access,
    store_cases,
    store_fetches,
    store_messages,
    store_queries,
    store_resources,
    store_search,
    store_trail,
    store_trail_search,
    store_upkeep,
)
from conformance.store_samples import Exercise, Place

EXERCISES: tuple[Exercise, ...] = (
    *store_messages.EXERCISES,
    *store_cases.EXERCISES,
    *store_queries.EXERCISES,
    *store_resources.EXERCISES,
    *store_search.EXERCISES,
    *store_trail.EXERCISES,
    *store_trail_search.EXERCISES,
    *store_upkeep.EXERCISES,
    *store_access.EXERCISES,
    *store_fetches.EXERCISES,
)

__all__ = ["EXERCISES", "Exercise", "Place"]
