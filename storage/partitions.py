"""A country gets partitions of its own, while everybody goes on reading and writing.

A group's partition holds many countries. To take one out, both halves are copied: its rows and
those of the others, each into a fresh table with the bound of its partition as a constraint.

    begin    two empty copies, a trigger on the group that repeats each change in them
    copy     batches by primary key, each a transaction that also records how far it came
    swap     one transaction of catalogue changes: the group leaves, the copies take its place

A row is copied under a share lock, so that its next change finds the copy; an older copy never
replaces what the trigger has written. The swap waits for its locks for two seconds at most and
tries again. After a kill at any point `promote` goes on where it stood. Why not by deleting the
country's rows from the group, and why not by visa type: docs/adr/0007.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import asyncpg
import msgspec

from config.errors import AppError

_log = logging.getLogger(__name__)

PARENTS: Final = ("post", "comment", "vote", "revision", "timeline")
"""And the tables of chunks, one for each generation (storage/chunk_generations.py), after these: a
generation that is made meanwhile has the partitions that post has by then."""
BATCH: Final = 2_000
_LOCK_SECONDS: Final = 2
_LOCK_ATTEMPTS: Final = 60
_DEADLOCK_ATTEMPTS: Final = 20
_PAUSE_SECONDS: Final = 0.2
_LOCK_KEY: Final = int.from_bytes(b"serai-pt")
_NUMBERS: Final = re.compile(r"'?(\d+)'?")

Progress = Callable[[str, int], None]
"""(table, rows copied so far)."""


class Partition(msgspec.Struct, frozen=True):
    """`rows` is the planner's estimate, `bytes` includes indexes and long texts."""

    parent: str
    name: str
    countries: frozenset[int]
    rows: int
    bytes: int


class _Move(msgspec.Struct, frozen=True):
    parent: str
    country_id: int
    source: Partition
    key: tuple[str, ...]
    key_types: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def own(self) -> str:
        return f"{self.parent}_c{self.country_id}"

    @property
    def rest(self) -> str:
        return f"{self.source.name}_rest"

    @property
    def mirror(self) -> str:
        return f"{self.source.name}_mirror"

    @property
    def others(self) -> list[int]:
        return sorted(self.source.countries - {self.country_id})


_PARTITIONS: Final = """
    select p.relname as parent, c.relname as name, greatest(c.reltuples, 0)::bigint as rows,
           pg_total_relation_size(c.oid) as bytes, pg_get_expr(c.relpartbound, c.oid) as bound
    from pg_inherits i join pg_class p on p.oid = i.inhparent join pg_class c on c.oid = i.inhrelid
    where p.relname = any ($1) and p.relnamespace = current_schema()::regnamespace
    order by p.relname, c.relname"""
_CHUNKS: Final = """
    select relname from pg_class
    where relkind = 'p' and relname ~ '^chunk_[0-9]+$'
      and relnamespace = current_schema()::regnamespace
    order by relname"""


async def parents(connection: asyncpg.Connection) -> list[str]:
    """The tables that are partitioned by country."""
    rows = await connection.fetch(_CHUNKS)
    return [*PARENTS, *(row["relname"] for row in rows)]


async def list_partitions(connection: asyncpg.Connection) -> list[Partition]:
    rows = await connection.fetch(_PARTITIONS, await parents(connection))
    return [
        Partition(
            row["parent"],
            row["name"],
            frozenset(map(int, _NUMBERS.findall(row["bound"]))),
            row["rows"],
            row["bytes"],
        )
        for row in rows
    ]


async def promote(
    url: str, country_id: int, *, on_progress: Progress = lambda table, rows: None
) -> list[str]:
    """Gives the country partitions of its own. Returns the tables that were changed: none where it
    has them already. Online and resumable; one promotion at a time.

    Raises AppError: `conflict` while another one runs, `invalid` for a country that no partition
    holds, `overloaded` when long transactions keep the tables locked: call again.
    """
    connection = await asyncpg.connect(url, server_settings={"application_name": "partition"})
    try:
        if not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK_KEY):
            raise AppError("conflict", "Another promotion is under way.")
        changed = []
        for parent in PARENTS:
            if await _promote_in(connection, parent, country_id, on_progress):
                changed.append(parent)
        for parent in (await parents(connection))[len(PARENTS) :]:
            if await _promote_in(connection, parent, country_id, on_progress):
                changed.append(parent)
        return changed
    finally:
        await connection.close()


