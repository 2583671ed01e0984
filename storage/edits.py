"""Changing and removing posts and comments, one transaction each.

A removal reaches the log: in the same transaction the stored events that show the content are
overwritten (offsets stay) and the `…deleted` event is appended. A change that changes nothing, as
that of a batch which is sent again, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from config.errors import AppError
from storage.comments import CommentRow
from storage.content_locks import Rights, Streams, lock_comment, lock_post, no_comment, no_post
from storage.identity import country_of
from storage.notices import EditedText, enqueue_edited
from storage.postgres import Connection, Pool, in_transaction_at
from storage.posts import PostRow
from storage.stream_writer import append


class LogEntry(msgspec.Struct, frozen=True):
    """An event as its stream holds it after the transaction. `written_us`: when it was first
    written, of the overwritten ones; None of those that this transaction appended."""

    channel: str
    offset: int
    payload: str
    written_us: int | None = None


class ThreadActivity(msgspec.Struct, frozen=True):
    """What a removed comment leaves of its thread."""

    community_id: UUID
    comment_count: int
    last_comment_at: datetime | None


class Edited(msgspec.Struct, frozen=True):
    """The row as it is now, and what its streams gained: overwritten events first. `log` is empty
    where nothing was to be changed. `activity`: of the thread of a removed comment."""

    row: Any  # PostRow | CommentRow
    log: list[LogEntry] = []
    activity: ThreadActivity | None = None


async def _append(
    connection: Connection, streams: Streams, subject_id: UUID, payload: str
) -> list[LogEntry]:
    return [
        LogEntry(channel, await append(connection, id, subject_id, [payload]), payload)
        for id, channel in streams.items()
    ]


# ---------------------------------------------------------------- posts


class PostChanges(msgspec.Struct, frozen=True):
    """None leaves a field as it is. `language_of(title, body)` judges a new text: it counts where
    no language is given and the one that stands was judged as well."""

    title: str | None
    body_markdown: str | None
    body_html: str | None
    language: str | None
    tags: tuple[str, ...] | None
    locked: bool | None
    pinned: bool | None
    language_of: Callable[[str, str], str]

    @property
    def of_text(self) -> bool:
        return any(
            v is not None for v in (self.title, self.body_markdown, self.language, self.tags)
        )

    @property
    def of_state(self) -> bool:
        return self.locked is not None or self.pinned is not None

    def applied_to(self, row: PostRow) -> PostRow:
        """`row` itself where every value stands already."""
        fields: dict[str, Any] = {
            name: value
            for name in ("title", "body_markdown", "language", "locked", "pinned")
            if (value := getattr(self, name)) is not None
        }
        if self.tags is not None:
            fields["tags"] = list(self.tags)
        after = msgspec.structs.replace(row, **fields)
        if after == row:
            return row
        if after.body_markdown != row.body_markdown:
            after = msgspec.structs.replace(after, body_html=self.body_html)
        if self.language is None and _text(after)[:2] != _text(row)[:2]:
            was_judged = row.language == self.language_of(row.title, row.body_markdown)
            if was_judged:
                judged = self.language_of(after.title, after.body_markdown)
                after = msgspec.structs.replace(after, language=judged)
        return after


def _text(row: PostRow) -> tuple[str, str, str, list[str]]:
    """What is the author's, and what revisions are of."""
    return row.title, row.body_markdown, row.language, row.tags


async def edit_post(
    pool: Pool,
    account_id: UUID,
    post_id: UUID,
    changes: PostChanges,
    event: Callable[[PostRow], str],
) -> tuple[Edited, int]:
    """The text is the author's, lock and pin are the moderators'. `event` encodes the new row.

    Raises AppError not_found, not_permitted, suspended or unauthenticated.
    """

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_post(connection, account_id, post_id)
        if row.deleted:
            raise no_post()
        if changes.of_text and not rights.is_author:
            raise AppError("not_permitted", "Only the author may change the text.")
        if changes.of_state and not rights.moderates:
            raise AppError("not_permitted", "Only moderators may lock or pin.")
        after = changes.applied_to(row)
        if after is row:
            return Edited(row)
        new_text = _text(after) != _text(row)
        if new_text:
            await connection.execute(
                "insert into revision (country_id, target_id, number, title, body_markdown,"
                " editor_id, replaced_at) values ($1, $2, $3, $4, $5, $6, clock_timestamp())",
                row.country_id, row.id, row.revision, row.title, row.body_markdown, account_id,
            )  # fmt: skip
        written = await connection.fetchrow(
            "update post set title = $3, body_markdown = $4, body_html = $5, language = $6,"
            " tags = $7, locked = $8, pinned = $9, revision = revision + $10::boolean::int,"
            " edited_at = case when $10 then clock_timestamp() else edited_at end"
            " where country_id = $1 and id = $2 returning revision, edited_at",
            row.country_id, row.id, after.title, after.body_markdown, after.body_html,
            after.language, after.tags, after.locked, after.pinned, new_text,
        )  # fmt: skip
        assert written is not None  # locked above
        after = msgspec.structs.replace(after, **dict(written))
        log = await _append(connection, streams, row.id, event(after))
        if new_text and "@" in after.title + after.body_markdown:
            await enqueue_edited(connection, EditedText(row.id, True, row.revision))
        return Edited(after, log)

    return await in_transaction_at(pool, work)


