"""Gateways, the real shard and a real database: what is committed reaches SDK clients, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from actors import shard_messages as m
from actors.community import CommunityShard
from config.channels import Namespace
from config.errors import AppError
from config.settings import Postgres, Settings
from storage.postgres import Pool, connect
from storage.stream_writer import append_event
from storage.streams import ensure_partitions, with_committed_ns
from tests.conditions import wait_until
from tests.fake_shard import FakeShard
from tests.integration.sdk_client import SdkClient
from tests.realtime_server import RawClient, RealtimeServer, thread

pytestmark = pytest.mark.integration

OPEN = Namespace(
    subscribe="anyone",
    publish="subscribers",
    presence="clients",
    join_leave=True,
    history="memory",
    history_size=10,
    history_ttl_seconds=60,
    recovery="stream",
    force_recovery=True,
)
CHANNELS = {
    "room": OPEN,
    "kept": msgspec.structs.replace(OPEN, history="postgres", presence="off", join_leave=False),
}


class RestartingShard(FakeShard):
    """The real one behind the tests' switchboard; after `kill` nobody answers until `begin`."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.real: CommunityShard | None = None

    async def begin(self) -> None:
        shard = CommunityShard(0, 1, self.pool, Settings(channels=CHANNELS), sweep_seconds=0.02)
        await shard.start()
        self.real = shard

    async def kill(self) -> None:
        shard, self.real = self.real, None
        if shard is not None:
            await shard.stop()

    async def __call__(self, shard: int, request: m.ShardRequest) -> m.ShardReply:
        real = self.real
        if real is None:
            raise AppError("unavailable")
        reply = await real.handle(request)
        if self.real is not real:
            raise AppError("unavailable")
        return reply


@pytest.fixture
async def shard(database_url: str) -> AsyncIterator[RestartingShard]:
    pool = await connect(database_url, Postgres())
    async with pool.acquire() as connection:
        await ensure_partitions(connection, datetime.now(UTC).date(), 1)
    shard = RestartingShard(pool)
    await shard.begin()
    yield shard
    await shard.kill()
    await pool.close()


async def test_two_gateways_and_a_dying_shard(shard: RestartingShard) -> None:
    channel = thread()
    shard.create(channel)
    await shard.pool.execute("insert into stream (id, channel) values (1, $1)", channel)

    async def write(count: int) -> None:
        for n in range(count):
            async with shard.pool.acquire() as connection, connection.transaction():
                event = await append_event(connection, channel, 1, uuid4(), f'{{"n":{n}}}')
            data = with_committed_ns(event.payload, event.committed_ns)
            if n % 3 and shard.real is not None:
                publication = m.Publication(event.channel, event.offset, data)
                await shard.real.handle(m.Publish([publication]))

    async with (
        RealtimeServer(shard) as first,
        RealtimeServer(shard) as second,
        SdkClient(first) as ada,
        SdkClient(second) as ben,
    ):
        clients = (ada, ben)
        recorders = [await client.subscribe(channel) for client in clients]
        await wait_until(lambda: all(r.subscribed for r in recorders))
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(write(40))
            for upto in (20, 60):
                await wait_until(lambda upto=upto: len(recorders[0].offsets) >= upto)  # type: ignore[misc]
                await shard.kill()
                for session in list(second.realtime._services.sessions):
                    session.outlet.abort()
                await shard.begin()
        await wait_until(lambda: all(len(r.offsets) >= 120 for r in recorders))
        assert all(r.offsets == list(range(1, 121)) for r in recorders)
        assert all(context.recovered for context in recorders[1].subscribed[1:])
        assert len(recorders[0].subscribed) == 1


async def test_subscribing_from_a_position_the_shard_has_not_heard_of(
    shard: RestartingShard,
) -> None:
    channel = thread()
    shard.create(channel)
    await shard.pool.execute("insert into stream (id, channel) values (1, $1)", channel)
    async with RealtimeServer(shard) as server, server.socket() as client:
        await client.connect()
        await client.ask("subscribe", channel=channel)
        async with shard.pool.acquire() as connection, connection.transaction():
            await append_event(connection, channel, 1, uuid4(), '{"n":1}')
        epoch = await shard.pool.fetchval("select epoch from incarnation")
        async with server.socket() as other:
            await other.connect()
            position = {"recover": True, "epoch": epoch, "offset": 1}
            result = (await other.ask("subscribe", channel=channel, **position))["subscribe"]
            assert result["recovered"] is True and result["offset"] == 1
        while (publication := (await client.next())["push"]["pub"]).get("offset") is None:
            assert publication["data"]["type"] == "presence.count"
        assert publication["offset"] == 1


