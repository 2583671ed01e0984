"""The saved table: posts and comments that a member keeps at hand."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from storage.postgres import Connection

# A page looks through this many times its length at most: what was deleted since, or became
# unreadable, is passed over.
_LOOKED_THROUGH: Final = 4

Place = tuple[datetime, UUID]


class Saved(msgspec.Struct, frozen=True):
    target_id: UUID
    is_post: bool
    saved_at: datetime
    post_title: str


class SavedPage(NamedTuple):
    """`last`: from where the next page begins; None: there is none."""

    items: list[Saved]
    last: Place | None


async def save(connection: Connection, account_id: UUID, target_id: UUID, is_post: bool) -> None:
    """Once more changes nothing, not even the time."""
    await connection.execute(
        "insert into saved (account_id, target_id, is_post) values ($1, $2, $3)"
        " on conflict do nothing",
        account_id,
        target_id,
        is_post,
    )


# Saves go along with what is moved or merged: an id that a page still shows leads to the one that
# they are kept by now.
_UNSAVE: Final = """
    with recursive place (id) as (
        values ($2::uuid)
        union
        select n.id from place cross join lateral (
            (select m.to_id as id from moved_content m where m.from_id = place.id)
            union all
            (select p.moved_to from post p
              where p.country_id = id_country(place.id) and p.id = place.id
                and p.moved_to is not null limit 1)) n
    )
    delete from saved where account_id = $1 and target_id in (select id from place)"""


async def unsave(connection: Connection, account_id: UUID, target_id: UUID) -> None:
    """By the id it has, or one that it had."""
    await connection.execute(_UNSAVE, account_id, target_id)


# By saved_recent; then a lookup each by key, which the limits keep from becoming a join over whole
# tables when the planner expects many rows.
_LIST: Final = """
    with looked_at as materialized (
        select target_id, is_post, saved_at from saved
         where account_id = $1
           and ($2::timestamptz is null or (saved_at, target_id) < ($2, $3::uuid))
         order by saved_at desc, target_id desc limit $4
    )
    select s.target_id, s.is_post, s.saved_at, p.title,
           p.id is not null and p.deleted_at is null and c.deleted_at is null
             and may_read(r.role, y.visibility, m.role) as readable
      from looked_at s
      left join lateral (
          select * from comment c
           where not s.is_post and c.country_id = id_country(s.target_id) and c.id = s.target_id
           limit 1) c on true
      left join lateral (
          select * from post p
           where p.country_id = id_country(s.target_id)
             and p.id = case when s.is_post then s.target_id else c.post_id end
           limit 1) p on true
      left join community y on y.id = p.community_id
      left join membership m on m.community_id = y.id and m.account_id = $1
      left join account r on r.id = $1
     order by s.saved_at desc, s.target_id desc"""


async def list_saves(
    connection: Connection, account_id: UUID, before: Place | None, limit: int
) -> SavedPage:
    """Newest first, only what the account may read and what stands. Comments of deleted posts are
    left out too. Where much has to be passed over, a page may be short, or empty, and yet not the
    last."""
    looked_at = limit * _LOOKED_THROUGH
    rows = await connection.fetch(_LIST, account_id, *(before or (None, None)), looked_at + 1)
    items: list[Saved] = []
    for place, row in enumerate(rows):
        if len(items) == limit or place == looked_at:
            previous = rows[place - 1]
            return SavedPage(items, (previous["saved_at"], previous["target_id"]))
        if row["readable"]:
            items.append(Saved(row["target_id"], row["is_post"], row["saved_at"], row["title"]))
    return SavedPage(items, None)
