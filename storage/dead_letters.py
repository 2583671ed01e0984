"""The queue as operators see it: what waits, runs or is held, and how held jobs go on or away."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from config.errors import AppError
from storage.postgres import Connection, Pool, acquire, in_transaction


class ListedJob(msgspec.Struct, frozen=True):
    """`status`: queued, picked (running) or failed (held). `error`: the newest failure, as long as
    the log keeps it."""

    id: int
    entrypoint: str
    status: str
    created: datetime
    execute_after: datetime
    payload: str
    error: str | None


# By index pgqueuer_log_job_id_status for the error.
_LIST: Final = """
select q.id, q.entrypoint, q.status::text as status, q.created, q.execute_after,
       encode(coalesce(q.payload, ''), 'escape') as payload,
       (select l.traceback->>'exception_message' from pgqueuer_log l
         where l.job_id = q.id and l.traceback is not null
         order by l.created desc, l.id desc limit 1) as error
  from pgqueuer q
 where not $1 or q.status = 'failed'
 order by q.status = 'failed' desc, q.id desc limit $2"""


async def list_jobs(pool: Pool, *, only_failed: bool, limit: int) -> list[ListedJob]:
    """Held ones first, then newest first."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(_LIST, only_failed, limit)
    return [ListedJob(*row.values()) for row in rows]


# Of those with one key the newest; none where another with it waits or runs already.
_RETRY: Final = """
with chosen as (
    select distinct on (coalesce(dedupe_key, id::text)) id, dedupe_key
      from pgqueuer where status = 'failed' and ($1::bigint is null or id = $1)
     order by coalesce(dedupe_key, id::text), id desc
), again as (
    update pgqueuer q
       set status = 'queued', execute_after = now(), updated = now(), attempts = 0
      from chosen c
     where q.id = c.id and q.status = 'failed'
       and not exists (select from pgqueuer r where r.dedupe_key = c.dedupe_key
                          and r.status in ('queued', 'picked'))
    returning q.id, q.entrypoint, q.priority
), forgotten as (
    delete from job_attempt a using again g where a.job_id = g.id
), logged as (
    insert into pgqueuer_log (job_id, status, entrypoint, priority)
    select id, 'queued', entrypoint, priority from again
)
select id from again"""


async def retry(pool: Pool, id: int | None) -> int:
    """Puts a held job, None: all of them, back with all its attempts; how many it was.

    Raises AppError `not_found` for a job that is not held, `conflict` where another one with the
    same key waits or runs already.
    """

    async def work(connection: Connection) -> int:
        again = await connection.fetch(_RETRY, id)
        if not again and id is not None:
            status = await connection.fetchval("select status from pgqueuer where id = $1", id)
            if status == "failed":
                raise AppError("conflict", f"The same work as job {id} is queued already: drop it.")
            raise AppError("not_found", f"There is no held job {id}.")
        return len(again)

    return await in_transaction(pool, work)


_DROP: Final = """
with dropped as (
    delete from pgqueuer where id = $1 and status in ('failed', 'queued')
    returning id, entrypoint, priority
), forgotten as (
    delete from job_attempt a using dropped d where a.job_id = d.id
), logged as (
    insert into pgqueuer_log (job_id, status, entrypoint, priority)
    select id, 'deleted', entrypoint, priority from dropped
)
select id from dropped"""


async def drop(pool: Pool, id: int) -> None:
    """Forgets a held or waiting job. Raises AppError `not_found`, also for one that runs."""
    async with acquire(pool) as connection:
        dropped = await connection.fetchval(_DROP, id)
    if dropped is None:
        raise AppError("not_found", f"There is no held or waiting job {id}.")
