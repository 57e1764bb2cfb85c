"""Starting, stopping, starting again; and starts that can't be, told so that an operator can mend them."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest
from gateway_world import configuration, running, today, until, write_configuration
from pydantic import SecretStr
from served import Served, launch, serving
from visits import sent, stay

from conformance import day, ehr
from conformance.crash import free_port, messages
from conformance.mllp_sender import Acknowledgement, MllpSender, NoAcknowledgement, frame
from gateway.app import Gateway, PipelineFault, StartFault
from gateway.audit.events import Action
from gateway.config.model import Endpoint
from gateway.message import Message, MessageState
from gateway.pipeline.pipeline import Pipeline
from gateway.store import open_store
from gateway.store.interface import MessageQuery


async def kept(directory: Path, **search: object) -> list[Message]:
    """The messages of a gateway that has ended, without their payloads."""
    store = open_store(f"sqlite:///{directory / 'gateway.db'}")
    await store.open()
    try:
        return await store.messages(MessageQuery(limit=1000, **search))  # type: ignore[arg-type]
    finally:
        await store.close()


async def actions(directory: Path) -> list[Action]:
    store = open_store(f"sqlite:///{directory / 'gateway.db'}")
    await store.open()
    try:
        return [found.event.action async for found in store.events()]
    finally:
        await store.close()


@pytest.mark.slow
async def test_a_sigterm_ends_it_with_0_and_what_it_took_is_there(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        sent_ = [pair for number in range(40) for pair in messages(number)]
        async with gateway.sender() as sender:
            await sender.write(b"".join(frame(payload) for _, payload in sent_))
            first = Acknowledgement.parse(await sender.read())
            ending = asyncio.ensure_future(gateway.end())
            acknowledged = [first.control, *await _answers(sender)]
        assert await ending == 0
        assert gateway.told("gateway.stopped")
    stand = {message.control: message for message in await kept(tmp_path)}
    assert set(acknowledged) <= stand.keys()
    assert MessageState.SET_ASIDE not in {message.state for message in stand.values()}
    assert (await actions(tmp_path))[-1] is Action.GATEWAY_STOPPED

    again = await launch(tmp_path, gateway.http, gateway.mllp)
    try:
        await again.started()
        await _drained(again)
        assert await again.end() == 0
    finally:
        if again.process.returncode is None:
            await again.end(signal.SIGKILL)
    assert {message.state for message in await kept(tmp_path)} == {MessageState.PROCESSED}


async def _answers(sender: MllpSender) -> list[str]:
    """The control ids of what is acknowledged until the connection ends."""
    controls: list[str] = []
    while True:
        try:
            controls.append(Acknowledgement.parse(await sender.read()).control)
        except NoAcknowledgement:
            return controls


async def _drained(gateway: Served) -> None:
    async def nothing_waits() -> bool:
        return not await kept(gateway.directory, state=MessageState.RECEIVED)

    await until(nothing_waits, "messages wait")


@pytest.mark.slow
async def test_an_interrupt_ends_it_as_well(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        assert await gateway.end(signal.SIGINT) == 0


async def test_messages_that_were_only_kept_are_processed_at_the_next_start(tmp_path: Path) -> None:
    visit = day.routine(today())
    async with running(tmp_path, processing=False) as world:
        await stay(world, visit)
        assert {message.state for message in await world.messages()} == {MessageState.RECEIVED}
    assert await actions(tmp_path) == [
        Action.GATEWAY_STARTED,
        Action.CONFIGURATION_ACTIVATED,
        *[Action.MESSAGE_RECEIVED] * (3 + len(visit.notes)),
        Action.GATEWAY_STOPPED,
    ]
    async with running(tmp_path) as world:
        await world.settled()
        assert {message.state for message in await world.messages()} == {MessageState.PROCESSED}


async def test_a_stop_finishes_what_is_in_hand(tmp_path: Path) -> None:
    """Whatever was acknowledged when the stop began is processed or waits; nothing is half done, nothing set aside."""
    async with running(tmp_path) as world, world.sender() as sender:
        for number in range(20):
            for _, payload in messages(number):
                await sender.send(payload)
    states = {message.state for message in await kept(tmp_path)}
    assert states <= {MessageState.PROCESSED, MessageState.RECEIVED}
    assert len(await kept(tmp_path)) == 100


async def test_a_retransmission_after_a_restart_gets_the_acknowledgement_of_then(tmp_path: Path) -> None:
    payload = ehr.adt("A04", day.routine(today()), *sent())
    async with running(tmp_path) as world:
        first = await world.send(payload)
    async with running(tmp_path) as world:
        assert (await world.send(payload)).body == first.body
        assert len(await world.messages()) == 1


async def test_a_gateway_can_be_started_and_stopped_again_and_again(tmp_path: Path) -> None:
    for _ in range(3):
        async with running(tmp_path) as world:
            assert (await world.http(None).get("/health")).json() == {"status": "pass"}
    told = [action for action in await actions(tmp_path) if action in (Action.GATEWAY_STARTED, Action.GATEWAY_STOPPED)]
    assert told == [Action.GATEWAY_STARTED, Action.GATEWAY_STOPPED] * 3


@pytest.mark.parametrize("door", ["http", "mllp"])
async def test_a_port_that_is_taken_is_named_and_everything_is_undone(tmp_path: Path, door: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        gateway = Gateway(configuration(tmp_path, **{door: port}))
        with pytest.raises(StartFault, match=str(port)):
            await gateway.start()
    async with running(tmp_path, **{door: port}) as world:
        assert port in (world.gateway.http[1], world.gateway.mllp["epic-adt"][1])


async def test_a_wrong_store_key_is_told_without_the_key(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    right = config.model_copy(update={"store_key": SecretStr("the right key of this file")})
    gateway = Gateway(right)
    await gateway.start()
    await gateway.stop()
    for key in (SecretStr("zebra-crossing"), None):
        with pytest.raises(StartFault) as caught:
            await Gateway(config.model_copy(update={"store_key": key})).start()
        assert "GATEWAY_STORE_KEY" in str(caught.value)
        assert "zebra" not in str(caught.value)
    again = Gateway(right)
    await again.start()
    await again.stop()


async def test_a_seal_key_that_is_none_is_told(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    (tmp_path / "audit.key").write_text("not a key")
    with pytest.raises(StartFault, match="key"):
        await Gateway(config).start()


async def test_a_store_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StartFault) as caught:
        await Gateway(configuration(tmp_path)).start()
    assert "no database" not in str(caught.value)


async def test_every_mistake_in_the_rules_is_told_at_once(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    (tmp_path / "policy.yaml").write_text("version: 1\nrules:\n  - {name: x, when: 'total >', reason: y}\nmystery: 1\n")
    (tmp_path / "dialects" / "site.yaml").write_text("extends: nowhere\n")
    with pytest.raises(StartFault) as caught:
        await Gateway(config).start()
    assert "policy.yaml" in str(caught.value)
    assert "site.yaml" in str(caught.value)


async def test_a_pipeline_that_fails_ends_the_gateway_without_telling_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(self: Pipeline) -> int:
        raise ValueError("ABERNATHY^JUNE")

    monkeypatch.setattr(Pipeline, "work_once", failing)
    async with running(tmp_path) as world:
        assert world.gateway.failed is not None
        with pytest.raises(PipelineFault, match="ValueError at ") as caught:
            await world.gateway.failed
        assert "ABERNATHY" not in str(caught.value)
        assert caught.value.__cause__ is None


async def test_no_address_to_listen_on_is_told(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    feed = config.feeds[0].model_copy(update={"listen": Endpoint(host="203.0.113.7", port=2575)})
    with pytest.raises(StartFault, match=r"203\.0\.113\.7"):
        await Gateway(config.model_copy(update={"feeds": (feed,)})).start()


@pytest.mark.slow
async def test_serve_says_why_it_cannot_start_and_ends_with_3(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        write_configuration(tmp_path, http=free_port(), mllp=port)
        gateway = await launch(tmp_path, 0, port)
        async with asyncio.timeout(60):
            assert await gateway.process.wait() == 3
    last = gateway.log.splitlines()[-1]
    assert last.startswith("the gateway cannot start: ")
    assert str(port) in last
    assert "Traceback" not in gateway.log
