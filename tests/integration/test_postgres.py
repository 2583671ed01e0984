"""What the server's troubles become, and transactions that are tried again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
import pytest

import storage.postgres
from config.errors import AppError
from config.settings import Postgres
from storage.postgres import (
    Connection,
    Pool,
    acquire,
    connect,
    in_transaction,
    in_transaction_at,
    translate,
    wal_position,
)
from storage.stream_writer import append, append_event, event_payload, rfc3339
from tests.integration.people import pool

__all__ = ["pool"]

pytestmark = pytest.mark.integration


@pytest.fixture
async def impatient(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(
        database_url, Postgres(pool_size=2, statement_timeout_seconds=0.05), application_name="test"
    )
    yield pool
    await pool.close()


async def stream(pool: Pool, channel: str) -> int:
    id = await pool.fetchval("insert into stream (channel) values ($1) returning id", channel)
    return int(id)


async def test_a_slow_statement_is_overloaded_and_its_connection_still_good(
    impatient: Pool,
) -> None:
    with pytest.raises(AppError) as caught:
        async with acquire(impatient) as connection:
            await connection.execute("select pg_sleep(10)")
    assert (caught.value.code, caught.value.retry_after_seconds) == ("overloaded", 1.0)
    async with acquire(impatient) as connection:
        assert await connection.fetchval("show application_name") == "test"


async def test_a_session_that_is_kept_is_not_reset_but_rolled_back(database_url: str) -> None:
    pool = await connect(database_url, Postgres(pool_size=1), keeps_session=True)
    try:
        async with acquire(pool) as connection:
            await connection.execute("set lock_timeout = '7s'")
            await connection.transaction().start()
            await connection.execute("insert into stream (channel) values ('thread:left')")
        async with acquire(pool) as connection:
            assert not connection.is_in_transaction()
            left = "select count(*) from stream where channel = 'thread:left'"
            assert await connection.fetchval(left) == 0
            assert await connection.fetchval("show lock_timeout") == "7s"
    finally:
        await pool.close()


async def test_no_free_connection_is_overloaded(
    impatient: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with acquire(impatient), acquire(impatient):
        monkeypatch.setattr(storage.postgres, "ACQUIRE_TIMEOUT_SECONDS", 0.01)
        with pytest.raises(AppError) as caught:
            async with acquire(impatient):
                pass
    assert caught.value.code == "overloaded"


async def test_a_connection_that_is_cut_off_is_unavailable_and_replaced(pool: Pool) -> None:
    with pytest.raises(AppError) as caught:
        async with acquire(pool) as connection:
            await connection.fetchval("select pg_terminate_backend(pg_backend_pid())")
    assert (caught.value.code, caught.value.retry_after_seconds) == ("unavailable", 1.0)
    async with acquire(pool) as connection:
        assert await connection.fetchval("select 1") == 1


async def test_a_server_that_is_not_there_is_unavailable(pool: Pool) -> None:
    with pytest.raises(AppError) as caught:
        await connect("postgresql://nobody@127.0.0.1:1/nothing", Postgres())
    assert caught.value.code == "unavailable"
    await pool.close()
    with pytest.raises(AppError) as caught:
        async with acquire(pool):
            pass
    assert caught.value.code == "unavailable"


async def test_our_own_mistakes_are_not_hidden(pool: Pool) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with acquire(pool) as connection:
            await connection.execute("select * from no_such_table")
    with pytest.raises(asyncpg.DataError):
        async with acquire(pool) as connection:
            await connection.execute("select $1::int", "closed")


async def test_a_deadlock_is_tried_again(pool: Pool) -> None:
    first, second = [await stream(pool, name) for name in ("a", "b")]
    both_hold = asyncio.Barrier(2)
    runs = 0

    async def lock(connection: Connection, *order: int) -> None:
        nonlocal runs
        runs += 1
        meet = runs <= 2
        await connection.execute("set local deadlock_timeout = '10ms'")
        for id in order:
            await connection.execute(
                "update stream set top_offset = top_offset + 1 where id = $1", id
            )
            if meet:
                meet = False
                await both_hold.wait()

    await asyncio.gather(
        in_transaction(pool, lambda connection: lock(connection, first, second)),
        in_transaction(pool, lambda connection: lock(connection, second, first)),
    )
    assert runs == 3
    assert await pool.fetchval("select array_agg(top_offset) from stream where id > 0") == [2, 2]


async def test_retries_end(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.postgres, "_BACKOFF_SECONDS", 0.0)
    runs = 0

    async def work(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        await connection.execute("do $$ begin raise serialization_failure; end $$")

    with pytest.raises(AppError) as caught:
        await in_transaction(pool, work)
    assert (caught.value.code, runs) == ("overloaded", 8)


async def test_a_statement_prepared_before_the_schema_changed_is_tried_again(
    database_url: str,
) -> None:
    pool = await connect(database_url, Postgres(pool_size=1))

    async def read(connection: Connection) -> int:
        row = await connection.fetchrow("select * from incarnation")
        assert row is not None
        return len(row)

    before = await in_transaction(pool, read)
    await pool.execute("alter table incarnation add column note text")
    assert await in_transaction(pool, read) == before + 1
    await pool.close()


async def test_a_failing_transaction_leaves_nothing(pool: Pool) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute("insert into stream (channel) values ('x')")
        raise AppError("not_found")

    with pytest.raises(AppError) as caught:
        await in_transaction(pool, work)
    assert caught.value.code == "not_found"
    assert await pool.fetchval("select count(*) from stream where id > 0") == 0


async def test_the_position_lies_behind_the_commit(pool: Pool) -> None:
    async def work(connection: Connection) -> int:
        await connection.execute("insert into stream (channel) values ('x')")
        return await wal_position(connection)

    inside, after = await in_transaction_at(pool, work)
    assert 0 < inside < after


async def test_ids_of_the_database_encode_as_any_uuid(pool: Pool) -> None:
    id = uuid.uuid4()
    found = await pool.fetchval("select $1::uuid", str(id))
    assert isinstance(found, UUID)
    assert msgspec.json.encode(found) == msgspec.json.encode(id)


# ---------------------------------------------------------------- appending to streams


async def test_offsets_are_contiguous_in_the_order_of_appends(pool: Pool) -> None:
    id = await stream(pool, "a")
    subject = uuid.uuid4()

    async def work(connection: Connection, payloads: list[str]) -> int:
        return await append(connection, id, subject, payloads)

    assert await in_transaction(pool, lambda c: work(c, ["1", "2"])) == 1
    assert await in_transaction(pool, lambda c: work(c, ["3"])) == 3
    await asyncio.gather(*(in_transaction(pool, lambda c: work(c, ["x", "y"])) for _ in range(8)))
    rows = await pool.fetch(
        "select off, payload, subject_id, created_at from stream_event order by off"
    )
    assert [row["off"] for row in rows] == list(range(1, 20))
    assert [row["payload"] for row in rows] == ["1", "2", "3", *["x", "y"] * 8]
    assert {row["subject_id"] for row in rows} == {subject}
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)
    assert await pool.fetchval("select top_offset from stream where id > 0") == 19


async def test_an_appended_event_tells_the_time_that_is_stored(pool: Pool) -> None:
    id = await stream(pool, "user:x")
    event = await in_transaction(
        pool, lambda c: append_event(c, "user:x", id, uuid.uuid4(), '{"type":"x"}')
    )
    stored = await pool.fetchval(
        "select (extract(epoch from created_at) * 1000000)::bigint from stream_event"
    )
    assert event == ("user:x", 1, '{"type":"x"}', stored * 1_000)


async def test_appending_needs_a_stream_and_something_to_say(pool: Pool) -> None:
    async with acquire(pool) as connection:
        with pytest.raises(LookupError):
            await append(connection, 4711, uuid.uuid4(), ["x"])
        with pytest.raises(ValueError):
            await append(connection, 4711, uuid.uuid4(), [])


def test_payloads_have_the_form_of_the_contract() -> None:
    payload = event_payload("a.b", {"id": UUID(int=1), "x": None}, 1_795_162_530_123_456_789)
    assert payload == (
        '{"type":"a.b","at":"2026-11-20T08:15:30.123Z",'
        '"id":"00000000-0000-0000-0000-000000000001","x":null,"sent_ns":1795162530123456789}'
    )
    assert rfc3339(datetime(2026, 1, 2, 3, 4, 5, 999_999, UTC)) == "2026-01-02T03:04:05.999Z"


def test_a_connection_that_broke_in_the_pools_hands_is_unavailable() -> None:
    with pytest.raises(AppError) as refused, translate():
        raise asyncpg.InternalClientError("cannot switch to state 15")
    assert refused.value.code == "unavailable"
