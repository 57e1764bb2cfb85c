"""Which scope each interaction needs."""

from __future__ import annotations

import pytest

from gateway.access.interactions import LETTER, OPERATIONS, Interaction, Rule, entry_rule, rule_of
from gateway.access.scopes import Scopes


@pytest.mark.parametrize(
    ("request_line", "interaction", "needs"),
    [
        ("GET /fhir/Task", Interaction.SEARCH, "Task.s"),
        ("POST /fhir/Task/_search", Interaction.SEARCH, "Task.s"),
        ("GET /fhir/Task/{id}", Interaction.READ, "Task.r"),
        ("GET /fhir/Task/{id}/_history/{version}", Interaction.VREAD, "Task.r"),
        ("GET /fhir/Task/{id}/_history", Interaction.HISTORY_INSTANCE, "Task.r"),
        ("GET /fhir/Task/_history", Interaction.HISTORY_TYPE, "Task.s"),
        ("POST /fhir/Claim", Interaction.CREATE, "Claim.c"),
        ("PUT /fhir/Claim/{id}", Interaction.UPDATE, "Claim.u"),
        ("PUT /fhir/Claim", Interaction.UPDATE, "Claim.u"),
        ("PATCH /fhir/Task/{id}", Interaction.PATCH, "Task.u"),
        ("DELETE /fhir/Task/{id}", Interaction.DELETE, "Task.d"),
        ("POST /fhir/Claim/$submit", Interaction.OPERATION, "Claim.c"),
        ("GET /fhir/{type}/{id}", Interaction.READ, "{type}.r"),
        ("POST /fhir", Interaction.BATCH, ""),
    ],
)
def test_each_interaction_needs_its_letter(request_line: str, interaction: Interaction, needs: str) -> None:
    found = rule_of(*request_line.split(" "))
    assert found is not None
    assert found.interaction is interaction
    assert " ".join(f"{type_}.{letter}" for type_, letter in found.needs) == needs


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /api/worklist",
        "GET /fhir",
        "DELETE /fhir",
        "GET /fhir/task",
        "GET /fhir/Task/{id}/$everything",
        "POST /fhir/Task/$unknown",
        "GET /fhir/Task/{id}/anything",
        "POST /fhir/Task/{id}",
        "GET /fhir/Task/{id}/_history/{version}/more",
        "GET /fhirs/Task",
        "GET /metrics",
    ],
)
def test_what_no_table_knows_has_no_rule(request_line: str) -> None:
    assert rule_of(*request_line.split(" ")) is None


def test_every_interaction_has_a_letter_or_says_its_needs_itself() -> None:
    assert set(Interaction) - set(LETTER) == {Interaction.BATCH, Interaction.OPERATION}
    assert all(needs for needs in OPERATIONS.values())


def test_a_variable_type_is_what_it_stands_for() -> None:
    rule = rule_of("GET", "/fhir/{type}/{id}")
    assert rule is not None
    scopes = Scopes.parse("system/Task.r")
    assert rule.missing(scopes, {"type": "Task"}) == ()
    assert rule.missing(scopes, {"type": "Claim"}) == (("Claim", "r"),)
    assert rule.missing(scopes, {}) == (("", "r"),)


def test_an_entry_of_a_batch_needs_what_it_would_need_alone() -> None:
    assert entry_rule("POST", "Claim", identified=False) == rule_of("POST", "/fhir/Claim")
    assert entry_rule("PUT", "Claim", identified=True) == Rule(Interaction.UPDATE, (("Claim", "u"),))
    assert entry_rule("GET", "Task", identified=False) == Rule(Interaction.SEARCH, (("Task", "s"),))
    assert entry_rule("TRACE", "Task", identified=True) is None
