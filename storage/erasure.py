"""Taking away an account's own rows, a bounded number at a time (posts and comments are in
content_erasure.py). Each function is one transaction's work and says how many rows it settled; 0:
none is left. What is settled stays so: an erasure goes on where it was cut off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal
from uuid import UUID

from storage.anonymous import DELETED_AUTHOR
from storage.postgres import Connection

Erase = Callable[[Connection, UUID], Awaitable[int]]
BATCH: Final = 500


def deleting(table: str, column: str = "account_id") -> Erase:
    """Deletes the rows of an unpartitioned table whose `column` is the account; an index must lead
    with that column."""
    statement = (
        f"delete from {table} where ctid = any (array("
        f"select ctid from {table} where {column} = $1 limit {BATCH} for update))"
    )

    async def erase(connection: Connection, account_id: UUID) -> int:
        return _count(await connection.execute(statement, account_id))

    return erase


async def count_rows(connection: Connection, table: str, column: str, account_id: UUID) -> int:
    count = await connection.fetchval(
        f"select count(*) from {table} where {column} = $1", account_id
    )
    return int(count)


# By index vote_account in every partition. What was voted on keeps its counts.
_VOTES: Final = f"""
    delete from vote v using (
        select country_id, target_id from vote where account_id = $1 limit {BATCH}
    ) mine
    where v.country_id = mine.country_id and v.target_id = mine.target_id and v.account_id = $1"""


async def votes(connection: Connection, account_id: UUID) -> int:
    return _count(await connection.execute(_VOTES, account_id))


# By index timeline_account in every partition.
_TIMELINES: Final = f"""
    delete from timeline t using (
        select country_id, id from timeline where account_id = $1 limit {BATCH}
    ) mine
    where t.country_id = mine.country_id and t.id = mine.id"""


async def timelines(connection: Connection, account_id: UUID) -> int:
    return _count(await connection.execute(_TIMELINES, account_id))


# Communities in the order of their ids: two who leave the same ones at once must not deadlock.
_LEAVE: Final = f"""
    with mine as (
        select community_id from membership where account_id = $1
        order by community_id limit {BATCH}
    ), gone as (
        delete from membership m using mine
        where m.account_id = $1 and m.community_id = mine.community_id
        returning m.community_id, m.role
    ), locked as materialized (
        select c.id from community c
        where c.id in (select community_id from gone where role <> 'banned')
        order by c.id for no key update
    ), counted as (
        update community c set member_count = c.member_count - 1
        from locked where c.id = locked.id
    )
    select count(*) from gone"""


def renaming(table: str, column: str, further: str = "") -> Erase:
    """The rows of an unpartitioned table stay, their `column` names the deleted author. `further`:
    what else is set. An index must lead with the column."""
    statement = (
        f"update {table} set {column} = $2{further} where ctid = any (array("
        f"select ctid from {table} where {column} = $1 limit {BATCH} for update))"
    )

    async def erase(connection: Connection, account_id: UUID) -> int:
        return _count(await connection.execute(statement, account_id, DELETED_AUTHOR))

    return erase


async def memberships(connection: Connection, account_id: UUID) -> int:
    """The counts of the communities move with them."""
    return int(await connection.fetchval(_LEAVE, account_id))


async def removals(
    connection: Connection, account_id: UUID, table: Literal["post", "comment"]
) -> int:
    """Who has removed other people's content. By indexes post_deleted_by and comment_deleted_by."""
    status = await connection.execute(
        f"update {table} t set deleted_by = $2 from ("
        f" select country_id, id from {table} where deleted_by = $1 limit {BATCH}"
        f") mine where t.country_id = mine.country_id and t.id = mine.id",
        account_id,
        DELETED_AUTHOR,
    )
    return _count(status)


# The last event ends the sessions: gateways may not have heard it yet.
_OWN_STREAM: Final = f"""
    delete from stream_event e using (
        select e.stream_id, e.off, e.created_at
        from account a join stream s on s.id = a.stream_id join stream_event e on e.stream_id = s.id
        where a.id = $1 and e.off < s.top_offset order by e.off limit {BATCH}
    ) mine
    where e.stream_id = mine.stream_id and e.off = mine.off and e.created_at = mine.created_at"""


async def own_stream(connection: Connection, account_id: UUID) -> int:
    """The events of the account's own channel, which nobody can read any more."""
    return _count(await connection.execute(_OWN_STREAM, account_id))


_LAST: Final = """
    update account set
           handle = case when handle like '~%' then handle else retired_handle(handle) end,
           email = null, password_hash = null, display_name = 'deleted', languages = '{}',
           role = 'member', suspended_until = null, imported_ref = null,
           default_follow_level = 'all'
    where id = $1 and (handle not like '~%' or email is not null or password_hash is not null
                       or display_name <> 'deleted' or languages <> '{}')"""


async def account(connection: Connection, account_id: UUID) -> int:
    """What is left of an account: its id, and the hash that keeps its handle from being taken."""
    return _count(await connection.execute(_LAST, account_id))


def _count(status: str) -> int:
    return int(status.rsplit(" ", 1)[1])
