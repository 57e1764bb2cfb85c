"""EHRs and query templates in `gateway.yaml`: each mistake with its line, and the policy's times of queries."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from gateway.config.ehr import InboxDelivery
from gateway.config.model import Config
from gateway.review.policy_file import PolicyMistakes, parse_policy
from gateway.rules import RulesFault, load_rules
from gateway.settings import ConfigErrors, load

HEAD = "store: sqlite:///gateway.db\n"


def loaded(directory: Path, text: str) -> Config:
    path = directory / "gateway.yaml"
    path.write_text(HEAD + text)
    return load(path, {"EHR_TOKEN": "t" * 32})


def test_three_deliveries(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        "feeds: [{name: adt, listen: 'mllp://127.0.0.1:0'}, {name: dft, listen: 'mllp://127.0.0.1:0'}]\n"
        "ehrs:\n"
        "  - {name: cdex, delivery: task, url: 'https://ehr.example/fhir', token_env: EHR_TOKEN, feeds: [adt]}\n"
        "  - {name: epic, delivery: communication, url: 'https://epic.example/fhir', feeds: [dft]}\n"
        "  - {name: other, delivery: poll}\n",
    ).ehrs
    assert [ehr.delivery for ehr in found] == list(InboxDelivery)
    assert found[0].token is not None
    assert "ttt" not in repr(found)


@pytest.mark.parametrize(
    ("ehr", "key", "said"),
    [
        ("{name: a, delivery: task}", "ehrs[a]", "does not say where"),
        ("{name: a, delivery: poll, url: 'https://e.example'}", "ehrs[a].url", "is not used"),
        ("{name: a, delivery: task, url: 'http://e.example'}", "ehrs[a].url", "unprotected"),
        ("{name: a, delivery: fax, url: 'https://e.example'}", "ehrs[a].delivery", ""),
        ("{name: a, delivery: task, url: 'https://e.example', token_env: NONE}", "ehrs[a].token_env", "not set"),
        ("{name: a, delivery: poll, feeds: [adt]}", "ehrs[a].feeds[0]", "no feed or client"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, ehr: str, key: str, said: str) -> None:
    with pytest.raises(ConfigErrors) as raised:
        loaded(tmp_path, f"ehrs:\n  - {ehr}\n")
    assert [(one.line, one.key) for one in raised.value.mistakes] == [(3, key)]
    assert said in raised.value.mistakes[0].text + raised.value.mistakes[0].remedy


def test_an_ehr_that_no_encounter_reaches_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as raised:
        loaded(tmp_path, "ehrs:\n  - {name: a, delivery: poll}\n  - {name: b, delivery: poll}\n")
    assert [(one.line, one.key) for one in raised.value.mistakes] == [(4, "ehrs[b]")]
    assert "the EHR on line 3" in raised.value.mistakes[0].text
    with pytest.raises(ConfigErrors) as raised:
        loaded(tmp_path, "ehrs:\n  - {name: a, delivery: poll, feeds: []}\n  - {name: a, delivery: poll}\n")
    assert "stands already on line 3" in "".join(one.text for one in raised.value.mistakes)


def test_a_site_s_templates_are_read_with_the_rest(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    config = loaded(tmp_path, "queries: {templates: templates}\n")
    assert "acuity" in load_rules(config).templates
    (tmp_path / "templates" / "mine.yaml").write_text("name: mine\n")
    with pytest.raises(RulesFault) as raised:
        load_rules(config)
    assert {mistake.file for mistake in raised.value.mistakes} == {str(tmp_path / "templates" / "mine.yaml")}


def test_the_policy_s_times_of_queries() -> None:
    text = b"queries:\n  due_days: 3\n  reminders: [1]\n  holidays: [2026-12-25]\n  escalate:\n    - {to: attending}\n"
    found = parse_policy(text).queries
    assert (found.due_days, found.holidays, found.escalate[0].due_days) == (3, {date(2026, 12, 25)}, 2)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("due_days: 0", "queries.due_days"),
        ("escalate: [{to: nobody}]", "queries.escalate[0].to"),
        ("escalate: [{to: attending, days: 1}]", "queries.escalate[0].days"),
        ("remind: [1]", "queries.remind"),
    ],
)
def test_mistakes_of_the_policy(line: str, key: str) -> None:
    with pytest.raises(PolicyMistakes) as raised:
        parse_policy(f"queries:\n  {line}\n".encode())
    assert [(one.line, one.key) for one in raised.value.mistakes] == [(2, key)]
