"""Changing and removing posts and comments, one transaction each.

Lock order as everywhere: streams by id, then the row. A removal reaches the log: in the same
transaction the stored events that show the content are overwritten (offsets stay) and the
`…deleted` event is appended.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from config.errors import AppError
from storage.comments import COMMENT_COLUMNS, CommentRow
from storage.identity import country_of
from storage.postgres import Connection, Pool, acquire, in_transaction_at
from storage.posts import POST_COLUMNS, POST_JOINS, PostRow, post_of
from storage.stream_writer import append

MODERATES: Final = frozenset({"moderator", "admin"})


class Rights(msgspec.Struct, frozen=True):
    """What the acting account is to one piece of content."""

    is_author: bool
    moderates: bool


class StreamEvent(msgspec.Struct, frozen=True):
    """An event as stored: appended by this transaction, or overwritten in place."""

    channel: str
    offset: int
    payload: str
    created_at: datetime | None = None  # of the overwritten ones


class Edited(msgspec.Struct, frozen=True):
    """The row as it is now, and what its streams gained."""

    row: Any  # PostRow | CommentRow
    events: list[StreamEvent]


# The caller's side of `refusal` (migrations/0003_writes.sql) for one post.
_STANDING: Final = """
    select a.role as account_role, m.role as membership_role,
           refusal(a.status, a.suspended_until, a.role, y.visibility, m.role) as code
    from community y
    left join account a on a.id = $2
    left join membership m on m.account_id = $2 and m.community_id = y.id
    where y.id = $1"""


async def _rights(
    connection: Connection, account_id: UUID, community_id: UUID, author_id: UUID
) -> Rights:
    standing = await connection.fetchrow(_STANDING, community_id, account_id)
    assert standing is not None  # the post's own community
    if standing["code"] is not None:
        raise AppError(standing["code"])
    moderates = (
        standing["account_role"] in MODERATES or (standing["membership_role"] or "") in MODERATES
    )
    return Rights(author_id == account_id, moderates)


async def _lock_post(
    connection: Connection, post_id: UUID, *, with_community: bool
) -> tuple[PostRow, dict[int, str]] | None:
    """The post with its streams ({stream id: channel}) locked, or None."""
    key = country_of(post_id), post_id
    streams = await connection.fetch(
        "select s.id, s.channel from stream s where s.id in ("
        " select p.stream_id from post p where p.country_id = $1 and p.id = $2"
        " union select y.stream_id from post p join community y on y.id = p.community_id"
        " where $3 and p.country_id = $1 and p.id = $2) order by s.id for update",
        *key,
        with_community,
    )
    row = await connection.fetchrow(
        f"select {POST_COLUMNS} from post p {POST_JOINS}"
        " where p.country_id = $1 and p.id = $2 for update of p",
        *key,
    )
    if row is None or row["deleted"]:
        return None
    return post_of(row), {stream["id"]: stream["channel"] for stream in streams}


class PostChanges(msgspec.Struct, frozen=True):
    """None leaves a field as it is."""

    title: str | None
    body_markdown: str | None
    body_html: str | None
    language: str | None
    tags: tuple[str, ...] | None
    locked: bool | None
    pinned: bool | None

    @property
    def of_text(self) -> bool:
        return any(
            v is not None for v in (self.title, self.body_markdown, self.language, self.tags)
        )

    @property
    def of_state(self) -> bool:
        return self.locked is not None or self.pinned is not None


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
        locked = await _lock_post(connection, post_id, with_community=True)
        if locked is None:
            raise AppError("not_found", "There is no such post.")
        row, streams = locked
        rights = await _rights(connection, account_id, row.community_id, row.author_id)
        if changes.of_text and not rights.is_author:
            raise AppError("not_permitted", "Only the author may change the text.")
        if changes.of_state and not rights.moderates:
            raise AppError("not_permitted", "Only moderators may lock or pin.")
        if changes.of_text:
            await connection.execute(
                "insert into revision (country_id, target_id, number, title, body_markdown,"
                " editor_id, replaced_at) values ($1, $2, $3, $4, $5, $6, clock_timestamp())",
                row.country_id, row.id, row.revision, row.title, row.body_markdown, account_id,
            )  # fmt: skip
        await connection.execute(
            "update post set title = coalesce($3, title),"
            " body_markdown = coalesce($4, body_markdown), body_html = coalesce($5, body_html),"
            " language = coalesce($6, language), tags = coalesce($7, tags),"
            " locked = coalesce($8, locked), pinned = coalesce($9, pinned),"
            " revision = revision + $10::boolean::int,"
            " edited_at = case when $10 then clock_timestamp() else edited_at end"
            " where country_id = $1 and id = $2",
            row.country_id, row.id, changes.title, changes.body_markdown, changes.body_html,
            changes.language, changes.tags, changes.locked, changes.pinned, changes.of_text,
        )  # fmt: skip
        after = await _lock_post(connection, post_id, with_community=True)
        assert after is not None
        payload = event(after[0])
        events = []
        for stream_id, channel in streams.items():
            offset = await append(connection, stream_id, row.id, [payload])
            events.append(StreamEvent(channel, offset, payload))
        return Edited(after[0], events)

    return await in_transaction_at(pool, work)


async def delete_post(
    pool: Pool,
    account_id: UUID,
    post_id: UUID,
    event: Callable[[PostRow], str],
    redact: Callable[[str], str],
) -> tuple[Edited, int]:
    """Soft delete by the author or a moderator. Raises as edit_post does."""

    async def work(connection: Connection) -> Edited:
        locked = await _lock_post(connection, post_id, with_community=True)
        if locked is None:
            raise AppError("not_found", "There is no such post.")
        row, streams = locked
        rights = await _rights(connection, account_id, row.community_id, row.author_id)
        if not (rights.is_author or rights.moderates):
            raise AppError("not_permitted", "Only the author or a moderator may delete this post.")
        await connection.execute(
            "update post set deleted_at = clock_timestamp(), deleted_by = $3"
            " where country_id = $1 and id = $2",
            row.country_id, row.id, account_id,
        )  # fmt: skip
        events = await _overwrite(connection, row.id, redact)
        gone = msgspec.structs.replace(row, deleted=True)
        payload = event(gone)
        for stream_id, channel in streams.items():
            offset = await append(connection, stream_id, row.id, [payload])
            events.append(StreamEvent(channel, offset, payload))
        return Edited(gone, events)

    return await in_transaction_at(pool, work)


_LOCK_COMMENT: Final = f"""
    select {COMMENT_COLUMNS}
    from comment c join account a on a.id = c.author_id
    where c.country_id = $1 and c.id = $2 for update of c"""


async def _read_comment(connection: Connection, comment_id: UUID) -> CommentRow:
    record = await connection.fetchrow(_LOCK_COMMENT, country_of(comment_id), comment_id)
    assert record is not None  # comments are never deleted from the table
    return CommentRow(*record)


async def _lock_comment(
    connection: Connection, account_id: UUID, comment_id: UUID
) -> tuple[CommentRow, Rights, int, str]:
    """(comment, rights, its thread's stream id, channel), stream and comment locked."""
    country = country_of(comment_id)
    thread = await connection.fetchrow(
        "select p.community_id, p.stream_id, 'thread:' || p.id as channel from comment c"
        " join post p on p.country_id = c.country_id and p.id = c.post_id"
        " where c.country_id = $1 and c.id = $2",
        country,
        comment_id,
    )
    if thread is None:
        raise AppError("not_found", "There is no such comment.")
    await connection.execute("select 1 from stream where id = $1 for update", thread["stream_id"])
    row = await _read_comment(connection, comment_id)
    if row.deleted:
        raise AppError("not_found", "There is no such comment.")
    rights = await _rights(connection, account_id, thread["community_id"], row.author_id)
    return row, rights, thread["stream_id"], thread["channel"]


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
        row, rights, stream_id, channel = await _lock_comment(connection, account_id, comment_id)
        if not rights.is_author:
            raise AppError("not_permitted", "Only the author may change a comment.")
        country = country_of(comment_id)
        await connection.execute(
            "insert into revision (country_id, target_id, number, body_markdown, editor_id,"
            " replaced_at) values ($1, $2, $3, $4, $5, clock_timestamp())",
            country, comment_id, row.revision, row.body_markdown, account_id,
        )  # fmt: skip
        await connection.execute(
            "update comment set body_markdown = $3, body_html = $4, language = $5,"
            " revision = revision + 1, edited_at = clock_timestamp()"
            " where country_id = $1 and id = $2",
            country, comment_id, body_markdown, body_html, language,
        )  # fmt: skip
        after = await _read_comment(connection, comment_id)
        payload = event(after)
        offset = await append(connection, stream_id, comment_id, [payload])
        return Edited(after, [StreamEvent(channel, offset, payload)])

    return await in_transaction_at(pool, work)


async def delete_comment(
    pool: Pool,
    account_id: UUID,
    comment_id: UUID,
    event: Callable[[CommentRow], str],
    redact: Callable[[str], str],
) -> tuple[Edited, int]:
    """Soft delete by the author or a moderator. Raises as edit_post does."""

    async def work(connection: Connection) -> Edited:
        row, rights, stream_id, channel = await _lock_comment(connection, account_id, comment_id)
        if not (rights.is_author or rights.moderates):
            raise AppError("not_permitted", "Only the author or a moderator may delete this.")
        country = country_of(comment_id)
        await connection.execute(
            "update comment set deleted_at = clock_timestamp(), deleted_by = $3"
            " where country_id = $1 and id = $2",
            country, comment_id, account_id,
        )  # fmt: skip
        await connection.execute(
            "update post set comment_count = comment_count - 1 where country_id = $1 and id = $2",
            country,
            row.post_id,
        )
        events = await _overwrite(connection, comment_id, redact)
        gone = msgspec.structs.replace(row, deleted=True)
        payload = event(gone)
        offset = await append(connection, stream_id, comment_id, [payload])
        events.append(StreamEvent(channel, offset, payload))
        return Edited(gone, events)

    return await in_transaction_at(pool, work)


async def _overwrite(
    connection: Connection, subject_id: UUID, redact: Callable[[str], str]
) -> list[StreamEvent]:
    """Overwrites every stored event of a post or comment; the caller holds the streams' locks."""
    rows = await connection.fetch(
        "select e.stream_id, e.off, e.payload, e.created_at, s.channel"
        " from stream_event e join stream s on s.id = e.stream_id where e.subject_id = $1"
        " order by e.stream_id, e.off",
        subject_id,
    )
    changed = [
        StreamEvent(row["channel"], row["off"], redact(row["payload"]), row["created_at"])
        for row in rows
    ]
    await connection.executemany(
        "update stream_event set payload = $4"
        " where stream_id = $1 and off = $2 and created_at = $3",
        [
            (row["stream_id"], row["off"], row["created_at"], event.payload)
            for row, event in zip(rows, changed, strict=True)
        ],
    )
    return changed


class Revision(msgspec.Struct, frozen=True):
    number: int
    title: str | None
    body_markdown: str
    editor_id: UUID
    replaced_at: datetime


async def read_revisions(pool: Pool, target_id: UUID) -> list[Revision]:
    """The texts before each edit, oldest first; at most 500."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(
            "select number, title, body_markdown, editor_id, replaced_at from revision"
            " where country_id = $1 and target_id = $2 order by number limit 500",
            country_of(target_id),
            target_id,
        )
    return [Revision(*row) for row in rows]
