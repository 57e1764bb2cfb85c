"""The outbox: intend, send, settle.

At most one intent stands for a claim. It is committed, with its exact bytes, before the first byte leaves; whatever
happens after it and is not known to have come to nothing is *unknown*, never ready. An attempt is repeated only where
the receiver removes duplicates, or says that it has nothing; otherwise a person decides.
"""

from __future__ import annotations

from gateway.delivery.lane import Lane, LaneState, Pace
from gateway.delivery.outbox import Outbox
from gateway.delivery.ports import Casework, DeliveryStore, Destination, Renderer

__all__ = ["Casework", "DeliveryStore", "Destination", "Lane", "LaneState", "Outbox", "Pace", "Renderer"]
