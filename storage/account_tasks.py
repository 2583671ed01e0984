"""What accounts asked for that takes long: a row each, with its progress and the job that does it.

The state of an unfinished task is that of its job: a task whose job is held, or was dropped by an
operator, has failed; one that is put back goes on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from storage import accounts
from storage.accounts import Account
from storage.identity import NO_COUNTRY, new_id
from storage.jobs import enqueue
from storage.postgres import Connection, Pool, in_transaction
from storage.stream_writer import Appended

TaskKind = Literal["erasure", "export"]
TaskStatus = Literal["queued", "running", "done", "failed"]
_ENTRYPOINTS: Final[dict[TaskKind, str]] = {
    "erasure": "erase_account",
    "export": "export_account",
}


class TaskJob(msgspec.Struct, frozen=True):
    """Payload of the jobs of tasks. `last_look`: at an erasure that has finished."""

    task_id: UUID
    last_look: bool = False


class Task(msgspec.Struct, frozen=True):
    """`done` of `total` steps, which are rows or so: only their ratio means something. `size_bytes`
    and `expires_at`: of the file that a finished export made."""

    id: UUID
    account_id: UUID
    kind: TaskKind
    erase_content: bool
    status: TaskStatus
    done: int
    total: int
    created_at: datetime
    finished_at: datetime | None
    size_bytes: int | None
    expires_at: datetime | None


_READ: Final = """
select t.id, t.account_id, t.kind, t.erase_content,
       case when t.finished_at is not null then 'done'
            when q.id is null or q.status = 'failed' then 'failed'
            when q.status = 'picked' or t.done > 0 then 'running'
            else 'queued' end as status,
       least(t.done, t.total) as done, t.total, t.created_at, t.finished_at, t.size_bytes,
       t.expires_at
  from account_task t left join pgqueuer q on q.id = t.job_id"""


async def find(connection: Connection, id: UUID, kind: TaskKind) -> Task | None:
    row = await connection.fetchrow(f"{_READ} where t.id = $1 and t.kind = $2", id, kind)
    return None if row is None else Task(*row.values())


async def newest(connection: Connection, account_id: UUID, kind: TaskKind) -> Task | None:
    row = await connection.fetchrow(
        f"{_READ} where t.account_id = $1 and t.kind = $2 order by t.id desc limit 1",
        account_id,
        kind,
    )
    return None if row is None else Task(*row.values())


async def start(
    connection: Connection, account_id: UUID, kind: TaskKind, *, erase_content: bool = False
) -> Task:
    """A new task and its job, in the caller's transaction, which holds the account's lock. A failed
    one of the same kind makes room for it."""
    await connection.execute(
        "delete from account_task t where t.account_id = $1 and t.kind = $2"
        " and t.finished_at is null",
        account_id,
        kind,
    )
    id = new_id(NO_COUNTRY)
    job_id = await enqueue(connection, _ENTRYPOINTS[kind], TaskJob(id))
    await connection.execute(
        "insert into account_task (id, account_id, kind, erase_content, job_id)"
        " values ($1, $2, $3, $4, $5)",
        id,
        account_id,
        kind,
        erase_content,
        job_id,
    )
    task = await find(connection, id, kind)
    assert task is not None
    return task


async def begin_erasure(
    connection: Connection, account: Account, *, erase_content: bool
) -> tuple[Task, Appended]:
    """Ends a locked account, and has what it has left erased."""
    event = await accounts.end(connection, account)
    task = await start(connection, account.id, "erasure", erase_content=erase_content)
    return task, event


async def erase_handle(pool: Pool, handle: str, *, erase_content: bool) -> UUID:
    """For operators, whom somebody has asked who can't log in; the task's id. Raises AppError
    `not_found`. The event reaches open sockets by the shards' sweep."""

    async def work(connection: Connection) -> UUID:
        account = await accounts.lock_handle(connection, handle)
        task, _ = await begin_erasure(connection, account, erase_content=erase_content)
        return task.id

    return await in_transaction(pool, work)


async def set_total(connection: Connection, id: UUID, total: int) -> None:
    """At the first attempt; later ones keep what it counted."""
    await connection.execute(
        "update account_task set total = $2 where id = $1 and total = 0", id, total
    )


async def advance(connection: Connection, id: UUID, steps: int) -> None:
    """Of what is not finished."""
    await connection.execute(
        "update account_task set done = done + $2 where id = $1 and finished_at is null", id, steps
    )


async def restart(connection: Connection, id: UUID, total: int) -> None:
    """For tasks whose every attempt begins from nothing."""
    await connection.execute(
        "update account_task set done = 0, total = $2 where id = $1", id, total
    )


async def look_again(connection: Connection, id: UUID, delay_seconds: float) -> None:
    """One more job for an erasure that finishes in this transaction."""
    await enqueue(
        connection,
        _ENTRYPOINTS["erasure"],
        TaskJob(id, last_look=True),
        delay_seconds=delay_seconds,
    )


async def finish(
    connection: Connection,
    id: UUID,
    *,
    size_bytes: int | None = None,
    kept_days: int | None = None,
) -> bool:
    """False: it is gone."""
    status = await connection.execute(
        "update account_task set done = total, finished_at = clock_timestamp(), size_bytes = $2,"
        " expires_at = clock_timestamp() + $3::int * interval '1 day' where id = $1",
        id,
        size_bytes,
        kept_days,
    )
    return status == "UPDATE 1"


async def expired(connection: Connection, limit: int) -> list[UUID]:
    """Exports whose file is kept no longer, oldest first."""
    rows = await connection.fetch(
        "select id from account_task where expires_at <= now() order by expires_at limit $1", limit
    )
    return [row["id"] for row in rows]


async def of_account(connection: Connection, account_id: UUID, kind: TaskKind) -> list[UUID]:
    rows = await connection.fetch(
        "select id from account_task where account_id = $1 and kind = $2", account_id, kind
    )
    return [row["id"] for row in rows]


async def forget(connection: Connection, ids: list[UUID]) -> None:
    await connection.execute("delete from account_task where id = any($1::uuid[])", ids)
