"""The read_position table: how far a member has read in a thread."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from storage.identity import country_of
from storage.postgres import Connection

MAX_UNREAD: Final = 100


class ReadTo(NamedTuple):
    """`unread`: comments of others after it, at most MAX_UNREAD."""

    comment_id: UUID
    unread: int


# A device that lags behind another changes nothing. Ids order comments by the time they came in.
_ADVANCE: Final = """
    with moved as (
        insert into read_position as r (account_id, post_id, comment_id) values ($1, $2, $3)
        on conflict (account_id, post_id) do update
            set comment_id = excluded.comment_id, read_at = excluded.read_at
            where r.comment_id < excluded.comment_id
        returning comment_id
    )
    select coalesce((select comment_id from moved),
                    (select comment_id from read_position where account_id = $1 and post_id = $2),
                    $3)"""
# By the unique index (account_id, post_id, comment_id).
_MARK_READ: Final = """
    with seen as (
        update notification set read_at = now()
         where account_id = $1 and post_id = $2 and comment_id <= $3 and read_at is null
        returning span_id
    )
    update thread_follow set unread = false, since = now()
     where account_id = $1 and post_id = $2 and exists (select from seen where span_id = $2)"""
# By comment_post.
_UNREAD: Final = """
    select count(*) from (
        select from comment c
         where c.country_id = $2 and c.post_id = $3 and c.id > $4 and c.deleted_at is null
           and c.author_id <> $1
           and not exists (select from account_mute x
                            where x.account_id = $1 and x.muted_id = c.author_id)
         limit $5) later"""


async def advance(
    connection: Connection, account_id: UUID, post_id: UUID, comment_id: UUID
) -> ReadTo:
    """Moves the position up to a comment, never back, and marks the notifications about what lies
    before it as read. The caller's transaction must be open, and the comment one of the post."""
    reached = await connection.fetchval(_ADVANCE, account_id, post_id, comment_id)
    await connection.execute(_MARK_READ, account_id, post_id, reached)
    unread = await connection.fetchval(
        _UNREAD, account_id, country_of(post_id), post_id, reached, MAX_UNREAD
    )
    return ReadTo(reached, unread)
