"""Reading streams from a real database, and the day partitions of their events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from config.errors import AppError
from config.settings import Postgres
from storage import streams
from storage.postgres import Pool, connect
from storage.streams import StreamEvent, StreamPage, StreamTop

pytestmark = pytest.mark.integration

AT = datetime(2026, 11, 20, 8, 15, 30, 123456, UTC)
# Seconds and microseconds of AT, computed in whole numbers.
AT_NS = int(AT.replace(microsecond=0).timestamp()) * 1_000_000_000 + 123_456_000


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres())
    async with pool.acquire() as connection:
        await streams.ensure_partitions(connection, AT.date(), 1)
    yield pool
    await pool.close()


async def make_stream(pool: Pool, channel: str, *payloads: str, trimmed: int = 0) -> int:
    stream_id: int = await pool.fetchval(
        "insert into stream (channel, top_offset) values ($1, $2) returning id",
        channel,
        len(payloads),
    )
    await pool.executemany(
        "insert into stream_event (stream_id, off, subject_id, payload, created_at)"
        " values ($1, $2, $3, $4, $5)",
        [
            (stream_id, offset, uuid4(), payload, AT)
            for offset, payload in enumerate(payloads, 1)
            if offset > trimmed
        ],
    )
    return stream_id


async def read(
    pool: Pool, after: int, limit: int, *, reverse: bool = False, max_bytes: int = 10**6
) -> tuple[list[int], bool]:
    page = await streams.read_events(pool, "c", after, limit, reverse=reverse, max_bytes=max_bytes)
    return [event.offset for event in page.events], page.cut


async def test_positions_tops_and_epoch(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await make_stream(pool, "c", "{}", "{}")
    second = await make_stream(pool, "d")
    epoch = await streams.read_epoch(pool)
    assert len(epoch) == 12
    expected = streams.Positions(epoch, {"c": StreamTop(first, 2), "d": StreamTop(second, 0)})
    assert await streams.read_positions(pool, ["d", "unknown", "c"]) == expected
    monkeypatch.setattr(streams, "_CHANNELS_A_QUERY", 1)
    assert await streams.read_positions(pool, ["d", "unknown", "c"]) == expected
    assert await streams.read_positions(pool, []) == streams.Positions(epoch, {})
    assert await streams.read_tops(pool, {first: 1, second: 0, 999: 0}) == (epoch, {first: 2})
    assert await streams.read_tops(pool, {first: 2}) == (epoch, {})
    assert await streams.read_tops(pool, {}) == (epoch, {})


async def test_events(pool: Pool) -> None:
    await make_stream(pool, "other", *["{}"] * 9)
    await make_stream(pool, "c", *["{}"] * 5, trimmed=1)
    assert await read(pool, 0, 10) == ([2, 3, 4, 5], False)
    assert await read(pool, 3, 10) == ([4, 5], False)
    assert await read(pool, 1, 2) == ([2, 3], True)
    assert await read(pool, 5, 10) == ([], False)
    assert await read(pool, 0, 0) == ([], True)
    assert await read(pool, 0, 2, reverse=True) == ([5, 4], True)
    assert await read(pool, 4, 10, reverse=True) == ([3, 2], False)
    missing = await streams.read_events(pool, "unknown", 0, 10)
    assert missing == StreamPage(await streams.read_epoch(pool), None, [], cut=False)
    stream_id = await make_stream(pool, "timed", '{"text":"ü"}')
    data = b'{"text":"\xc3\xbc","committed_ns":%d}' % AT_NS
    assert await streams.read_events(pool, "timed", 0, 10) == StreamPage(
        await streams.read_epoch(pool), StreamTop(stream_id, 1), [StreamEvent(1, data)], cut=False
    )


async def test_events_are_bounded_in_bytes_but_never_none(pool: Pool) -> None:
    payload = '{"x":"%s"}' % ("ü" * 50)
    size = len(payload.encode())
    await make_stream(pool, "c", *[payload] * 5)
    assert await read(pool, 0, 10, max_bytes=2 * size) == ([1, 2], True)
    assert await read(pool, 0, 10, max_bytes=2 * size - 1) == ([1], True)
    assert await read(pool, 2, 10, max_bytes=1) == ([3], True)
    assert await read(pool, 0, 10, max_bytes=5 * size) == ([1, 2, 3, 4, 5], False)
    assert await read(pool, 0, 10, reverse=True, max_bytes=2 * size) == ([5, 4], True)


async def test_reading_events_uses_the_primary_key(pool: Pool) -> None:
    stream_id = await make_stream(pool, "c", *["{}"] * 50)
    await pool.execute("analyze stream_event")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local enable_seqscan = off")
        plan = await connection.fetch(
            "explain select off from stream_event where stream_id = $1 and off > 10"
            " order by off limit 5",
            stream_id,
        )
    text = "\n".join(row[0] for row in plan)
    assert "pkey" in text
    assert "->  Sort" not in text


async def partitions(pool: Pool) -> list[str]:
    return [row["name"] for row in await pool.fetch(streams._PARTITIONS) if row["attached"]]


async def test_partitions_are_made_ahead_once(database_url: str) -> None:
    today = date(2027, 2, 27)
    pool = await connect(database_url, Postgres())
    before = set(await partitions(pool))
    async with pool.acquire() as one, pool.acquire() as two:
        made = await asyncio.gather(
            streams.ensure_partitions(one, today, 3), streams.ensure_partitions(two, today, 3)
        )
        assert sorted(made[0] + made[1]) == [
            f"stream_event_{day}"
            for day in ("20270226", "20270227", "20270228", "20270301", "20270302")
        ]
        assert await streams.ensure_partitions(one, today, 4) == ["stream_event_20270303"]
        await one.execute("set timezone = 'Asia/Tokyo'")
        assert await streams.ensure_partitions(one, today, 5) == ["stream_event_20270304"]
    assert len(set(await partitions(pool)) - before) == 7
    for moment in (
        datetime(2027, 2, 26, tzinfo=UTC),
        datetime(2027, 3, 4, 23, 59, 59, 999999, UTC),
    ):
        await pool.execute("insert into stream_event values (1, 1, $1, '{}', $2)", uuid4(), moment)
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(
            "insert into stream_event values (1, 1, $1, '{}', $2)",
            uuid4(),
            datetime(2027, 3, 5, tzinfo=UTC),
        )
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(
            "insert into stream_event values (1, 1, $1, '{}', $2)",
            uuid4(),
            datetime(2027, 2, 26, tzinfo=UTC),
        )
    await pool.close()


async def test_old_partitions_are_dropped_while_writers_work(pool: Pool) -> None:
    day, following = AT.date(), AT.date() + timedelta(days=1)
    name = f"stream_event_{AT:%Y%m%d}"
    stream_id = await make_stream(pool, "c", "{}")
    async with pool.acquire() as writer, pool.acquire() as connection:
        async with writer.transaction():
            await writer.execute(
                "insert into stream_event values ($1, 2, $2, '{}', $3)",
                stream_id,
                uuid4(),
                AT + timedelta(days=1),
            )
            assert await streams.ensure_partitions(connection, day + timedelta(days=9), 0)
        assert name in await streams.drop_partitions(connection, following)
        assert await streams.drop_partitions(connection, following) == []
        assert f"stream_event_{following:%Y%m%d}" in await partitions(pool)
        assert await read(pool, 0, 10) == ([2], False)

        # Interrupted between detaching and dropping.
        assert name in await streams.ensure_partitions(connection, day, 0)
        await connection.execute(f"alter table stream_event detach partition {name}")
        assert name in await streams.drop_partitions(connection, following)
        assert await connection.fetchval("select to_regclass($1)", name) is None

        # Interrupted, and then wanted again.
        assert name in await streams.ensure_partitions(connection, day, 0)
        await connection.execute(f"alter table stream_event detach partition {name}")
        assert await streams.ensure_partitions(connection, day, 0) == [name]


async def test_no_answer_is_unavailable(pool: Pool) -> None:
    await pool.execute("delete from incarnation")

    async def codes() -> list[str]:
        found: list[str] = []
        for reading in (
            streams.read_positions(pool, ["c"]),
            streams.read_tops(pool, {1: 1}),
            streams.read_events(pool, "c", 0, 1),
        ):
            with pytest.raises(AppError) as failure:
                await reading
            found.append(failure.value.code)
        return found

    assert await codes() == ["unavailable"] * 3
    await pool.close()
    assert await codes() == ["unavailable"] * 3
