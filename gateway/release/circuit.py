"""A destination's circuit: when it is down, nothing but one probe at a time is sent, and one line is logged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Circuit:
    """Closed while the destination answers. Each change gives a new value: an outage is seen to begin and end."""

    failures: int = 0
    """Failures in a row."""
    trials: int = 0
    """Probes of this outage that failed, the first failure included."""
    since: datetime | None = None
    """When the outage began; None while the circuit is closed."""
    until: datetime | None = None
    """Nothing is sent before."""

    @property
    def is_open(self) -> bool:
        return self.since is not None

    def allows(self, now: datetime) -> bool:
        """Whether something may be sent: always while closed, and a probe once the pause is over."""
        return self.until is None or now >= self.until

    def failed(self, now: datetime, pause: timedelta, threshold: int) -> Circuit:
        """After a failure. It opens at the `threshold`th in a row; a failed probe keeps it open for another `pause`.

        Failures that come in while it pauses are of attempts begun before: they do not lengthen the outage.
        """
        if self.since is None:
            if self.failures + 1 < threshold:
                return replace(self, failures=self.failures + 1)
            return Circuit(self.failures + 1, 1, now, now + pause)
        if not self.allows(now):
            return self
        return Circuit(self.failures + 1, self.trials + 1, self.since, now + pause)

    def worked(self) -> Circuit:
        """After an answer, a refusal of a claim included: the destination is there."""
        return Circuit() if self.failures else self
