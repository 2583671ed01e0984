"""The job queue inside Postgres (pgqueuer), polled: nothing notifies, see migrations/0002_jobs.sql.

    queued ─▶ picked ─▶ handler returns ─▶ gone
                 │    └▶ handler raises ─▶ queued again, later ─▶ … ─▶ held, after MAX_ATTEMPTS
                 └▶ worker killed ─▶ picked by another after `HEARTBEAT_SECONDS`, also counted

A job runs at least once. Held jobs (`status = 'failed'`) wait for an operator; putting one back to
'queued' gives it all its attempts again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job

from config.errors import AppError
from storage.postgres import CONNECT_TIMEOUT_SECONDS, Pool, acquire, translate

_log = logging.getLogger(__name__)

Handler = Callable[[bytes], Awaitable[None]]

MAX_ATTEMPTS: Final = 5
POLL_SECONDS: Final = 0.25
HEARTBEAT_SECONDS: Final = 5.0
_QUERY_SECONDS: Final = 15.0
_BATCH: Final = 10
_CONCURRENT: Final = 20
_BACKOFF_SECONDS: Final = 0.5
_UNREACHABLE_SECONDS: Final = 1.0
_FINISHED_KEPT: Final = timedelta(minutes=10)
_FAILED_KEPT: Final = timedelta(days=7)
_TRIMMED_AT_ONCE: Final = 5_000


async def work(url: str, pool: Pool, handlers: Mapping[str, Handler], stop: asyncio.Event) -> None:
    """Runs the jobs of `handlers` (by entrypoint) until `stop` is set, then ends those in hand.

    Raises AppError `unavailable` or `overloaded` when the database goes away: call again, what was
    in hand comes back. `pool` counts attempts; the queue itself has a connection of its own, since
    the library would lose a pool's connection with every restart of the server.
    """
    with translate():
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=_QUERY_SECONDS,
            server_settings={"application_name": "jobs"},
        )
        try:
            await _work(connection, pool, handlers, stop)
        finally:
            connection.terminate()


async def _work(
    connection: asyncpg.Connection[asyncpg.Record],
    pool: Pool,
    handlers: Mapping[str, Handler],
    stop: asyncio.Event,
) -> None:
    queue = QueueManager(Queries(AsyncpgDriver(connection)))
    for name, handler in handlers.items():
        queue.entrypoint(name, on_failure="hold")(_counted(pool, handler))

    async def pass_on() -> None:
        await stop.wait()
        queue.shutdown.set()

    stopping = asyncio.create_task(pass_on())
    try:
        await queue.run(
            dequeue_timeout=timedelta(seconds=POLL_SECONDS),
            batch_size=_BATCH,
            max_concurrent_tasks=_CONCURRENT,
            heartbeat_timeout=timedelta(seconds=HEARTBEAT_SECONDS),
            log_aggregation_interval=timedelta(0),
        )
    finally:
        stopping.cancel()
        await asyncio.wait([stopping])


def _counted(pool: Pool, handler: Handler) -> Callable[[Job], Awaitable[None]]:
    async def run(job: Job) -> None:
        attempts = await begin_attempt(pool, job.id)
        if attempts > MAX_ATTEMPTS:
            await forget_attempts(pool, job.id)
            raise RuntimeError(f"job {job.id} has ended its worker {MAX_ATTEMPTS} times")
        try:
            await handler(job.payload or b"")
        except Exception as error:
            if isinstance(error, AppError) and error.retryable:
                # The job is not to blame: nothing is counted.
                await forget_attempts(pool, job.id)
                delay = error.retry_after_seconds or _UNREACHABLE_SECONDS
            elif attempts < MAX_ATTEMPTS:
                delay = _BACKOFF_SECONDS * 2**attempts
            else:
                await forget_attempts(pool, job.id)
                raise
            _log.warning("job %s (%s), attempt %d: %r", job.id, job.entrypoint, attempts, error)
            raise RetryRequested(timedelta(seconds=delay), repr(error)) from error
        await forget_attempts(pool, job.id)

    return run


async def begin_attempt(pool: Pool, job_id: int) -> int:
    """Committed before the job runs, so that a worker which dies of it is counted. The number of
    this attempt, from 1."""
    async with acquire(pool) as connection:
        attempts = await connection.fetchval(
            "insert into job_attempt as a (job_id, attempts) values ($1, 1)"
            " on conflict (job_id) do update set attempts = a.attempts + 1 returning attempts",
            job_id,
        )
    return int(attempts)


async def forget_attempts(pool: Pool, job_id: int) -> None:
    async with acquire(pool) as connection:
        await connection.execute("delete from job_attempt where job_id = $1", job_id)


# By index pgqueuer_log_created.
_TRIM: Final = """
    delete from pgqueuer_log where id in (
        select id from pgqueuer_log
        where created < now() - $1::interval
          and (status not in ('failed', 'exception') or created < now() - $2::interval)
        order by created limit $3)"""
_TRIM_ATTEMPTS: Final = """
    delete from job_attempt a
    where begun_at < now() - interval '1 hour'
      and not exists (select from pgqueuer q where q.id = a.job_id)"""


async def trim(pool: Pool) -> int:
    """Deletes what finished jobs left in the log: after 10 minutes, of failures after a week.

    Returns the number of rows."""
    deleted = 0
    while True:
        async with acquire(pool) as connection:
            status = await connection.execute(_TRIM, _FINISHED_KEPT, _FAILED_KEPT, _TRIMMED_AT_ONCE)
        count = int(status.rsplit(" ", 1)[1])
        deleted += count
        if count < _TRIMMED_AT_ONCE:
            break
    async with acquire(pool) as connection:
        await connection.execute(_TRIM_ATTEMPTS)
    return deleted
