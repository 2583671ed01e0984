"""Reads are refused before their queue grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from config.errors import AppError
from config.settings import Postgres
from storage.postgres import Pool, connect
from storage.read_gate import REFUSED
from storage.replicas import Readers
from tests.conditions import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres(pool_size=1))
    yield pool
    await pool.close()


async def test_what_comes_when_the_queue_is_full_is_refused_and_the_others_are_answered(
    single: Pool,
) -> None:
    readers = Readers(single, waiting_per_connection=2)
    free, held = asyncio.Event(), asyncio.Event()

    async def read() -> int:
        async with readers.acquire() as connection:
            held.set()
            await free.wait()
            return int(await connection.fetchval("select 1"))

    first = asyncio.create_task(read())
    await held.wait()
    waiting = [asyncio.create_task(read()) for _ in range(2)]
    await wait_until(lambda: readers.busy == 3)
    refused = REFUSED.labels("primary")._value.get()
    with pytest.raises(AppError) as caught:
        await read()
    assert (caught.value.code, caught.value.retry_after_seconds) == ("overloaded", 1.0)
    assert REFUSED.labels("primary")._value.get() == refused + 1
    # Who gives up makes room.
    waiting.pop().cancel()
    await wait_until(lambda: readers.busy == 2)
    waiting.append(asyncio.create_task(read()))
    await wait_until(lambda: readers.busy == 3)
    free.set()
    assert await asyncio.gather(first, *waiting) == [1, 1, 1]
    assert readers.busy == 0


async def test_reads_have_a_shorter_time_than_jobs(database_url: str) -> None:
    settings = Postgres()
    assert settings.read_timeout_seconds < settings.statement_timeout_seconds
    assert settings.statement_timeout_seconds < settings.job_timeout_seconds
    pool = await connect(database_url, settings, statement_timeout_seconds=1.5)
    try:
        assert await pool.fetchval("show statement_timeout") == "1500ms"
    finally:
        await pool.close()
