"""Scopes: both forms read, nothing else; what is granted never reaches beyond what is registered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.scopes import LETTERS, Scope, ScopeFault, Scopes

TYPES = st.sampled_from(["Task", "Claim", "Encounter", "*"])
SUBSETS = st.sets(st.sampled_from(LETTERS), min_size=1).map(lambda found: "".join(x for x in LETTERS if x in found))
ONE = st.builds(Scope, TYPES, SUBSETS)
SEVERAL = st.lists(ONE, max_size=6).map(Scopes.of)
CONCRETE = ("Task", "Claim", "Encounter", "Patient")


@pytest.mark.parametrize(
    ("text", "type_", "letters"),
    [
        ("system/Task.rs", "Task", "rs"),
        ("system/Task.cruds", "Task", "cruds"),
        ("system/*.r", "*", "r"),
        ("system/Task.read", "Task", "rs"),
        ("system/Task.write", "Task", "cud"),
        ("system/Task.*", "Task", "cruds"),
        ("system/*.*", "*", "cruds"),
    ],
)
def test_both_forms_are_read(text: str, type_: str, letters: str) -> None:
    assert Scope.parse(text) == Scope(type_, letters)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "system",
        "system/",
        "system/Task",
        "system/Task.",
        "system/Task.sr",
        "system/Task.rr",
        "system/Task.x",
        "system/Task.RS",
        "system/task.rs",
        "system/Ta sk.rs",
        "system/**.rs",
        "System/Task.rs",
        "system//Task.rs",
        "system/Task.rs ",
        "system/Task.read.write",
        "system/Task.rs?code=x",
        "system/Task.rs?",
        "patient/Task.rs",
        "user/Task.rs",
        "launch",
        "openid",
        "offline_access",
        "system/Task.rs\n",
        "system/T\u00e4sk.rs",
    ],
)
def test_everything_else_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ScopeFault) as refused:
        Scope.parse(text)
    assert refused.value.remedy


def test_a_refusal_does_not_repeat_what_was_asked() -> None:
    with pytest.raises(ScopeFault) as refused:
        Scope.parse("system/SMITH^JANE.rs")
    assert "SMITH" not in str(refused.value)


def test_a_list_of_scopes_is_told_apart_by_single_blanks() -> None:
    assert str(Scopes.parse("system/Task.rs system/Claim.c system/Task.u")) == "system/Claim.c system/Task.rus"
    for text in ("", " ", " system/Task.rs", "system/Task.rs  system/Claim.c", "system/Task.rs\tsystem/Claim.c"):
        with pytest.raises(ScopeFault):
            Scopes.parse(text)
    with pytest.raises(ScopeFault):
        Scopes.parse(" ".join(["system/Task.rs"] * 200))


@given(ONE)
def test_a_scope_is_read_as_it_is_written(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


@given(SEVERAL)
def test_scopes_are_read_as_they_are_written(scopes: Scopes) -> None:
    if scopes.granted:
        assert Scopes.parse(str(scopes)) == scopes


@given(st.text(max_size=40))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    try:
        found = Scopes.parse(text)
    except ScopeFault:
        return
    assert found.granted


@given(SEVERAL, SEVERAL)
def test_what_is_within_allows_nothing_more(asked: Scopes, registered: Scopes) -> None:
    more = [
        (type_, letter)
        for type_ in CONCRETE
        for letter in LETTERS
        if asked.allow(type_, letter) and not registered.allow(type_, letter)
    ]
    if asked.within(registered):
        assert not more
    elif "*" not in asked.granted:
        assert more


@given(SEVERAL, SEVERAL)
def test_what_is_common_is_what_both_allow(one: Scopes, other: Scopes) -> None:
    both = one.common(other)
    for type_ in CONCRETE:
        for letter in LETTERS:
            assert both.allow(type_, letter) == (one.allow(type_, letter) and other.allow(type_, letter))
    assert both.within(one)
    assert both.within(other)


@given(SEVERAL)
def test_nothing_is_allowed_that_no_scope_names(scopes: Scopes) -> None:
    for type_ in CONCRETE:
        for letter in LETTERS:
            named = letter in scopes.granted.get(type_, ()) or letter in scopes.granted.get("*", ())
            assert scopes.allow(type_, letter) == named
    assert not Scopes({}).allow("Task", "r"), "an empty list of scopes is no scope"
