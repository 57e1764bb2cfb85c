from __future__ import annotations

import pytest
from review_making import change, change_item, charge, context, load, without

from gateway.encounter.model import Encounter, Provider, ProviderRole
from gateway.review.conditions import BadCondition, EvaluationFailed, condition, facts_of
from gateway.review.facts import FACTS, Coder, Subject, read_facts
from gateway.review.model import Finding, HoldKind, Severity

FINDING = Finding(
    rule="icd10-unknown", severity=Severity.ERROR, kind=HoldKind.EDIT, where="", text="", remedy="", source=""
)


def facts(encounter: Encounter, coders: dict[str, Coder] | None = None) -> dict[str, object]:
    return dict(read_facts(FACTS, Subject(encounter, context(encounter), (FINDING,), coders or {})))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("total >= 10000.0", True),
        ("total >= 10000", True),
        ("total < 10000.0", False),
        ("coder.known && coder.days < 90", False),
        ("'99285' in codes && encounter_class == 'inpatient'", True),
        ("codes.exists(c, c.startsWith('9928'))", True),
        ("codes.all(c, codes.exists(d, d == c))", True),
        ("codes.filter(c, c > '5').size() > 1", False),
        ("findings.exists(f, f.severity == 'error' && f.kind == 'edit')", False),
        ("principal.matches('^I1[0-9]$')", True),
        ("payer == 'total'", False),
        ("payer_name.contains('unknown()')", False),
        ("double(lines) / 2.0 > 5.0", True),
        ("true", True),
    ],
)
def test_conditions_on_typical_facts(text: str, holds: bool) -> None:
    assert condition(text).holds(facts_of({name: fact.typical for name, fact in FACTS.items()})) is holds


@pytest.mark.parametrize(
    ("text", "says", "remedy"),
    [
        ("total >=", "Failed to parse", "correct the expression"),
        ("total = 3", "Failed to parse", "equality is =="),
        ("totl > 1.0", "unknown: totl", "known are total, lines"),
        ("c == 'x' || codes.exists(c, c == 'x')", "fails on typical facts", "codes is a list of string"),
        ("open('/etc/passwd')", "no such function: open", "known are"),
        ("now() > 1", "no such function: now", "known are"),
        ("total > 'x'", "fails on typical facts", "total is a double"),
        ("coder.age > 3", "fails on typical facts", "coder is a map"),
        ("codes[0] == '99213'", "fails on bare facts", "codes is a list of string"),
        ("10 / lines > 2", "fails on bare facts", "lines is a int"),
        ("total + 1.0", "not a yes or no", "total is a double"),
        ("1", "not a yes or no", "name a fact"),
        ("x" * 2001, "2001 characters", "at most 2000"),
        ("(" * 900 + "true" + ")" * 900, "Failed to parse", "correct"),
    ],
)
def test_a_bad_condition_is_refused_when_it_is_loaded(text: str, says: str, remedy: str) -> None:
    with pytest.raises(BadCondition) as refusal:
        condition(text)
    assert says in refusal.value.text
    assert remedy in refusal.value.remedy


def test_a_condition_names_the_facts_that_it_needs() -> None:
    assert condition("codes.exists(c, c == 'total') || coder.days > 3").facts == {"codes", "coder"}
    assert condition("true").facts == frozenset()


@pytest.mark.parametrize("known", [{}, {"total": "much"}, {"total": None}])
def test_a_fault_while_evaluating_names_no_value(known: dict[str, object]) -> None:
    with pytest.raises(EvaluationFailed) as failed:
        condition("total > 5.0").holds(facts_of(known))  # type: ignore[arg-type]
    assert "much" not in str(failed.value)


def test_the_facts_of_an_encounter() -> None:
    assert facts(load("outpatient"), {"asmith": Coder.model_validate({"since": "2026-11-10"})}) == {
        "total": 162.0,
        "lines": 2,
        "codes": ["99213", "36415"],
        "modifiers": [],
        "diagnoses": ["I10", "E119"],
        "principal": "I10",
        "procedures": [],
        "drg": "",
        "claim_kind": "professional",
        "encounter_class": "outpatient",
        "los_days": 0,
        "disposition": "",
        "payer": "MEDICARE",
        "payer_name": "MEDICARE",
        "coder": {"id": "asmith", "known": True, "days": 10},
        "providers": ["1234567893"],
        "facility": "MAIN",
        "feeds": ["epic"],
        "findings": [{"rule": "icd10-unknown", "severity": "error", "kind": "edit"}],
    }
    stay = facts(load("inpatient"))
    assert (stay["drg"], stay["los_days"], stay["disposition"]) == ("419", 4, "01")
    assert (stay["claim_kind"], stay["procedures"]) == ("institutional", ["0FT44ZZ"])
    assert stay["coder"] == {"id": "jdoe", "known": False, "days": 0}


def test_what_nobody_said_is_empty() -> None:
    bare = without(load("outpatient"), "coverages", "diagnoses", "charges", "documents", "providers")
    bare = change(change(bare, "coding", coder=None), "visit", encounter_class=None, discharged=None)
    known = facts(bare)
    assert (known["payer"], known["principal"], known["encounter_class"], known["los_days"]) == ("", "", "", -1)
    assert (known["total"], known["feeds"], known["coder"]) == (0.0, [], {"id": "", "known": False, "days": 0})


def test_each_provider_once() -> None:
    other = Provider(role=ProviderRole.RENDERING, npi="1245319599")
    assert facts(change_item(load("outpatient"), "charges", 1, providers=(other,)))["providers"] == [
        "1234567893",
        "1245319599",
    ]


@pytest.mark.parametrize("name", FACTS)
def test_typical_and_bare_facts_have_the_type_of_real_ones(name: str) -> None:
    fact = FACTS[name]
    charged = load("inpatient").model_copy(
        update={"charges": (charge(id="1", code="99213", modifiers=["25"], units=1, amount=1, source="x"),)}
    )
    real = facts(charged)[name]
    assert type(fact.typical) is type(fact.bare)
    assert isinstance(real, type(fact.typical))
    if isinstance(real, dict) and isinstance(fact.typical, dict):
        assert {key: type(value) for key, value in real.items()} == {k: type(v) for k, v in fact.typical.items()}
    assert fact.meaning
