"""What everybody may know of a member: their name, and their posts in public communities."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from storage.accounts import HANDLE, STANDING
from storage.feeds import plan_once
from storage.postgres import Connection
from storage.posts import POST_COLUMNS, POST_JOINS, PostRow, post_of


class PublicMember(NamedTuple):
    id: UUID
    handle: str
    display_name: str
    created_at: datetime


# By account_handle.
_MEMBER: Final = f"""
    select id, handle, display_name, created_at
    from (select a.*, {STANDING} from account a where lower(a.handle) = $1) m
    where standing = 'active'"""

# A member writes about every country: by post_author of each partition, merged. Whether a post is
# of a public community is looked up by key for each that is passed, by `<>` as in home_feed.py.
_POSTS: Final = f"""
    select {POST_COLUMNS} from (
        select * from post x
        where x.author_id = $1 and x.id < $2::uuid and x.deleted_at is null
          and (select c.visibility from community c where c.id = x.community_id) <> 'private'
        order by x.id desc limit $3) p
    {POST_JOINS} order by p.id desc"""


async def find_member(connection: Connection, handle: str) -> PublicMember | None:
    """By handle, in any case. None: nobody has it, or whoever has it is suspended or gone."""
    if HANDLE.fullmatch(handle) is None:
        return None
    row = await connection.fetchrow(_MEMBER, handle.lower())
    return None if row is None else PublicMember(*row.values())


async def public_posts(
    connection: Connection, author_id: UUID, below: UUID, limit: int
) -> list[PostRow]:
    """Newest first. Reads whatever the member wrote in private communities between them."""
    await plan_once(connection)
    return [post_of(row) for row in await connection.fetch(_POSTS, author_id, below, limit)]
