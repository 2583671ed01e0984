"""Locking one post or comment, to change or remove it: what the acting account is to it.

Lock order as everywhere: streams, posts, comments, each by id.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from config.errors import AppError
from storage.comments import COMMENT_COLUMNS, CommentRow
from storage.identity import country_of
from storage.postgres import Connection
from storage.posts import POST_COLUMNS, POST_JOINS, PostRow, post_of

MODERATES: Final = frozenset({"moderator", "admin"})

Streams = dict[int, str]  # channels by stream id


def no_post() -> AppError:
    return AppError("not_found", "There is no such post.")


def no_comment() -> AppError:
    return AppError("not_found", "There is no such comment.")


class Rights(msgspec.Struct, frozen=True):
    """What the acting account is to one piece of content."""

    is_author: bool
    moderates: bool

    @property
    def may_remove(self) -> bool:
        return self.is_author or self.moderates


# The caller's side of `refusal` (migrations/0003_writes.sql) for one post.
_STANDING: Final = """
    select a.role as account_role, m.role as membership_role,
           refusal(a.status, a.suspended_until, a.role, y.visibility, m.role) as code
    from community y
    left join account a on a.id = $2
    left join membership m on m.account_id = $2 and m.community_id = y.id
    where y.id = $1"""


async def _rights(
    connection: Connection,
    account_id: UUID,
    community_id: UUID,
    author_id: UUID,
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
    return Rights(author_id == account_id, moderates)


async def lock_post(
    connection: Connection, account_id: UUID, post_id: UUID
) -> tuple[PostRow, Rights, Streams]:
    """The post, locked with its streams; a deleted one too."""
    key = country_of(post_id), post_id
    streams = await connection.fetch(
        "select s.id, s.channel from stream s where s.id in ("
        " select p.stream_id from post p where p.country_id = $1 and p.id = $2"
        " union select y.stream_id from post p join community y on y.id = p.community_id"
        " where p.country_id = $1 and p.id = $2) order by s.id for update",
        *key,
    )
    record = await connection.fetchrow(
        f"select {POST_COLUMNS} from post p {POST_JOINS}"
        " where p.country_id = $1 and p.id = $2 for update of p",
        *key,
    )
    if record is None:
        raise no_post()
    row = post_of(record)
    rights = await _rights(connection, account_id, row.community_id, row.author_id, no_post())
    return row, rights, {stream["id"]: stream["channel"] for stream in streams}


_THREAD_OF: Final = """
    select p.community_id, p.country_id, p.id, p.stream_id, 'thread:' || p.id as channel
    from comment c join post p on p.country_id = c.country_id and p.id = c.post_id
    where c.country_id = $1 and c.id = $2"""
_LOCK_COMMENT: Final = f"""
    select {COMMENT_COLUMNS}
    from comment c join account a on a.id = c.author_id
    where c.country_id = $1 and c.id = $2 for update of c"""


async def lock_comment(
    connection: Connection, account_id: UUID, comment_id: UUID, *, with_post: bool
) -> tuple[CommentRow, Rights, Streams]:
    """The comment, locked with its thread's stream; a deleted one too. `with_post`: what will
    change the post locks it here, before the comment, as votes do."""
    key = country_of(comment_id), comment_id
    thread = await connection.fetchrow(_THREAD_OF, *key)
    if thread is None:
        raise no_comment()
    await connection.execute("select 1 from stream where id = $1 for update", thread["stream_id"])
    if with_post:
        await connection.execute(
            "select 1 from post where country_id = $1 and id = $2 for no key update",
            thread["country_id"],
            thread["id"],
        )
    record = await connection.fetchrow(_LOCK_COMMENT, *key)
    assert record is not None  # comments are never deleted from the table
    row = CommentRow(*record)
    rights = await _rights(
        connection, account_id, thread["community_id"], row.author_id, no_comment()
    )
    return row, rights, {thread["stream_id"]: thread["channel"]}
