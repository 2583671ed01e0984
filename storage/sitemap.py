"""Public communities, guides and posts by the tables' own keys; every list is bounded."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from storage.postgres import Connection

# sitemaps.org allows 50,000 entries a file.
MOST_COMMUNITIES: Final = 50_000
MOST_GUIDES: Final = 50_000
MOST_POSTS: Final = 5_000
# Of a country whose newest posts are mostly private no more rows are looked at than these.
_MOST_READ: Final = 20_000


class PublicPage(NamedTuple):
    id: UUID
    changed_at: datetime


# By the primary key: one look a country.
_COUNTRIES: Final = """
select distinct c.country_id
  from (select distinct country_id from community) c
 where exists (select from post p where p.country_id = c.country_id)
 order by 1"""

_COMMUNITIES: Final = """
select slug from community where visibility = 'public' order by slug limit $1"""

_HAS_GUIDES: Final = "select exists (select from guide where withdrawn_at is null)"

_GUIDES: Final = """
select id, updated_at from guide where withdrawn_at is null order by id limit $1"""

# post's key (country_id, id), backwards.
_POSTS: Final = """
select p.id, greatest(p.created_at, p.edited_at)
  from (select id, community_id, created_at, edited_at, deleted_at
          from post where country_id = $1 order by id desc limit $2) p
  join community c on c.id = p.community_id
 where p.deleted_at is null and c.visibility = 'public'
 order by p.id desc
 limit $3"""


async def countries_with_posts(connection: Connection) -> list[int]:
    return [row[0] for row in await connection.fetch(_COUNTRIES)]


async def public_communities(connection: Connection) -> list[str]:
    return [row[0] for row in await connection.fetch(_COMMUNITIES, MOST_COMMUNITIES)]


async def has_guides(connection: Connection) -> bool:
    return bool(await connection.fetchval(_HAS_GUIDES))


async def guides(connection: Connection) -> list[PublicPage]:
    rows = await connection.fetch(_GUIDES, MOST_GUIDES)
    return [PublicPage(*row.values()) for row in rows]


async def newest_posts(connection: Connection, country_id: int) -> list[PublicPage]:
    rows = await connection.fetch(_POSTS, country_id, _MOST_READ, MOST_POSTS)
    return [PublicPage(*row.values()) for row in rows]
