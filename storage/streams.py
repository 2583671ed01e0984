"""Streams as readers see them, and the day partitions that hold their events.

Writing belongs to the transaction that has something to say (posts, comments, accounts); reading
is here. Read the primary alone: a publication may arrive before any replica has replayed it. Every
read says the epoch of the same snapshot. Raises AppError("unavailable") or ("overloaded") while
Postgres does not answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from config.errors import AppError
from storage.incarnation import settle_epoch
from storage.postgres import Connection, Pool, translate

READ_TIMEOUT_SECONDS: Final = 5.0
_MAINTENANCE_SECONDS: Final = 60.0
_CHANNELS_A_QUERY: Final = 5_000
_PARTITION = re.compile(r"stream_event_(\d{8})")
# Any constant: it keeps two starting nodes from making the same partition at once.
_PARTITION_LOCK: Final = 7_230_118_411


class StreamTop(msgspec.Struct, frozen=True, gc=False):
    stream_id: int
    offset: int


class Positions(msgspec.Struct, frozen=True):
    """Tops by channel; channels without a stream are left out."""

    epoch: str
    tops: dict[str, StreamTop]


class StreamEvent(msgspec.Struct, frozen=True, gc=False):
    """`data` is the payload with its `committed_ns`."""

    offset: int
    data: bytes


class StreamPage(msgspec.Struct, frozen=True):
    """Events in the order asked for. `top` None: no such stream. `cut`: a bound ended the page,
    there may be more."""

    epoch: str
    top: StreamTop | None
    events: list[StreamEvent]
    cut: bool


def with_committed_ns(payload: str | bytes, ns: int) -> bytes:
    """The JSON object text `payload` with `"committed_ns":ns` as its last member.

    Live data says when its commit was over, what is read from stream_event later says its
    created_at, a moment before; but for this member both are the same bytes.
    """
    body = payload.encode() if isinstance(payload, str) else payload
    if not (body.startswith(b"{") and body.endswith(b"}")):
        raise ValueError("payload is not a JSON object")
    return b'%s%s"committed_ns":%d}' % (body[:-1], b"" if len(body) == 2 else b",", ns)


async def read_epoch(pool: Pool) -> str:
    async with _translated():
        return str(await pool.fetchval("select epoch from incarnation"))


async def settle(pool: Pool) -> None:
    """Before positions of a database that may have been replaced are believed: incarnation.py."""
    async with _translated(), pool.acquire() as connection:
        await settle_epoch(connection)


async def read_positions(pool: Pool, channels: Sequence[str]) -> Positions:
    """Several snapshots where there are many channels; each top is one that was committed."""
    epoch = ""
    tops: dict[str, StreamTop] = {}
    for start in range(0, max(1, len(channels)), _CHANNELS_A_QUERY):
        async with _translated():
            rows = await pool.fetch(_POSITIONS, channels[start : start + _CHANNELS_A_QUERY])
        if start and _epoch(rows) != epoch:
            raise AppError("unavailable", "the database was replaced while it was read")
        epoch = _epoch(rows)
        for row in rows:
            if row["channel"] is not None:
                tops[row["channel"]] = StreamTop(row["id"], row["top_offset"])
    return Positions(epoch, tops)


async def read_tops(pool: Pool, known: Mapping[int, int]) -> tuple[str, dict[int, int]]:
    """The epoch, and the top of each stream (by id) that has passed the offset known of it."""
    async with _translated():
        rows = await pool.fetch(_PASSED, list(known), list(known.values()))
    return _epoch(rows), {row["id"]: row["top_offset"] for row in rows if row["id"] is not None}


async def read_events(
    pool: Pool,
    channel: str,
    after: int,
    limit: int,
    *,
    reverse: bool = False,
    max_bytes: int = 524_288,
) -> StreamPage:
    """Events with offset > `after`, ascending; `reverse`: < `after` (0: from the top), descending.

    At most `limit` and `max_bytes`, but always one where there is one, so that a reader gets on.
    """
    query = _EVENTS_REVERSE if reverse else _EVENTS
    async with _translated():
        rows = await pool.fetch(query, channel, after, limit, max_bytes)
    first = rows[0] if rows else None
    if first is None or first["id"] is None:
        return StreamPage(_epoch(rows), None, [], cut=False)
    events = [
        StreamEvent(row["off"], with_committed_ns(row["payload"], row["created_us"] * 1_000))
        for row in rows
        if row["off"] is not None
    ]
    return StreamPage(
        _epoch(rows),
        StreamTop(first["id"], first["top_offset"]),
        events,
        cut=len(events) >= limit or (bool(events) and len(events) < first["found"]),
    )


async def ensure_partitions(conn: Connection, today: date, ahead: int) -> list[str]:
    """Make the missing day partitions (UTC) from yesterday to `ahead` days from `today`.

    Yesterday's, because the database's clock may stand a little behind the caller's. Made apart and
    then attached: that lock lets writers go on, CREATE TABLE … PARTITION OF would not.
    """
    days = [today + timedelta(days=n) for n in range(-1, ahead + 1)]
    async with _translated(_MAINTENANCE_SECONDS):
        missing = await _missing(conn, days)
        if not missing:
            return []
        async with conn.transaction():
            await conn.execute("set local lock_timeout = '3s'")
            await conn.execute("select pg_advisory_xact_lock($1)", _PARTITION_LOCK)
            missing = await _missing(conn, days)
            for day in missing:
                await _attach(conn, day)
    return [_name(day) for day in missing]


async def drop_partitions(conn: Connection, before: date) -> list[str]:
    """Drop the partitions of days before `before`. Not inside a transaction: detaching concurrently
    lets writers go on. Repeatable: what an interrupted call left is taken up again."""
    dropped: list[str] = []
    async with _translated(_MAINTENANCE_SECONDS):
        for row in await conn.fetch(_PARTITIONS):
            match = _PARTITION.fullmatch(row["name"])
            if match is None or _day(match[1]) >= before:
                continue
            if row["attached"]:
                how = "finalize" if row["pending"] else "concurrently"
                await conn.execute(f"alter table stream_event detach partition {row['name']} {how}")
            await conn.execute(f"drop table {row['name']}")
            dropped.append(row["name"])
    return dropped


async def _missing(conn: Connection, days: Sequence[date]) -> list[date]:
    attached = {row["name"] for row in await conn.fetch(_PARTITIONS) if row["attached"]}
    return [day for day in days if _name(day) not in attached]


async def _attach(conn: Connection, day: date) -> None:
    name, following = _name(day), day + timedelta(days=1)
    await conn.execute(
        f"create table if not exists {name}"
        " (like stream_event including defaults including constraints)"
    )
    await conn.execute(
        f"alter table stream_event attach partition {name}"
        f" for values from ('{day} 00:00:00+00') to ('{following} 00:00:00+00')"
    )


def _name(day: date) -> str:
    return f"stream_event_{day:%Y%m%d}"


def _day(digits: str) -> date:
    return datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC).date()


def _epoch(rows: Sequence[asyncpg.Record]) -> str:
    if not rows:
        # A schema that was made but not filled, or a restore under way.
        raise AppError("unavailable", "the database has no incarnation")
    return str(rows[0]["epoch"])


@asynccontextmanager
async def _translated(seconds: float = READ_TIMEOUT_SECONDS) -> AsyncIterator[None]:
    with translate():
        async with asyncio.timeout(seconds):
            yield


# Joined to incarnation from the left: the epoch comes even where no stream is found.
_POSITIONS: Final = """
select i.epoch, s.id, s.channel, s.top_offset
  from incarnation i left join stream s on s.channel = any($1::text[])
