"""The rules in force, loaded once: the policy, the dialects, the code sets, the destinations' routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from gateway.access.roles import Role
from gateway.config import Config, KeyChoice, Source
from gateway.encounter.billable import Billable
from gateway.encounter.model import Encounter
from gateway.mappings.fhir.source import FhirSource
from gateway.mappings.hl7v2.dialect import Dialect, load_dialects
from gateway.mappings.hl7v2.dialect_source import DialectError
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.reference.icd10cm import Icd10Cm
from gateway.release.routing import Route, routes_to
from gateway.review.edits.context import EditContext
from gateway.review.policy import Policy
from gateway.review.policy_file import PolicyMistakes, load_policy


class RulesFault(Exception):
    """What the configuration names cannot be used: all its mistakes."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Rules:
    policy: Policy
    icd10: Icd10Cm
    routes: tuple[Route, ...]
    profiles: Mapping[str, FeedProfile]
    sources: Mapping[str, FhirSource]
    zone: tzinfo

    def edit_context(self, encounter: Encounter, billed: Billable, now: datetime) -> EditContext:
        """What the edits are given: the facility's day at `now`."""
        day = now.astimezone(self.zone).date()
        return EditContext(self.icd10, day, billed, zone=self.zone, limits=self.policy.edit_limits)


def load_rules(config: Config) -> Rules:
    """All rules. RulesFault with every mistake in every file that the configuration names."""
    mistakes: list[str] = []
    policy, dialects, routes = Policy(), dict[str, Dialect](), tuple[Route, ...]()
    try:
        policy = load_policy(config.review) if config.review else policy
    except PolicyMistakes as wrong:
        mistakes.extend(str(mistake) for mistake in wrong.mistakes)
    try:
        dialects = load_dialects(config.dialects)
    except DialectError as wrong:
        mistakes.extend(str(mistake) for mistake in wrong.mistakes)
    else:
        mistakes.extend(_unknown_dialects(config, dialects))
    try:
        routes = routes_to(config.destinations, config.billing)
    except ValueError as wrong:
        mistakes.append(str(wrong))
    if mistakes:
        raise RulesFault(mistakes)
    profiles = {feed.name: _profile(feed.name, feed, config, dialects) for feed in config.feeds}
    sources = {
        client.name: _fhir_source(client.name, client, config) for client in config.clients if Role.FEED in client.roles
    }
    return Rules(policy, Icd10Cm.load(config.reference), routes, profiles, sources, config.zone)


def _unknown_dialects(config: Config, dialects: Mapping[str, Dialect]) -> list[str]:
    return [
        f"feeds[{feed.name}].dialect: there is no dialect {feed.dialect}; known are {', '.join(sorted(dialects))}"
        for feed in config.feeds
        if feed.dialect not in dialects
    ]


def _profile(name: str, source: Source, config: Config, dialects: Mapping[str, Dialect]) -> FeedProfile:
    return FeedProfile(
        name=name,
        facility=source.facility or config.facility,
        zone=ZoneInfo(source.time_zone or config.time_zone),
        dialect=dialects[source.dialect],
        key=tuple(choice.value for choice in source.key or ()),
        authority=source.authority,
    )


def _fhir_source(name: str, source: Source, config: Config) -> FhirSource:
    return FhirSource(
        feed=name,
        facility=source.facility or config.facility,
        key=source.key or (KeyChoice.ACCOUNT, KeyChoice.VISIT),
        authority=source.authority,
        zone=ZoneInfo(source.time_zone or config.time_zone),
    )
