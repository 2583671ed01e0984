"""The worker on a real queue: jobs run, come back after deaths, are held, leave little behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.shard_messages import Publication
from actors.worker_light import WorkerLight
from config.errors import AppError
from config.settings import Postgres
from storage import jobs
from storage.streams import ensure_partitions
from tests.integration.feed_world import World, world

DEADLINE_SECONDS = 20.0


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as made:
        async with made.pool.acquire() as connection:
            await ensure_partitions(connection, datetime.now(UTC).date(), 1)
        yield made


@pytest.fixture
async def worker(database_url: str, here: World) -> AsyncIterator[tuple[WorkerLight, list[Any]]]:
    published: list[Publication] = []
    worker = WorkerLight(Postgres(url=database_url), published.extend)
    await worker.start()
    yield worker, published
    await worker.stop()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await condition():  # noqa: ASYNC110  (Postgres is asked, nothing signals)
            await asyncio.sleep(0.02)


async def enqueue(here: World, payload: bytes, *, entrypoint: str = "notify") -> int:
    id = await here.pool.fetchval(
        "insert into pgqueuer (priority, entrypoint, payload, status)"
        " values (0, $1, $2, 'queued') returning id",
        entrypoint,
        payload,
    )
    return int(id)


def comments(*ids: UUID) -> bytes:
    return msgspec.json.encode({"comments": [{"id": id, "reply_to": None} for id in ids]})


async def status(here: World, job_id: int) -> str | None:
    found: str | None = await here.pool.fetchval(
        "select status::text from pgqueuer where id = $1", job_id
    )
    return found


async def gone(here: World, job_id: int) -> bool:
    return await status(here, job_id) is None


async def reply(here: World) -> UUID:
    ada, ben = await here.account("ada"), await here.account("ben")
    post = await here.post(await here.community("c"), ada)
    return await here.comment(post, ben)


async def test_a_job_notifies_and_leaves_the_queue(
    here: World, worker: tuple[WorkerLight, list[Any]]
) -> None:
    running, published = worker
    job_id = await enqueue(here, comments(await reply(here)))
    await until(lambda: gone(here, job_id))
    assert len(published) == 1
    assert await here.pool.fetchval("select count(*) from notification") == 1
    assert await here.pool.fetchval("select count(*) from job_attempt") == 0
    running.check_health()


async def test_the_worker_comes_back_when_the_server_cuts_it_off(
    here: World, worker: tuple[WorkerLight, list[Any]]
) -> None:
    running, _ = worker
    first = await enqueue(here, comments())
    await until(lambda: gone(here, first))
    for _ in range(3):
        await here.pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name in ('jobs', 'worker')"
        )
    second = await enqueue(here, comments(await reply(here)))
    await until(lambda: gone(here, second))
    assert await here.pool.fetchval("select count(*) from notification") == 1
    running.check_health()


async def test_a_job_of_a_dead_worker_is_taken_over(
    here: World, worker: tuple[WorkerLight, list[Any]]
) -> None:
    job_id = await enqueue(here, comments(await reply(here)))
    await here.pool.execute(
        "update pgqueuer set status = 'picked', queue_manager_id = gen_random_uuid(),"
        " heartbeat = now() - interval '6 seconds' where id = $1",
        job_id,
    )
    await until(lambda: gone(here, job_id))
    assert await here.pool.fetchval("select count(*) from notification") == 1


async def test_health_tells_of_a_dead_loop(here: World, database_url: str) -> None:
    await here.pool.execute("alter table pgqueuer_statistics rename to lost")
    worker = WorkerLight(Postgres(url=database_url), lambda publications: None)
    await worker.start()
    worker.check_health()

    async def unhealthy() -> bool:
        try:
            worker.check_health()
        except RuntimeError:
            return True
        return False

    await until(unhealthy)
    await worker.stop()


async def test_start_does_not_need_the_database_and_stop_ends_it() -> None:
    worker = WorkerLight(Postgres(url="postgresql://nobody@127.0.0.1:1/none"), lambda _: None)
    await worker.start()
    worker.check_health()
    await worker.stop()
    worker.check_health()


# ---------------------------------------------------------------- the queue alone


@asynccontextmanager
async def working(here: World, url: str, handler: jobs.Handler) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(jobs.work(url, here.pool, {"notify": handler}, stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await task


async def test_a_job_that_killed_its_worker_five_times_is_held(
    here: World, database_url: str
) -> None:
    job_id = await enqueue(here, b"")
    for _ in range(jobs.MAX_ATTEMPTS):
        await jobs.begin_attempt(here.pool, job_id)
    ran: list[bytes] = []

    async def handler(payload: bytes) -> None:
        ran.append(payload)

    async def held() -> bool:
        return await status(here, job_id) == "failed"

    async with working(here, database_url, handler):
        await until(held)
        assert ran == []
        # An operator puts it back: it has all its attempts again.
        await here.pool.execute("update pgqueuer set status = 'queued' where id = $1", job_id)
        await until(lambda: gone(here, job_id))
    assert ran == [b""]


@pytest.mark.parametrize("error", [ValueError("broken"), AppError("internal", "broken")])
async def test_a_failing_job_is_tried_again_later_and_held_in_the_end(
    here: World, database_url: str, error: Exception
) -> None:
    fresh, worn = await enqueue(here, b"fresh"), await enqueue(here, b"worn")
    for _ in range(jobs.MAX_ATTEMPTS - 1):
        await jobs.begin_attempt(here.pool, worn)

    async def handler(payload: bytes) -> None:
        raise error

    async def settled() -> bool:
        return await status(here, worn) == "failed" and bool(
            await here.pool.fetchval(
                "select status = 'queued' and execute_after > created from pgqueuer where id = $1",
                fresh,
            )
        )

    async with working(here, database_url, handler):
        await until(settled)


async def test_an_outage_of_the_database_counts_against_no_job(
    here: World, database_url: str
) -> None:
    job_id = await enqueue(here, b"")
    for _ in range(jobs.MAX_ATTEMPTS - 1):
        await jobs.begin_attempt(here.pool, job_id)
    failures = [AppError("unavailable", retry_after_seconds=0.01) for _ in range(3)]

    async def handler(payload: bytes) -> None:
        if failures:
            raise failures.pop()

    async with working(here, database_url, handler):
        await until(lambda: gone(here, job_id))
    assert failures == []


async def test_trim_keeps_what_is_fresh_and_what_failed(here: World) -> None:
    await here.pool.execute(
        "insert into pgqueuer_log (created, job_id, status, priority, entrypoint)"
        " select now() - age, 1, status::pgqueuer_status, 0, 'notify' from (values"
        " (interval '1 minute', 'successful'), (interval '11 minutes', 'successful'),"
        " (interval '11 minutes', 'queued'), (interval '6 days', 'failed'),"
        " (interval '8 days', 'exception')) v (age, status)"
    )
    await here.pool.execute(
        "insert into job_attempt (job_id, attempts, begun_at) values"
        " (1, 1, now() - interval '2 hours'), (2, 1, now())"
    )
    assert await jobs.trim(here.pool) == 3
    rows = await here.pool.fetch("select status::text from pgqueuer_log order by id")
    assert [row["status"] for row in rows] == ["successful", "failed"]
    assert await here.pool.fetchval("select array_agg(job_id) from job_attempt") == [2]
