"""Threads that moderators move to another community, each in one transaction.

Within a country the post's row stays and names another community. A community's country never
changes and ids name their partition, so a thread that goes to another country is copied, with
comments, votes, revisions and poll. Of the comments' ids the country alone changes, so that they
keep their order; the old post stays behind without text, `moved_to` the new one (docs/adr/0012).

Only what everybody may read is moved: a private community's threads must not be shown to others,
and those who follow a public thread must not be cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from config.errors import AppError
from storage import access_changes, attachments
from storage.carried_state import (
    carry_follows,
    carry_read_positions,
    carry_saves,
    participants,
)
from storage.content_locks import LockedPosts, Rights, lock_posts, no_post, rights_in
from storage.content_log import Edited, LogEntry, append_to, overwrite_events
from storage.identity import country_of, in_country, new_id, time_ms_of
from storage.postgres import Connection, Pool, in_transaction_at
from storage.posts import PostRow, read_posts
from storage.search.index_jobs import IndexJob, enqueue_index

MAX_COMMENTS: Final = 2_000
MAX_VOTES: Final = 20_000

Redact = Callable[[str], str]


class MoveEvents(NamedTuple):
    """Encode a post's row; `redact` takes the text out of a stored event."""

    created: Callable[[PostRow], str]
    updated: Callable[[PostRow], str]
    deleted: Callable[[PostRow], str]
    redact: Redact


async def move_post(
    pool: Pool, account_id: UUID, post_id: UUID, community_id: UUID, events: MoveEvents
) -> tuple[Edited, int]:
    """By moderators of both communities. The row is the post as it is then, under a new id in
    another country. Asked once more it changes nothing.

    Raises AppError as edit_post; invalid for a community that the caller may not know of; conflict
    for what went elsewhere; too_large for a thread beyond MAX_COMMENTS or MAX_VOTES that would have
    to be copied.
    """

    async def work(connection: Connection) -> Edited:
        if country_of(community_id) == country_of(post_id):
            await access_changes.lock(connection)
        locked = await lock_posts(connection, account_id, [post_id], [community_id])
        row, rights = locked.posts[post_id]
        if row.moved_to is not None and rights.moderates:
            return Edited(await _moved_before(connection, row.moved_to, community_id))
        if row.deleted:
            raise no_post()
        require_moderator(rights)
        rights.require_live()
        if row.community_id == community_id:
            return Edited(row)
        target = await _target(connection, account_id, community_id)
        if row.visibility != "public" or target["visibility"] != "public":
            raise AppError("not_permitted", "Threads move between public communities only.")
        if target["country_id"] == row.country_id:
            return await _within_country(connection, locked, row, target, events)
        return await _to_country(connection, account_id, locked, row, target, events)

    return await in_transaction_at(pool, work)


def require_moderator(rights: Rights) -> None:
    if not rights.moderates:
        raise AppError("not_permitted", "Only moderators of both places may do this.")


async def _moved_before(connection: Connection, moved_to: UUID, community_id: UUID) -> PostRow:
    found = (await read_posts(connection, [moved_to])).get(moved_to)
    if found is None or found[0].community_id != community_id:
        raise AppError("conflict", "This thread was moved already.")
    return found[0]


async def _target(connection: Connection, account_id: UUID, community_id: UUID) -> asyncpg.Record:
    reason = "there is no such community"
    unknown = AppError("invalid", f"community_id: {reason}.", errors=(("community_id", reason),))
    target = await connection.fetchrow(
        "select id, country_id, visa_type, visibility from community where id = $1", community_id
    )
    if target is None:
        raise unknown
    rights = await rights_in(connection, account_id, community_id, unknown)
    require_moderator(rights)
    rights.require_live()
    return target