async def _promote_in(
    connection: asyncpg.Connection, parent: str, country_id: int, on_progress: Progress
) -> bool:
    holders = [
        each
        for each in await list_partitions(connection)
        if each.parent == parent and country_id in each.countries
    ]
    if not holders:
        raise AppError("invalid", f"No partition of {parent} is for country {country_id}.")
    if holders[0].countries == {country_id}:
        return False
    move = await _describe(connection, parent, country_id, holders[0])
    if await _begun(connection, move):
        _log.info("the promotion of %d in %s goes on", country_id, parent)
    else:
        await _with_locks(lambda: _begin(connection, move))
    await _copy(connection, move, on_progress)
    await connection.execute(f"analyze {move.own}, {move.rest}")
    await _with_locks(lambda: _swap(connection, move))
    return True


async def _describe(
    connection: asyncpg.Connection, parent: str, country_id: int, source: Partition
) -> _Move:
    key = await connection.fetch(
        "select a.attname, format_type(a.atttypid, a.atttypmod) as type"
        " from pg_index i cross join unnest(i.indkey) with ordinality k (number, place)"
        " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number"
        " where i.indrelid = $1::text::regclass and i.indisprimary order by k.place",
        source.name,
    )
    columns = await _columns(connection, source.name)
    return _Move(
        parent, country_id, source, tuple(row["attname"] for row in key),
        tuple(row["type"] for row in key), columns,
    )  # fmt: skip


async def _columns(connection: asyncpg.Connection, table: str) -> tuple[str, ...]:
    """Without those that are generated."""
    rows = await connection.fetch(
        "select quote_ident(attname) as name from pg_attribute"
        " where attrelid = to_regclass($1) and attnum > 0 and not attisdropped"
        " and attgenerated = '' order by attnum",
        table,
    )
    return tuple(row["name"] for row in rows)


async def _begun(connection: asyncpg.Connection, move: _Move) -> bool:
    """Whether both copies are there to go on with. What an older schema left is thrown away."""
    if (
        await connection.fetchval(
            "select true from partition_move where parent = $1 and country_id = $2",
            move.parent, move.country_id,
        )
        and await _columns(connection, move.own) == move.columns
        and await _columns(connection, move.rest) == move.columns
    ):  # fmt: skip
        return True
    await _with_locks(lambda: _abandon(connection, move))
    return False


async def _abandon(connection: asyncpg.Connection, move: _Move) -> None:
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'")
        await connection.execute(
            f"drop trigger if exists partition_move on {move.source.name};"
            f" drop function if exists {move.mirror}();"
            f" drop table if exists {move.own}, {move.rest}"
        )
        await connection.execute(
            "delete from partition_move where parent = $1 and country_id = $2",
            move.parent, move.country_id,
        )  # fmt: skip


async def _begin(connection: asyncpg.Connection, move: _Move) -> None:
    source = move.source.name
    options = await connection.fetchval(
        "select array_to_string(reloptions, ', ') from pg_class where oid = $1::text::regclass",
        source,
    )
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'")
        for table, countries in ((move.own, [move.country_id]), (move.rest, move.others)):
            await connection.execute(
                f"create table {table} (like {source} including all)"
                + (f" with ({options})" if options else "")
            )
            # As Postgres words the bound of a list partition: attaching then reads no row.
            await connection.execute(
                f"alter table {table} add constraint {table}_bound"
                f" check (country_id is not null and {_bound(countries)})"
            )
        await connection.execute(_mirror(move))
        await connection.execute(
            f"create trigger partition_move after insert or update or delete on {source}"
            f" for each row execute function {move.mirror}()"
        )
        await connection.execute(
            "insert into partition_move (parent, country_id) values ($1, $2)",
            move.parent, move.country_id,
        )  # fmt: skip


def _bound(countries: Sequence[int]) -> str:
    if len(countries) == 1:
        return f"country_id = '{countries[0]}'::smallint"
    listed = ", ".join(f"'{number}'::smallint" for number in countries)
    return f"country_id = any (array[{listed}])"


