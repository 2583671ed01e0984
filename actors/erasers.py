"""Everything that is erased with an account: a row for each table that names it.

A table with a column that holds an account's id has a row here or stands among the exceptions of
tests/integration/test_erasure.py, which reads the columns from the database.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, NamedTuple, Protocol
from uuid import UUID

import msgspec

from actors import content
from actors.job_tools import JobTools
from actors.shard_messages import Publication
from storage import account_tasks, content_erasure, erasure, succession
from storage.account_tasks import Task
from storage.anonymous import DELETED_AUTHOR, DELETED_HANDLE
from storage.comments import CommentRow
from storage.content_erasure import Redaction
from storage.content_log import LogEntry
from storage.media_removal import remove_files_of
from storage.objects import export_key, objects_of
from storage.postgres import Connection, acquire, in_transaction
from storage.posts import PostRow
from storage.streams import with_committed_ns

# One bounded step; how many rows it settled, 0: none is left. Committed when it returns, and of no
# effect when it runs again.
Step = Callable[[JobTools, Task], Awaitable[int]]
_CONTENT_AT_ONCE: Final = 50
_encode: Final = msgspec.json.Encoder().encode


class Eraser(NamedTuple):
    """`rows`: the column by which the rows are found and counted, "table.column"; an index leads
    with it. Empty where they name no account. `also`: further columns that the step takes the
    account out of."""

    rows: str
    step: Step
    also: tuple[str, ...] = ()


def _rows(erase: erasure.Erase) -> Step:
    """The rows, and the progress, in one transaction."""

    async def step(tools: JobTools, task: Task) -> int:
        async def work(connection: Connection) -> int:
            count = await erase(connection, task.account_id)
            if count:
                await account_tasks.advance(connection, task.id, count)
            return count

        return await in_transaction(tools.pool, work)

    return step


def _deleting(table: str, column: str = "account_id") -> Eraser:
    return Eraser(f"{table}.{column}", _rows(erasure.deleting(table, column)))


def _renaming(table: str, column: str, further: str = "") -> Eraser:
    return Eraser(f"{table}.{column}", _rows(erasure.renaming(table, column, further)))


def _removals(table: Literal["post", "comment"]) -> Eraser:
    async def erase(connection: Connection, account_id: UUID) -> int:
        return await erasure.removals(connection, account_id, table)

    return Eraser(f"{table}.deleted_by", _rows(erase))


# ---------------------------------------------------------------- posts, comments, notifications


def _anonymised_notice(payload: str) -> str:
    tree = msgspec.json.decode(payload)
    tree["notification"]["actor"] = content.Author(DELETED_AUTHOR, DELETED_HANDLE, DELETED_HANDLE)
    return _encode(tree).decode()


def _post_deleted(row: PostRow) -> str:
    return content.event("post.deleted", "post", _encode(content.post_view(row)), time.time_ns())


def _post_updated(row: PostRow) -> str:
    return content.event("post.updated", "post", _encode(content.post_view(row)), time.time_ns())


def _comment_deleted(row: CommentRow) -> str:
    view = _encode(content.comment_view(row))
    return content.event("comment.deleted", "comment", view, time.time_ns())


_REDACTION: Final = Redaction(
    content.anonymised, content.redacted, _post_deleted, _post_updated, _comment_deleted
)


async def _posts(tools: JobTools, task: Task) -> int:
    return await _each(tools, task, "post", content_erasure.give_up_post)


async def _comments(tools: JobTools, task: Task) -> int:
    return await _each(tools, task, "comment", content_erasure.give_up_comment)


class _GiveUp(Protocol):
    async def __call__(
        self, connection: Connection, account_id: UUID, id: UUID, /, *, empty: bool,
        redaction: Redaction,
    ) -> list[LogEntry]: ...  # fmt: skip


async def _each(
    tools: JobTools, task: Task, table: Literal["post", "comment"], give_up: _GiveUp
) -> int:
    """A transaction for each: one holds no more streams than it needs."""
    async with acquire(tools.pool) as connection:
        ids = await content_erasure.own(connection, task.account_id, table, _CONTENT_AT_ONCE)
    for id in ids:

        async def work(connection: Connection, id: UUID = id) -> list[LogEntry]:
            log = await give_up(
                connection, task.account_id, id, empty=task.erase_content, redaction=_REDACTION
            )
            await account_tasks.advance(connection, task.id, 1)
            return log

        _publish(tools, await in_transaction(tools.pool, work))
    return len(ids)


async def _notices(tools: JobTools, task: Task) -> int:
    async def work(connection: Connection) -> tuple[int, list[LogEntry]]:
        count, log = await content_erasure.give_up_notices(
            connection, task.account_id, _anonymised_notice
        )
        if count:
            await account_tasks.advance(connection, task.id, count)
        return count, log

    count, log = await in_transaction(tools.pool, work)
    _publish(tools, log)
    return count


async def _groups(tools: JobTools, task: Task) -> int:
    """Those that nobody else owns, while the account is still among their members."""

    async def work(connection: Connection) -> succession.Settled:
        return await succession.settle_one(connection, task.account_id)

    settled = await in_transaction(tools.pool, work)
    _publish(
        tools,
        [LogEntry(e.channel, e.offset, e.payload, e.committed_ns // 1_000) for e in settled.events],
    )
    return int(settled.found)


def _publish(tools: JobTools, log: Sequence[LogEntry]) -> None:
    """Overwritten events come first, with the offsets they had: shards replace them."""
    committed_ns = time.time_ns()
    tools.publish(
        [
            Publication(
                entry.channel,
                entry.offset,
                with_committed_ns(
                    entry.payload,
                    committed_ns if entry.written_us is None else entry.written_us * 1_000,
                ),
            )
            for entry in log
        ]
    )


async def _exports(tools: JobTools, task: Task) -> int:
    """The files first: while they are there, something must know of them."""
    async with acquire(tools.pool) as connection:
        ids = await account_tasks.of_account(connection, task.account_id, "export")
        if ids:
            await objects_of(tools.settings).delete([export_key(id) for id in ids])
            await account_tasks.forget(connection, ids)
    return len(ids)


async def _files(tools: JobTools, task: Task) -> int:
    """Uploaded ones, wherever they are shown."""
    count = await remove_files_of(tools.pool, objects_of(tools.settings), task.account_id)
    if count:
        async with acquire(tools.pool) as connection:
            await account_tasks.advance(connection, task.id, count)
    return count


# Each is called until nothing is left, from the first to the last, and all of them again until a
# round finds nothing: what was under way when the account ended is found by the second.
ERASERS: Final[tuple[Eraser, ...]] = (
    _deleting("session"),
    _deleting("idempotency"),
    _deleting("draft"),
    _deleting("saved"),
    _deleting("thread_follow"),
    _deleting("community_follow"),
    _deleting("account_mute"),
    _deleting("account_mute", "muted_id"),
    _deleting("community_mute"),
    _deleting("read_position"),
    _deleting("poll_vote"),
    _deleting("checklist_progress"),
    _deleting("notification"),
    _deleting("answer"),
    _deleting("answer_feedback"),
    Eraser("notification.actor_id", _notices),
    Eraser("", _groups),
    Eraser("membership.account_id", _rows(erasure.memberships)),
    _deleting("invitation"),
    _renaming("invitation", "invited_by"),
    _deleting("join_request"),
    _renaming("community", "created_by"),
    _renaming("community_log", "actor_id"),
    # The detail of a ban is what a moderator wrote about the account.
    _renaming("community_log", "subject_id", ", detail = '{}'"),
    Eraser("timeline.account_id", _rows(erasure.timelines)),
    Eraser("vote.account_id", _rows(erasure.votes)),
    Eraser("comment.author_id", _comments, also=("revision.editor_id",)),
    Eraser("post.author_id", _posts, also=("revision.editor_id",)),
    _removals("comment"),
    _removals("post"),
    Eraser("media.owner_id", _files),
    Eraser("", _rows(erasure.own_stream)),
    Eraser("", _exports),
)
