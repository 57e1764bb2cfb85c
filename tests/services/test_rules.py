"""The rules in force: loaded once, every mistake told at once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from services_world import NOON

from gateway.config.model import Config, KeyChoice
from gateway.encounter.billable import billable
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Encounter
from gateway.review.policy import Policy
from gateway.rules import Rules, RulesFault, load_rules


def changed(config: Config, **said: object) -> Config:
    return config.model_copy(update=said)


def test_each_feed_and_client_has_its_own_profile(rules: Rules) -> None:
    assert set(rules.profiles) == {"epic-adt", "encoder"}
    assert set(rules.sources) == {"ehr-fhir", "inbasket"}, "a provider's answers become part of encounters"
    epic = rules.profiles["epic-adt"]
    assert (epic.facility, str(epic.zone), epic.dialect.name) == ("MAIN", "America/Chicago", "general-epic")
    assert rules.sources["ehr-fhir"].authority == "MAIN"
    assert rules.sources["ehr-fhir"].key == (KeyChoice.ACCOUNT, KeyChoice.VISIT)


def test_a_feed_overrides_what_the_configuration_says_for_all(hospital: Config) -> None:
    own = {"facility": "EAST", "time_zone": "America/New_York", "key": (KeyChoice.VISIT,), "authority": "EAST"}
    feeds = (hospital.feeds[0].model_copy(update=own), *hospital.feeds[1:])
    clients = tuple(client.model_copy(update=own) for client in hospital.clients)
    rules = load_rules(changed(hospital, feeds=feeds, clients=clients))
    east, main = rules.profiles["epic-adt"], rules.profiles["encoder"]
    assert (east.facility, str(east.zone), east.key, east.authority) == ("EAST", "America/New_York", ("visit",), "EAST")
    assert (main.facility, str(main.zone), main.key, main.authority) == ("MAIN", "America/Chicago", (), None)
    source = rules.sources["ehr-fhir"]
    assert (source.facility, str(source.zone), source.key) == ("EAST", "America/New_York", (KeyChoice.VISIT,))


def test_the_policy_and_the_routes_are_those_of_the_configuration(rules: Rules) -> None:
    assert [rule.name for rule in rules.policy.rules] == ["high-value", "new-coder"]
    assert [route.name for route in rules.routes] == ["clearinghouse", "payer-fhir"]


def test_without_a_policy_nothing_is_asked_for(hospital: Config) -> None:
    assert load_rules(changed(hospital, review=None)).policy == Policy()


@pytest.mark.parametrize(
    ("now", "today"),
    [
        (NOON, date(2026, 11, 20)),
        (datetime(2026, 11, 21, 5, 59, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2026, 11, 21, 6, 0, tzinfo=UTC), date(2026, 11, 21)),
    ],
)
def test_edits_are_told_the_facilitys_day(rules: Rules, now: datetime, today: date) -> None:
    encounter = Encounter(key=EncounterKey("MAIN", "", "A1"))
    context = rules.edit_context(encounter, billable(encounter), now)
    assert (context.today, context.zone, context.icd10) == (today, rules.zone, rules.icd10)


def test_every_mistake_is_told_at_once(hospital: Config, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nrules:\n  - {name: a, when: 'total >', reason: x}\ndocumentation: perhaps\n")
    feeds = (hospital.feeds[0].model_copy(update={"dialect": "martian"}), *hospital.feeds[1:])
    with pytest.raises(RulesFault) as fault:
        load_rules(changed(hospital, review=policy, feeds=feeds))
    told = [str(mistake) for mistake in fault.value.mistakes]
    assert len(told) == 3
    assert sum(str(policy) in mistake for mistake in told) == 2
    assert any("martian" in mistake for mistake in told)
    assert any("general-epic" in mistake for mistake in told), "the remedy names those that are known"
    assert str(fault.value).startswith("3 mistakes in the configuration\n")


def test_a_dialect_that_cannot_be_read_is_told_with_its_file(hospital: Config, tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("extends: nowhere\n")
    with pytest.raises(RulesFault) as fault:
        load_rules(changed(hospital, dialects=tmp_path))
    assert any("odd.yaml" in mistake.file for mistake in fault.value.mistakes)


def test_a_policy_that_is_not_there_is_told(hospital: Config, tmp_path: Path) -> None:
    with pytest.raises(RulesFault, match="cannot be read"):
        load_rules(changed(hospital, review=tmp_path / "gone.yaml"))