def _mirror(move: _Move) -> str:
    """Keys never change, so an update is an upsert."""
    columns = ", ".join(move.columns)
    fresh = ", ".join(f"new.{column}" for column in move.columns)
    changes = ", ".join(f"{c} = excluded.{c}" for c in move.columns if c not in move.key)
    gone = " and ".join(f"{column} = old.{column}" for column in move.key)

    def by_country(row: str, statement: str) -> str:
        return (
            f"if {row}.country_id = {move.country_id} then {statement.format(move.own)};"
            f" else {statement.format(move.rest)}; end if;"
        )

    remove = by_country("old", f"delete from {{}} where {gone}")
    upsert = by_country(
        "new",
        f"insert into {{}} ({columns}) values ({fresh})"
        f" on conflict ({', '.join(move.key)}) do update set {changes}",
    )
    return (
        f"create function {move.mirror}() returns trigger language plpgsql as $$ begin"
        f" if tg_op = 'DELETE' then {remove} else {upsert} end if; return null; end $$"
    )


async def _copy(connection: asyncpg.Connection, move: _Move, on_progress: Progress) -> None:
    key = ", ".join(move.key)
    columns = ", ".join(move.columns)
    bounds = ", ".join(f"($1::text[])[{n}]::{kind}" for n, kind in enumerate(move.key_types, 1))
    texts = ", ".join(f"{column}::text" for column in move.key)
    statement = f"""
        with batch as materialized (
            select {columns} from {move.source.name}
            where $1::text[] is null or ({key}) > ({bounds})
            order by {key} limit {BATCH} for share),
        own as (insert into {move.own} ({columns}) select {columns} from batch
                where country_id = {move.country_id} on conflict do nothing),
        rest as (insert into {move.rest} ({columns}) select {columns} from batch
                 where country_id <> {move.country_id} on conflict do nothing),
        last as (select array[{texts}] as key from batch order by {
        ", ".join(f"{column} desc" for column in move.key)
    } limit 1)
        update partition_move set last_key = last.key,
               copied = copied + (select count(*) from batch)
        from last where parent = $2 and country_id = $3
        returning last_key, copied"""
    last = await connection.fetchval(
        "select last_key from partition_move where parent = $1 and country_id = $2",
        move.parent, move.country_id,
    )  # fmt: skip
    while True:
        row = await _past_deadlocks(
            partial(connection.fetchrow, statement, last, move.parent, move.country_id)
        )
        if row is None:
            return
        last = row["last_key"]
        on_progress(move.parent, row["copied"])


async def _swap(connection: asyncpg.Connection, move: _Move) -> None:
    parent, source = move.parent, move.source.name
    others = ", ".join(map(str, move.others))
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'")
        # The parent first, as every statement of others does.
        await connection.execute(f"lock table {parent} in access exclusive mode")
        await connection.execute(
            f"alter table {parent} detach partition {source};"
            f" drop table {source};"
            f" drop function {move.mirror}();"
            f" alter table {parent} attach partition {move.own} for values in ({move.country_id});"
            f" alter table {parent} attach partition {move.rest} for values in ({others});"
            f" alter table {move.own} drop constraint {move.own}_bound;"
            f" alter table {move.rest} drop constraint {move.rest}_bound;"
            f" alter table {move.rest} rename to {source}"
        )
        await connection.execute(
            "delete from partition_move where parent = $1 and country_id = $2",
            move.parent, move.country_id,
        )  # fmt: skip


async def _with_locks(work: Callable[[], Awaitable[None]]) -> None:
    """Again while others hold the tables: who waits for a lock holds up everybody behind."""
    for _ in range(_LOCK_ATTEMPTS):
        try:
            await work()
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(_PAUSE_SECONDS)
    raise AppError(
        "overloaded",
        "Long transactions keep the tables locked. What was copied stays; call again.",
        retry_after_seconds=60,
    )


async def _past_deadlocks(
    work: Callable[[], Awaitable[asyncpg.Record | None]],
) -> asyncpg.Record | None:
    """Writers lock rows of several posts; whoever Postgres picks goes again."""
    for attempt in range(_DEADLOCK_ATTEMPTS):
        try:
            return await work()
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            if attempt == _DEADLOCK_ATTEMPTS - 1:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
    raise AssertionError("unreachable")
