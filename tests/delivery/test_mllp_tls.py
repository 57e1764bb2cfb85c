"""MLLP over TLS towards a receiver, with certificates made on the spot: who is trusted, and what is certain."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from mllp_making import Certificates, charge, destination, mllp_settings, server_tls

from conformance.billing_mllp import MllpBilling
from gateway.adapters.mllp.client_tls import TlsFault, client_tls
from gateway.release.model import Outcome, Result

KEY = "C0000000000001-1"
REFUSED = (Result.NOT_SENT, "no trust: TLS did not come about; retry")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("strangers"), "stranger")


async def sent(port: int, **tls: object) -> Outcome:
    async with destination(port, address=f"mllps://127.0.0.1:{port}", tls=tls, timeout_seconds=2) as one:
        return await one.send(KEY, charge(KEY), False)


async def test_a_claim_arrives_over_tls(ours: Certificates) -> None:
    async with MllpBilling(tls=server_tls(ours.signed("billing"))) as peer:
        outcome = await sent(peer.port, ca=ours.ca)
        assert outcome.result is Result.ACCEPTED, outcome.text
        assert peer.messages == [charge(KEY)]


async def test_our_certificate_is_shown_where_it_is_asked_for(ours: Certificates) -> None:
    async with MllpBilling(tls=server_tls(ours.signed("billing"), client_ca=ours.ca)) as peer:
        assert (await sent(peer.port, ca=ours.ca, certificate=ours.signed("gateway"))).result is Result.ACCEPTED


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_without_the_certificate_that_is_asked_for_nothing_left(
    ours: Certificates, newest: ssl.TLSVersion
) -> None:
    """In TLS 1.3 the receiver says so only after our handshake is over."""
    context = server_tls(ours.signed("billing"), client_ca=ours.ca)
    context.maximum_version = newest
    async with MllpBilling(tls=context) as peer:
        outcome = await sent(peer.port, ca=ours.ca)
        assert outcome.result is Result.NOT_SENT, outcome.text
        assert peer.received == []


async def test_a_strangers_certificate_of_ours_is_refused(ours: Certificates, strangers: Certificates) -> None:
    async with MllpBilling(tls=server_tls(ours.signed("billing"), client_ca=ours.ca)) as peer:
        outcome = await sent(peer.port, ca=ours.ca, certificate=strangers.signed("gateway"))
        assert (outcome.result, outcome.text) == REFUSED


async def test_a_receiver_that_nobody_vouches_for_gets_nothing(ours: Certificates, strangers: Certificates) -> None:
    async with MllpBilling(tls=server_tls(strangers.signed("billing"))) as peer:
        for tls in ({"ca": ours.ca}, {}):
            outcome = await sent(peer.port, **tls)
            assert (outcome.result, outcome.text) == REFUSED
        assert peer.received == []


async def test_the_certificate_must_bear_the_receiver_s_name(ours: Certificates) -> None:
    async with MllpBilling(tls=server_tls(ours.signed("elsewhere", host="billing.example"))) as peer:
        outcome = await sent(peer.port, ca=ours.ca)
        assert (outcome.result, outcome.text) == REFUSED
        named = await sent(peer.port, ca=ours.ca, server_name="billing.example")
        assert named.result is Result.ACCEPTED, named.text


async def test_tls_before_1_2_is_not_spoken(ours: Certificates) -> None:
    context = server_tls(ours.signed("billing"))
    with pytest.warns(DeprecationWarning, match="TLSVersion.TLSv1 is"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSVersion.TLSv1_1 is"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with MllpBilling(tls=context) as peer:
        outcome = await sent(peer.port, ca=ours.ca)
        assert outcome.result is Result.NOT_SENT
        assert peer.received == []


async def test_a_receiver_without_tls_gets_no_claim(ours: Certificates) -> None:
    async with MllpBilling() as peer:
        outcome = await sent(peer.port, ca=ours.ca)
        assert outcome.result is Result.NOT_SENT
        assert not any(b"FT1" in message for message in peer.received)


@pytest.mark.parametrize("which", ["ca", "certificate"])
def test_a_file_that_is_no_certificate_is_named_by_its_setting(tmp_path: Path, which: str) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("SECRET")
    settings = mllp_settings(1, address="mllps://127.0.0.1:1", tls={which: wrong})
    with pytest.raises(TlsFault, match=f"destination billing: its tls {which}") as raised:
        client_tls(settings)
    assert "SECRET" not in f"{raised.value}{raised.value.__cause__}"


def test_without_tls_there_is_no_context() -> None:
    assert client_tls(mllp_settings(1)) is None
