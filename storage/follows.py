"""The follow tables: whom a thread's comments and a community's posts are told to.

Levels: `all` (everything new, by one notification until it is read), `mentions` (mentions and
direct replies), `none` (nothing at all). A thread without a row is heard of as its community is
followed, and that without one as with `mentions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from storage.postgres import Connection

Level = Literal["all", "mentions", "none"]

# What was written before somebody began to follow is no news to them.
_FOLLOW: Final = """
    insert into {table} as f (account_id, {column}, level) values ($1, $2, $3)
    on conflict (account_id, {column}) do update set level = excluded.level,
        since = case when f.level = 'all' then f.since else excluded.since end"""
# The notification of news that waits goes with the follow: another one may follow it, with its own.
_UNFOLLOW: Final = """
    with gone as (
        delete from {table} where account_id = $1 and {column} = $2 returning unread
    )
    update notification set read_at = now()
     where account_id = $1 and span_id = $2 and read_at is null and (select unread from gone)"""
_THREAD: Final = {"table": "thread_follow", "column": "post_id"}
_COMMUNITY: Final = {"table": "community_follow", "column": "community_id"}


async def follow_thread(
    connection: Connection, account_id: UUID, post_id: UUID, level: Level
) -> None:
    await connection.execute(_FOLLOW.format(**_THREAD), account_id, post_id, level)


async def follow_community(
    connection: Connection, account_id: UUID, community_id: UUID, level: Level
) -> None:
    await connection.execute(_FOLLOW.format(**_COMMUNITY), account_id, community_id, level)


async def unfollow_thread(connection: Connection, account_id: UUID, post_id: UUID) -> None:
    """Leaves no level; who takes part in the thread again follows it again."""
    await connection.execute(_UNFOLLOW.format(**_THREAD), account_id, post_id)


async def unfollow_community(connection: Connection, account_id: UUID, community_id: UUID) -> None:
    await connection.execute(_UNFOLLOW.format(**_COMMUNITY), account_id, community_id)


class Part(msgspec.Struct, frozen=True):
    """Somebody wrote in a thread at that time: its post, or a comment."""

    account_id: UUID
    post_id: UUID
    community_id: UUID
    at: datetime


# A community that is followed with less than the member's default keeps its threads at that.
_TAKE_PART: Final = """
    insert into thread_follow (account_id, post_id, level, since)
    select i.account, i.post,
           case when f.level in ('mentions', 'none') then f.level else a.default_follow_level end,
           i.at
      from (select distinct on (account, post) * from
                unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])
                    i (account, post, community, at)
            order by account, post, at) i
      join account a on a.id = i.account
      left join community_follow f on f.account_id = i.account and f.community_id = i.community
    on conflict do nothing"""


async def follow_own(connection: Connection, parts: Sequence[Part]) -> None:
    """Whoever takes part in a thread follows it from then on, unless they have decided already."""
    if parts:
        await connection.execute(
            _TAKE_PART,
            [part.account_id for part in parts],
            [part.post_id for part in parts],
            [part.community_id for part in parts],
            [part.at for part in parts],
        )


# ---------------------------------------------------------------- who is still to be told


class News(msgspec.Struct, frozen=True):
    """A new post (`comment_id` None) of a community, or comment of a thread. `span_id`: the id of
    the community or of the thread's post, whose followers it is for."""

    span_id: UUID
    community_id: UUID
    post_id: UUID
    comment_id: UUID | None
    author_id: UUID
    at: datetime


class Untold(msgspec.Struct, frozen=True):
    """`place`: of the first of the news that is news to this account."""

    span_id: UUID
    account_id: UUID
    stream_id: int
    place: int


Bound = tuple[UUID, UUID]
FIRST: Final[Bound] = (UUID(int=0), UUID(int=0))

# Followers by the partial indexes thread_follow_untold and community_follow_untold: those who wait
# to read what they were told already cost nothing. Nobody hears of what they were told in person.
_UNTOLD: Final = """
    with news as materialized (
        select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[],
                             $6::timestamptz[])
            with ordinality n (span, community, post, comment, author, at, place)
    )
    select s.span, f.account_id, a.stream_id, (first.place - 1)::int
      from (select distinct span, community from news) s
      join {table} f on f.{column} = s.span and f.level = 'all' and not f.unread
      join account a on a.id = f.account_id
      join community y on y.id = s.community
      left join membership m on m.community_id = y.id and m.account_id = f.account_id
      cross join lateral (
          select n.place from news n
           where n.span = s.span and n.author <> f.account_id and n.at > f.since
             and not exists (select from account_mute x
                              where x.account_id = f.account_id and x.muted_id = n.author)
             and not exists (select from notification t
                              where t.account_id = f.account_id and t.post_id = n.post
                                and t.comment_id is not distinct from n.comment)
           order by n.place limit 1) first
     where (f.{column}, f.account_id) > ($7, $8)
       and (a.status = 'active' or (a.status = 'suspended' and a.suspended_until <= now()))
       and may_read(a.role, y.visibility, m.role) {condition}
     order by f.{column}, f.account_id limit $9"""
_UNTOLD_OF_THREADS: Final = _UNTOLD.format(**_THREAD, condition="")
_UNTOLD_OF_COMMUNITIES: Final = _UNTOLD.format(
    **_COMMUNITY,
    condition="""
       and not exists (select from community_mute x
                        where x.account_id = f.account_id and x.community_id = y.id)""",
)


async def untold(
    connection: Connection, news: Sequence[News], after: Bound, limit: int
) -> list[Untold]:
    """Followers (`all`) to whom some of it is news, who have read what they were told before, and
    who may read it; in the order of (span, account), those after `after`. The news are either
    all of threads or all of communities."""
    if not news:
        return []
    of_threads = news[0].comment_id is not None
    rows = await connection.fetch(
        _UNTOLD_OF_THREADS if of_threads else _UNTOLD_OF_COMMUNITIES,
        [each.span_id for each in news],
        [each.community_id for each in news],
        [each.post_id for each in news],
        [each.comment_id for each in news],
        [each.author_id for each in news],
        [each.at for each in news],
        *after,
        limit,
    )
    return [Untold(*row.values()) for row in rows]
