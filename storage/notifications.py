"""The notification table, read together with what each one is about."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from storage.postgres import Connection

MAX_UNREAD: Final = 100
MAX_COUNT: Final = 100


class Notification(msgspec.Struct, frozen=True):
    """About a post (`post_id`) or a community (`community_id`). `post_title` and the community's
    names are None when it is deleted or the account may not read it (any more). `count`: what it
    stands for, at most MAX_COUNT; 1 for all but those of followers."""

    id: UUID
    kind: str
    count: int
    actor_id: UUID
    actor_handle: str | None
    actor_display_name: str | None
    post_id: UUID | None
    comment_id: UUID | None
    post_title: str | None
    community_id: UUID | None
    community_slug: str | None
    community_name: str | None
    created_at: datetime
    read: bool


# The page first, by index notification_account; then a few lookups by key. What one of a followed
# thread or community stands for is counted here, from its first comment or post until it was read,
# by comment_post or post_new: nothing is written for what comes in between.
_NOT_MUTED: Final = """not exists (select from account_mute x
                  where x.account_id = $1 and x.muted_id = {author})"""
_LIST: Final = f"""
with page as materialized (
    select id, kind, actor_id, post_id, comment_id, span_id, community_id, created_at,
           coalesce(last_id_at(read_at), 'ffffffff-ffff-ffff-ffff-ffffffffffff') as last_id,
           read_at is not null as read
      from notification
     where account_id = $1 and ($2::uuid is null or id < $2)
     order by id desc limit $3
), seen as materialized (
    select n.*, p.title, p.deleted_at is null as stands, r.role as site_role,
           p.id is not null and may_read(r.role, c.visibility, m.role) as readable
      from page n
      left join lateral (
          select * from post p
           where p.country_id = id_country(n.post_id) and p.id = n.post_id limit 1) p on true
      left join community c on c.id = p.community_id
      left join membership m on m.community_id = p.community_id and m.account_id = $1
      left join account r on r.id = $1
)
select n.id, n.kind, greatest(1, of_thread.n, of_community.n)::int as count,
       n.actor_id, a.handle, a.display_name, n.post_id, n.comment_id,
       case when n.readable and n.stands then n.title end as post_title,
       n.community_id, case when g.shown then g.slug end, case when g.shown then g.name end,
       n.created_at, n.read
  from seen n
  left join account a on a.id = n.actor_id
  left join lateral (
      select count(*) as n from (
          select from comment c
           where n.readable and n.span_id = n.post_id
             and c.country_id = id_country(n.post_id) and c.post_id = n.post_id
             and c.id between n.comment_id and n.last_id and c.deleted_at is null
             and c.author_id <> $1 and {_NOT_MUTED.format(author="c.author_id")}
           limit $4) counted) of_thread on true
  left join lateral (
      select count(*) as n from (
          select from post p
           where n.readable and n.span_id <> n.post_id
             and p.country_id = id_country(n.span_id) and p.community_id = n.span_id
             and p.id between n.post_id and n.last_id and p.deleted_at is null
             and p.author_id <> $1 and {_NOT_MUTED.format(author="p.author_id")}
           limit $4) counted) of_community on true
  -- Who is invited may know what into.
  left join lateral (
      select y.slug, y.name, may_read(n.site_role, y.visibility, k.role) or exists (
                 select from invitation i where i.account_id = $1 and i.community_id = y.id
                    and i.declined_at is null) as shown
        from community y
        left join membership k on k.community_id = y.id and k.account_id = $1
       where y.id = n.community_id) g on true
 order by n.id desc"""


async def list_notifications(
    connection: Connection, account_id: UUID, before: UUID | None, limit: int
) -> list[Notification]:
    """Newest first, those with an id below `before`."""
    rows = await connection.fetch(_LIST, account_id, before, limit, MAX_COUNT)
    return [Notification(*row.values()) for row in rows]


async def count_unread(connection: Connection, account_id: UUID) -> int:
    """At most MAX_UNREAD, so that counting never takes long."""
    count = await connection.fetchval(
        "select count(*) from (select from notification"
        " where account_id = $1 and read_at is null limit $2) unread",
        account_id,
        MAX_UNREAD,
    )
    return int(count)


# News of the threads and communities whose notification was read are told again.
_MARK_READ: Final = """
    with read as (
        update notification set read_at = now()
         where account_id = $1 and id <= $2 and read_at is null
        returning span_id
    ), threads as (
        update thread_follow set unread = false, since = now()
         where account_id = $1 and post_id in (select span_id from read)
    )
    update community_follow set unread = false, since = now()
     where account_id = $1 and community_id in (select span_id from read)"""


async def mark_read(connection: Connection, account_id: UUID, up_to: UUID) -> None:
    """All of the account's notifications with an id up to and with `up_to`."""
    await connection.execute(_MARK_READ, account_id, up_to)
