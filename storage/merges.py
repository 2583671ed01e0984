"""Merging one thread into another of the same country, in one transaction.

The post that goes becomes a comment of the other thread, with its text, votes, former texts and
author; its comments follow below that one, under the ids that they have. The post's row stays
behind without text, `moved_to` the other thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

from config.errors import AppError
from storage import attachments
from storage.carried_state import carry_follows, carry_saves
from storage.comments import CommentRow, read_comments
from storage.content_locks import LockedPosts, lock_posts, no_post
from storage.content_log import Edited, ThreadActivity, append_many
from storage.identity import new_id, time_ms_of
from storage.moves import MoveEvents, bounded_votes, leave, lock_comments, require_moderator
from storage.postgres import Connection, Pool, in_transaction_at
from storage.posts import PostRow, read_posts
from storage.search.index_jobs import IndexJob, enqueue_index

# Each is an event on the stream of the thread that they come to.
MAX_COMMENTS: Final = 500


class MergeEvents(NamedTuple):
    """`text_of`: what the post says as a comment, (markdown, html)."""

    posts: MoveEvents
    comment_created: Callable[[CommentRow], str]
    text_of: Callable[[PostRow], tuple[str, str]]


_HEAD: Final = """
    insert into comment (country_id, id, post_id, depth, author_id, body_markdown, body_html,
                         language, up, down, created_at, edited_at, revision, merged_from)
    select country_id, $3, $4, 0, author_id, $5, $6, language, up, down, created_at, edited_at,
           revision, id
    from post where country_id = $1 and id = $2"""
# Replies to the deepest allowed stand beside what they answer, as write_comments puts them.
_FOLLOW: Final = """
    update comment c
       set post_id = $4, depth = least(c.depth + 1, 12),
           parent_id = case when c.parent_id is null then $3 when c.depth < 12 then c.parent_id
                       else (select q.parent_id from comment q
                             where q.country_id = $1 and q.id = c.parent_id) end
     where c.country_id = $1 and c.post_id = $2"""
_COUNT: Final = """
    update post set comment_count = comment_count + $3,
           last_comment_at = greatest(last_comment_at, $4)
     where country_id = $1 and id = $2
    returning community_id, id, comment_count, last_comment_at"""


async def merge_posts(
    pool: Pool, account_id: UUID, post_id: UUID, into: UUID, events: MergeEvents
) -> tuple[Edited, int]:
    """By moderators of both. The row is the post merged into. Asked once more it changes nothing.

    Raises AppError as move_post; invalid where `into` is no other thread of this country, conflict
    where the thread has a poll, whose votes can't go along.
    """

    async def work(connection: Connection) -> Edited:
        locked = await lock_posts(connection, account_id, [post_id, into])
        row, rights = locked.posts[post_id]
        target, target_rights = locked.posts[into]
        if row.moved_to == into and rights.moderates:
            return Edited(target)
        if row.deleted:
            raise no_post()
        if target.deleted:
            raise unfit_target()
        for its in (rights, target_rights):
            require_moderator(its)
            its.require_live()
        public = row.visibility == target.visibility == "public"
        if not public and row.community_id != target.community_id:
            raise AppError("not_permitted", "Threads merge within one community or in public.")
        if row.poll is not None:
            raise AppError("conflict", "A thread with a poll can't be merged into another.")
        return await _merge(connection, account_id, locked, row, target, events)

    return await in_transaction_at(pool, work)


async def _merge(
    connection: Connection,
    account_id: UUID,
    locked: LockedPosts,
    row: PostRow,
    target: PostRow,
    events: MergeEvents,
) -> Edited:
    comments = await lock_comments(connection, row, MAX_COMMENTS)
    await bounded_votes(connection, row.country_id, [row.id])
    await carry_follows(connection, row.id, target.id)
    await carry_saves(connection, [row.id], [target.id])
    head = new_id(row.country_id, time_ms_of(row.id))
    key = row.country_id, row.id
    await connection.execute(_HEAD, *key, head, target.id, *events.text_of(row))
    await connection.execute(_FOLLOW, *key, head, target.id)
    for table, change in (("vote", ""), ("revision", ", title = null")):
        await connection.execute(
            f"update {table} set target_id = $3{change}"
            " where country_id = $1 and target_id = $2",
            *key, head,
        )  # fmt: skip
    await attachments.carry(connection, [row.id], [head], target.id)
    last = await connection.fetchval(
        "select last_comment_at from post where country_id = $1 and id = $2", *key
    )
    counted = await connection.fetchrow(
        _COUNT, row.country_id, target.id, row.comment_count + 1, last or row.created_at
    )
    assert counted is not None  # locked above
    log = await leave(connection, account_id, locked, row, target.id, [row.id], events.posts)
    arrived = await read_comments(connection, [head, *comments])
    # Parents first, as readers need them.
    in_order = sorted(arrived.values(), key=lambda comment: (comment.depth, comment.id.int))
    log += await append_many(
        connection,
        locked.stream(f"thread:{target.id}"),
        [(comment.id, events.comment_created(comment)) for comment in in_order],
    )
    await enqueue_index(connection, IndexJob(threads=[row.id], comments=[head, *comments]))
    after = (await read_posts(connection, [target.id]))[target.id][0]
    return Edited(after, log, ThreadActivity(*counted))


def unfit_target() -> AppError:
    reason = "is no other thread of the same country"
    return AppError("invalid", f"into: {reason}.", errors=(("into", reason),))
