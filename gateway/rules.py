"""The rules in force, loaded once: the policy, the dialects, the code sets, the destinations' routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.access.roles import Role
from gateway.config.model import Config, Feed, KeyChoice, Source
from gateway.encounter.billable import Billable
from gateway.encounter.model import Encounter
from gateway.mappings.fhir.source import FhirSource
from gateway.mappings.hl7v2.charset import NAMES, known
from gateway.mappings.hl7v2.dialect import Dialect, load_dialects
from gateway.mappings.hl7v2.dialect_source import DialectError
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.reference.icd10cm import Icd10Cm
from gateway.release.routing import Route, billed_by, route_to
from gateway.review.edits.context import EditContext
from gateway.review.policy import Policy
from gateway.review.policy_file import PolicyMistakes, load_policy
from gateway.review.query_template import QueryTemplate
from gateway.review.query_template_file import TemplateMistakes, load_templates
from gateway.settings import ConfigErrors, load
from gateway.yamlfile import Mistake, Mistakes, instead

_WRITING = frozenset({Role.FEED, Role.PROVIDER})
"""Whose resources become part of encounters: a provider's answers do."""


class RulesFault(Mistakes):
    """What the configuration names cannot be used: all its mistakes."""


@dataclass(frozen=True, slots=True)
class Rules:
    policy: Policy
    icd10: Icd10Cm
    routes: tuple[Route, ...]
    profiles: Mapping[str, FeedProfile]
    sources: Mapping[str, FhirSource]
    zone: tzinfo
    templates: Mapping[str, QueryTemplate] = field(default_factory=dict)

    def edit_context(self, encounter: Encounter, billed: Billable, now: datetime) -> EditContext:
        """What the edits are given: the facility's day at `now`."""
        day = now.astimezone(self.zone).date()
        return EditContext(self.icd10, day, billed, zone=self.zone, limits=self.policy.edit_limits)


def load_rules(config: Config) -> Rules:
    """All rules. RulesFault with every mistake in every file that the configuration names."""
    policy, dialects, mistakes = _read(config.review, config.dialects)
    routes = tuple(_routes(config, mistakes))
    templates = _templates(config.queries.templates, mistakes)
    if dialects:
        mistakes.extend(_unknown_dialects(config, dialects))
    mistakes.extend(_unknown_charsets(config))
    if mistakes:
        raise RulesFault(mistakes)
    profiles = {feed.name: _profile(feed.name, feed, config, dialects) for feed in config.hl7_feeds}
    sources = {
        client.name: _fhir_source(client.name, client, config) for client in config.clients if _WRITING & client.roles
    }
    sources |= {feed.name: _fhir_source(feed.name, feed, config) for feed in config.polled_feeds}
    return Rules(policy, Icd10Cm.load(config.reference), routes, profiles, sources, config.zone, templates)


def check(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration, once it and all that it names can be used. Raises Mistakes with those of all files."""
    return read(path, environ)[0]


def read(path: Path, environ: Mapping[str, str]) -> tuple[Config, Rules]:
    """The configuration and the rules that it names. Raises Mistakes with those of all files."""
    try:
        config = load(path, environ)
    except ConfigErrors as errors:
        _, _, mistakes = _read(errors.named.review, errors.named.dialects)
        _templates(errors.named.templates, mistakes)
        raise Mistakes((*errors.mistakes, *mistakes)) from None
    return config, load_rules(config)


def _read(review: Path | None, directory: Path | None) -> tuple[Policy, dict[str, Dialect], list[Mistake]]:
    """The policy, the dialects, and the mistakes in either's files; what has some is empty."""
    mistakes: list[Mistake] = []
    policy, dialects = Policy(), dict[str, Dialect]()
    try:
        policy = load_policy(review) if review else policy
    except PolicyMistakes as wrong:
        mistakes.extend(wrong.mistakes)
    try:
        dialects = load_dialects(directory)
    except DialectError as wrong:
        mistakes.extend(wrong.mistakes)
    return policy, dialects, mistakes


def _templates(directory: Path | None, mistakes: list[Mistake]) -> Mapping[str, QueryTemplate]:
    try:
        return load_templates(directory)
    except TemplateMistakes as wrong:
        mistakes.extend(wrong.mistakes)
        return {}


def _routes(config: Config, mistakes: list[Mistake]) -> Iterator[Route]:
    for index, destination in enumerate(config.destinations):
        try:
            yield billed_by(route_to(destination, config.billing), config.billing)
        except ValueError as wrong:
            remedy = "list only kinds of claim that the destination can carry"
            mistakes.append(config.mistake(("destinations", index, "claims"), str(wrong), remedy))


def _unknown_dialects(config: Config, dialects: Mapping[str, Dialect]) -> Iterator[Mistake]:
    for index, feed in enumerate(config.feeds):
        if feed.dialect not in dialects:
            remedy = instead(feed.dialect, sorted(dialects))
            yield config.mistake(("feeds", index, "dialect"), f"there is no dialect {feed.dialect}", remedy)


def _unknown_charsets(config: Config) -> Iterator[Mistake]:
    for index, feed in enumerate(config.feeds):
        if feed.charset and not known(feed.charset):
            remedy = instead(feed.charset, NAMES)
            yield config.mistake(("feeds", index, "charset"), "there is no such character set", remedy)


def _profile(name: str, source: Feed, config: Config, dialects: Mapping[str, Dialect]) -> FeedProfile:
    return FeedProfile(
        name=name,
        facility=source.facility or config.facility,
        zone=ZoneInfo(source.time_zone or config.time_zone),
        dialect=dialects[source.dialect],
        key=tuple(choice.value for choice in source.key or ()),
        authority=source.authority,
        charset=source.charset,
        snapshot={family: frozenset[str](groups) for family, groups in source.snapshot.items()},
    )


def _fhir_source(name: str, source: Source, config: Config) -> FhirSource:
    return FhirSource(
        feed=name,
        facility=source.facility or config.facility,
        key=source.key or (KeyChoice.ACCOUNT, KeyChoice.VISIT),
        authority=source.authority,
        authorities=source.authorities,
        zone=ZoneInfo(source.time_zone or config.time_zone),
    )
