"""The job queue inside Postgres (pgqueuer), polled: nothing notifies, see migrations/0002_jobs.sql.

    queued ─▶ picked ─▶ handler returns ─▶ gone
                 │    ├▶ handler raises ─▶ queued again, later ─▶ … ─▶ held, after MAX_ATTEMPTS
                 │    ├▶ a store is away ─▶ queued again, later, uncounted, as long as it is away
                 │    └▶ worker stops, handler cut off after STOP_SECONDS ─▶ queued again, uncounted
                 └▶ worker killed ─▶ picked by another after `HEARTBEAT_SECONDS`, also counted

A job is enqueued in the transaction that causes it, runs at least once, and may run twice at the
same time where a worker was stalled: handlers are idempotent. Held jobs (`status = 'failed'`) wait
for an operator (storage/dead_letters.py); putting one back gives it all its attempts again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Final, NamedTuple, TypeVar

import asyncpg
import msgspec
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job
from prometheus_client import Counter, Histogram

from config.errors import AppError
from storage.postgres import CONNECT_TIMEOUT_SECONDS, Connection, Pool, acquire, translate

_log = logging.getLogger(__name__)

Handler = Callable[[bytes], Awaitable[None]]
T = TypeVar("T")

MAX_ATTEMPTS: Final = 5
attempt: Final = ContextVar("attempt", default=1)
"""Which one of the job in hand runs, for handlers that give up sooner."""
POLL_SECONDS: Final = 0.25
HEARTBEAT_SECONDS: Final = 5.0
STOP_SECONDS: Final = 2.0
MAX_DEPTH: Final = 10_000
_LOOKED_AT: Final = 100
_QUERY_SECONDS: Final = 15.0
_BATCH: Final = 10
_CONCURRENT: Final = 20
_BACKOFF_SECONDS: Final = 0.5
_UNREACHABLE_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_FINISHED_KEPT: Final = timedelta(minutes=10)
_FAILED_KEPT: Final = timedelta(days=7)
_TRIMMED_AT_ONCE: Final = 5_000


_runs = Counter(
    "serai_jobs_total",
    "Runs of jobs: done, retried (it failed), waiting (for a store), cut_off (the worker stopped),"
    " held (failed for good)",
    ["entrypoint", "outcome"],
)
_seconds = Histogram(
    "serai_job_seconds",
    "Time of one run",
    ["entrypoint"],
    buckets=(0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 300.0, 1800.0),
)

# What pgqueuer's own enqueue would insert.
_ENQUEUE: Final = """
    with job as (
        insert into pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, status)
        values ($1, $2, $3, now() + make_interval(secs => $4), $5, 'queued')
        on conflict (dedupe_key)
            where status = any (array['queued', 'picked']::pgqueuer_status[])
              and dedupe_key is not null
            do nothing
        returning id, entrypoint, priority
    ), logged as (
        insert into pgqueuer_log (job_id, status, entrypoint, priority)
        select id, 'queued', entrypoint, priority from job
    )
    select id from job"""


async def enqueue(
    connection: Connection,
    entrypoint: str,
    payload: object = None,
    *,
    dedupe_key: str | None = None,
    delay_seconds: float = 0.0,
    priority: int = 0,
) -> int | None:
    """Adds a job to the caller's transaction: it runs once that commits, `delay_seconds` after its
    start or later, higher `priority` first. `entrypoint` is one of actors/job_table.py, `payload`
    is sent as JSON.

    None: a job with this `dedupe_key` is queued or running, and nothing was added. A running one
    may have read its data before this transaction: give a key only where that does no harm.
    """
    id: int | None = await connection.fetchval(
        _ENQUEUE, priority, entrypoint, msgspec.json.encode(payload), delay_seconds, dedupe_key
    )
    return id


async def work(
    url: str,
    pool: Pool,
    handlers: Mapping[str, Handler],
    stop: asyncio.Event,
    *,
    at_once: Mapping[str, int] | None = None,
) -> None:
    """Runs the jobs of `handlers` (by entrypoint) until `stop` is set, then gives those in hand
    STOP_SECONDS. `at_once`: how many of an entrypoint run in all workers together; the others are
    not bounded, but that each worker has no more than 20 in hand.

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
            await _work(connection, pool, handlers, stop, at_once or {})
        finally:
            connection.terminate()


async def _work(
    connection: asyncpg.Connection[asyncpg.Record],
    pool: Pool,
    handlers: Mapping[str, Handler],
    stop: asyncio.Event,
    at_once: Mapping[str, int],
) -> None:
    queue = QueueManager(Queries(AsyncpgDriver(connection)))
    for name, handler in handlers.items():
        queue.entrypoint(name, on_failure="hold", concurrency_limit=at_once.get(name, 0))(
            _counted(name, pool, handler, stop)
        )

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


class _Stopped(Exception):
    """The worker stops, and the job was not done in time."""


async def _unless_stopped(handling: Awaitable[None], stop: asyncio.Event) -> None:
    """Cut off here and not by pgqueuer, which deletes a job whose task is cancelled."""
    task = asyncio.ensure_future(handling)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=STOP_SECONDS)
    finally:
        stopping.cancel()
        cut_off = task.cancel()
        await asyncio.wait({task})
    if cut_off and task.cancelled():
        raise _Stopped
    task.result()


