"""All that is to be said of an encounter as it stands: the edits, the site's policy, the samples it was chosen for."""

from __future__ import annotations

from gateway.encounter.model import Encounter
from gateway.review.edits.context import EditContext
from gateway.review.model import Finding
from gateway.review.policy import Policy


def assess(
    encounter: Encounter, policy: Policy, context: EditContext, chosen_samples: tuple[str, ...] = ()
) -> tuple[Finding, ...]:
    """Every finding, each rule and subject once. `chosen_samples` names the samples that the encounter was chosen for.

    `holds.reconcile` turns the findings into holds; nothing here decides whether a claim leaves.
    """
    edited = policy.edit(encounter, context)
    screened = policy.screen(encounter, context, edited)
    return (*edited, *screened, *(policy.sampled(name) for name in dict.fromkeys(chosen_samples)))
