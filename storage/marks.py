"""What one account did with the posts, comments and communities of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from storage.identity import country_of
from storage.postgres import Connection
from storage.read_positions import MAX_UNREAD


class Marks(msgspec.Struct):
    """By id. `read`: the newest comment read, by post; `unread`: how many of others came after it,
    at most MAX_UNREAD; both only where a position is known. `follows`: levels of threads and
    communities. `asked`: communities whose moderators have yet to answer a request to join."""

    votes: dict[str, int] = {}
    saved: list[UUID] = []
    read: dict[str, UUID] = {}
    unread: dict[str, int] = {}
    follows: dict[str, str] = {}
    asked: list[UUID] = []


# Each part by its primary key; the limit keeps that of posts a look-up, never a join over all.
_READ: Final = """
    select 'vote' as mark, v.target_id as id, v.value as number, null::uuid as comment,
           null as level
      from unnest($2::smallint[], $3::uuid[]) i (country, id)
      join vote v on v.country_id = i.country and v.target_id = i.id and v.account_id = $1
    union all
    select 'saved', target_id, 0, null, null from saved
     where account_id = $1 and target_id = any($3)
    union all
    select 'follow', post_id, 0, null, level from thread_follow
     where account_id = $1 and post_id = any($3)
    union all
    select 'follow', community_id, 0, null, level from community_follow
     where account_id = $1 and community_id = any($3)
    union all
    select 'asked', community_id, 0, null, null from join_request
     where account_id = $1 and community_id = any($3) and refused_at is null
    union all
    select 'read', r.post_id, later.n, r.comment_id, null
      from read_position r
      join account a on a.id = r.account_id
      left join lateral (
          select * from post p
           where p.country_id = id_country(r.post_id) and p.id = r.post_id limit 1) p on true
      left join community y on y.id = p.community_id
      left join membership m on m.community_id = y.id and m.account_id = r.account_id
      cross join lateral (
          select count(*) as n from (
              select from comment c
               where may_read(a.role, y.visibility, m.role)
                 and c.country_id = p.country_id and c.post_id = p.id and c.id > r.comment_id
                 and c.deleted_at is null and c.author_id <> $1
                 and not exists (select from account_mute x
                                  where x.account_id = $1 and x.muted_id = c.author_id)
               limit $4) unread) later
     where r.account_id = $1 and r.post_id = any($3)"""


async def read_marks(connection: Connection, account_id: UUID, ids: Sequence[UUID]) -> Marks:
    """One statement for all of them; what was left untouched is left out."""
    marks = Marks()
    rows = await connection.fetch(
        _READ, account_id, [country_of(id) for id in ids], list(ids), MAX_UNREAD
    )
    for row in rows:
        match row["mark"]:
            case "vote":
                marks.votes[str(row["id"])] = row["number"]
            case "saved":
                marks.saved.append(row["id"])
            case "follow":
                marks.follows[str(row["id"])] = row["level"]
            case "asked":
                marks.asked.append(row["id"])
            case "read":
                marks.read[str(row["id"])] = row["comment"]
                marks.unread[str(row["id"])] = row["number"]
    return marks
