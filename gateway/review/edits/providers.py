"""Every provider's NPI can be one, and the providers that a claim must name are there."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.encounter.model import ClaimKind, Encounter, Provider, ProviderRole
from gateway.reference.npi import npi_is_valid
from gateway.review.edits.context import EditContext, Rule
from gateway.review.edits.lines import standing
from gateway.review.model import Finding, Severity

_NPI = "45 CFR 162.406; ISO/IEC 7812 check digit"

NPI_INVALID = Rule(
    "npi-invalid",
    Severity.ERROR,
    _NPI,
    "Correct the NPI at its source: ten digits, the last of which checks the others.",
)
NPI_MISSING = Rule("npi-missing", Severity.ERROR, _NPI, "Have the sender name the provider with the NPI.")
RENDERING_MISSING = Rule(
    "rendering-provider-missing",
    Severity.ERROR,
    "005010X222A1, loops 2010AA, 2310B and 2420A",
    "Have the sender say who rendered the service; the attending provider is not taken for it.",
)
ATTENDING_MISSING = Rule(
    "attending-provider-missing",
    Severity.WARNING,
    "005010X223A2, loop 2310A",
    "Have the sender say who attended; only non-scheduled transport is billed without.",
)
RULES = (NPI_INVALID, NPI_MISSING, RENDERING_MISSING, ATTENDING_MISSING)

NAMED_BY_NPI: dict[ClaimKind, frozenset[ProviderRole]] = {
    ClaimKind.PROFESSIONAL: frozenset({ProviderRole.RENDERING, ProviderRole.BILLING}),
    ClaimKind.INSTITUTIONAL: frozenset({ProviderRole.ATTENDING, ProviderRole.OPERATING, ProviderRole.BILLING}),
}
"""The roles whose provider a claim cannot name without the NPI."""


def check(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """NPIs of the encounter, its procedures and its billed charges; who must be there."""
    yield from _npis(encounter, context)
    roles = {provider.role for provider in encounter.providers}
    if context.billable.kind is ClaimKind.INSTITUTIONAL:
        if ProviderRole.ATTENDING not in roles:
            yield ATTENDING_MISSING.finding("providers", "An institutional claim without attending provider.")
    elif roles.isdisjoint({ProviderRole.RENDERING, ProviderRole.BILLING}):
        yield from _unrendered(encounter, context)


def _npis(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """Each wrong number once; each role without a number once."""
    named = NAMED_BY_NPI[context.billable.kind]
    seen: set[str] = set()
    for where, index, provider in _providers(encounter, context):
        npi, role = provider.npi, provider.role
        if (npi or role) in seen:
            continue
        seen.add(npi or role)
        if npi is None:
            if role in named:
                text = f"No NPI for the {role} provider."
                yield NPI_MISSING.finding(f"{where}[{index}].npi", text, subject=role)
        elif not npi_is_valid(npi):
            text = f"{npi} of the {role} provider is not an NPI."
            yield NPI_INVALID.finding(f"{where}[{index}].npi", text, subject=npi)


def _providers(encounter: Encounter, context: EditContext) -> Iterator[tuple[str, int, Provider]]:
    for index, provider in enumerate(encounter.providers):
        yield "providers", index, provider
    for where, charge, _ in standing(encounter, context):
        for index, provider in enumerate(charge.providers):
            yield f"{where}.providers", index, provider
    for at, procedure in enumerate(encounter.procedures):
        for index, provider in enumerate(procedure.providers):
            yield f"procedures[{at}].providers", index, provider


def _unrendered(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    without = [where for where, _, line in standing(encounter, context) if line.rendering is None]
    if without:
        yield RENDERING_MISSING.finding(
            f"{without[0]}.providers", f"{len(without)} lines without rendering provider.", evidence=tuple(without)
        )
