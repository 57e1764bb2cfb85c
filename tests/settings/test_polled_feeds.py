"""Feeds that are polled, and attachments, in `gateway.yaml`: each mistake with its line, key and remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config.model import Config
from gateway.config.polled import READABLE, PolledType
from gateway.rules import load_rules
from gateway.settings import ConfigErrors, load

HEAD = "store: sqlite:///gateway.db\n"
URL = "url: 'https://ehr.example/fhir'"


def loaded(directory: Path, text: str) -> Config:
    path = directory / "gateway.yaml"
    path.write_text(HEAD + text)
    return load(path, {"EHR_TOKEN": "t" * 32})


def mistakes(directory: Path, text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigErrors) as raised:
        loaded(directory, text)
    return [(one.line, one.key, f"{one.text}; {one.remedy}") for one in raised.value.mistakes]


def test_a_polled_feed_with_all_that_it_may_say(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "feeds:\n"
        "  - name: ehr\n"
        "    authority: MAIN\n"
        "    silent_after: 60\n"
        "    poll:\n"
        "      url: https://ehr.example/fhir/\n"
        "      token_env: EHR_TOKEN\n"
        "      types: [Encounter, Coverage]\n"
        "      params: {Encounter: {patient: '12,13'}}\n"
        "      start: 2026-01-31\n"
        "      every_seconds: 600\n"
        "    attachments: {hosts: [Documents.example, '10.1.2.3:8443'], networks: [10.1.0.0/16]}\n"
        "  - {name: adt, listen: 'mllp://127.0.0.1:0'}\n",
    )
    feed = config.feeds[0]
    assert feed.poll is not None
    assert feed.attachments is not None
    assert feed.poll.url == str(feed.listen).rstrip("/") == "https://ehr.example/fhir"
    assert feed.poll.types == (PolledType.ENCOUNTER, PolledType.COVERAGE)
    assert feed.poll.start == datetime(2026, 1, 31, tzinfo=UTC)
    assert feed.attachments.hosts == ("documents.example", "10.1.2.3:8443")
    assert feed.attachments.content_types == READABLE
    assert "ttt" not in repr(config)
    assert [one.name for one in config.polled_feeds] == ["ehr"]
    assert [one.name for one in config.hl7_feeds] == ["adt"]
    rules = load_rules(config)
    assert (set(rules.sources), set(rules.profiles)) == ({"ehr"}, {"adt"})
    assert rules.sources["ehr"].authority == "MAIN"


@pytest.mark.parametrize(
    ("said", "key", "told"),
    [
        ("poll: {url: 'http://ehr.example/fhir'}", "poll.url", "https"),
        ("poll: {url: 'https://u:p@ehr.example'}", "poll.url", "user or password"),
        ("poll: {}", "poll.url", "missing"),
        ("poll: https://ehr.example", "poll", "group of settings"),
        (f"poll: {{{URL}, types: []}}", "poll.types", "empty"),
        (f"poll: {{{URL}, types: [Encouter]}}", "poll.types[0]", "did you mean Encounter?"),
        (f"poll: {{{URL}, types: [Claim, Claim]}}", "poll.types", "twice"),
        (f"poll: {{{URL}, every_seconds: 60}}", "poll.every_seconds", "often: true"),
        (f"poll: {{{URL}, every_second: 60}}", "poll.every_second", "did you mean every_seconds?"),
        (f"poll: {{{URL}, start: soon}}", "poll.start", "2026-01-31"),
        (f"poll: {{{URL}, start: '2026-01-31T08:00:00'}}", "poll.start", "offset"),
        (f"poll: {{{URL}, params: {{Patient: {{name: x}}}}}}", "poll.params", "not searched for"),
        (f"poll: {{{URL}, params: {{Claim: {{_count: '9'}}}}}}", "poll.params.Claim._count", "gateway's own"),
        (f"poll: {{{URL}, token_env: NONE}}", "poll.token_env", "not set"),
        (f"poll: {{{URL}, token: secret-secret-secret}}", "poll.token", "does not belong"),
        (f"poll: {{{URL}}}, listen: http", "poll", "listens on"),
        (f"poll: {{{URL}}}, dialect: base", "dialect", "polled"),
        (f"poll: {{{URL}}}, idle_seconds: 5", "idle_seconds", "polled"),
        (f"poll: {{{URL}}}, attachments: {{hosts: []}}", "attachments.hosts", "empty"),
        (f"poll: {{{URL}}}, attachments: {{}}", "attachments.hosts", "missing"),
        (f"poll: {{{URL}}}, attachments: {{hosts: ['https://a']}}", "attachments.hosts[0]", "name alone"),
        (f"poll: {{{URL}}}, attachments: {{hosts: [a], networks: [b]}}", "attachments.networks[0]", "10.20.0.0/16"),
        (f"poll: {{{URL}}}, attachments: {{hosts: [a], host: b}}", "attachments.host", "did you mean hosts?"),
        ("listen: http, attachments: {hosts: [a]}", "attachments", "listens on"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, said: str, key: str, told: str) -> None:
    found = mistakes(tmp_path, f"feeds:\n  - {{name: e, {said}}}\n")
    assert [(line, where) for line, where, _ in found] == [(3, f"feeds[e].{key}")]
    assert told in found[0][2]


def test_a_token_and_smart_are_one_too_many(tmp_path: Path) -> None:
    smart = "smart: {issuer: 'https://ehr.example/fhir', client_id: us, key_file: none.pem, scopes: [system/Claim.rs]}"
    found = mistakes(tmp_path, f"feeds:\n  - {{name: e, poll: {{{URL}, token_env: EHR_TOKEN, {smart}}}}}\n")
    assert {where for _, where, _ in found} == {"feeds[e].poll.smart.key_file", "feeds[e].poll.smart"}


def test_often_and_loopback_may_look_as_often_as_they_like(tmp_path: Path) -> None:
    feeds = (
        f"  - {{name: a, poll: {{{URL}, every_seconds: 60, often: true}}}}\n"
        "  - {name: b, poll: {url: 'http://127.0.0.1:9/fhir', every_seconds: 0.1}}\n"
    )
    assert len(loaded(tmp_path, f"feeds:\n{feeds}").polled_feeds) == 2


def test_systems_and_parameters_are_keys_as_others_named_them(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "feeds:\n"
        "  - name: ehr\n"
        "    authorities:\n"
        "      urn:oid:2.16.840.1.113883.19.5: GENERAL    # PID-3.4\n"
        "      'https://ehr.example/mrn': EHR\n"
        "    poll:\n"
        f"      {URL}\n"
        "      types: [Encounter]\n"
        "      params: {Encounter: {'subject:Patient.identifier': 'MR|1'}}\n",
    )
    feed = config.feeds[0]
    assert feed.poll is not None
    assert feed.authorities == {"urn:oid:2.16.840.1.113883.19.5": "GENERAL", "https://ehr.example/mrn": "EHR"}
    assert feed.poll.params[PolledType.ENCOUNTER] == {"subject:Patient.identifier": "MR|1"}


def test_a_client_s_attachments(tmp_path: Path) -> None:
    client = "{name: ehr, roles: [feed], token_env: EHR_TOKEN, attachments: {hosts: [documents.example]}}"
    found = loaded(tmp_path, f"clients:\n  - {client}\n").clients[0].attachments
    assert found is not None
    assert found.hosts == ("documents.example",)
