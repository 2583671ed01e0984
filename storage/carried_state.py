"""What members keep about a thread goes along when the thread does: follows, saves, and the read
positions of those who wrote in it.

Read positions are keyed by account alone (0009_own_state.sql): those of mere readers stay with the
old post.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from storage.postgres import Connection

_PARTICIPANTS: Final = """
    select distinct author_id from (
        select author_id from comment where country_id = $1 and post_id = $2
        union all select author_id from post where country_id = $1 and id = $2) wrote"""
# By index thread_follow_post. News that wait to be read under the old id keep nobody from being
# told of what comes.
_FOLLOWS: Final = """
    with gone as (
        delete from thread_follow where post_id = $1 returning account_id, level, since
    )
    insert into thread_follow (account_id, post_id, level, since)
    select account_id, $2, level, since from gone order by account_id
    on conflict (account_id, post_id) do nothing"""
# By index saved_target.
_SAVES: Final = """
    with gone as (
        delete from saved s using unnest($1::uuid[], $2::uuid[]) m (was, now)
        where s.target_id = m.was returning s.account_id, m.now, s.is_post, s.saved_at
    )
    insert into saved (account_id, target_id, is_post, saved_at)
    select account_id, now, is_post, saved_at from gone order by account_id, now
    on conflict (account_id, target_id) do nothing"""
_READ: Final = """
    with gone as (
        delete from read_position where post_id = $1 and account_id = any($3::uuid[])
        returning account_id, comment_id, read_at
    )
    insert into read_position (account_id, post_id, comment_id, read_at)
    select account_id, $2, id_in_country(comment_id, id_country($2)), read_at
    from gone order by account_id
    on conflict (account_id, post_id) do nothing"""


async def participants(connection: Connection, country: int, post_id: UUID) -> list[UUID]:
    """The authors of the post and of its comments."""
    rows = await connection.fetch(_PARTICIPANTS, country, post_id)
    return [row["author_id"] for row in rows]


async def carry_follows(connection: Connection, old: UUID, new: UUID) -> None:
    """Each with its level. Where a member follows the other thread already, that level stands."""
    await connection.execute(_FOLLOWS, old, new)


async def carry_saves(connection: Connection, was: Sequence[UUID], now: Sequence[UUID]) -> None:
    """Of content of these ids that is found under the others from now on."""
    await connection.execute(_SAVES, was, now)


async def carry_read_positions(
    connection: Connection, old: UUID, new: UUID, accounts: list[UUID]
) -> None:
    """To the copies of the comments that were read."""
    await connection.execute(_READ, old, new, accounts)
