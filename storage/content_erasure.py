"""Posts, comments and notifications of an account that goes: anonymised or emptied, one at a time.

An anonymised one stands as it is, by the author of all who left. An emptied one is removed as its
author would remove it, and its text is taken from the tables too, with its former texts. What was
removed before is emptied in any case: nobody is left who could restore it. Either way the stored
events are overwritten. Lock order as everywhere: streams, posts, comments, each by id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from storage.anonymous import DELETED_AUTHOR
from storage.comments import COMMENT_COLUMNS, CommentRow
from storage.content_locks import Overtaken
from storage.content_log import LogEntry, overwrite_events
from storage.identity import country_of
from storage.postgres import Connection
from storage.posts import POST_COLUMNS, POST_JOINS, PostRow, post_of, read_posts
from storage.search.index_jobs import IndexJob, enqueue_index
from storage.stream_writer import append

NOTICES_AT_ONCE: Final = 100


class Redaction(NamedTuple):
    """How events become others: without their author, without author and text; and those that tell
    of a removal, and that a post has lost its accepted answer."""

    anonymised: Callable[[str], str]
    emptied: Callable[[str], str]
    post_deleted: Callable[[PostRow], str]
    post_updated: Callable[[PostRow], str]
    comment_deleted: Callable[[CommentRow], str]


async def own(
    connection: Connection, account_id: UUID, table: Literal["post", "comment"], limit: int
) -> list[UUID]:
    """Newest first, in every country, by indexes post_author and comment_author."""
    rows = await connection.fetch(
        f"select id from {table} where author_id = $1 order by id desc limit $2", account_id, limit
    )
    return [row["id"] for row in rows]


# Events may also lie in streams that the content has left: they are overwritten, not added to.
_POST_STREAMS: Final = """
    with home as (
        select p.stream_id as id from post p where p.country_id = $1 and p.id = $2
        union all select y.stream_id from post p join community y on y.id = p.community_id
        where p.country_id = $1 and p.id = $2
    )
    select s.id, s.channel, s.id in (select id from home) as home from stream s
    where s.id in (select id from home
                   union select e.stream_id from stream_event e where e.subject_id = $2)
    order by s.id for update of s"""
_LOCK_POST: Final = f"""
    select {POST_COLUMNS} from post p {POST_JOINS}
    where p.country_id = $1 and p.id = $2 and p.author_id = $3 for update of p"""
# $4: it is emptied.
_MARKS: Final = """
    author_id = $3,
    deleted_by = case when deleted_at is null then case when $4 then $3::uuid end
                      when deleted_by = author_id then $3 else deleted_by end,
    deleted_at = case when $4 then coalesce(deleted_at, clock_timestamp()) else deleted_at end,
    body_markdown = case when $4 then '' else body_markdown end,
    body_html = case when $4 then '' else body_html end,
    deleted_reason = case when $4 then null else deleted_reason end"""
_GIVE_UP_POST: Final = f"""
    update post set {_MARKS}, title = case when $4 then '' else title end,
           tags = case when $4 then '{{}}' else tags end, has_poll = has_poll and not $4
    where country_id = $1 and id = $2"""


async def give_up_post(
    connection: Connection, account_id: UUID, post_id: UUID, *, empty: bool, redaction: Redaction
) -> list[LogEntry]:
    """What its streams hold now; nothing where the post is no longer the account's."""
    key = country_of(post_id), post_id
    streams = await connection.fetch(_POST_STREAMS, *key)
    record = await connection.fetchrow(_LOCK_POST, *key, account_id)
    if record is None:
        return []
    row = post_of(record)
    emptied = empty or row.deleted
    redact = redaction.emptied if emptied else redaction.anonymised
    log = await overwrite_events(connection, [post_id], redact)
    await _give_up_revisions(connection, account_id, post_id, emptied=emptied)
    await connection.execute(_GIVE_UP_POST, *key, DELETED_AUTHOR, emptied)
    if emptied:
        for table in ("poll", "poll_vote"):
            await connection.execute(f"delete from {table} where post_id = $1", post_id)
    if emptied and not row.deleted:
        gone = msgspec.structs.replace(row, deleted=True)
        log += await _append(connection, streams, post_id, redaction.post_deleted(gone))
        await enqueue_index(connection, IndexJob(threads=[post_id]))
    return log


# The community's too where the comment is its post's accepted answer.
_COMMENT_STREAMS: Final = """
    with place as (
        select p.stream_id as thread, y.stream_id as community,
               coalesce(p.accepted_comment_id = c.id, false) as accepted
        from comment c join post p on p.country_id = c.country_id and p.id = c.post_id
        join community y on y.id = p.community_id
        where c.country_id = $1 and c.id = $2
    ), home as (
        select thread as id from place union all select community from place where accepted
    )
    select s.id, s.channel, s.id in (select id from home) as home from stream s
    where s.id in (select id from home
                   union select e.stream_id from stream_event e where e.subject_id = $2)
    order by s.id for update of s"""
