"""When which recurring job is due. Any number of workers ask; each tick is one job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from storage.jobs import enqueue
from storage.postgres import Connection, Pool, in_transaction

# Before the jobs of content: a long queue must not keep tomorrow's partitions from being made.
_PRIORITY: Final = 10


class Recurring(NamedTuple):
    """`entrypoint` gets no payload. The first tick is at once, the next `every_seconds` after it;
    what a stop of all workers missed is made up for by one tick."""

    entrypoint: str
    every_seconds: int


_LEARN: Final = """
insert into job_schedule (name, next_run) select name, now() from unnest($1::text[]) as new (name)
on conflict (name) do nothing"""
# A rival waits for the row's lock, finds next_run moved on, and takes nothing.
_TAKE: Final = """
update job_schedule s set next_run = now() + make_interval(secs => d.every)
  from unnest($1::text[], $2::int[]) as d (name, every)
 where s.name = d.name and s.next_run <= now()
returning s.name"""


async def enqueue_due(pool: Pool, table: Sequence[Recurring]) -> list[str]:
    """Enqueues what is due, once however many ask, and returns the entrypoints. A tick whose last
    job still waits or runs is left out."""
    names = [each.entrypoint for each in table]

    async def work(connection: Connection) -> list[str]:
        await connection.execute(_LEARN, names)
        rows = await connection.fetch(_TAKE, names, [each.every_seconds for each in table])
        due = sorted(row["name"] for row in rows)
        return [name for name in due if await _enqueue(connection, name)]

    return await in_transaction(pool, work)


async def _enqueue(connection: Connection, name: str) -> bool:
    id = await enqueue(connection, name, dedupe_key=f"recurring:{name}", priority=_PRIORITY)
    return id is not None
