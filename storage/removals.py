"""Removing posts and comments and bringing them back, one transaction each.

A removal reaches the log: in the same transaction the stored events that show the content are
overwritten (offsets stay) and the `…deleted` event is appended. The row keeps the text for whoever
may bring it back: the author what the author removed, within a day; moderators what a moderator
removed, and only that (docs/adr/0012). The job 'purge_removed' empties the row for good after
`content.removed_days` (storage/retention.py), an erasure at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from config.errors import AppError
from storage.anonymous import DELETED_AUTHOR
from storage.comments import CommentRow
from storage.content_locks import (
    LockedComment,
    Rights,
    lock_comment,
    lock_post,
    no_comment,
    no_post,
)
from storage.content_log import Edited, LogEntry, ThreadActivity, append_to, overwrite_events
from storage.identity import country_of
from storage.postgres import Connection, Pool, in_transaction_at
from storage.posts import POST_COLUMNS, POST_JOINS, PostRow, post_of
from storage.search.index_jobs import IndexJob, enqueue_index

Redact = Callable[[str], str]
PostEvent = Callable[[PostRow], str]
CommentEvent = Callable[[CommentRow], str]

UNDO_SECONDS: Final = 86_400.0

Removable = TypeVar("Removable", PostRow, CommentRow)


# ---------------------------------------------------------------- removing


async def delete_post(
    pool: Pool,
    account_id: UUID,
    post_id: UUID,
    reason: str | None,
    event: PostEvent,
    redact: Redact,
) -> tuple[Edited, int]:
    """Soft delete by the author or a moderator, whose `reason` is kept; once more is no change, but
    a moderator's decision replaces the author's. Raises AppError as edit_post."""

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_post(connection, account_id, post_id)
        if _stays_removed(row, rights, no_post()):
            return Edited(row)
        gone = _removed(row, rights, reason)
        await connection.execute(
            "update post set deleted_at = clock_timestamp(), deleted_by = $3, deleted_reason = $4"
            " where country_id = $1 and id = $2",
            row.country_id, row.id, account_id, gone.deleted_reason,
        )  # fmt: skip
        log = [] if row.deleted else await overwrite_events(connection, [row.id], redact)
        await enqueue_index(connection, IndexJob(threads=[row.id]))
        return Edited(gone, log + await append_to(connection, streams, row.id, event(gone)))

    return await in_transaction_at(pool, work)


async def delete_comment(
    pool: Pool,
    account_id: UUID,
    comment_id: UUID,
    reason: str | None,
    event: CommentEvent,
    post_event: PostEvent,
    redact: Redact,
) -> tuple[Edited, int]:
    """As delete_post. A post whose accepted answer it was has none any more."""

    async def work(connection: Connection) -> Edited:
        locked = await lock_comment(connection, account_id, comment_id, with_post=True)
        row = locked.row
        if _stays_removed(row, locked.rights, no_comment()):
            return Edited(row)
        gone = _removed(row, locked.rights, reason)
        country = country_of(comment_id)
        await connection.execute(
            "update comment set deleted_at = clock_timestamp(), deleted_by = $3,"
            " deleted_reason = $4 where country_id = $1 and id = $2",
            country, comment_id, account_id, gone.deleted_reason,
        )  # fmt: skip
        log: list[LogEntry] = []
        activity = None
        if not row.deleted:
            activity = await _count(connection, locked, -1)
            log = await overwrite_events(connection, [comment_id], redact)
        log += await append_to(connection, locked.streams, comment_id, event(gone))
        await enqueue_index(connection, IndexJob(comments=[comment_id]))
        if locked.post_streams:
            post = await _without_answer(connection, row.post_id)
            log += await append_to(connection, locked.post_streams, post.id, post_event(post))
        return Edited(gone, log, activity)

    return await in_transaction_at(pool, work)


def _stays_removed(row: PostRow | CommentRow, rights: Rights, missing: AppError) -> bool:
    """Whether the removal was made already. Whoever could make it is told so again."""
    if not rights.may_remove:
        if row.deleted:
            raise missing
        raise AppError("not_permitted", "Only the author or a moderator may delete this.")
    if not row.deleted or (isinstance(row, PostRow) and row.moved_to is not None):
        return row.deleted
    return row.deleted_by == "moderator" or rights.is_author


def _removed(row: Removable, rights: Rights, reason: str | None) -> Removable:
    """Authors need no reason for what they do with their own."""
    if rights.is_author:
        return msgspec.structs.replace(row, deleted=True, deleted_by="author", deleted_reason=None)
    return msgspec.structs.replace(row, deleted=True, deleted_by="moderator", deleted_reason=reason)


async def _count(connection: Connection, locked: LockedComment, change: int) -> ThreadActivity:
    thread = await connection.fetchrow(
        "update post set comment_count = comment_count + $3 where country_id = $1 and id = $2"
        " returning community_id, id, comment_count, last_comment_at",
        country_of(locked.row.post_id), locked.row.post_id, change,
    )  # fmt: skip
    assert thread is not None  # locked with the comment
    return ThreadActivity(*thread)


async def _without_answer(connection: Connection, post_id: UUID) -> PostRow:
    key = country_of(post_id), post_id
    await connection.execute(
        "update post set accepted_comment_id = null where country_id = $1 and id = $2", *key
    )
    record = await connection.fetchrow(
        f"select {POST_COLUMNS} from post p {POST_JOINS} where p.country_id = $1 and p.id = $2",
        *key,
    )
    assert record is not None  # locked with the comment
    return post_of(record)


# ---------------------------------------------------------------- bringing back


async def restore_post(
    pool: Pool, account_id: UUID, post_id: UUID, event: PostEvent
) -> tuple[Edited, int]:
    """It comes back unpinned; what was not removed stays as it is. Raises AppError as edit_post,
    and conflict for what a move or merge left behind."""

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_post(connection, account_id, post_id)
        if row.moved_to is not None and rights.may_remove:
            raise AppError("conflict", "This thread was moved: it is not here to be restored.")
        if not await _comes_back(connection, "post", row, rights, no_post()):
            return Edited(row)
        await connection.execute(
            "update post set deleted_at = null, deleted_by = null, deleted_reason = null,"
            " pinned = false where country_id = $1 and id = $2",
            row.country_id, row.id,
        )  # fmt: skip
        back = msgspec.structs.replace(
            row, deleted=False, deleted_by=None, deleted_reason=None, pinned=False
        )
        await enqueue_index(connection, IndexJob(threads=[row.id]))
        return Edited(back, await append_to(connection, streams, row.id, event(back)))

    return await in_transaction_at(pool, work)


async def restore_comment(
    pool: Pool, account_id: UUID, comment_id: UUID, event: CommentEvent
) -> tuple[Edited, int]:
    """As restore_post."""

    async def work(connection: Connection) -> Edited:
        locked = await lock_comment(connection, account_id, comment_id, with_post=True)
        row = locked.row
        if not await _comes_back(connection, "comment", row, locked.rights, no_comment()):
            return Edited(row)
        await connection.execute(
            "update comment set deleted_at = null, deleted_by = null, deleted_reason = null"
            " where country_id = $1 and id = $2",
            country_of(comment_id), comment_id,
        )  # fmt: skip
        activity = await _count(connection, locked, 1)
        back = msgspec.structs.replace(row, deleted=False, deleted_by=None, deleted_reason=None)
        log = await append_to(connection, locked.streams, comment_id, event(back))
        await enqueue_index(connection, IndexJob(comments=[comment_id]))
        return Edited(back, log, activity)

    return await in_transaction_at(pool, work)


async def _comes_back(
    connection: Connection,
    table: str,
    row: PostRow | CommentRow,
    rights: Rights,
    missing: AppError,
) -> bool:
    """False: it stands already. Raises where the caller may not bring it back."""
    if not rights.may_remove:
        if row.deleted:
            raise missing
        raise AppError("not_permitted", "Only the author or a moderator may restore this.")
    if not row.deleted:
        return False
    if not (row.title if isinstance(row, PostRow) else row.body_markdown):
        if row.author_id == DELETED_AUTHOR:
            raise AppError("not_permitted", "Its author has left, and the text with them.")
        raise AppError("not_permitted", "It was removed too long ago: its text is gone for good.")
    if row.deleted_by != "author":
        if not rights.moderates:
            raise AppError("not_permitted", "A moderator removed this: ask a moderator.")
        return True
    if not rights.is_author:
        raise AppError("not_permitted", "Its author removed this: only they may restore it.")
    recent = await connection.fetchval(
        f"select deleted_at > now() - make_interval(secs => $3) from {table}"
        " where country_id = $1 and id = $2",
        country_of(row.id), row.id, UNDO_SECONDS,
    )  # fmt: skip
    if not recent:
        raise AppError("not_permitted", "This can be restored for 24 hours only.")
    return True
