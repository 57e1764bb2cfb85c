"""Who a bearer token belongs to, and that nothing shows one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.access.roles import Permission, Role
from gateway.access.tokens import HEADER_LIMIT, Callers
from gateway.config.model import Client

EHR = Client(name="ehr", roles=frozenset({Role.FEED}), token=SecretStr("ehr-token-0123456789"))
BOTH = Client(
    name="both",
    roles=frozenset({Role.PROVIDER, Role.MONITOR}),
    token=SecretStr("both-token-0123456789"),
    npi=("1234567893",),
)


@pytest.fixture
def callers() -> Callers[Client]:
    return Callers([EHR, BOTH])


def test_a_known_token_is_its_clients(callers: Callers[Client]) -> None:
    caller = callers.authenticate("Bearer both-token-0123456789")
    assert caller is not None
    assert (caller.name, caller.actor, caller.npi, caller.client) == ("both", "client:both", ("1234567893",), BOTH)
    assert caller.permissions == {Permission.QUERY_READ, Permission.QUERY_ANSWER, Permission.METRICS_READ}
    assert caller.may(Permission.METRICS_READ)
    assert not caller.may(Permission.SUBMIT)


@pytest.mark.parametrize("header", ["bearer ehr-token-0123456789", "BEARER  ehr-token-0123456789 "])
def test_the_scheme_has_no_case_and_spaces_may_surround_the_token(callers: Callers[Client], header: str) -> None:
    caller = callers.authenticate(header)
    assert caller is not None
    assert caller.name == "ehr"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer ehr-token-012345678",
        "Bearer ehr-token-01234567890",
        "Bearer EHR-TOKEN-0123456789",
        "Bearer ehr-token-0123456789 both-token-0123456789",
        "Basic ehr-token-0123456789",
        "ehr-token-0123456789",
        "Bearer\tehr-token-0123456789",
        "Bearer \udce9hr",
        "Bearer \ud800",
        "Bearer ehr-token-0123456789" + " " * HEADER_LIMIT,
    ],
)
def test_anything_else_is_nobody(callers: Callers[Client], header: str | None) -> None:
    assert callers.authenticate(header) is None


@given(st.text(max_size=60))
def test_no_text_that_is_not_a_token_is_anybody(text: str) -> None:
    callers = Callers([EHR, BOTH])
    assert callers.authenticate(f"Bearer {text}") is None
    assert callers.authenticate(text) is None


def test_no_clients_means_nobody() -> None:
    assert Callers[Client]([]).authenticate("Bearer ") is None


def test_tokens_are_not_shown(callers: Callers[Client]) -> None:
    caller = callers.authenticate("Bearer ehr-token-0123456789")
    assert "token-0123" not in f"{callers!r} {caller!r} {vars(callers)!r}"


def test_two_clients_with_one_token_are_refused_without_showing_it() -> None:
    twin = EHR.model_copy(update={"name": "twin"})
    with pytest.raises(ValueError, match="the clients ehr and twin have the same token") as refused:
        Callers([EHR, twin])
    assert "0123" not in str(refused.value)


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="ehr has an empty token"):
        Callers([EHR.model_copy(update={"token": SecretStr("")})])