async def _within_country(
    connection: Connection,
    locked: LockedPosts,
    row: PostRow,
    target: asyncpg.Record,
    events: MoveEvents,
) -> Edited:
    await connection.execute(
        "update post set community_id = $3, visa_type = $4, pinned = false"
        " where country_id = $1 and id = $2",
        row.country_id, row.id, target["id"], target["visa_type"],
    )  # fmt: skip
    after = msgspec.structs.replace(
        row, community_id=target["id"], visa_type=target["visa_type"], pinned=False
    )
    # For those who follow the old community the post is gone, and lives on under the same id.
    left = msgspec.structs.replace(row, deleted=True, moved_to=row.id)
    old, new = f"community:{row.community_id}", f"community:{target['id']}"
    log = await overwrite_events(connection, [row.id], events.redact, channel=old)
    for channel, payload in (
        (old, events.deleted(left)),
        (new, events.created(after)),
        (f"thread:{row.id}", events.updated(after)),
    ):
        log += await append_to(connection, locked.stream(channel), row.id, payload)
    told = access_changes.moved(row.id, target["id"])
    log += await append_to(connection, access_changes.STREAMS, row.id, told)
    await enqueue_index(connection, IndexJob(threads=[row.id]))
    return Edited(after, log)


# ---------------------------------------------------------------- to another country

# Each copies what belongs to one thread; then the rows it came from are deleted.
_COPY_POST: Final = """
    insert into post (country_id, id, community_id, visa_type, author_id, stream_id, title,
                      body_markdown, body_html, language, tags, up, down, hot, comment_count,
                      last_comment_at, accepted_comment_id, created_at, edited_at, revision, locked,
                      has_poll, imported_ref)
    select $3, $4, $5, $6, author_id, $7, title, body_markdown, body_html, language, tags, up, down,
           hot, comment_count, last_comment_at, id_in_country(accepted_comment_id, $3), created_at,
           edited_at, revision, locked, has_poll, imported_ref
    from post where country_id = $1 and id = $2"""
_COPY_COMMENTS: Final = """
    insert into comment (country_id, id, post_id, parent_id, depth, author_id, body_markdown,
                         body_html, language, up, down, created_at, edited_at, revision, deleted_at,
                         deleted_by, deleted_reason, merged_from, imported_ref)
    select $3, id_in_country(id, $3), $4, id_in_country(parent_id, $3), depth, author_id,
           body_markdown, body_html, language, up, down, created_at, edited_at, revision,
           deleted_at, deleted_by, deleted_reason, merged_from, imported_ref
    from comment where country_id = $1 and post_id = $2"""
# $2: the comments; the post itself is $3 and gets $4.
_NEW_ID: Final = "case when target_id = $3 then $4 else id_in_country(target_id, $5) end"
_COPY_VOTES: Final = f"""
    insert into vote (country_id, target_id, account_id, value, cast_at)
    select $5, {_NEW_ID}, account_id, value, cast_at
    from vote where country_id = $1 and (target_id = any($2::uuid[]) or target_id = $3)"""
_COPY_REVISIONS: Final = f"""
    insert into revision (country_id, target_id, number, title, body_markdown, editor_id,
                          replaced_at)
    select $5, {_NEW_ID}, number, title, body_markdown, editor_id, replaced_at
    from revision where country_id = $1 and (target_id = any($2::uuid[]) or target_id = $3)"""
_LEAVE: Final = """
    update post set title = '', body_markdown = '', body_html = '', tags = '{}', comment_count = 0,
           accepted_comment_id = null, has_poll = false, pinned = false,
           deleted_at = clock_timestamp(), deleted_by = $3, moved_to = $4
    where country_id = $1 and id = $2"""


