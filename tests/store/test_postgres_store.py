"""What PostgreSQL alone must do: several gateways, lost connections, a server that forgets."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from conformance.store_samples import Samples, change, creation, encounter, event, next_version, small_case
from gateway.store import open_store, postgres
from gateway.store.interface import Conflict, Step, Store, StoreFault, UncertainCommit, Unstorable
from gateway.store.postgres import PostgresStore
from gateway.store.postgres_faults import fault, uncertain


async def test_two_gateways_share_the_work(postgres_place: Any) -> None:
    """One message kept twice, one case changed twice, at one moment, by different gateways: one of each."""
    here, there = await postgres_place.open(), await postgres_place.open()
    samples = Samples()
    messages = [samples.message(f"M{number}") for number in range(30)]

    async def keep(store: Store, shift: int) -> list[int]:
        copies = [samples.message(message.control) for message in messages[shift:] + messages[:shift]]
        return sorted(m.id for m in await asyncio.gather(*(store.keep(copy, event()) for copy in copies)))

    first, second = await asyncio.gather(keep(here, 0), keep(there, 0))
    assert first == second
    assert await here.backlog() == 30
    case = small_case(samples, "100")
    await here.commit(creation(case))
    steps = [
        Step(cases=[change(case, next_version(case, encounter=encounter("100", coder)))]) for coder in ("here", "there")
    ]
    results = await asyncio.gather(here.commit(steps[0]), there.commit(steps[1]), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]


async def test_no_event_is_passed_over_while_a_lower_one_is_open(postgres_place: Any) -> None:
    store = await postgres_place.open()
    other = await asyncpg.connect(postgres_place.url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(
        "INSERT INTO events (at, actor, action, subject, detail, hash) "
        "VALUES (1, 'x', 'message.received', 's', '{}', 'h')"
    )
    ahead = asyncio.ensure_future(store.commit(Step(events=[event("ahead")])))
    await ahead
    sealing = asyncio.ensure_future(store.unsealed(0, 10))
    done, _ = await asyncio.wait([sealing], timeout=0.05)
    assert not done
    await transaction.commit()
    assert [seq for seq, _ in await sealing] == [1, 2]
    await other.close()


async def test_a_lost_connection_is_a_passing_fault(postgres_place: Any) -> None:
    """What was being written is refused or uncertain, never silently lost; the next attempt finds a new connection."""
    store, samples = await postgres_place.open(), Samples()
    other = await asyncpg.connect(postgres_place.url)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'coding-review-gateway'"
    )
    await other.close()
    message = samples.message()
    for _ in range(5):
        try:
            assert (await store.keep(message, event())).control == message.control
            break
        except StoreFault:
            continue
    assert await store.backlog() == 1


async def test_a_commit_that_never_answers_is_uncertain(postgres_place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store, samples = await postgres_place.open(), Samples()
    monkeypatch.setattr(postgres, "_COMMIT", "SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(UncertainCommit):
        await store.commit(creation(small_case(samples, "1")))
    monkeypatch.undo()
    await store.commit(creation(small_case(samples, "1")))


async def test_a_server_that_forgets_is_refused(postgres_place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_SHOW_DURABLE", "SELECT 'off' AS fsync, 'on' AS full_page_writes")
    with pytest.raises(StoreFault, match="fsync off"):
        await postgres_place.open()


async def test_a_newer_schema_is_refused_on_the_server(postgres_place: Any) -> None:
    await postgres_place.open()
    other = await asyncpg.connect(postgres_place.url)
    await other.execute("INSERT INTO schema_version VALUES (9999)")
    await other.close()
    with pytest.raises(StoreFault, match="newer release"):
        await postgres_place.open()


async def test_gateways_that_start_together_migrate_once(postgres_place: Any) -> None:
    stores = await asyncio.gather(*(postgres_place.open() for _ in range(3)))
    assert [await store.backlog() for store in stores] == [0, 0, 0]


@pytest.mark.parametrize("dsn", ["postgresql://gateway@127.0.0.1:1/none", "postgresql://x@/y?host=/nowhere/at/all"])
async def test_a_server_that_is_not_there_is_told(dsn: str) -> None:
    with pytest.raises(StoreFault, match="cannot be reached"):
        await open_store(dsn).open()


async def test_a_store_that_is_not_open_says_so() -> None:
    store = PostgresStore("postgresql://nowhere/none")
    with pytest.raises(StoreFault, match="not open"):
        await store.keep(Samples().message(), event())
    with pytest.raises(StoreFault, match="not open"):
        await store.backlog()
    await store.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.UniqueViolationError("DOE^JANE"), Conflict),
        (asyncpg.ForeignKeyViolationError("DOE^JANE"), Conflict),
        (asyncpg.CardinalityViolationError("DOE^JANE"), Conflict),
        (asyncpg.NotNullViolationError("DOE^JANE"), Unstorable),
        (asyncpg.CharacterNotInRepertoireError("DOE^JANE"), Unstorable),
        (asyncpg.DeadlockDetectedError("DOE^JANE"), StoreFault),
        (asyncpg.DiskFullError("DOE^JANE"), StoreFault),
        (asyncpg.ConnectionDoesNotExistError("DOE^JANE"), StoreFault),
        (ConnectionResetError("DOE^JANE"), StoreFault),
        (TimeoutError("DOE^JANE"), StoreFault),
    ],
)
def test_errors_are_told_by_class_and_without_values(error: Exception, kind: type[Exception]) -> None:
    told = fault(error)
    assert type(told) is kind
    assert "DOE" not in str(told)


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), asyncpg.AdminShutdownError("x")])
def test_a_connection_lost_while_committing_leaves_it_open(error: Exception) -> None:
    assert isinstance(uncertain(error), UncertainCommit)


@pytest.mark.parametrize("error", [asyncpg.UniqueViolationError("x"), asyncpg.DiskFullError("x")])
def test_an_error_that_the_server_told_is_certain(error: Exception) -> None:
    assert uncertain(error) is None
