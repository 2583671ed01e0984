"""The queue without a worker of ours: what is enqueued, and what a stop does to a job in hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from config.settings import Postgres
from storage import jobs
from storage.postgres import Connection, Pool, connect, in_transaction
from tests.conditions import wait_until_async

pytestmark = pytest.mark.integration

DEADLINE_SECONDS = 30.0


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres())
    yield pool
    await pool.close()


async def test_a_job_comes_and_goes_with_its_transaction(pool: Pool) -> None:
    class Rolled(Exception):
        pass

    async def fail(connection: Connection) -> None:
        assert await jobs.enqueue(connection, "notify", {"posts": []}) is not None
        raise Rolled

    with pytest.raises(Rolled):
        await in_transaction(pool, fail)
    assert await pool.fetchval("select count(*) from pgqueuer") == 0
    id = await in_transaction(pool, lambda c: jobs.enqueue(c, "notify", {"posts": []}, priority=3))
    row = await pool.fetchrow("select * from pgqueuer")
    assert row is not None
    assert (row["id"], row["priority"], row["status"]) == (id, 3, "queued")
    assert msgspec.json.decode(row["payload"]) == {"posts": []}
    assert await pool.fetchval("select job_id from pgqueuer_log where status = 'queued'") == id


async def test_one_job_a_key_as_long_as_it_is_queued_or_running(pool: Pool) -> None:
    async def put(key: str | None) -> int | None:
        return await in_transaction(pool, lambda c: jobs.enqueue(c, "notify", dedupe_key=key))

    first = await put("a")
    assert first is not None
    assert await put("a") is None
    assert None not in [await put("b"), await put(None), await put(None)]
    await pool.execute("update pgqueuer set status = 'picked' where id = $1", first)
    assert await put("a") is None
    await pool.execute("update pgqueuer set status = 'failed' where id = $1", first)
    assert await put("a") is not None


async def test_a_delayed_job_waits(pool: Pool) -> None:
    await in_transaction(pool, lambda c: jobs.enqueue(c, "notify", delay_seconds=3600))
    assert await pool.fetchval("select execute_after > now() + interval '59 minutes' from pgqueuer")


async def test_a_stop_gives_a_long_job_back_uncounted(pool: Pool, database_url: str) -> None:
    """pgqueuer by itself would delete a job whose task is cancelled."""
    await in_transaction(pool, lambda c: jobs.enqueue(c, "long"))
    begun, cut_off = asyncio.Event(), asyncio.Event()

    async def long(payload: bytes) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    stop = asyncio.Event()
    task = asyncio.create_task(jobs.work(database_url, pool, {"long": long}, stop))
    async with asyncio.timeout(DEADLINE_SECONDS):
        await begun.wait()
        stop.set()
        await task
    assert cut_off.is_set()
    assert await pool.fetchval("select status = 'queued' from pgqueuer")
    assert await pool.fetchval("select count(*) from job_attempt") == 0

    finished = asyncio.Event()

    async def finish(payload: bytes) -> None:
        finished.set()

    stop = asyncio.Event()
    task = asyncio.create_task(jobs.work(database_url, pool, {"long": finish}, stop))
    async with asyncio.timeout(DEADLINE_SECONDS):
        await finished.wait()
        stop.set()
        await task
    assert await pool.fetchval("select count(*) from pgqueuer") == 0


async def test_long_jobs_leave_hands_to_others(pool: Pool, database_url: str) -> None:
    for _ in range(5):
        await in_transaction(pool, lambda c: jobs.enqueue(c, "long"))
    running, most = 0, 0
    release = asyncio.Event()

    async def long(payload: bytes) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    async def short(payload: bytes) -> None:
        release.set()

    async def empty() -> bool:
        return not await pool.fetchval("select count(*) from pgqueuer")

    stop = asyncio.Event()
    task = asyncio.create_task(
        jobs.work(database_url, pool, {"long": long, "short": short}, stop, at_once={"long": 2})
    )
    try:
        await in_transaction(pool, lambda c: jobs.enqueue(c, "short", delay_seconds=0.3))
        await wait_until_async(empty)
    finally:
        stop.set()
        await task
    assert most <= 2
