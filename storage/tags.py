"""How often tags are used in a community."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from storage.postgres import Connection

# So many posts are looked at, the newest: a directory of what is talked about, not an archive.
COUNTED_POSTS: Final = 2_000

# By post_new.
_COUNT: Final = """
    select tag, count(*) as posts from (
        select tags from post
        where country_id = $1 and community_id = $2 and deleted_at is null
        order by id desc limit $3) newest, unnest(newest.tags) tag
    group by tag order by posts desc, tag limit $4"""


async def count_tags(
    connection: Connection, country_id: int, community_id: UUID, limit: int
) -> list[tuple[str, int]]:
    """The most frequent ones among the newest COUNTED_POSTS posts."""
    rows = await connection.fetch(_COUNT, country_id, community_id, COUNTED_POSTS, limit)
    return [(row["tag"], row["posts"]) for row in rows]
