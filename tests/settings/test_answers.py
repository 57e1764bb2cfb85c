"""The table of answers: it leaves nothing out, and never makes certain what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config.answers import BEFORE, NEGATIVE, POSSIBLE, UNCERTAIN, Action, Heard, Met, Rule, decide, defaults

_CODES = st.from_regex(r"[0-9]{3}|[A-Z][A-Z0-9]{0,5}", fullmatch=True)
_MET = st.builds(Met, heard=st.sampled_from(Heard), errors=st.lists(_CODES, max_size=3).map(tuple), text=st.text())


@given(met=_MET, idempotent=st.booleans())
def test_every_answer_is_decided_by_a_possible_action(met: Met, idempotent: bool) -> None:
    rule = decide((), defaults(idempotent), met)
    assert rule.do in POSSIBLE[met.heard]
    assert rule.do is not Action.ACCEPT


@given(met=_MET)
def test_what_may_have_arrived_is_not_sent_again_by_default(met: Met) -> None:
    if met.heard in UNCERTAIN:
        assert decide((), defaults(False), met).do is Action.PARK
        assert decide((), defaults(True), met).do is Action.RETRY


def test_every_fault_is_of_one_sort() -> None:
    assert NEGATIVE | BEFORE | UNCERTAIN == set(Heard) == POSSIBLE.keys()
    assert not NEGATIVE & BEFORE
    assert not UNCERTAIN & (NEGATIVE | BEFORE)


@pytest.mark.parametrize(
    ("met", "do"),
    [
        (Met(Heard.AE), Action.REJECT),
        (Met(Heard.AE, ("103",)), Action.REJECT),
        (Met(Heard.AE, ("103", "203")), Action.SUSPEND),
        (Met(Heard.AE, ("205",)), Action.PARK),
        (Met(Heard.AE, ("206",)), Action.RETRY),
        (Met(Heard.AE, ("207",)), Action.PARK),
        (Met(Heard.CE, ("207",)), Action.RETRY),
        (Met(Heard.CE), Action.REJECT),
        (Met(Heard.AR), Action.RETRY),
        (Met(Heard.CR, ("200",)), Action.SUSPEND),
        (Met(Heard.REFUSED), Action.RETRY),
        (Met(Heard.UNTRUSTED), Action.RETRY),
    ],
)
def test_the_standing_table(met: Met, do: Action) -> None:
    assert decide((), defaults(False), met).do is do


def test_the_first_of_the_site_s_rows_that_matches_decides() -> None:
    own = (
        Rule(when=Heard.AE, error="2xx", do=Action.PARK),
        Rule(when=Heard.AE, text="System unavailable", do=Action.SUSPEND),
        Rule(when=Heard.AE, error="Z1", do=Action.RETRY),
    )
    assert decide(own, defaults(False), Met(Heard.AE, ("203",))).do is Action.PARK
    assert decide(own, defaults(False), Met(Heard.AE, (), " SYSTEM UNAVAILABLE ")).do is Action.SUSPEND
    assert decide(own, defaults(False), Met(Heard.AE, ("z1",))).do is Action.RETRY
    assert decide(own, defaults(False), Met(Heard.AR, ("203",))).do is Action.SUSPEND
    assert decide(own, defaults(False), Met(Heard.AE, ("2xx", "20", "2000"))).do is Action.REJECT


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"when": "refused", "do": "park"}, "refused cannot be met by park"),
        ({"when": "lost", "do": "reject"}, "lost cannot be met by reject"),
        ({"when": "no-answer", "do": "accept"}, "cannot be met by accept"),
        ({"when": "AE", "do": "accept"}, "not taken for a yes"),
        ({"when": "refused", "error": "207", "do": "retry"}, "only an answer has an error"),
        ({"when": "AE", "error": "no code!", "do": "park"}, "is no code"),
        ({"when": "AE", "do": "park", "tries": 3}, "has tries"),
        ({"when": "refused", "do": "retry", "tries": 3}, "has tries"),
        ({"when": "AA", "do": "park"}, "Input should be"),
    ],
)
def test_rows_that_cannot_be_are_refused(row: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Rule.model_validate(row)


def test_a_code_may_be_written_as_a_number() -> None:
    assert Rule.model_validate({"when": "AE", "error": 207, "do": "retry"}).error == "207"
