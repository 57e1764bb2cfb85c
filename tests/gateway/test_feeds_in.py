"""A whole gateway whose feeds come in by every transport: over TLS, over HTTP, in files."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gateway_world import TOKENS, World, environment, until, write_configuration

from conformance.billing_endpoint import BillingEndpoint
from conformance.mllp_sender import Acknowledgement, MllpSender, NoAcknowledgement, sender_tls
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.audit.events import Action, Event
from gateway.message import MessageState
from gateway.settings import load

_FEEDS = """\
feeds:
  - name: secure
    listen: mllps://localhost:0
    dialect: site
    tls:
      certificate: gateway.pem
      client_ca: epic.pem
      clients: [{certificate: epic.example.org, application: EPIC, facility: MAIN}]
  - {name: web, listen: http, dialect: site}
  - {name: files, listen: "file:in", dialect: site, files: {settle_seconds: 0, poll_seconds: 0.01}}
"""


def certificate(directory: Path, name: str, host: str) -> Path:
    """A certificate that is its own root, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC) - timedelta(minutes=1)
    number = x509.random_serial_number()
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), number, now, now + timedelta(days=1))
    signed = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = directory / f"{name}.pem"
    path.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return path


def adt(control: str, application: str = "EPIC") -> bytes:
    return (
        f"MSH|^~\\&|{application}|MAIN|GATEWAY|MAIN|20261103081500||ADT^A08^ADT_A01|{control}|P|2.5.1\r"
        f"EVN|A08|20261103081500\rPID|1||M1^^^MAIN^MR||DOE^JANE||19640203|F||||||||||A{control}^^^MAIN^AN\rPV1|1|O\r"
    ).encode()


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[World]:
    async with BillingEndpoint() as billing:
        path = write_configuration(directory, billing=billing.url)
        text = path.read_text()
        start, end = text.index("feeds:\n"), text.index("clients:\n")
        text = text[:start] + _FEEDS + text[end:]
        text = text.replace("token_env: TOKEN_FEED,", "token_env: TOKEN_FEED, feeds: [web],")
        path.write_text(text)
        (directory / "in").mkdir()
        certificate(directory, "gateway", "localhost")
        certificate(directory, "epic", "epic.example.org")
        gateway = Gateway(load(path, environment()), environ=environment())
        await gateway.start()
        world = World(gateway, billing, directory)
        try:
            yield world
        finally:
            await world.close()
            await gateway.stop()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


def secure(world: World, with_certificate: bool = True) -> MllpSender:
    own = world.directory / "epic.pem" if with_certificate else None
    return MllpSender(
        "localhost", world.gateway.mllp["secure"][1], tls=sender_tls(world.directory / "gateway.pem", own)
    )


async def refusals(world: World) -> list[Event]:
    await world.gateway.refusals.commit()
    return [stored.event for stored in await world.events() if stored.event.action is Action.ACCESS_REFUSED]


async def metrics(world: World) -> str:
    return (await world.http(Role.MONITOR).get("/metrics")).text


async def test_by_every_transport_a_message_comes_to_its_encounter(world: World) -> None:
    async with secure(world) as sender:
        assert (await sender.send(adt("S1"))).code == "AA"
    headers = {"Content-Type": "application/hl7-v2+er7"}
    answer = await world.http(Role.FEED).post("/hl7/web", content=adt("W1"), headers=headers)
    assert (answer.status_code, Acknowledgement.parse(answer.content).code) == (200, "AA")
    (world.directory / "in" / "f.hl7").write_bytes(adt("F1"))

    async def all_are_processed() -> bool:
        found = await world.messages()
        return len(found) == 3 and all(message.state is MessageState.PROCESSED for message in found)

    await until(all_are_processed, "not all are processed")
    found = {message.feed: message.encounter for message in await world.messages()}
    assert found == {"secure": "MAIN:MAIN:AS1", "web": "MAIN:MAIN:AW1", "files": "MAIN:MAIN:AF1"}
    assert (world.directory / "in" / "done" / "f.hl7").is_file()


async def test_who_is_turned_away_stands_in_the_trail_and_in_the_metrics(world: World) -> None:
    async with secure(world) as sender:
        assert (await sender.send(adt("S1", "OTHER"))).code == "AR"
    with pytest.raises((NoAcknowledgement, ssl.SSLError, ConnectionError)):
        async with secure(world, with_certificate=False) as sender:
            await sender.send(adt("S2"))
    events = {(event.actor, event.subject, event.detail["status"]) for event in await refusals(world)}
    assert events == {
        ("client:epic.example.org", "route/mllp/secure", 403),
        ("unknown", "route/mllp/secure", 401),
    }
    told = await metrics(world)
    assert 'gateway_messages_total{feed="secure",outcome="refused"} 1.0' in told
    assert 'gateway_connections_cut_total{feed="secure",why="certificate"} 1.0' in told
    assert await world.messages() == []


async def test_a_reload_shows_the_certificate_that_stands_in_the_file_now(world: World) -> None:
    async with secure(world) as before:
        assert (await before.send(adt("S1"))).code == "AA"
        certificate(world.directory, "gateway", "localhost")
        with pytest.raises(ssl.SSLError):
            await secure(world).connect()
        await world.gateway.reloading.reload("user:operator")
        async with secure(world) as after:
            assert (await after.send(adt("S2"))).code == "AA"
        assert (await before.send(adt("S3"))).code == "AA", "connections that stand go on"


async def test_a_certificate_that_cannot_be_used_changes_nothing(world: World) -> None:
    good = (world.directory / "gateway.pem").read_bytes()
    (world.directory / "gateway.pem").write_text("nothing")
    await world.gateway.hang_up()
    (world.directory / "gateway.pem").write_bytes(good)
    async with secure(world) as sender:
        assert (await sender.send(adt("S1"))).code == "AA"


async def test_a_file_that_fails_is_counted(world: World) -> None:
    (world.directory / "in" / "bad.hl7").write_bytes(b"nothing")

    async def failed() -> bool:
        return (world.directory / "in" / "failed" / "bad.hl7").is_file()

    await until(failed, "the file has not failed")
    assert 'gateway_messages_total{feed="files",outcome="refused"} 1.0' in await metrics(world)


async def test_another_client_has_no_right_to_the_feed(world: World) -> None:
    headers = {"Content-Type": "text/plain", "Authorization": f"Bearer {TOKENS[Role.SUPERVISOR]}"}
    answer = await world.http(None).post("/hl7/web", content=adt("W1"), headers=headers)
    assert answer.status_code == 403
