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
from prometheus_client import REGISTRY

from actors.job_table import Entrypoint, WorkerKind
from actors.shard_messages import Publication
from actors.worker import Worker
from config.errors import AppError
from config.settings import Postgres, Settings
from storage import jobs
from storage.schedule import Recurring
from storage.streams import ensure_partitions
from tests.conditions import wait_until_async
from tests.integration.feed_world import World, world

DEADLINE_SECONDS = 20.0


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as made:
        async with made.pool.acquire() as connection:
            await ensure_partitions(connection, datetime.now(UTC).date(), 1)
        yield made


@pytest.fixture
async def worker(database_url: str, here: World) -> AsyncIterator[tuple[Worker, list[Any]]]:
    published: list[Publication] = []
    settings = Settings(postgres=Postgres(url=database_url))
    worker = Worker(settings, published.extend, recurring=())
    await worker.start()
    yield worker, published
    await worker.stop()


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
    here: World, worker: tuple[Worker, list[Any]]
) -> None:
    running, published = worker
    job_id = await enqueue(here, comments(await reply(here)))
    await wait_until_async(lambda: gone(here, job_id))
    assert len(published) == 1
    assert await here.pool.fetchval("select count(*) from notification") == 1
    assert await here.pool.fetchval("select count(*) from job_attempt") == 0
    running.check_health()


async def test_the_worker_comes_back_when_the_server_cuts_it_off(
    here: World, worker: tuple[Worker, list[Any]]
) -> None:
    running, _ = worker
    first = await enqueue(here, comments())
    await wait_until_async(lambda: gone(here, first))
    for _ in range(3):
        await here.pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name in ('jobs', 'worker')"
        )
    second = await enqueue(here, comments(await reply(here)))
    await wait_until_async(lambda: gone(here, second))
    assert await here.pool.fetchval("select count(*) from notification") == 1
    running.check_health()


async def test_a_job_of_a_dead_worker_is_taken_over(
    here: World, worker: tuple[Worker, list[Any]]
) -> None:
    job_id = await enqueue(here, comments(await reply(here)))
    await here.pool.execute(
        "update pgqueuer set status = 'picked', queue_manager_id = gen_random_uuid(),"
        " heartbeat = now() - interval '6 seconds' where id = $1",
        job_id,
    )
    await wait_until_async(lambda: gone(here, job_id))
    assert await here.pool.fetchval("select count(*) from notification") == 1


async def test_health_tells_of_a_dead_loop(here: World, database_url: str) -> None:
    await here.pool.execute("alter table pgqueuer_statistics rename to lost")
    worker = Worker(Settings(postgres=Postgres(url=database_url)), lambda publications: None)
    await worker.start()
    worker.check_health()

    async def unhealthy() -> bool:
        try:
            worker.check_health()
        except RuntimeError:
            return True
        return False

    await wait_until_async(unhealthy)
    await worker.stop()


async def test_start_does_not_need_the_database_and_stop_ends_it() -> None:
    worker = Worker(
        Settings(postgres=Postgres(url="postgresql://nobody@127.0.0.1:1/none")), lambda _: None
    )
    await worker.start()
    worker.check_health()
    await worker.stop()
    worker.check_health()


# ---------------------------------------------------------------- kinds, ticks, depth


@asynccontextmanager
async def workers(url: str, *options: dict[str, Any]) -> AsyncIterator[list[Worker]]:
    settings = Settings(postgres=Postgres(url=url))
    made = [Worker(settings, lambda _: None, **each) for each in options]
    for each in made:
        await each.start()
    try:
        yield made
    finally:
        for each in made:
            await each.stop()


def noted(name: str, notes: list[str], kind: WorkerKind = "light") -> Entrypoint:
    async def run(payload: bytes) -> None:
        notes.append(name)

    return Entrypoint(name, lambda tools: run, kind)


async def test_each_kind_of_worker_runs_its_own_jobs(here: World, database_url: str) -> None:
    by_light: list[str] = []
    by_ai: list[str] = []
    quick, slow = (
        await enqueue(here, b"", entrypoint="quick"),
        await enqueue(here, b"", entrypoint="slow"),
    )
    light = {"entrypoints": [noted("quick", by_light), noted("slow", by_light, "ai")]}
    ai = {"entrypoints": [noted("quick", by_ai), noted("slow", by_ai, "ai")], "kind": "ai"}
    async with workers(database_url, light | {"recurring": ()}, ai):
        await wait_until_async(lambda: gone(here, quick))
        await wait_until_async(lambda: gone(here, slow))
    assert (by_light, by_ai) == (["quick"], ["slow"])


