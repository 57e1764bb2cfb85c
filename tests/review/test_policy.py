from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from review_making import FIXTURES, add, change, change_item, context, found, rules, without

from gateway.access.roles import Role
from gateway.encounter.model import Encounter, EncounterClass, VisitStatus
from gateway.review import policy as policy_module
from gateway.review.assess import assess
from gateway.review.conditions import Facts, facts_of
from gateway.review.model import HoldKind, Severity
from gateway.review.policy import Policy
from gateway.review.policy_file import PolicyMistakes, load_policy, parse_policy


@pytest.fixture(scope="module")
def site() -> Policy:
    return load_policy(FIXTURES / "policy.yaml")


def mistakes(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(PolicyMistakes) as refusal:
        parse_policy(text.encode(), "policy.yaml")
    for mistake in refusal.value.mistakes:
        assert mistake.file == "policy.yaml"
        assert mistake.text
        assert mistake.remedy
    return [(mistake.line, mistake.key) for mistake in refusal.value.mistakes]


def told(text: str) -> str:
    with pytest.raises(PolicyMistakes) as refusal:
        parse_policy(text.encode(), "policy.yaml")
    return str(refusal.value)


# The file


def test_the_file_is_read(site: Policy) -> None:
    assert site.rules[0].resolvable_by == (Role.SUPERVISOR,)
    assert site.coders["jdoe"].since == date(2026, 10, 1)
    assert site.samples[0].seed == "2026Q4"


@pytest.mark.parametrize("content", [b"", b"# nothing yet\n", b"version: 1\n", b"{}\n"])
def test_an_empty_file_is_the_plain_policy(content: bytes) -> None:
    assert parse_policy(content) == Policy()


@pytest.mark.parametrize(("written", "required"), [("off", False), ("'off'", False), ("required", True)])
def test_a_bare_off_is_off(written: str, required: bool, outpatient: Encounter) -> None:
    policy = parse_policy(f"documentation: {written}\nseverities: {{charge-duplicate: off}}\n".encode())
    assert bool(found(without(outpatient, "documents"), policy)) is required
    assert policy.severities["charge-duplicate"] == "off"


def test_every_mistake_at_once_each_in_its_place() -> None:
    text = """\
version: 2
bill_hold_days: -1
coders:
  jdoe: {sinc: 2026-10-01}
  12: {since: 2015-03-01}
documentation: maybe
rules:
  - {name: high-value, when: "totl >= 10000.0", reason: High}
  - name: Bad Name
    reason: x
    when: coder.known &&
    resolvable_by: [boss, coder]
  - {name: c, when: "coder.known"}
samples:
  - {name: s, take: 500, of: 100, seed: x}
  - {name: t, take: 1, of: 100, seed: 2026, when: total + 1.0}
severities:
  nope: off
  not-discharged: off
  charge-duplicate: hard
extra: 1
"""
    assert set(mistakes(text)) == {
        (1, "version"),
        (2, "bill_hold_days"),
        (4, "coders.jdoe.since"),
        (4, "coders.jdoe.sinc"),
        (5, "coders.12"),
        (6, "documentation"),
        (8, "rules[high-value].when"),
        (9, "rules[1].name"),
        (11, "rules[1].when"),
        (12, "rules[1].resolvable_by[0]"),
        (12, "rules[1].resolvable_by[1]"),
        (13, "rules[c].reason"),
        (15, "samples[s]"),
        (16, "samples[t].seed"),
        (16, "samples[t].when"),
        (18, "severities.nope"),
        (19, "severities.not-discharged"),
        (20, "severities.charge-duplicate"),
        (21, "extra"),
    }


def test_a_mistake_says_what_to_write() -> None:
    assert told("rules:\n  - {name: a, when: totl > 1.0, reason: x}\n").startswith(
        "1 mistake in the configuration\npolicy.yaml:2: rules[a].when: unknown: totl\n    known are total, lines, codes"
    )
    assert "did you mean charge-duplicate? known are" in told("severities: {charge-duplicates: off}\n")
    assert "there is no such setting\n    did you mean reason?" in told("rules:\n- {name: a, when: 'true', reson: x}\n")
    assert "name one that may: supervisor" in told(
        "samples:\n- {name: a, take: 1, of: 2, seed: x, resolvable_by: [coder]}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n- {name: a, when: 'true', reason: x}\n- {name: a, when: 'true', reason: x}\n",
        "rules:\n- {name: b, when: 'true', reason: x}\n- {name: npi-invalid, when: 'true', reason: x}\n",
        "rules:\n- {name: a, when: 'true', reason: x}\nsamples:\n- {name: a, take: 1, of: 2, seed: x}\n",
    ],
)
def test_names_are_taken_once(text: str) -> None:
    assert " is taken\n    give each" in told(text)


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"rules: [\n  {", 2, "not YAML"),
        (b"version: 1\nversion: 1\n", 2, "stands twice, first on line 1"),
        (b"rules:\n- {name: a, when: 'true', reason: x, name: b}\n", 2, "stands twice"),
        (b"coders: &a {}\nseverities: *a\n", 2, "alias"),
        (b"version: 1\n\xff\xfe\x00", 2, "not UTF-8"),
        (b"version: 1\nrules: \x00\n", 2, "a character that YAML does not allow"),
        (b"- 1\n", 1, "not a mapping"),
        (b"severities: {" + b"{" * 5000, 1, "nested too deeply"),
        (b"version: !!python/object/apply:os.system [true]\n", 1, "YAML tag"),
        (b"coders:\n  a: {since: 2026-13-45}\n", 2, "not a date"),
        (b"limits: {max_line_units: .inf}\n", 1, "not a number that can be used"),
        (b"version: 1\nrules:\n", 2, "is empty"),
        (b"<<: {version: 1}\n", 1, "has a key that is not a plain word"),
        (b"bill_hold_days: -1\n", 1, "must be greater than or equal to 0"),
        (b"bill_hold_days:\n  inpatient: -1\n", 2, "must be greater than or equal to 0"),
        (b"bill_hold_days:\n  somewhere: 1\n", 2, "is not one of its values"),
    ],
)
def test_a_file_that_cannot_be_read(content: bytes, line: int, says: str) -> None:
    with pytest.raises(PolicyMistakes) as refusal:
        parse_policy(content)
    (mistake,) = refusal.value.mistakes
    assert mistake.line == line
    assert says in mistake.text


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(PolicyMistakes, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(PolicyMistakes, match="is larger than 1 MiB"):
        load_policy(large)


# Rules


def test_rules_whose_condition_holds_are_findings(site: Policy, inpatient: Encounter) -> None:
    findings = found(inpatient, site)
    assert rules(findings) == ["high-value", "new-coder"]
    high = findings[0]
    assert (high.kind, high.severity, high.due_days) == (HoldKind.REVIEW, Severity.WARNING, 2)
    assert high.resolvable_by == ("supervisor",)
    assert high.text == "The claim is above 10,000 dollars."
    assert high.evidence == ("total >= 10000.0",)


def test_a_rule_can_speak_of_what_the_edits_found(site: Policy, outpatient: Encounter) -> None:
    warned = change_item(outpatient, "charges", 1, amount=Decimal(0))
    assert rules(found(warned, site)) == ["charge-amount-zero", "warned"]


def test_rules_wait_for_final_codes(site: Policy, inpatient: Encounter) -> None:
    assert rules(found(change(inpatient, "coding", final=False), site)) == ["codes-not-final"]


def test_a_condition_that_fails_holds_the_claim(
    monkeypatch: pytest.MonkeyPatch, site: Policy, outpatient: Encounter
) -> None:
    """Whatever goes wrong while a condition is evaluated: the claim is held, and nothing of the record is told."""

    def broken(values: dict[str, object]) -> Facts:
        return facts_of({**values, "total": "MRN 12345", "encounter_class": 7})  # type: ignore[dict-item]

    monkeypatch.setattr(policy_module, "facts_of", broken)
    findings = found(outpatient, site)
    assert [(f.rule, f.severity) for f in findings] == [("high-value", Severity.ERROR)]
    assert "12345" not in findings[0].model_dump_json()
    assert findings[0].kind is HoldKind.REVIEW


def test_a_sample_s_condition_that_fails_holds_the_claim(
    monkeypatch: pytest.MonkeyPatch, outpatient: Encounter
) -> None:
    policy = parse_policy(b"samples:\n- {name: s, take: 1, of: 2, seed: x, when: total > 5.0}\n")
    monkeypatch.setattr(policy_module, "facts_of", lambda values: facts_of({"total": "x"}))
    assert [(f.rule, f.severity) for f in found(outpatient, policy)] == [("s", Severity.ERROR)]
    assert policy.eligible(outpatient, context(outpatient)) == ()


# Severities


def test_a_site_may_weigh_an_edit_otherwise(outpatient: Encounter) -> None:
    bad = change_item(without(outpatient, "documents"), "charges", 0, amount=Decimal(0))
    policy = parse_policy(
        b"severities: {document-missing: warning, service-undocumented: off, charge-amount-zero: error}"
    )
    weighed = {f.rule: f.severity for f in found(bad, policy)}
    assert weighed == {"document-missing": Severity.WARNING, "charge-amount-zero": Severity.ERROR}


def test_the_problems_of_messages_can_be_weighed() -> None:
    assert parse_policy(b"severities: {message.bad-phone: information}").severities


# Samples


def test_an_encounter_is_eligible_once_it_is_ready_for_a_reviewer(site: Policy, outpatient: Encounter) -> None:
    ((sample, whose),) = site.eligible(outpatient, context(outpatient))
    assert (sample.name, whose) == ("pre-bill", "2026Q4 5-of-100 asmith")
    for not_yet in (
        change(outpatient, "coding", final=False),
        change(outpatient, "visit", status=VisitStatus.CANCELLED),
        change(outpatient, "visit", status=VisitStatus.PLANNED),
        change(outpatient, "visit", encounter_class=EncounterClass.EMERGENCY),
        without(outpatient, "charges"),
    ):
        assert site.eligible(not_yet, context(not_yet)) == ()


def test_a_held_bill_may_be_reviewed_meanwhile(outpatient: Encounter) -> None:
    policy = parse_policy(b"bill_hold_days: 90\nsamples:\n- {name: s, take: 1, of: 2, seed: x}\n")
    assert rules(found(outpatient, policy)) == ["bill-hold"]
    assert len(policy.eligible(outpatient, context(outpatient))) == 1


def test_a_sample_may_be_of_what_the_edits_found(outpatient: Encounter) -> None:
    policy = parse_policy(b"samples:\n- {name: s, take: 1, of: 2, seed: x, when: 'findings.size() > 0'}\n")
    bad = add(outpatient, "charges", outpatient.charges[1].model_copy(update={"id": "again"}))
    assert policy.eligible(outpatient, context(outpatient)) == ()
    assert len(policy.eligible(bad, context(bad))) == 1


def test_a_chosen_encounter_is_held(site: Policy, outpatient: Encounter) -> None:
    findings = assess(outpatient, site, context(outpatient), ("pre-bill", "pre-bill", "gone"))
    assert [(f.rule, f.kind) for f in findings] == [("pre-bill", HoldKind.SAMPLE), ("gone", HoldKind.SAMPLE)]
    assert findings[0].evidence == ("5 of 100, seed 2026Q4",)
    assert all(f.severity is Severity.WARNING for f in findings)


def test_assessing_again_says_the_same(site: Policy, inpatient: Encounter) -> None:
    assert found(inpatient, site) == found(inpatient, site)


def test_a_finding_is_told_once(outpatient: Encounter) -> None:
    identities = [f.identity for f in found(without(outpatient, "coverages", "documents", "diagnoses"))]
    assert len(identities) == len(set(identities))