async def delete_post(
    pool: Pool,
    account_id: UUID,
    post_id: UUID,
    event: Callable[[PostRow], str],
    redact: Callable[[str], str],
) -> tuple[Edited, int]:
    """Soft delete by the author or a moderator; once more is no change. Raises as edit_post."""

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_post(connection, account_id, post_id)
        if row.deleted:
            return _gone_before(row, rights, no_post())
        if not rights.may_remove:
            raise AppError("not_permitted", "Only the author or a moderator may delete this post.")
        await connection.execute(
            "update post set deleted_at = clock_timestamp(), deleted_by = $3"
            " where country_id = $1 and id = $2",
            row.country_id, row.id, account_id,
        )  # fmt: skip
        gone = msgspec.structs.replace(row, deleted=True)
        log = await overwrite_events(connection, [row.id], redact)
        return Edited(gone, log + await _append(connection, streams, row.id, event(gone)))

    return await in_transaction_at(pool, work)


def _gone_before(row: PostRow | CommentRow, rights: Rights, missing: AppError) -> Edited:
    """The answer to a removal that was made already: whoever could make it is told so again."""
    if not rights.may_remove:
        raise missing
    return Edited(row)


# ---------------------------------------------------------------- comments


async def edit_comment(
    pool: Pool,
    account_id: UUID,
    comment_id: UUID,
    body_markdown: str,
    body_html: str,
    language: str,
    event: Callable[[CommentRow], str],
) -> tuple[Edited, int]:
    """Only by the author. Raises as edit_post does."""

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_comment(
            connection, account_id, comment_id, with_post=False
        )
        if row.deleted:
            raise no_comment()
        if not rights.is_author:
            raise AppError("not_permitted", "Only the author may change a comment.")
        if row.body_markdown == body_markdown:
            return Edited(row)
        country = country_of(comment_id)
        await connection.execute(
            "insert into revision (country_id, target_id, number, body_markdown, editor_id,"
            " replaced_at) values ($1, $2, $3, $4, $5, clock_timestamp())",
            country, comment_id, row.revision, row.body_markdown, account_id,
        )  # fmt: skip
        written = await connection.fetchrow(
            "update comment set body_markdown = $3, body_html = $4, language = $5,"
            " revision = revision + 1, edited_at = clock_timestamp()"
            " where country_id = $1 and id = $2"
            " returning body_markdown, body_html, language, revision, edited_at",
            country, comment_id, body_markdown, body_html, language,
        )  # fmt: skip
        assert written is not None  # locked above
        after = msgspec.structs.replace(row, **dict(written))
        log = await _append(connection, streams, comment_id, event(after))
        if "@" in body_markdown:
            await enqueue_edited(connection, EditedText(comment_id, False, row.revision))
        return Edited(after, log)

    return await in_transaction_at(pool, work)


async def delete_comment(
    pool: Pool,
    account_id: UUID,
    comment_id: UUID,
    event: Callable[[CommentRow], str],
    redact: Callable[[str], str],
) -> tuple[Edited, int]:
    """Soft delete by the author or a moderator; once more is no change. Raises as edit_post."""

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_comment(
            connection, account_id, comment_id, with_post=True
        )
        if row.deleted:
            return _gone_before(row, rights, no_comment())
        if not rights.may_remove:
            raise AppError("not_permitted", "Only the author or a moderator may delete this.")
        country = country_of(comment_id)
        await connection.execute(
            "update comment set deleted_at = clock_timestamp(), deleted_by = $3"
            " where country_id = $1 and id = $2",
            country, comment_id, account_id,
        )  # fmt: skip
        thread = await connection.fetchrow(
            "update post set comment_count = comment_count - 1 where country_id = $1 and id = $2"
            " returning community_id, comment_count, last_comment_at",
            country,
            row.post_id,
        )
        assert thread is not None  # locked above
        gone = msgspec.structs.replace(row, deleted=True)
        log = await overwrite_events(connection, [comment_id], redact)
        log += await _append(connection, streams, comment_id, event(gone))
        return Edited(gone, log, ThreadActivity(*thread))

    return await in_transaction_at(pool, work)


async def overwrite_events(
    connection: Connection, subject_ids: Sequence[UUID], redact: Callable[[str], str]
) -> list[LogEntry]:
    """Overwrites every stored event of these subjects; the caller holds the streams' locks."""
    rows = await connection.fetch(
        "select e.stream_id, e.off, e.payload, e.created_at, s.channel,"
        " (extract(epoch from e.created_at) * 1000000)::bigint as created_us"
        " from stream_event e join stream s on s.id = e.stream_id"
        " where e.subject_id = any($1::uuid[]) order by e.stream_id, e.off",
        list(subject_ids),
    )
    entries = [
        LogEntry(row["channel"], row["off"], redact(row["payload"]), row["created_us"])
        for row in rows
    ]
    await connection.executemany(
        "update stream_event set payload = $4"
        " where stream_id = $1 and off = $2 and created_at = $3",
        [
            (row["stream_id"], row["off"], row["created_at"], entry.payload)
            for row, entry in zip(rows, entries, strict=True)
        ],
    )
    return entries


# ---------------------------------------------------------------- former texts


class Revision(msgspec.Struct, frozen=True):
    number: int
    title: str | None
    body_markdown: str
    replaced_at: datetime


async def read_revisions(
    connection: Connection, target_id: UUID, before: int, limit: int
) -> list[Revision]:
    """The texts before each edit with a number below `before`, newest first."""
    rows = await connection.fetch(
        "select number, title, body_markdown, replaced_at from revision"
        " where country_id = $1 and target_id = $2 and number < $3 order by number desc limit $4",
        country_of(target_id),
        target_id,
        before,
        limit,
    )
    return [Revision(*row) for row in rows]
