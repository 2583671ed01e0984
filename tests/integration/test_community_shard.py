"""The shard over a real database: what writers commit reaches gateways, handed over or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from actors import shard_messages as m
from actors.community import CommunityShard
from config.errors import AppError
from config.settings import Postgres, Settings
from storage.postgres import Pool, connect
from storage.stream_writer import append_event
from storage.streams import ensure_partitions, with_committed_ns
from tests.conditions import wait_until
from tests.shard_model import FollowingGateway

pytestmark = pytest.mark.integration

CHANNEL = "thread:1"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, Postgres())
    async with pool.acquire() as connection:
        await ensure_partitions(connection, datetime.now(UTC).date(), 1)
    await pool.execute("insert into stream (id, channel) values (1, $1)", CHANNEL)
    yield pool
    await pool.close()


@asynccontextmanager
async def running(pool: Pool) -> AsyncIterator[CommunityShard]:
    shard = CommunityShard(0, 1, pool, Settings(), sweep_seconds=0.02)
    await shard.start()
    try:
        yield shard
    finally:
        await shard.stop()


async def commit(pool: Pool, text: str) -> m.Publication:
    """One event in a transaction of its own, as its writer would hand it over."""
    async with pool.acquire() as connection, connection.transaction():
        event = await append_event(connection, CHANNEL, 1, uuid4(), f'{{"text":"{text}"}}')
    data = with_committed_ns(event.payload, event.committed_ns)
    return m.Publication(event.channel, event.offset, data)


async def wait_seen(gateway: FollowingGateway, shard: CommunityShard, offset: int) -> None:
    async with asyncio.timeout(20):
        while gateway.behind or gateway.last[CHANNEL] < offset:
            await gateway.step(shard)
            await asyncio.sleep(0.005)


async def test_events_that_nobody_hands_over_are_found(pool: Pool) -> None:
    """And what comes by the sweep is, byte for byte, what would have come live."""
    expected = [await commit(pool, "before")]
    async with running(pool) as shard:
        gateway = FollowingGateway("g")
        gateway.start(CHANNEL, 0)
        await gateway.step(shard)
        for n in range(10):
            publication = await commit(pool, f"text {n}")
            expected.append(publication)
            if n % 3 == 0:
                await shard.handle(m.Publish([publication]))
        await wait_seen(gateway, shard, 11)
        assert gateway.seen[CHANNEL] == expected


async def test_concurrent_writers_and_a_restarted_shard(pool: Pool) -> None:
    gateway = FollowingGateway("g")
    gateway.start(CHANNEL, 0)
    shards: list[CommunityShard] = []

    async def write(number: int) -> None:
        for n in range(20):
            publication = await commit(pool, f"{number}.{n}")
            if shards:
                await shards[0].handle(m.Publish([publication]))

    async def follow() -> None:
        while gateway.last[CHANNEL] < 80:
            if shards:
                await gateway.step(shards[0])
            await asyncio.sleep(0)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(write(number))
        following = group.create_task(follow())
        for upto in (20, 50, 80):
            async with running(pool) as shard:
                shards.append(shard)
                while gateway.last[CHANNEL] < upto:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                shards.clear()
        await following
    rows = await pool.fetch("select off, payload from stream_event order by off")
    assert [p.offset for p in gateway.seen[CHANNEL]] == list(range(1, 81))
    for row, publication in zip(rows, gateway.seen[CHANNEL], strict=True):
        assert publication.data.startswith(row["payload"].encode()[:-1])


async def test_a_new_incarnation_of_the_database_begins_anew(pool: Pool) -> None:
    async with running(pool) as shard:
        gateway = FollowingGateway("g")
        gateway.start(CHANNEL, 0)
        await commit(pool, "lost by the restore")
        await wait_seen(gateway, shard, 1)
        first = gateway.epoch
        await pool.execute("delete from stream_event")
        await pool.execute("update stream set top_offset = 0")
        await pool.execute("update incarnation set epoch = 'restored'")
        kept = await commit(pool, "kept")
        async with asyncio.timeout(20):
            while gateway.epoch == first:
                await gateway.step(shard)
                await asyncio.sleep(0.005)
        await wait_seen(gateway, shard, 1)
        assert gateway.epoch == "restored"
        assert gateway.restarted == [CHANNEL]
        assert gateway.seen[CHANNEL] == [kept]


async def test_removed_text_is_replayed_neither_from_the_ring_nor_from_the_table(
    pool: Pool,
) -> None:
    async with running(pool) as shard:
        await shard.handle(m.Hello("g", [CHANNEL]))
        await shard.handle(m.Publish([await commit(pool, "secret"), await commit(pool, "kept")]))
        row = await pool.fetchrow(
            'update stream_event set payload = \'{"text":""}\' where off = 1'
            " returning (extract(epoch from created_at) * 1000000)::bigint as us"
        )
        assert row is not None
        overwritten = m.Publication(CHANNEL, 1, with_committed_ns('{"text":""}', row["us"] * 1_000))
        await shard.handle(m.Publish([overwritten, await commit(pool, "deleted")]))
        for _ in range(20):
            reply = await shard.handle(m.ReadHistory(CHANNEL, 0, 10))
            assert isinstance(reply, m.HistoryReply)
            assert [p.offset for p in reply.publications] == [1, 2, 3]
            assert reply.publications[0] == overwritten


async def test_without_postgres_live_goes_on_and_the_shard_recovers(
    pool: Pool, database_url: str
) -> None:
    other = await connect(database_url, Postgres())
    async with running(other) as shard:
        hello = await shard.handle(m.Hello("g", [CHANNEL]))
        assert isinstance(hello, m.HelloReply)
        await other.close()
        await shard.handle(m.Publish([await commit(pool, "live")]))
        assert shard.statistics().mailbox_items == 1
        with pytest.raises(AppError) as failure:
            await shard.handle(m.ReadHistory("thread:2", 0, 10))
        assert failure.value.code == "unavailable"
        reply = await shard.handle(m.Poll("g", hello.incarnation, 0, 0))
        assert isinstance(reply, m.PollReply)
        assert [p.offset for p in reply.publications] == [1]


async def test_connections_that_break_are_replaced(pool: Pool, database_url: str) -> None:
    other = await connect(database_url, Postgres(), application_name="shard")
    try:
        async with running(other) as shard:
            await shard.handle(m.Hello("g", [CHANNEL]))
            await pool.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'shard'"
            )
            await commit(pool, "found by the sweep")
            await wait_until(lambda: shard.statistics().mailbox_items == 1)
    finally:
        await other.close()
