"""Pages of posts in the order of one community or of several.

Every page is one statement, hence one snapshot: the posts, who may see them and where the stream
stands belong together. Bounds are exclusive; a first page starts below `TOP` or `NEWEST`. The
country stands in every condition on post, so that one partition alone is read.
"""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

import msgspec

from storage.postgres import Connection
from storage.posts import POST_COLUMNS, POST_JOINS, PostRow, post_of

HIGHEST_ID: Final = UUID(int=(1 << 128) - 1)
LOWEST_ID: Final = UUID(int=0)
HIGHEST: Final = float("inf")
LOWEST: Final = float("-inf")
HIGHEST_SCORE: Final = 2**31 - 1

Ranked = tuple[float, UUID]
Scored = tuple[int, UUID]


class HotBound(msgspec.Struct, frozen=True):
    """A hot page begins below `pinned` among the pinned posts, below `rest` among the others."""

    pinned: Ranked = (HIGHEST, HIGHEST_ID)
    rest: Ranked = (HIGHEST, HIGHEST_ID)


class CommunityPage(msgspec.Struct, frozen=True):
    """`epoch` and `offset` are the position of the community's stream."""

    visibility: Literal["public", "private"]
    epoch: str
    offset: int
    posts: list[PostRow]


# The left join keeps the community's row where the page is empty.
_COMMUNITY_PAGE: Final = """
    select {columns}, y.visibility as seen, s.top_offset, (select epoch from incarnation) as epoch
    from community y join stream s on s.id = y.stream_id
    left join lateral ({posts}) p on true
    left join account a on a.id = p.author_id
    where y.id = $2
    order by {order}"""

_STANDING: Final = "from post where country_id = $1 and community_id = $2 and deleted_at is null"
# Two scans of a few rows each: by post_pinned, and by post_hot, which skips the pinned ones.
_HOT: Final = _COMMUNITY_PAGE.format(
    columns=POST_COLUMNS,
    posts=f"""select * from (
        (select * {_STANDING} and pinned and (hot, id) < ($4::float8, $5::uuid)
         order by hot desc, id desc limit $3)
        union all
        (select * {_STANDING} and not pinned and (hot, id) < ($6::float8, $7::uuid)
         order by hot desc, id desc limit $3)) both_kinds
      order by pinned desc, hot desc, id desc limit $3""",
    order="p.pinned desc, p.hot desc, p.id desc",
)
# By post_new.
_NEW: Final = _COMMUNITY_PAGE.format(
    columns=POST_COLUMNS,
    posts=f"select * {_STANDING} and id < $4::uuid order by id desc limit $3",
    order="p.id desc",
)
# By post_top, or by post_new and a sort where the window is small: the planner knows the values.
_TOP: Final = _COMMUNITY_PAGE.format(
    columns=POST_COLUMNS,
    posts=f"""select * {_STANDING} and (score, id) < ($4::int, $5::uuid) and id >= $6::uuid
      order by score desc, id desc limit $3""",
    order="p.score desc, p.id desc",
)


async def hot_page(
    connection: Connection, country_id: int, community_id: UUID, limit: int, below: HotBound
) -> CommunityPage | None:
    """Pinned posts first, each kind by hot rank. None: no such community."""
    return await _community_page(
        connection, _HOT, country_id, community_id, limit, *below.pinned, *below.rest
    )


async def new_page(
    connection: Connection, country_id: int, community_id: UUID, limit: int, below: UUID
) -> CommunityPage | None:
    return await _community_page(connection, _NEW, country_id, community_id, limit, below)


async def top_page(
    connection: Connection,
    country_id: int,
    community_id: UUID,
    limit: int,
    below: Scored,
    since: UUID,
) -> CommunityPage | None:
    """Posts with an id from `since` on, by score."""
    return await _community_page(connection, _TOP, country_id, community_id, limit, *below, since)


async def _community_page(
    connection: Connection, statement: str, *values: object
) -> CommunityPage | None:
    rows = await connection.fetch(statement, *values)
    if not rows:
        return None
    first = rows[0]
    posts = [] if first["id"] is None else [post_of(row) for row in rows]
    return CommunityPage(first["seen"], first["epoch"], first["top_offset"], posts)


# ---------------------------------------------------------------- several communities

# Keys first, then the texts of one page: the keys of all communities come from indexes alone.
_SEVERAL: Final = """
    with page as materialized ({{keys}} order by {order} limit $1)
    select {columns} from page k
    join post p on p.country_id = k.country_id and p.id = k.id
    {joins}
    order by {order_of_posts}"""
_JOINED: Final = """
    select k.* from (
        select c.id, c.country_id from membership m join community c on c.id = m.community_id
        where m.account_id = $2 and m.role <> 'banned') joined
    cross join lateral (
        select p.country_id, p.id, p.hot, p.score from post p
        where p.country_id = joined.country_id and p.community_id = joined.id
          and p.deleted_at is null and {bound}
        order by {order} limit $1) k"""
# By post_all_hot, post_all_new, post_all_top: one ordered scan a partition, merged.
_PUBLIC: Final = """
    select p.country_id, p.id, p.hot, p.score from post p
    where p.deleted_at is null and {bound} and $2::uuid is null
      and p.community_id not in (select c.id from community c where c.visibility = 'private')"""

_ORDERS: Final = {
    "hot": ("hot desc, id desc", "(p.hot, p.id) < ($3::float8, $4::uuid)"),
    "new": ("id desc", "p.id < $3::uuid"),
    "top": ("score desc, id desc", "(p.score, p.id) < ($3::int, $4::uuid) and p.id >= $5::uuid"),
}


def _several(keys: str, sort: str) -> str:
    order, bound = _ORDERS[sort]
    of_posts = ", ".join(f"p.{part}" for part in order.split(", "))
    frame = _SEVERAL.format(
        order=order, columns=POST_COLUMNS, joins=POST_JOINS, order_of_posts=of_posts
    )
    return frame.format(keys=keys.format(bound=bound, order=of_posts))


_HOME: Final = {
    (joined, sort): _several(keys, sort)
    for joined, keys in ((True, _JOINED), (False, _PUBLIC))
    for sort in _ORDERS
}


async def has_joined(connection: Connection, account_id: UUID) -> bool:
    return bool(
        await connection.fetchval(
            "select exists (select from membership where account_id = $1 and role <> 'banned')",
            account_id,
        )
    )


async def home_hot(
    connection: Connection, joined_by: UUID | None, limit: int, below: Ranked
) -> list[PostRow]:
    """Of the communities that `joined_by` has joined; None: of all public ones."""
    return await _home(connection, "hot", joined_by, limit, *below)


async def home_new(
    connection: Connection, joined_by: UUID | None, limit: int, below: UUID
) -> list[PostRow]:
    return await _home(connection, "new", joined_by, limit, below)


async def home_top(
    connection: Connection, joined_by: UUID | None, limit: int, below: Scored, since: UUID
) -> list[PostRow]:
    return await _home(connection, "top", joined_by, limit, *below, since)


async def _home(
    connection: Connection, sort: str, joined_by: UUID | None, limit: int, *bound: object
) -> list[PostRow]:
    statement = _HOME[joined_by is not None, sort]
    return [post_of(row) for row in await connection.fetch(statement, limit, joined_by, *bound)]
