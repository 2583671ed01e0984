"""Polls: one a post, one vote a member. Counts are kept with the poll, by its lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from config.errors import AppError
from storage.content_locks import lock_post, no_post
from storage.content_log import Edited, append_to
from storage.identity import country_of
from storage.postgres import Connection, Pool, in_transaction_at
from storage.posts import PostRow, read_posts
from storage.search.index_jobs import IndexJob, enqueue_index

# For so long its author may replace a poll that members have voted in; their votes go with it.
CHANGEABLE_SECONDS: Final = 3_600.0


def no_poll() -> AppError:
    return AppError("not_found", "This post has no poll.")


class Question(msgspec.Struct, frozen=True):
    """What a poll asks. `closes_at` None: never."""

    question: str
    options: list[str]
    multiple: bool
    closes_at: datetime | None


_FIND: Final = """
    select question, options, multiple, closes_at, voters from poll where post_id = $1 for update"""
_SET: Final = """
    insert into poll (post_id, question, options, multiple, closes_at, votes)
    values ($1, $2, $3, $4, $5, array_fill(0, array[cardinality($3::text[])]))
    on conflict (post_id) do update
       set question = excluded.question, options = excluded.options, multiple = excluded.multiple,
           closes_at = excluded.closes_at, votes = excluded.votes, voters = 0"""


async def set_poll(
    pool: Pool,
    account_id: UUID,
    post_id: UUID,
    asked: Question,
    event: Callable[[PostRow], str],
) -> tuple[Edited, int]:
    """By the post's author, in its first hour or while nobody has voted. The same once more changes
    nothing. Raises AppError as edit_post, and conflict when it is too late."""

    async def work(connection: Connection) -> Edited:
        row, rights, streams = await lock_post(connection, account_id, post_id)
        if row.deleted:
            raise no_post()
        if not rights.is_author:
            raise AppError("not_permitted", "Only the author may ask a poll.")
        rights.require_live()
        standing = await connection.fetchrow(_FIND, post_id)
        if standing is not None:
            *values, voters = standing.values()
            if Question(*values) == asked:
                return Edited(row)
            if voters and not await _is_young(connection, row):
                raise AppError("conflict", "Members have voted: this poll stays as it is.")
            await connection.execute("delete from poll_vote where post_id = $1", post_id)
        await connection.execute(
            _SET, post_id, asked.question, asked.options, asked.multiple, asked.closes_at
        )
        await connection.execute(
            "update post set has_poll = true where country_id = $1 and id = $2",
            row.country_id,
            post_id,
        )
        await enqueue_index(connection, IndexJob(posts=[post_id]))
        after = (await read_posts(connection, [post_id]))[post_id][0]
        return Edited(after, await append_to(connection, streams, post_id, event(after)))

    return await in_transaction_at(pool, work)


async def _is_young(connection: Connection, row: PostRow) -> bool:
    return bool(
        await connection.fetchval(
            "select $1::timestamptz > now() - make_interval(secs => $2)",
            row.created_at,
            CHANGEABLE_SECONDS,
        )
    )


class Counts(msgspec.Struct, frozen=True):
    votes: list[int]
    voters: int
    changed: bool


# As votes: locked threads take them, archived communities and strangers to private ones do not.
_STANDING: Final = """
    select p.deleted_at is not null as deleted,
           refusal(a.status, a.suspended_until, a.role, y.visibility, m.role,
                   y.archived_at is not null) as code
    from post p
    join community y on y.id = p.community_id
    left join account a on a.id = $3
    left join membership m on m.account_id = $3 and m.community_id = y.id
    where p.country_id = $1 and p.id = $2"""
_COUNTED: Final = """
    select cardinality(options) as options, multiple, votes, voters,
           coalesce(closes_at <= now(), false) as closed
    from poll where post_id = $1 for update"""
_CAST: Final = """
    insert into poll_vote (post_id, account_id, options) values ($1, $2, $3)
    on conflict (post_id, account_id) do update set options = excluded.options, cast_at = now()"""


async def vote(
    pool: Pool, account_id: UUID, post_id: UUID, options: Sequence[int]
) -> tuple[Counts, int]:
    """Replaces the member's vote; `options` are distinct places, ascending, none takes it back.

    Raises AppError not_found, not_permitted, suspended, unauthenticated; locked when the poll is
    closed; invalid for options that it does not have or does not allow together.
    """

    async def work(connection: Connection) -> Counts:
        standing = await connection.fetchrow(_STANDING, country_of(post_id), post_id, account_id)
        if standing is None or standing["deleted"] or standing["code"] == "not_found":
            raise no_post()
        if standing["code"] is not None:
            raise AppError(standing["code"])
        poll = await connection.fetchrow(_COUNTED, post_id)
        if poll is None:
            raise no_poll()
        if poll["closed"]:
            raise AppError("locked", "This poll is closed.")
        if options and options[-1] >= poll["options"]:
            raise _invalid("there is no such option")
        if len(options) > 1 and not poll["multiple"]:
            raise _invalid("this poll takes one option")
        before = await read_choice(connection, account_id, post_id)
        if before == list(options):
            return Counts(poll["votes"], poll["voters"], changed=False)
        if options:
            await connection.execute(_CAST, post_id, account_id, list(options))
        else:
            await connection.execute(
                "delete from poll_vote where post_id = $1 and account_id = $2", post_id, account_id
            )
        votes = [
            count + (place in options) - (place in before)
            for place, count in enumerate(poll["votes"])
        ]
        voters = poll["voters"] + bool(options) - bool(before)
        await connection.execute(
            "update poll set votes = $2, voters = $3 where post_id = $1", post_id, votes, voters
        )
        return Counts(votes, voters, changed=True)

    return await in_transaction_at(pool, work)


async def read_choice(connection: Connection, account_id: UUID, post_id: UUID) -> list[int]:
    """The member's options; empty: none."""
    found = await connection.fetchval(
        "select options from poll_vote where post_id = $1 and account_id = $2", post_id, account_id
    )
    return list(found or ())


def _invalid(reason: str) -> AppError:
    return AppError("invalid", f"options: {reason}.", errors=(("options", reason),))
