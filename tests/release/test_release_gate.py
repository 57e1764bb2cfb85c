"""From what is billed to a claim that may leave: routes, findings, the gate, numbers and versions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Billing, FhirClaim, X12File
from gateway.encounter.billable import Billable
from gateway.encounter.model import ClaimKind
from gateway.mappings.x12.problem import Unwritable
from gateway.mappings.x12.reader import read
from gateway.release.claim import claim_number, deliver, freeze
from gateway.release.findings import release_findings
from gateway.release.gate import Blocked, gate
from gateway.release.model import Claim, DeliveryState
from gateway.release.render import X12Renderer
from gateway.release.routing import Route, billed_by, route, route_to
from gateway.review.model import Hold, HoldKind, HoldState, Severity

NOW = datetime(2025, 3, 6, 12, tzinfo=UTC)
FILES = X12File.model_validate(
    {"name": "clearinghouse", "kind": "x12-file", "directory": "out", "claims": ["professional"], "payers": ["PAY01"]}
)
FHIR = FhirClaim.model_validate({"name": "payer-fhir", "kind": "fhir-claim", "url": "http://127.0.0.1:9/fhir/Claim"})
ROUTES = tuple(route_to(destination, Billing()) for destination in (FILES, FHIR))


@pytest.fixture
def billed(fixtures: Path) -> Billable:
    return Billable.model_validate_json((fixtures / "x12" / "office_visit.json").read_bytes())


def hold(state: HoldState = HoldState.OPEN) -> Hold:
    return Hold(id=7, encounter="MAIN::A1001", kind=HoldKind.EDIT, rule="units", text="", state=state, opened=NOW)


def claim(billed: Billable, **changes: object) -> Claim:
    given: dict[str, object] = {
        "id": 42,
        "billed": billed,
        "fingerprint": billed.fingerprint(),
        "destination": "clearinghouse",
        "approved_by": "policy",
        "now": NOW,
    }
    return freeze(**{**given, **changes})  # type: ignore[arg-type]


def test_a_claim_goes_to_the_first_destination_that_takes_it(billed: Billable) -> None:
    other = billed.coverages[0].model_copy(
        update={"payer": billed.coverages[0].payer.model_copy(update={"value": "X"})}
    )  # type: ignore[union-attr]
    elsewhere = billed.model_copy(update={"coverages": (other,)})
    institutional = billed.model_copy(update={"kind": ClaimKind.INSTITUTIONAL})
    names = [r.name if (r := route(one, ROUTES)) else None for one in (billed, elsewhere, institutional)]
    assert names == ["clearinghouse", "payer-fhir", "payer-fhir"]
    assert route(elsewhere, ROUTES[:1]) is None


def test_a_form_that_a_destination_does_not_have_is_a_mistake_in_the_configuration() -> None:
    wrong = FILES.model_copy(update={"claims": (ClaimKind.INSTITUTIONAL,)})
    with pytest.raises(ValueError, match=r"clearinghouse.*institutional"):
        route_to(wrong, Billing())


def test_what_would_stop_the_claim_is_found_before_release(billed: Billable) -> None:
    assert release_findings(billed, ROUTES) == ()
    (unrouted,) = release_findings(billed, ())
    assert (unrouted.rule, unrouted.kind, unrouted.severity) == ("no-destination", HoldKind.ROUTING, Severity.ERROR)
    nobody = billed.model_copy(update={"patient": billed.patient.model_copy(update={"sex": None, "birth_date": None})})
    found = release_findings(nobody, ROUTES)
    assert {f.where for f in found} == {"patient.sex", "patient.birth_date"}
    assert len({f.identity for f in found}) == 2
    assert release_findings(billed.model_copy(update={"lines": ()}), ()) == ()


def test_a_destination_s_form_is_asked_only_of_its_own_claims(billed: Billable) -> None:
    nobody = billed.model_copy(update={"patient": billed.patient.model_copy(update={"sex": None})})
    assert release_findings(nobody, ROUTES[1:]) == ()
    uninsured = billed.model_copy(update={"coverages": ()})
    assert [f.rule for f in release_findings(uninsured, ROUTES[1:])] == ["fhir-required"]


def test_the_gate_opens_when_no_hold_stands(billed: Billable) -> None:
    ended = [hold(HoldState.RESOLVED), hold(HoldState.CLEARED)]
    opened = gate(ended, billed, ROUTES)
    assert isinstance(opened, Route)
    assert opened.name == "clearinghouse"


def test_the_gate_tells_every_reason(billed: Billable) -> None:
    shut = gate([hold()], billed.model_copy(update={"lines": ()}), (), DeliveryState.UNKNOWN)
    assert isinstance(shut, Blocked)
    assert shut.reasons == (
        "hold 7: edit units",
        "nothing is billed",
        "no destination takes the claim",
        "the last claim's delivery is unknown",
    )


@pytest.mark.parametrize(
    "state", [DeliveryState.READY, DeliveryState.INTENT, DeliveryState.SENT, DeliveryState.UNKNOWN]
)
def test_a_later_version_waits_for_the_one_before(billed: Billable, state: DeliveryState) -> None:
    assert isinstance(gate([], billed, ROUTES, state), Blocked)
    assert isinstance(gate([], billed, ROUTES, DeliveryState.ACCEPTED), Route)


@given(st.integers(min_value=0, max_value=2**63 - 1), st.integers(min_value=0, max_value=2**63 - 1))
def test_claim_numbers_fit_the_form_and_differ_as_ids_do(one: int, other: int) -> None:
    number = claim_number(one)
    assert len(number) == 14
    assert number.isalnum()
    assert (number == claim_number(other)) is (one == other)


def test_the_first_version_is_an_original(billed: Billable) -> None:
    first = claim(billed)
    assert (first.version, first.frequency, first.replaces, first.encounter) == (1, "1", None, "MAIN::A1001")
    row = deliver(id=43, claim=first, now=NOW)
    assert (row.claim, row.key, row.state, row.due) == (42, f"{first.number}-1", DeliveryState.READY, NOW)


def test_a_correction_keeps_the_number_and_names_what_it_replaces(billed: Billable) -> None:
    first = claim(billed)
    second = claim(billed, id=44, previous=first, delivered=DeliveryState.ACCEPTED, payer_reference="PCN42")
    assert (second.number, second.version, second.frequency, second.replaces) == (first.number, 2, "7", "PCN42")


def test_a_refused_claim_is_followed_by_an_original(billed: Billable) -> None:
    second = claim(billed, id=44, previous=claim(billed), delivered=DeliveryState.REJECTED, payer_reference="PCN42")
    assert (second.version, second.frequency, second.replaces) == (2, "1", None)


def test_a_void_repeats_what_it_voids(billed: Billable) -> None:
    first = claim(billed)
    nothing = billed.model_copy(update={"lines": ()})
    void = claim(nothing, id=44, fingerprint="f", previous=first, delivered=DeliveryState.ACCEPTED, payer_reference="P")
    assert (void.frequency, void.billed, void.fingerprint) == ("8", first.billed, "f")


@pytest.mark.parametrize(
    "state", [DeliveryState.UNKNOWN, DeliveryState.SENT, DeliveryState.READY, DeliveryState.INTENT]
)
def test_no_version_follows_one_whose_end_is_not_known(billed: Billable, state: DeliveryState) -> None:
    with pytest.raises(ValueError, match=state):
        claim(billed, previous=claim(billed), delivered=state)


def test_a_void_of_what_was_never_taken_is_no_claim(billed: Billable) -> None:
    with pytest.raises(ValueError, match="rejected"):
        claim(billed.model_copy(update={"lines": ()}), previous=claim(billed), delivered=DeliveryState.REJECTED)


def test_a_claim_is_rendered_the_same_each_time(billed: Billable) -> None:
    renderer = X12Renderer(FILES, Billing())
    released = claim(billed)
    row = deliver(id=43, claim=released, now=NOW)
    data = renderer.render(released, row)
    assert data == renderer.render(released, row)
    (interchange,) = read(data)
    assert interchange.named("CLM")[0].element(1) == released.number
    with pytest.raises(Unwritable):
        renderer.render(released.model_copy(update={"frequency": "7"}), row)


def test_nothing_leaves_until_the_configuration_says_who_bills(billed: Billable) -> None:
    """What stands in the models as an example must never stand on a claim."""
    partly = Billing(name="MERCY CLINIC", npi="1234567893")
    route = billed_by(ROUTES[0], partly)
    (found,) = release_findings(billed, (route,))
    assert (found.rule, found.kind, found.where) == ("billing-provider", HoldKind.ROUTING, "billing")
    assert "tax_id" in found.text
    assert "npi" not in found.text
    said = Billing(**{name: getattr(partly, name) for name in Billing.model_fields if name != "taxonomy"})
    assert billed_by(ROUTES[0], said) is ROUTES[0]