async def test_several_workers_run_each_tick_once(here: World, database_url: str) -> None:
    notes: list[str] = []
    ticks = (Recurring("tick", 3_600), Recurring("tock", 3_600))
    options = {"entrypoints": [noted("tick", notes), noted("tock", notes)], "recurring": ticks}

    async def all_ran() -> bool:
        return len(notes) >= 2 and not await here.pool.fetchval("select count(*) from pgqueuer")

    async with workers(database_url, options, options, options):
        await wait_until_async(all_ran)
    assert sorted(notes) == ["tick", "tock"]
    assert await here.pool.fetchval("select count(*) from job_schedule") == 2


async def test_a_worker_knows_how_much_there_is_to_do(here: World, database_url: str) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def wait(payload: bytes) -> None:
        begun.set()
        await release.wait()

    def value(name: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"entrypoint": "wait"})

    for _ in range(4):
        await enqueue(here, b"", entrypoint="wait")
    await here.pool.execute(
        "insert into pgqueuer (priority, entrypoint, status, execute_after) values"
        " (0, 'wait', 'queued', now() + interval '1 hour'), (0, 'wait', 'failed', now()),"
        " (0, 'other', 'queued', now())"
    )
    options = {"entrypoints": [Entrypoint("wait", lambda tools: wait, at_once=1)], "recurring": ()}
    async with workers(database_url, options) as (worker,):

        async def seen() -> bool:
            return begun.is_set() and worker.depth == 3

        await wait_until_async(seen)
        assert value("serai_jobs_due") == 3
        assert value("serai_jobs_held") == 1
        release.set()
        done = {"entrypoint": "wait", "outcome": "done"}

        async def all_ran() -> bool:
            return REGISTRY.get_sample_value("serai_jobs_total", done) == 4

        await wait_until_async(all_ran)
        assert value("serai_job_seconds_count") == 4


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
        await wait_until_async(held)
        assert ran == []
        # An operator puts it back: it has all its attempts again.
        await here.pool.execute("update pgqueuer set status = 'queued' where id = $1", job_id)
        await wait_until_async(lambda: gone(here, job_id))
    assert ran == [b""]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("broken"),
        AppError("internal", "broken"),
        AppError("overloaded", "too slow", retry_after_seconds=0.01),
    ],
)
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
        await wait_until_async(settled)


async def test_an_outage_of_the_database_counts_against_no_job(
    here: World, database_url: str
) -> None:
    job_id = await enqueue(here, b"")
    for _ in range(jobs.MAX_ATTEMPTS - 1):
        await jobs.begin_attempt(here.pool, job_id)
    failures = [AppError("unavailable", retry_after_seconds=0.01) for _ in range(3)]
    waits: list[int] = []

    async def handler(payload: bytes) -> None:
        waits.append(await here.pool.fetchval("select waits from job_attempt"))
        if failures:
            raise failures.pop()

    async with working(here, database_url, handler):
        await wait_until_async(lambda: gone(here, job_id))
    assert failures == []
    assert waits == [0, 1, 2, 3]
    assert await here.pool.fetchval("select count(*) from job_attempt") == 0


async def test_an_outage_takes_back_no_attempt_but_its_own(here: World, database_url: str) -> None:
    job_id = await enqueue(here, b"")
    for _ in range(jobs.MAX_ATTEMPTS - 1):
        await jobs.begin_attempt(here.pool, job_id)
    failures = [ValueError("broken"), AppError("unavailable", retry_after_seconds=0.01)]

    async def handler(payload: bytes) -> None:
        raise failures.pop()

    async def held() -> bool:
        return await status(here, job_id) == "failed"

    async with working(here, database_url, handler):
        await wait_until_async(held)
    assert failures == []


async def test_an_attempt_that_can_t_be_counted_is_put_off(
    here: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handlers may hold all connections of the pool: that ends no job."""
    counted = {"begin": jobs.begin_attempt, "forget": jobs.forget_attempts}
    failures = {"begin": 2, "forget": 1}
    ran: list[bytes] = []

    def failing(name: str) -> Callable[[Any, int], Awaitable[Any]]:
        async def run(pool: Any, job_id: int) -> Any:
            if failures[name]:
                failures[name] -= 1
                raise AppError("overloaded", retry_after_seconds=0.01)
            return await counted[name](pool, job_id)

        return run

    async def handler(payload: bytes) -> None:
        ran.append(payload)

    monkeypatch.setattr(jobs, "begin_attempt", failing("begin"))
    monkeypatch.setattr(jobs, "forget_attempts", failing("forget"))
    job_id = await enqueue(here, b"")
    async with working(here, database_url, handler):
        await wait_until_async(lambda: gone(here, job_id))
    assert (ran, failures) == ([b""], {"begin": 0, "forget": 0})


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
