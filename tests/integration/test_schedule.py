"""Recurring jobs: each tick once, however many workers there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.job_table import ENTRYPOINTS, RECURRING
from config.settings import Postgres
from storage.postgres import Pool, connect
from storage.schedule import Recurring, enqueue_due

pytestmark = pytest.mark.integration

TABLE = (Recurring("a", 60), Recurring("b", 3600))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres())
    yield pool
    await pool.close()


async def _queued(pool: Pool) -> list[str]:
    rows = await pool.fetch("select entrypoint from pgqueuer order by entrypoint, id")
    return [row["entrypoint"] for row in rows]


async def test_of_many_workers_one_enqueues_each_tick(pool: Pool) -> None:
    ticks = await asyncio.gather(*(enqueue_due(pool, TABLE) for _ in range(6)))
    assert sorted(name for tick in ticks for name in tick) == ["a", "b"]
    assert await _queued(pool) == ["a", "b"]
    await pool.execute("delete from pgqueuer")
    await pool.execute("update job_schedule set next_run = now() where name = 'a'")
    ticks = await asyncio.gather(*(enqueue_due(pool, TABLE) for _ in range(6)))
    assert [name for tick in ticks for name in tick] == ["a"]
    assert await pool.fetchval("select next_run > now() from job_schedule where name = 'a'")


async def test_a_tick_whose_last_job_still_waits_is_left_out(pool: Pool) -> None:
    await enqueue_due(pool, TABLE)
    await pool.execute("update job_schedule set next_run = now()")
    assert await enqueue_due(pool, TABLE) == []
    assert await _queued(pool) == ["a", "b"]


async def test_recurring_jobs_come_before_those_of_content(pool: Pool) -> None:
    await pool.execute(
        "insert into pgqueuer (priority, entrypoint, status) values (0, 'notify', 'queued')"
    )
    await enqueue_due(pool, TABLE)
    assert await pool.fetchval(
        "select entrypoint from pgqueuer order by priority desc, id limit 1"
    ) in ("a", "b")


def test_every_recurring_job_is_one() -> None:
    assert {each.entrypoint for each in RECURRING} <= {entry.name for entry in ENTRYPOINTS}