async def test_everybody_hears_how_many_are_there(shard: RestartingShard) -> None:
    channel = thread()
    shard.create(channel)
    await shard.pool.execute("insert into stream (id, channel) values (1, $1)", channel)

    async def hear(client: RawClient, count: int) -> None:
        told: list[int] = []
        while not told or told[-1] != count:
            event = (await client.next())["push"]["pub"]["data"]
            assert set(event) == {"type", "at", "count"} and event["type"] == "presence.count"
            told.append(event["count"])
        assert len(told) <= 3, "joins are not told one by one"

    async with RealtimeServer(shard) as first, RealtimeServer(shard) as second, first.socket() as a:
        await a.connect()
        await a.ask("subscribe", channel=channel)
        async with second.socket() as b, second.socket() as c:
            for client in (b, c):
                await client.connect()
                await client.ask("subscribe", channel=channel)
            for client in (a, b, c):
                await hear(client, 3)
        await hear(a, 1)


async def push(client: RawClient, member: str) -> Any:
    """The next push of that kind."""
    while True:
        pushed = (await client.next()).get("push", {})
        if member in pushed:
            return pushed[member]


async def test_a_channel_in_memory_over_two_gateways(shard: RestartingShard) -> None:
    async with (
        RealtimeServer(shard, channels=CHANNELS) as first,
        RealtimeServer(shard, channels=CHANNELS) as second,
        first.socket() as a,
    ):
        ids = [(await a.connect())["connect"]["client"]]
        began = (await a.ask("subscribe", channel="room:1", join_leave=True))["subscribe"]
        assert began["epoch"] and began.get("offset", 0) == 0
        assert (await push(a, "join"))["info"]["client"] == ids[0]
        async with second.socket() as b:
            ids.append((await b.connect())["connect"]["client"])
            await b.ask("subscribe", channel="room:1")
            assert (await push(a, "join"))["info"]["client"] == ids[1]
            assert (await a.ask("publish", channel="room:1", data=[1]))["publish"] == {}
            live = await push(b, "pub")
            assert (live["offset"], live["data"], live["info"]["client"]) == (1, [1], ids[0])
            history = (await b.ask("history", channel="room:1", limit=-1))["history"]
            assert history == {"epoch": began["epoch"], "offset": 1, "publications": [live]}
            present = (await b.ask("presence", channel="room:1"))["presence"]["presence"]
            assert set(present) == set(ids)
        assert (await push(a, "leave"))["info"]["client"] == ids[1]
        await shard.kill()
        await shard.begin()
        async with second.socket() as c:
            await c.connect()
            position = {"recover": True, "epoch": began["epoch"], "offset": 1}
            anew = (await c.ask("subscribe", channel="room:1", **position))["subscribe"]
            assert anew["epoch"] != began["epoch"]
            assert not anew.get("recovered") and anew["was_recovering"]


async def test_an_operators_channel_in_postgres_outlives_its_shard(
    shard: RestartingShard,
) -> None:
    async with (
        RealtimeServer(shard, channels=CHANNELS) as server,
        server.socket() as a,
        server.socket() as b,
    ):
        for client in (a, b):
            await client.connect()
            began = (await client.ask("subscribe", channel="kept:1"))["subscribe"]
        await a.ask("publish", channel="kept:1", data={"n": 1})
        assert (await push(b, "pub"))["offset"] == 1
        await shard.kill()
        await shard.begin()
        assert (await a.ask("publish", channel="kept:1", data={"n": 2}))["publish"] == {}
        assert (await push(b, "pub"))["data"] == {"n": 2}
        async with server.socket() as c:
            await c.connect()
            position = {"recover": True, "epoch": began["epoch"], "offset": 0}
            result = (await c.ask("subscribe", channel="kept:1", **position))["subscribe"]
            assert result["recovered"]
            assert [p["data"] for p in result["publications"]] == [{"n": 1}, {"n": 2}]
