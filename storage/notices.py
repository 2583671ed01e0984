"""Writing notifications: who is told of new content, and the events on their streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from storage.identity import country_of
from storage.postgres import Connection
from storage.stream_writer import Appended


class FreshContent(msgspec.Struct, frozen=True):
    """A post (`comment_id` None) or comment, with its author. `addressee_id` is the author of what
    a comment replies to; None for posts."""

    post_id: UUID
    comment_id: UUID | None
    text: str
    author_id: UUID
    handle: str
    display_name: str
    addressee_id: UUID | None
    community_id: UUID


class FreshComment(msgspec.Struct, frozen=True):
    """`reply_to`: the comment that was answered, None: the post. Not always its parent: the answer
    to one at the greatest depth attaches beside it."""

    id: UUID
    reply_to: UUID | None = None


# A reply to a comment that was deleted meanwhile still reaches its author.
_COMMENTS: Final = """
    select c.post_id, c.id, c.body_markdown, c.author_id, a.handle, a.display_name,
           coalesce(q.author_id, p.author_id), p.community_id
    from unnest($1::smallint[], $2::uuid[], $3::uuid[]) i (country, id, reply_to)
    join comment c on c.country_id = i.country and c.id = i.id and c.deleted_at is null
    join post p on p.country_id = i.country and p.id = c.post_id and p.deleted_at is null
    join account a on a.id = c.author_id and a.status <> 'deleted'
    left join comment q on q.country_id = i.country and q.id = i.reply_to
    order by c.id"""
_POSTS: Final = """
    select p.id, null::uuid, p.title || E'\\n\\n' || p.body_markdown, p.author_id, a.handle,
           a.display_name, null::uuid, p.community_id
    from unnest($1::smallint[], $2::uuid[]) i (country, id)
    join post p on p.country_id = i.country and p.id = i.id and p.deleted_at is null
    join account a on a.id = p.author_id and a.status <> 'deleted'
    order by p.id"""


async def read_content(
    connection: Connection, comments: Sequence[FreshComment], posts: Sequence[UUID]
) -> list[FreshContent]:
    """What of it stands; deleted content, and that of deleted accounts, is left out."""
    rows: list[asyncpg.Record] = []
    if comments:
        ids = [comment.id for comment in comments]
        answered = [comment.reply_to for comment in comments]
        rows += await connection.fetch(_COMMENTS, [country_of(id) for id in ids], ids, answered)
    if posts:
        rows += await connection.fetch(_POSTS, [country_of(id) for id in posts], list(posts))
    return [FreshContent(*row.values()) for row in rows]


class Wish(msgspec.Struct, frozen=True):
    """Somebody to tell, by account id or by lower-cased handle."""

    account_id: UUID | None
    handle: str | None
    actor_id: UUID
    community_id: UUID


class Recipient(msgspec.Struct, frozen=True):
    """`wish` is the place in the wishes."""

    wish: int
    account_id: UUID
    stream_id: int


# Nobody is told of what they did themselves, or of what they may not read.
_RESOLVE: Final = """
    with wish as (
        select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[])
            with ordinality w (account, handle, actor, community, place)
    ), found as (
        select w.*, a.id, a.stream_id, a.status, a.suspended_until, a.role
        from wish w join account a on a.id = w.account
        union all
        select w.*, a.id, a.stream_id, a.status, a.suspended_until, a.role
        from wish w join account a on lower(a.handle) = w.handle
    )
    select f.place, f.id, f.stream_id
    from found f
    join community c on c.id = f.community
    left join membership m on m.community_id = c.id and m.account_id = f.id
    where f.id <> f.actor
      and (f.status = 'active' or (f.status = 'suspended' and f.suspended_until <= now()))
      and may_read(f.role, c.visibility, m.role)
    order by f.place"""


async def resolve(connection: Connection, wishes: Sequence[Wish]) -> list[Recipient]:
    """Those who exist, are active and may read it, in the order of the wishes."""
    rows = await connection.fetch(
        _RESOLVE,
        [wish.account_id for wish in wishes],
        [wish.handle for wish in wishes],
        [wish.actor_id for wish in wishes],
        [wish.community_id for wish in wishes],
    )
    return [Recipient(row["place"] - 1, row["id"], row["stream_id"]) for row in rows]


class Notice(msgspec.Struct, frozen=True):
    """`payload` is the `notification.created` event. `created_at` is the time in `id`."""

    id: UUID
    account_id: UUID
    stream_id: int
    kind: Literal["reply", "mention"]
    actor_id: UUID
    post_id: UUID
    comment_id: UUID | None
    payload: str


_LOCK: Final = "select 1 from stream where id = any($1::bigint[]) order by id for update"
# Only what the insert took gets an event: a job that runs again finds its rows and adds nothing.
_WRITE: Final = """
    with notice as materialized (
        select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::uuid[],
                             $6::uuid[], $7::uuid[], $8::text[])
            with ordinality n (id, account, stream, kind, actor, post, comment, payload, place)
    ), fresh as (
        insert into notification (id, account_id, kind, actor_id, post_id, comment_id, created_at)
        select id, account, kind, actor, post, comment, to_timestamp(id_ms(id) / 1000.0)
        from notice order by place
        on conflict (account_id, post_id, comment_id) do nothing
        returning id
    ), placed as materialized (
        select n.*, row_number() over (partition by n.stream order by n.place) as number
        from notice n join fresh f on f.id = n.id
    ), advanced as (
        update stream s set top_offset = s.top_offset + g.n
        from (select stream, count(*) as n from placed group by stream) g where s.id = g.stream
        returning s.id, s.channel, s.top_offset - g.n as base, clock_timestamp() as stamp
    ), events as (
        insert into stream_event (stream_id, off, subject_id, payload, created_at)
        select p.stream, a.base + p.number, p.id, p.payload, a.stamp
        from placed p join advanced a on a.id = p.stream
    )
    select a.channel, a.base + p.number as off, p.payload,
           (extract(epoch from a.stamp) * 1000000)::bigint as stamp_us
    from placed p join advanced a on a.id = p.stream
    order by a.id, p.number"""


async def write_notices(connection: Connection, notices: Sequence[Notice]) -> list[Appended]:
    """Writes those that are not there yet, one for each (account, post, comment), and their events.

    Ordered by offset within a stream. The caller's transaction must be open and hold no locks."""
    if not notices:
        return []
    await connection.execute(_LOCK, sorted({notice.stream_id for notice in notices}))
    rows = await connection.fetch(
        _WRITE,
        [notice.id for notice in notices],
        [notice.account_id for notice in notices],
        [notice.stream_id for notice in notices],
        [notice.kind for notice in notices],
        [notice.actor_id for notice in notices],
        [notice.post_id for notice in notices],
        [notice.comment_id for notice in notices],
        [notice.payload for notice in notices],
    )
    return [
        Appended(row["channel"], row["off"], row["payload"], row["stamp_us"] * 1_000)
        for row in rows
    ]