def _counted(
    name: str, pool: Pool, handler: Handler, stop: asyncio.Event
) -> Callable[[Job], Awaitable[None]]:
    def count(outcome: str) -> None:
        _runs.labels(name, outcome).inc()

    async def run(job: Job) -> None:
        try:
            attempts = await begin_attempt(pool, job.id)
        except AppError as error:
            # Raised as it is, it would have a job held that has not run at all.
            count("waiting")
            raise _after(error.retry_after_seconds or _UNREACHABLE_SECONDS, error) from error
        if attempts > MAX_ATTEMPTS:
            await _noted(forget_attempts(pool, job.id))
            count("held")
            raise RuntimeError(f"job {job.id} has ended its worker {MAX_ATTEMPTS} times")
        begun = time.monotonic()
        attempt.set(attempts)
        try:
            await _unless_stopped(handler(job.payload or b""), stop)
        except _Stopped as error:
            await _noted(_uncount_attempt(pool, job.id))
            count("cut_off")
            raise RetryRequested(timedelta(0), "the worker stopped") from error
        except Exception as error:
            if isinstance(error, AppError) and error.code == "unavailable":
                # A store is away: the job is not to blame. All else is counted, or a statement
                # that always takes too long would be run for ever.
                waits = await _noted(_count_wait(pool, job.id)) or 1
                count("waiting")
                first = error.retry_after_seconds or _UNREACHABLE_SECONDS
                delay = min(_LONGEST_WAIT_SECONDS, first * 2 ** min(waits - 1, 16))
            elif attempts < MAX_ATTEMPTS:
                count("retried")
                # What was only too much at once gets minutes to pass.
                later = isinstance(error, AppError) and error.retryable
                delay = _BACKOFF_SECONDS * (4 if later else 2) ** attempts
            else:
                await _noted(forget_attempts(pool, job.id))
                count("held")
                raise
            _log.warning("job %s (%s), attempt %d: %r", job.id, name, attempts, error)
            raise _after(delay, error) from error
        finally:
            _seconds.labels(name).observe(time.monotonic() - begun)
        await _noted(forget_attempts(pool, job.id))
        count("done")

    return run


def _after(seconds: float, error: Exception) -> RetryRequested:
    return RetryRequested(timedelta(seconds=seconds), repr(error))


async def _noted(noting: Awaitable[T]) -> T | None:
    """None: the database is away. What became of the job stands nevertheless; an attempt too many
    is counted, or a row is left that `trim` deletes."""
    try:
        return await noting
    except AppError as error:
        _log.warning("attempts of a job are not counted: %s", error)
        return None


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


async def _uncount_attempt(pool: Pool, job_id: int) -> None:
    """Those before it count as they did."""
    async with acquire(pool) as connection:
        await connection.execute(
            "with fewer as (update job_attempt set attempts = attempts - 1"
            "               where job_id = $1 and (attempts > 1 or waits > 0))"
            " delete from job_attempt where job_id = $1 and attempts <= 1 and waits = 0",
            job_id,
        )


async def _count_wait(pool: Pool, job_id: int) -> int:
    """How often it has waited for a store; the attempt is taken back."""
    async with acquire(pool) as connection:
        waits = await connection.fetchval(
            "update job_attempt set attempts = attempts - 1, waits = waits + 1 where job_id = $1"
            " returning waits",
            job_id,
        )
    return int(waits or 1)


async def forget_attempts(pool: Pool, job_id: int) -> None:
    async with acquire(pool) as connection:
        await connection.execute("delete from job_attempt where job_id = $1", job_id)


class Depth(NamedTuple):
    """Jobs of one entrypoint: those that could run now, and those that are held; for how many
    seconds the oldest that is not done has waited, a store that is away included."""

    due: int
    held: int
    waited_seconds: float


# Bounded, by indexes pgqueuer_ep_ea_idx and pgqueuer_held: a long queue must not be read to the
# end every few seconds.
_DEPTHS: Final = """
    select e.name,
           (select count(*) from (
                select from pgqueuer q
                where q.status = 'queued' and q.entrypoint = e.name and q.execute_after <= now()
                limit $2) due) as due,
           (select count(*) from (
                select from pgqueuer q where q.status = 'failed' and q.entrypoint = e.name
                limit $2) held) as held,
           coalesce((select extract(epoch from now() - min(q.created))::float from (
                select q.created from pgqueuer q
                where q.status = 'queued' and q.entrypoint = e.name
                order by q.execute_after limit $3) q), 0) as waited_seconds
    from unnest($1::text[]) as e (name)"""


async def depths(pool: Pool, entrypoints: Sequence[str]) -> dict[str, Depth]:
    """By entrypoint; at most MAX_DEPTH is counted."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(_DEPTHS, list(entrypoints), MAX_DEPTH, _LOOKED_AT)
    return {row["name"]: Depth(row["due"], row["held"], row["waited_seconds"]) for row in rows}


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
