"""What members keep about a thread goes along when the thread does.

The tables are keyed by account (0009_own_state.sql), so those are found who wrote in the thread,
and who follow all of it and wait for news. What others keep stays with the old post.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from storage.postgres import Connection

_PARTICIPANTS: Final = """
    select distinct author_id from (
        select author_id from comment where country_id = $1 and post_id = $2
        union all select author_id from post where country_id = $1 and id = $2) wrote"""
# By the primary key, and by thread_follow_untold.
_FOLLOWS: Final = """
    with gone as (
        delete from thread_follow where post_id = $1 and {whose} returning account_id, level
    )
    insert into thread_follow (account_id, post_id, level)
    select account_id, $2, level from gone order by account_id
    on conflict (account_id, post_id) do nothing"""
_OF_PARTICIPANTS: Final = _FOLLOWS.format(whose="account_id = any($3::uuid[])")
_OF_READERS: Final = _FOLLOWS.format(whose="level = 'all' and not unread")
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


async def carry_follows(connection: Connection, old: UUID, new: UUID, accounts: list[UUID]) -> None:
    """Where a member follows the other thread already, that level stands."""
    await connection.execute(_OF_PARTICIPANTS, old, new, accounts)
    await connection.execute(_OF_READERS, old, new)


async def carry_read_positions(
    connection: Connection, old: UUID, new: UUID, accounts: list[UUID]
) -> None:
    """To the copies of the comments that were read."""
    await connection.execute(_READ, old, new, accounts)
