"""The notification table, read together with what each one is about."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from storage.postgres import Connection

MAX_UNREAD: Final = 100


class Notification(msgspec.Struct, frozen=True):
    """`post_title` is None when the post is deleted or the account may not read it (any more)."""

    id: UUID
    kind: str
    actor_id: UUID
    actor_handle: str | None
    actor_display_name: str | None
    post_id: UUID
    comment_id: UUID | None
    post_title: str | None
    created_at: datetime
    read: bool


# The page first, by index notification_account; then a few lookups by key.
_LIST: Final = """
with page as materialized (
    select id, kind, actor_id, post_id, comment_id, created_at, read_at is not null as read
      from notification
     where account_id = $1 and ($2::uuid is null or id < $2)
     order by id desc limit $3
)
select n.id, n.kind, n.actor_id, a.handle, a.display_name, n.post_id, n.comment_id,
       case when p.deleted_at is null and may_read(r.role, c.visibility, m.role)
            then p.title end as post_title,
       n.created_at, n.read
  from page n
  left join account a on a.id = n.actor_id
  left join post p on p.country_id = id_country(n.post_id) and p.id = n.post_id
  left join community c on c.id = p.community_id
  left join membership m on m.community_id = p.community_id and m.account_id = $1
  left join account r on r.id = $1
 order by n.id desc"""


async def list_notifications(
    connection: Connection, account_id: UUID, before: UUID | None, limit: int
) -> list[Notification]:
    """Newest first, those with an id below `before`."""
    rows = await connection.fetch(_LIST, account_id, before, limit)
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


async def mark_read(connection: Connection, account_id: UUID, up_to: UUID) -> None:
    """All of the account's notifications with an id up to and with `up_to`."""
    await connection.execute(
        "update notification set read_at = now()"
        " where account_id = $1 and id <= $2 and read_at is null",
        account_id,
        up_to,
    )
