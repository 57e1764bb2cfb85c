"""The outbox, the FHIR destination and a real HTTP peer that misbehaves: at most one claim arrives, always."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest
from outbox_world import World

from conformance.billing_endpoint import STORES, Behaviour, BillingEndpoint
from gateway.adapters.fhir_claim import FhirClaimDestination, shared_client
from gateway.config.model import FhirClaim
from gateway.delivery import Lane
from gateway.release.model import Claim, Delivery, DeliveryState


class ClaimRenderer:
    def render(self, claim: Claim, delivery: Delivery) -> bytes:
        return json.dumps({"resourceType": "Claim", "identifier": [{"value": claim.number}]}).encode()


async def _quickly(seconds: float) -> None:
    return None


async def delivered(peer: BillingEndpoint, client: httpx.AsyncClient, **settings: object) -> World:
    given = {"name": "payer", "kind": "fhir-claim", "url": peer.url, "timeout_seconds": 0.3, **settings}
    world = World()
    lane = Lane(FhirClaimDestination(FhirClaim.model_validate(given), client, sleep=_quickly), ClaimRenderer())
    outbox = world.start_with(lane)
    await world.turn(outbox, 4, every=timedelta(minutes=6))
    return world


@pytest.mark.parametrize("behaviour", list(Behaviour))
async def test_an_endpoint_that_honours_keys_gets_each_claim_once(behaviour: Behaviour) -> None:
    async with BillingEndpoint(script=[behaviour]) as peer, shared_client() as client:
        world = await delivered(peer, client)
    refused = behaviour is Behaviour.REFUSE
    assert world.state() is (DeliveryState.REJECTED if refused else DeliveryState.ACCEPTED)
    assert len(peer.claims) == (0 if refused else 1)
    assert {len(set(bodies)) for bodies in peer.deliveries_by_key.values()} == {1}


@pytest.mark.parametrize("behaviour", list(Behaviour))
async def test_an_endpoint_that_does_not_is_never_sent_what_it_may_have(behaviour: Behaviour) -> None:
    async with BillingEndpoint(script=[behaviour], deduplicates=False) as peer, shared_client() as client:
        world = await delivered(peer, client, idempotent=False)
    assert len(peer.claims) <= 1
    if behaviour in STORES:
        assert len(peer.deliveries_by_key["C1-1"]) == 1
    answered = {Behaviour.TAKE, Behaviour.SLOW, Behaviour.UNAUTHORIZED, Behaviour.BUSY}
    expected = DeliveryState.ACCEPTED if behaviour in answered else DeliveryState.UNKNOWN
    assert world.state() is (DeliveryState.REJECTED if behaviour is Behaviour.REFUSE else expected)


async def test_no_word_of_the_endpoint_s_text_is_kept() -> None:
    async with BillingEndpoint(script=[Behaviour.REFUSE]) as peer, shared_client() as client:
        world = await delivered(peer, client)
    assert world.row().outcome == "422 refused by its rules; error business-rule Claim.item[0]"
    assert not any(b"Canary" in event.content() for event in world.store.events)


async def test_an_endpoint_that_is_not_there_costs_nothing_but_time() -> None:
    async with BillingEndpoint() as peer, shared_client() as client:
        await peer.__aexit__()
        world = await delivered(peer, client)
        assert world.state() is DeliveryState.READY
        assert peer.deliveries_by_key == {}


async def test_the_endpoint_asks_for_its_token() -> None:
    async with BillingEndpoint(token="SECRET") as peer, shared_client() as client:
        assert (await delivered(peer, client)).state() is DeliveryState.READY
        assert (await delivered(peer, client, token="SECRET")).state() is DeliveryState.ACCEPTED


async def test_the_endpoint_refuses_what_is_no_claim() -> None:
    async with BillingEndpoint() as peer, httpx.AsyncClient(trust_env=False) as client:
        for body in (b"no json", b"[]", b'{"resourceType": "Patient"}'):
            assert (await client.post(peer.url, content=body)).status_code == 400
        stored = await client.post(peer.url, content=b'{"resourceType": "Claim"}')
        assert stored.status_code == 201
        assert (await client.get(peer.url)).json()["total"] == 1