"""

_PASSED: Final = """
select i.epoch, s.id, s.top_offset
  from incarnation i
  left join (unnest($1::bigint[], $2::bigint[]) as known(id, top)
             join stream s on s.id = known.id and s.top_offset > known.top) on true
"""

# The primary key serves it in every partition. octet_length needs no detoasting, so that events
# beyond the byte bound cost no reading.
_EVENTS_FORM: Final = """
select i.epoch, s.id, s.top_offset, e.off, e.payload, e.found,
       (extract(epoch from e.created_at) * 1000000)::bigint as created_us
  from incarnation i
  left join stream s on s.channel = $1
  left join lateral (
      select w.off, w.payload, w.created_at, count(*) over () as found,
             sum(octet_length(w.payload)) over (order by w.off {order} rows unbounded preceding)
                 as bytes,
             row_number() over (order by w.off {order}) as number
        from (select off, payload, created_at from stream_event
               where stream_id = s.id and {bound}
               order by off {order} limit $3::bigint) w
      ) e on e.bytes <= $4::bigint or e.number = 1
 order by e.off {order}
"""
_EVENTS: Final = _EVENTS_FORM.format(order="asc", bound="off > $2::bigint")
_EVENTS_REVERSE: Final = _EVENTS_FORM.format(
    order="desc", bound="($2::bigint = 0 or off < $2::bigint)"
)

_PARTITIONS: Final = r"""
select c.relname as name, i.inhrelid is not null as attached,
       coalesce(i.inhdetachpending, false) as pending
  from pg_class c
  left join pg_inherits i on i.inhrelid = c.oid
 where c.relkind = 'r' and c.relnamespace = (
       select relnamespace from pg_class where oid = 'stream_event'::regclass)
   and c.relname ~ '^stream_event_\d{8}$'
 order by c.relname
"""
