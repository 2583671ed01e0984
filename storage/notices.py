"""Writing notifications: who is told of new content, and the events on their streams."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from storage.identity import country_of
from storage.jobs import enqueue
from storage.postgres import Connection
from storage.stream_writer import Appended

Kind = Literal["reply", "mention", "thread", "post"]


class FreshContent(msgspec.Struct, frozen=True):
    """A post (`comment_id` None) or comment, with its author. `addressee_id` is the author of what
    a comment replies to; None for posts. `answers_post`: that is the thread's post itself."""

    post_id: UUID
    comment_id: UUID | None
    text: str
    author_id: UUID
    handle: str
    display_name: str
    addressee_id: UUID | None
    community_id: UUID
    at: datetime
    answers_post: bool = False


class FreshComment(msgspec.Struct, frozen=True):
    """`reply_to`: the comment that was answered, None: the post. Not always its parent: the answer
    to one at the greatest depth attaches beside it."""

    id: UUID
    reply_to: UUID | None = None


class EditedText(msgspec.Struct, frozen=True):
    """A post or comment that was edited. `revision`: the number of the text it had before."""

    id: UUID
    is_post: bool
    revision: int


# A reply to a comment that was deleted meanwhile still reaches its author. The limits keep each
# look-up in the partition of its own country, whatever the planner expects.
_COMMENTS: Final = """
    select c.post_id, c.id, c.body_markdown, c.author_id, a.handle, a.display_name,
           coalesce(q.author_id, p.author_id), p.community_id, c.created_at, q.id is null
    from unnest($1::smallint[], $2::uuid[], $3::uuid[]) i (country, id, reply_to)
    cross join lateral (select * from comment c
        where c.country_id = i.country and c.id = i.id and c.deleted_at is null limit 1) c
    cross join lateral (select * from post p
        where p.country_id = i.country and p.id = c.post_id and p.deleted_at is null limit 1) p
    join account a on a.id = c.author_id and a.status <> 'deleted'
    left join lateral (select * from comment q
        where q.country_id = i.country and q.id = i.reply_to limit 1) q on true
    order by c.id"""
_POSTS: Final = """
    select p.id, null::uuid, p.title || E'\\n\\n' || p.body_markdown, p.author_id, a.handle,
           a.display_name, null::uuid, p.community_id, p.created_at, false
    from unnest($1::smallint[], $2::uuid[]) i (country, id)
    cross join lateral (select * from post p
        where p.country_id = i.country and p.id = i.id and p.deleted_at is null limit 1) p
    join account a on a.id = p.author_id and a.status <> 'deleted'
    order by p.id"""
_FORMER: Final = """
    select r.target_id, coalesce(r.title || E'\\n\\n', '') || r.body_markdown as text
    from unnest($1::smallint[], $2::uuid[], $3::int[]) i (country, id, number)
    cross join lateral (select * from revision r
        where r.country_id = i.country and r.target_id = i.id and r.number = i.number limit 1) r"""


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


async def read_edited(
    connection: Connection, edited: Sequence[EditedText]
) -> list[tuple[FreshContent, str]]:
    """What of it stands, as it is now, each with its text before the edit."""
    if not edited:
        return []
    ids = [text.id for text in edited]
    rows = await connection.fetch(
        _FORMER, [country_of(id) for id in ids], ids, [text.revision for text in edited]
    )
    former = {row["target_id"]: str(row["text"]) for row in rows}
    contents = await read_content(
        connection,
        [FreshComment(text.id) for text in edited if not text.is_post],
        [text.id for text in edited if text.is_post],
    )
    found = [(content, former.get(content.comment_id or content.post_id)) for content in contents]
    return [(content, text) for content, text in found if text is not None]


async def enqueue_edited(connection: Connection, edited: EditedText) -> None:
    """The job 'notify' for an edit, in the transaction of the edit."""
    await enqueue(connection, "notify", {"edited": [edited]})


class Wish(msgspec.Struct, frozen=True):
    """Somebody to tell, by account id or by lower-cased handle."""

    account_id: UUID | None
    handle: str | None
    actor_id: UUID
    community_id: UUID
    post_id: UUID


class Recipient(msgspec.Struct, frozen=True):
    """`wish` is the place in the wishes; `follows_all`: the thread, with the level `all`."""

    wish: int
    account_id: UUID
    stream_id: int
    follows_all: bool