_LOCK_THREAD: Final = """
    select 'community:' || p.community_id as channel,
           coalesce(p.accepted_comment_id = $2, false) as accepted
    from post p
    where p.country_id = $1
      and p.id = (select c.post_id from comment c where c.country_id = $1 and c.id = $2)
    for no key update"""
_LOCK_COMMENT: Final = f"""
    select {COMMENT_COLUMNS} from comment c join account a on a.id = c.author_id
    where c.country_id = $1 and c.id = $2 and c.author_id = $3 for update of c"""
_GIVE_UP_COMMENT: Final = f"update comment set {_MARKS} where country_id = $1 and id = $2"


async def give_up_comment(
    connection: Connection,
    account_id: UUID,
    comment_id: UUID,
    *,
    empty: bool,
    redaction: Redaction,
) -> list[LogEntry]:
    """As give_up_post; the thread counts one comment less where this one was removed by it, and a
    post whose accepted answer it was has none any more."""
    key = country_of(comment_id), comment_id
    streams = await connection.fetch(_COMMENT_STREAMS, *key)
    was_accepted = False
    if empty:
        thread = await connection.fetchrow(_LOCK_THREAD, *key)
        if thread is not None and thread["accepted"]:
            was_accepted = True
            if thread["channel"] not in {each["channel"] for each in streams if each["home"]}:
                raise Overtaken  # accepted, or moved, meanwhile
    record = await connection.fetchrow(_LOCK_COMMENT, *key, account_id)
    if record is None:
        return []
    row = CommentRow(*record)
    emptied = empty or row.deleted
    redact = redaction.emptied if emptied else redaction.anonymised
    log = await overwrite_events(connection, [comment_id], redact)
    await _give_up_revisions(connection, account_id, comment_id, emptied=emptied)
    await connection.execute(_GIVE_UP_COMMENT, *key, DELETED_AUTHOR, emptied)
    if emptied and not row.deleted:
        await connection.execute(
            "update post set comment_count = comment_count - 1,"
            " accepted_comment_id = nullif(accepted_comment_id, $3)"
            " where country_id = $1 and id = $2",
            key[0], row.post_id, comment_id,
        )  # fmt: skip
        gone = msgspec.structs.replace(row, deleted=True)
        own = [stream for stream in streams if stream["channel"].startswith("thread:")]
        log += await _append(connection, own, comment_id, redaction.comment_deleted(gone))
        await enqueue_index(connection, IndexJob(comments=[comment_id]))
        if was_accepted:
            post = (await read_posts(connection, [row.post_id]))[row.post_id][0]
            log += await _append(connection, streams, post.id, redaction.post_updated(post))
    return log


async def _give_up_revisions(
    connection: Connection, account_id: UUID, target_id: UUID, *, emptied: bool
) -> None:
    key = country_of(target_id), target_id
    if emptied:
        await connection.execute(
            "delete from revision where country_id = $1 and target_id = $2", *key
        )
    else:
        await connection.execute(
            "update revision set editor_id = $4"
            " where country_id = $1 and target_id = $2 and editor_id = $3",
            *key, account_id, DELETED_AUTHOR,
        )  # fmt: skip


async def _append(
    connection: Connection, streams: Sequence[asyncpg.Record], subject_id: UUID, payload: str
) -> list[LogEntry]:
    return [
        LogEntry(
            stream["channel"],
            await append(connection, stream["id"], subject_id, [payload]),
            payload,
        )
        for stream in streams
        if stream["home"]
    ]


_CAUSED: Final = """
    select n.id, a.stream_id from notification n join account a on a.id = n.account_id
    where n.actor_id = $1 order by n.id desc limit $2"""


async def give_up_notices(
    connection: Connection, account_id: UUID, anonymised: Callable[[str], str]
) -> tuple[int, list[LogEntry]]:
    """What told others of the account's posts and comments, NOTICES_AT_ONCE at most: their number,
    and what the streams hold now. They stay, as those of removed content do: one that stands for
    all that is new in a thread must be read before its follower is told anew."""
    found = await connection.fetch(_CAUSED, account_id, NOTICES_AT_ONCE)
    ids = [row["id"] for row in found]
    await connection.execute(
        "select 1 from stream where id = any($1::bigint[]) order by id for update",
        [row["stream_id"] for row in found],
    )
    log = await overwrite_events(connection, ids, anonymised)
    await connection.execute(
        "update notification set actor_id = $2 where id = any($1::uuid[])", ids, DELETED_AUTHOR
    )
    return len(ids), log
