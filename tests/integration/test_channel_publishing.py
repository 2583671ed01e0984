"""Publications on operators' channels that are kept in a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest

from actors import shard_messages as m
from actors.community import CommunityShard
from config.channels import Namespace
from config.errors import AppError
from config.settings import Postgres, Settings, Shards
from storage.postgres import Pool, connect, in_transaction
from storage.streams import ensure_partitions
from tests.conditions import wait_until
from tests.shard_model import FollowingGateway

pytestmark = pytest.mark.integration

CHANNEL = "kept:1"
SETTINGS = Settings(
    channels={"kept": Namespace(history="postgres", recovery="stream")},
    shards=Shards(ring_publications=2),
)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres())
    async with pool.acquire() as connection:
        await ensure_partitions(connection, datetime.now(UTC).date(), 1)
    yield pool
    await pool.close()


@asynccontextmanager
async def running(pool: Pool) -> AsyncIterator[CommunityShard]:
    shard = CommunityShard(0, 1, pool, SETTINGS, sweep_seconds=0.02)
    await shard.start()
    try:
        yield shard
    finally:
        await shard.stop()


async def publish(
    shard: CommunityShard, data: bytes, *, key: str = "", info: bytes = b""
) -> m.PublishReply:
    request = m.PublishToChannel(
        CHANNEL, data, info=info, tags={"n": "ä"} if info else None, key=key
    )
    reply = await shard.handle(request)
    assert isinstance(reply, m.PublishReply)
    return reply


async def read(shard: CommunityShard, after: int = 0) -> m.HistoryReply:
    reply = await shard.handle(m.ReadHistory(CHANNEL, after, 100))
    assert isinstance(reply, m.HistoryReply)
    return reply


async def following(shard: CommunityShard) -> FollowingGateway:
    gateway = FollowingGateway("g")
    gateway.start(CHANNEL, 0)
    await gateway.step(shard)
    return gateway


async def wait_seen(gateway: FollowingGateway, shard: CommunityShard, offset: int) -> None:
    async with asyncio.timeout(20):
        while gateway.behind or gateway.last[CHANNEL] < offset:
            await gateway.step(shard)
            await asyncio.sleep(0.005)


async def test_history_is_byte_for_byte_what_came_live(pool: Pool) -> None:
    datas = [b"1", b'"text"', b'{"a": [1,  2], "u":"\\u0000 \xc3\xa4"}', b"null", b"[]"]
    async with running(pool) as shard:
        gateway = await following(shard)
        assert await pool.fetchval("select count(*) from stream where id > 0") == 0, "nobody has"
        for offset, data in enumerate(datas, 1):
            reply = await publish(shard, data, info=b'{"user":"ann"}' if offset % 2 else b"")
            assert reply == m.PublishReply(gateway.epoch, offset)
        await wait_seen(gateway, shard, len(datas))
        live = gateway.seen[CHANNEL]
        assert [p.data for p in live] == datas
        assert live[0].info == b'{"user":"ann"}' and live[0].tags == {"n": "ä"}
        assert all(p.time_ms > 0 for p in live)
        assert (await read(shard)).publications == live
    async with running(pool) as shard:
        restarted = await read(shard)
        assert restarted.publications == live
        assert restarted.complete and restarted.top == m.StreamPosition(gateway.epoch, len(datas))


async def test_a_key_publishes_once_also_at_once_and_after_a_restart(pool: Pool) -> None:
    async with running(pool) as shard:
        gateway = await following(shard)
        replies = await asyncio.gather(*(publish(shard, b"1", key="k") for _ in range(6)))
        assert len(set(map(tuple_of, replies))) == 1
        await publish(shard, b"2", key="other")
    async with running(pool) as shard:
        assert await publish(shard, b"1", key="k") == replies[0]
        await wait_seen(gateway, shard, 2)
        assert [p.data for p in gateway.seen[CHANNEL]] == [b"1", b"2"]
        await pool.execute("update stream_event set created_at = created_at - interval '301 s'")
        assert (await publish(shard, b"1", key="k")).offset == 3


def tuple_of(reply: m.PublishReply) -> tuple[str, int]:
    return reply.epoch, reply.offset


async def test_concurrent_publications_of_two_shards_are_one_stream(pool: Pool) -> None:
    """For a moment after a restart there may be two."""
    async with running(pool) as one, running(pool) as two:
        gateway = await following(one)
        for n in range(10):
            await asyncio.gather(publish(one, b"%d" % n), publish(two, b'"%d"' % n))
        await wait_seen(gateway, one, 20)
        assert [p.offset for p in gateway.seen[CHANNEL]] == list(range(1, 21))
        assert (await read(two)).publications == gateway.seen[CHANNEL]


async def test_a_commit_whose_answer_was_lost_is_delivered_and_found_by_its_key(
    pool: Pool,
) -> None:
    async def answer_lost(*arguments: Any) -> None:
        await in_transaction(*arguments)
        raise AppError("unavailable")

    async with running(pool) as shard:
        gateway = await following(shard)
        with (
            patch("actors.channel_publishing.in_transaction", answer_lost),
            pytest.raises(AppError),
        ):
            await publish(shard, b"1", key="k")
        assert (await publish(shard, b"1", key="k")).offset == 1
        await wait_seen(gateway, shard, 1)
        assert len(gateway.seen[CHANNEL]) == 1


async def test_without_postgres_nothing_is_taken(pool: Pool, database_url: str) -> None:
    closed = await connect(database_url, Postgres())
    await closed.close()
    shard = CommunityShard(0, 1, closed, SETTINGS)
    with pytest.raises(AppError) as refused:
        await publish(shard, b"1")
    assert refused.value.retryable


async def test_what_waits_for_postgres_is_bounded(pool: Pool) -> None:
    async with running(pool) as shard, pool.acquire() as holder, holder.transaction():
        await publish(shard, b"0")
        await holder.execute("select 1 from stream for update")
        with patch("actors.channel_publishing.MAX_APPENDING", 2):
            waiting = [asyncio.create_task(publish(shard, b"1")) for _ in range(2)]
            await wait_until(lambda: shard._publishing._appending == 2)
            with pytest.raises(AppError) as refused:
                await publish(shard, b"2")
        assert refused.value.code == "overloaded"
        await holder.execute("rollback")
        assert sorted([(await task).offset for task in waiting]) == [2, 3]


async def test_a_locked_stream_leaves_connections_to_readers(pool: Pool) -> None:
    async with running(pool) as shard, pool.acquire() as holder, holder.transaction():
        await publish(shard, b"0")
        await holder.execute("select 1 from stream for update")
        waiting = [asyncio.create_task(publish(shard, b"1")) for _ in range(20)]
        await wait_until(lambda: shard._publishing._appending == 20)
        async with asyncio.timeout(3):
            assert (await read(shard)).top is not None
        await holder.execute("rollback")
        assert sorted([(await task).offset for task in waiting]) == list(range(2, 22))
