"""The job 'index', enqueued in the transaction that changes what can be found.

One row a transaction. It names what changed and not how: whoever runs it reads what stands now.
The batch writes of new posts and comments enqueue theirs in SQL (migrations/0022_index_jobs.sql).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from storage.jobs import enqueue
from storage.postgres import Connection

ENTRYPOINT: Final = "index"
FILL_ENTRYPOINT: Final = "fill_search"


class IndexJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """`threads`: posts with all of their comments, wherever those went. `communities`: all that is
    in them, from the post `after` on."""

    posts: list[UUID] = []
    comments: list[UUID] = []
    guides: list[UUID] = []
    threads: list[UUID] = []
    communities: list[UUID] = []
    after: UUID | None = None


async def enqueue_index(connection: Connection, job: IndexJob) -> None:
    await enqueue(connection, ENTRYPOINT, job)


async def enqueue_fill(connection: Connection) -> None:
    """Fills the index that is not finished; where there is none, it does nothing. No key: one that
    is about to end would not see what this transaction begins."""
    await enqueue(connection, FILL_ENTRYPOINT)