# Nobody is told of what they did themselves, of what they may not read, or by whom they have muted;
# nor in a thread, or in the community of a thread without a level, that is followed with `none`.
_RESOLVE: Final = """
    with wish as (
        select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[])
            with ordinality w (account, handle, actor, community, post, place)
    ), found as (
        select w.*, a.id, a.stream_id, a.status, a.suspended_until, a.role
        from wish w join account a on a.id = w.account
        union all
        select w.*, a.id, a.stream_id, a.status, a.suspended_until, a.role
        from wish w join account a on lower(a.handle) = w.handle
    )
    select f.place, f.id, f.stream_id, coalesce(t.level = 'all', false) as follows_all
    from found f
    join community c on c.id = f.community
    left join membership m on m.community_id = c.id and m.account_id = f.id
    left join thread_follow t on t.account_id = f.id and t.post_id = f.post
    left join community_follow y on y.account_id = f.id and y.community_id = f.community
    where f.id <> f.actor
      and (f.status = 'active' or (f.status = 'suspended' and f.suspended_until <= now()))
      and may_read(f.role, c.visibility, m.role)
      and coalesce(t.level, y.level, 'mentions') <> 'none'
      and not exists (select from account_mute x
                       where x.account_id = f.id and x.muted_id = f.actor)
    order by f.place"""


async def resolve(connection: Connection, wishes: Sequence[Wish]) -> list[Recipient]:
    """Those who exist, are active, may read it and want to know, in the order of the wishes."""
    rows = await connection.fetch(
        _RESOLVE,
        [wish.account_id for wish in wishes],
        [wish.handle for wish in wishes],
        [wish.actor_id for wish in wishes],
        [wish.community_id for wish in wishes],
        [wish.post_id for wish in wishes],
    )
    return [
        Recipient(row["place"] - 1, row["id"], row["stream_id"], row["follows_all"]) for row in rows
    ]


class Notice(msgspec.Struct, frozen=True):
    """`payload` is the `notification.created` event. `created_at` is the time in `id`. `span_id`:
    the followed thread (its post) or community whose news it stands for until it is read."""

    id: UUID
    account_id: UUID
    stream_id: int
    kind: Kind
    actor_id: UUID
    post_id: UUID
    comment_id: UUID | None
    payload: str
    span_id: UUID | None = None


_LOCK: Final = "select 1 from stream where id = any($1::bigint[]) order by id for update"
# Only what the insert took gets an event: a job that runs again finds its rows and adds nothing.
# With the account's stream locked it is certain whether news wait to be read already. What was told
# as news alone is told again once it is meant for somebody, which an edit can bring about; then its
# first event is filed under the new id, by which an erasure finds it.
_WRITE: Final = """
    with notice as materialized (
        select n.* from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::uuid[],
                               $6::uuid[], $7::uuid[], $8::text[], $9::uuid[])
            with ordinality n (id, account, stream, kind, actor, post, comment, payload, span,
                               place)
         where n.span is null
            or exists (select from thread_follow f
                        where f.account_id = n.account and f.post_id = n.span and not f.unread)
            or exists (select from community_follow f
                        where f.account_id = n.account and f.community_id = n.span and not f.unread)
    ), former as materialized (
        select n.id, b.id as was from notice n
        join notification b on b.account_id = n.account and b.post_id = n.post
                           and b.comment_id is not distinct from n.comment
    ), fresh as (
        insert into notification as b (id, account_id, kind, actor_id, post_id, comment_id, span_id,
                                       created_at)
        select id, account, kind, actor, post, comment, span, to_timestamp(id_ms(id) / 1000.0)
        from notice order by place
        on conflict (account_id, post_id, comment_id) where post_id is not null do update
            set id = excluded.id, kind = excluded.kind, actor_id = excluded.actor_id,
                created_at = excluded.created_at, read_at = null
            where b.kind in ('thread', 'post') and excluded.kind in ('reply', 'mention')
        returning id
    ), refiled as (
        update stream_event e set subject_id = f.id
        from former f join fresh using (id) where e.subject_id = f.was
    ), of_threads as (
        update thread_follow f set unread = true from notice n join fresh using (id)
         where f.account_id = n.account and f.post_id = n.span
    ), of_communities as (
        update community_follow f set unread = true from notice n join fresh using (id)
         where f.account_id = n.account and f.community_id = n.span
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
    One with a span only where none of the same span waits to be read.

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
        [notice.span_id for notice in notices],
    )
    return [
        Appended(row["channel"], row["off"], row["payload"], row["stamp_us"] * 1_000)
        for row in rows
    ]
