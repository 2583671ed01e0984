"""Locking one post or comment, to change or remove it: what the acting account is to it.

Lock order as everywhere: streams, posts, comments, each by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from config.errors import AppError
from storage.comments import COMMENT_COLUMNS, CommentRow, comment_of
from storage.identity import country_of
from storage.postgres import Connection
from storage.posts import POST_COLUMNS, POST_JOINS, PostRow, post_of

MODERATES: Final = frozenset({"moderator", "admin"})

Streams = dict[int, str]  # channels by stream id


def no_post() -> AppError:
    return AppError("not_found", "There is no such post.")


def no_comment() -> AppError:
    return AppError("not_found", "There is no such comment.")


class Overtaken(asyncpg.SerializationError):
    """Content went elsewhere between finding its streams and locking them: the transaction is run
    again from its start (storage/postgres.py)."""


class Rights(msgspec.Struct, frozen=True):
    """What the acting account is to one piece of content, whose community may be `archived`."""

    is_author: bool
    moderates: bool
    archived: bool = False

    @property
    def may_remove(self) -> bool:
        """Also from an archive."""
        return self.is_author or self.moderates

    def require_live(self) -> None:
        """Raises AppError `locked` where nothing may be changed any more."""
        if self.archived:
            raise AppError("locked", "This community is archived.")


# The caller's side of `refusal` (migrations/0003_writes.sql) for one post.
_STANDING: Final = """
    select a.role as account_role, m.role as membership_role,
           refusal(a.status, a.suspended_until, a.role, y.visibility, m.role) as code,
           y.archived_at is not null as archived
    from community y
    left join account a on a.id = $2
    left join membership m on m.account_id = $2 and m.community_id = y.id
    where y.id = $1"""


async def _rights(
    connection: Connection,
    account_id: UUID,
    community_id: UUID,
    author_id: UUID | None,
    missing: AppError,
) -> Rights:
    """Raises `missing` for what the account may not know of, as for what is not there."""
    standing = await connection.fetchrow(_STANDING, community_id, account_id)
    assert standing is not None  # the post's own community
    if standing["code"] == "not_found":
        raise missing
    if standing["code"] is not None:
        raise AppError(standing["code"])
    moderates = (
        standing["account_role"] in MODERATES or (standing["membership_role"] or "") in MODERATES
    )
    return Rights(author_id == account_id, moderates, standing["archived"])


class LockedPosts(msgspec.Struct, frozen=True):
    """Posts with what the acting account is to each, and all streams that their events go to."""

    posts: dict[UUID, tuple[PostRow, Rights]]
    streams: Streams

    def stream(self, channel: str) -> Streams:
        return {id: name for id, name in self.streams.items() if name == channel}


# Streams of the threads, of their communities, and of those that they may go to.
_LOCK_STREAMS: Final = """
    select s.id, s.channel from stream s where s.id in (
        select p.stream_id from post p where p.country_id = $1 and p.id = any($2::uuid[])
        union select y.stream_id from post p join community y on y.id = p.community_id
              where p.country_id = $1 and p.id = any($2::uuid[])
        union select y.stream_id from community y where y.id = any($3::uuid[]))
    order by s.id for update"""
_LOCK_POSTS: Final = f"""
    select {POST_COLUMNS} from post p {POST_JOINS}
    where p.country_id = $1 and p.id = any($2::uuid[]) order by p.id for update of p"""


async def lock_posts(
    connection: Connection,
    account_id: UUID,
    post_ids: Sequence[UUID],
    communities: Sequence[UUID] = (),
) -> LockedPosts:
    """Posts of one country, deleted ones too, locked with their streams and those of further
    communities. Raises AppError not_found where one is missing."""
    country = country_of(post_ids[0])
    found = await connection.fetch(_LOCK_STREAMS, country, list(post_ids), list(communities))
    streams = {stream["id"]: stream["channel"] for stream in found}
    rows = [post_of(row) for row in await connection.fetch(_LOCK_POSTS, country, list(post_ids))]
    if len(rows) != len(set(post_ids)):
        raise no_post()
    channels = set(streams.values())
    posts: dict[UUID, tuple[PostRow, Rights]] = {}
    for row in rows:
        if f"community:{row.community_id}" not in channels:
            raise Overtaken
        rights = await _rights(connection, account_id, row.community_id, row.author_id, no_post())
        posts[row.id] = row, rights
    return LockedPosts(posts, streams)


async def lock_post(
    connection: Connection, account_id: UUID, post_id: UUID
) -> tuple[PostRow, Rights, Streams]:
    """The post, locked with its streams; a deleted one too."""
    locked = await lock_posts(connection, account_id, [post_id])
    row, rights = locked.posts[post_id]
    return row, rights, locked.streams


async def rights_in(
    connection: Connection, account_id: UUID, community_id: UUID, missing: AppError
) -> Rights:
    """What the account is to content of others in a community. Raises as `lock_post` does."""
    return await _rights(connection, account_id, community_id, None, missing)


_THREAD_OF: Final = """
    select p.id, p.community_id, p.stream_id, y.stream_id as community_stream,
           coalesce(p.accepted_comment_id = c.id, false) as accepted
    from comment c join post p on p.country_id = c.country_id and p.id = c.post_id
    join community y on y.id = p.community_id
    where c.country_id = $1 and c.id = $2"""
_LOCK_STREAM: Final = "select 1 from stream where id = any($1::bigint[]) order by id for update"
_LOCK_COMMENT: Final = f"""
    select {COMMENT_COLUMNS}, p.community_id,
           coalesce(p.accepted_comment_id = c.id, false) as accepted
    from comment c join account a on a.id = c.author_id
    join post p on p.country_id = c.country_id and p.id = c.post_id
    where c.country_id = $1 and c.id = $2 for update of c"""


class LockedComment(msgspec.Struct, frozen=True):
    """`post_streams`: of the thread and its community, locked where the comment is its post's
    accepted answer; else empty."""

    row: CommentRow
    rights: Rights
    streams: Streams
    post_streams: Streams


async def lock_comment(
    connection: Connection, account_id: UUID, comment_id: UUID, *, with_post: bool
) -> LockedComment:
    """The comment, locked with its thread's stream; a deleted one too. `with_post`: what will
    change the post locks it here, before the comment, as votes do."""
    key = country_of(comment_id), comment_id
    thread = await connection.fetchrow(_THREAD_OF, *key)
    if thread is None:
        raise no_comment()
    streams = {thread["stream_id"]: f"thread:{thread['id']}"}
    post_streams: Streams = {}
    if with_post and thread["accepted"]:
        channel = f"community:{thread['community_id']}"
        post_streams = streams | {thread["community_stream"]: channel}
    await connection.execute(_LOCK_STREAM, list(streams | post_streams))
    if with_post:
        await connection.execute(
            "select 1 from post where country_id = $1 and id = $2 for no key update",
            key[0],
            thread["id"],
        )
    record = await connection.fetchrow(_LOCK_COMMENT, *key)
    if record is None:  # its thread went to another country meanwhile
        raise no_comment()
    row = comment_of(record)
    moved = (row.post_id, record["community_id"]) != (thread["id"], thread["community_id"])
    if moved or (with_post and record["accepted"] != thread["accepted"]):
        raise Overtaken
    rights = await _rights(
        connection, account_id, thread["community_id"], row.author_id, no_comment()
    )
    return LockedComment(row, rights, streams, post_streams)