async def _to_country(
    connection: Connection,
    account_id: UUID,
    locked: LockedPosts,
    row: PostRow,
    target: asyncpg.Record,
    events: MoveEvents,
) -> Edited:
    old_country, country = row.country_id, target["country_id"]
    comments = await lock_comments(connection, row, MAX_COMMENTS)
    await bounded_votes(connection, old_country, [row.id, *comments])
    new = new_id(country, time_ms_of(row.id))
    stream_id = await connection.fetchval(
        "insert into stream (channel) values ($1) returning id", f"thread:{new}"
    )
    await connection.execute(
        _COPY_POST, old_country, row.id, country, new, target["id"], target["visa_type"], stream_id
    )
    await connection.execute(_COPY_COMMENTS, old_country, row.id, country, new)
    accounts = await participants(connection, old_country, row.id)
    await carry_follows(connection, row.id, new)
    await carry_read_positions(connection, row.id, new, accounts)
    for statement in (_COPY_VOTES, _COPY_REVISIONS):
        await connection.execute(statement, old_country, comments, row.id, new, country)
    for table in ("vote", "revision"):
        await connection.execute(
            f"delete from {table} where country_id = $1 and target_id = any($2::uuid[])",
            old_country, [row.id, *comments],
        )  # fmt: skip
    await connection.execute(
        "delete from comment where country_id = $1 and post_id = $2", old_country, row.id
    )
    for table in ("poll", "poll_vote"):
        await connection.execute(f"update {table} set post_id = $2 where post_id = $1", row.id, new)
    await _remember(connection, row.id, new, comments, country)
    arrived = [new, *(in_country(id, country) for id in comments)]
    await attachments.carry(connection, [row.id, *comments], arrived, new)
    await carry_saves(connection, [row.id, *comments], arrived)
    log = await leave(connection, account_id, locked, row, new, [row.id, *comments], events)
    after = (await read_posts(connection, [new]))[new][0]
    channel = f"community:{after.community_id}"
    log += await append_to(connection, locked.stream(channel), new, events.created(after))
    await enqueue_index(connection, IndexJob(threads=[row.id, new]))
    return Edited(after, log)


async def lock_comments(connection: Connection, row: PostRow, limit: int) -> list[UUID]:
    """All comments of a post that is locked, locked in the order of their ids. Raises too_large."""
    rows = await connection.fetch(
        "select id from comment where country_id = $1 and post_id = $2 order by id limit $3"
        " for update",
        row.country_id, row.id, limit + 1,
    )  # fmt: skip
    if len(rows) > limit:
        raise AppError("too_large", f"A thread with more than {limit} comments can't go there.")
    return [comment["id"] for comment in rows]


async def bounded_votes(connection: Connection, country: int, ids: list[UUID]) -> None:
    """Raises too_large where more than MAX_VOTES would have to be written anew."""
    found = await connection.fetchval(
        "select count(*) from (select from vote"
        " where country_id = $1 and target_id = any($2::uuid[]) limit $3) v",
        country, ids, MAX_VOTES + 1,
    )  # fmt: skip
    if found > MAX_VOTES:
        raise AppError("too_large", f"A thread with more than {MAX_VOTES} votes can't go there.")


async def leave(
    connection: Connection,
    account_id: UUID,
    locked: LockedPosts,
    row: PostRow,
    moved_to: UUID,
    subject_ids: list[UUID],
    events: MoveEvents,
) -> list[LogEntry]:
    """Makes the post's row the one that points to `moved_to`; its streams, stored events of the
    subjects included, hold the text no longer."""
    await connection.execute(_LEAVE, row.country_id, row.id, account_id, moved_to)
    left = msgspec.structs.replace(
        row, deleted=True, deleted_by=None, moved_to=moved_to, comment_count=0,
        accepted_comment_id=None, pinned=False,
    )  # fmt: skip
    log = await overwrite_events(connection, subject_ids, events.redact)
    for channel in (f"thread:{row.id}", f"community:{row.community_id}"):
        log += await append_to(connection, locked.stream(channel), row.id, events.deleted(left))
    return log


# ---------------------------------------------------------------- former ids


async def _remember(
    connection: Connection, post_id: UUID, new: UUID, comments: list[UUID], country: int
) -> None:
    """A comment that comes back to a country gets the id that it had there: no mark leads away from
    it any more."""
    await connection.execute(
        "delete from moved_content where from_id in"
        " (select id_in_country(id, $2) from unnest($1::uuid[]) id)",
        comments, country,
    )  # fmt: skip
    fresh = (
        "(select id as was, id_in_country(id, $4) as now from unnest($3::uuid[]) id"
        " union all select $1::uuid, $2::uuid)"
    )
    values = post_id, new, comments, country
    await connection.execute(
        f"update moved_content m set to_id = f.now from {fresh} f where m.to_id = f.was", *values
    )
    await connection.execute(
        f"insert into moved_content (from_id, to_id) select was, now from {fresh} f", *values
    )


async def current_id(connection: Connection, id: UUID) -> UUID | None:
    """Where content that is not under this id any more is to be found. None: nowhere."""
    found: UUID | None = await connection.fetchval(
        "select to_id from moved_content where from_id = $1", id
    )
    return found
