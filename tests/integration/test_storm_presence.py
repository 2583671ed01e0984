"""Presence in the real shard while all lose their connections at once and come back elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

from actors import shard_messages as m
from actors.community import CommunityShard
from actors.shard_presence import SILENCE_SECONDS
from config.channels import Namespace
from config.settings import Settings
from tests.conditions import wait_until
from tests.fake_shard import FakeShard
from tests.realtime_server import RawClient, RealtimeServer
from tests.realtime_tokens import TOKEN_SECRET, connection_token
from tests.shard_model import StreamLog
from tests.unit.shard_conversation import running

CLIENTS: Final = 600
USERS: Final = 200
MISSED: Final = 3
ROOM: Final = "room:1"
CHANNELS: Final = {
    "room": Namespace(
        subscribe="anyone", presence="clients", join_leave=True, recovery="stream",
        history="memory", history_size=100, history_ttl_seconds=600,
    )
}  # fmt: skip
PATIENCE_SECONDS: Final = 60.0


class RealShard(FakeShard):
    """The tests' servers talk to the real one; `skipped_seconds` is what its clock is ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.real: CommunityShard | None = None
        self.skipped_seconds = 0.0

    def clock(self) -> float:
        return time.monotonic() + self.skipped_seconds

    async def __call__(self, shard: int, request: m.ShardRequest) -> m.ShardReply:
        assert self.real is not None
        return await self.real.handle(request)

    async def position(self) -> m.StreamPosition:
        reply = await self(0, m.ReadHistory(ROOM, 0, 0))
        assert isinstance(reply, m.HistoryReply) and reply.top is not None
        return reply.top

    async def present(self) -> tuple[int, int, set[str]]:
        """Connections and users as counted, clients as listed."""
        counts = await self(0, m.ReadPresence(ROOM))
        listed = await self(0, m.ReadClients(ROOM))
        assert isinstance(counts, m.PresenceReply) and isinstance(listed, m.ClientsReply)
        infos = map(msgspec.json.decode, listed.clients.values())
        return counts.clients, counts.users, {info["client"] for info in infos}

    async def wait_present(self, connections: int, clients: set[str] | None = None) -> None:
        """Until so many are counted, all users among them, and these `clients` are listed."""

        async def holds() -> bool:
            counted, users, listed = await self.present()
            return (counted, users) == (connections, USERS) and clients in (None, listed)

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await holds():  # noqa: ASYNC110 - what is asked is the shard itself
                await asyncio.sleep(0.02)


@asynccontextmanager
async def shard_and_gateways() -> AsyncIterator[tuple[RealShard, list[RealtimeServer]]]:
    shard = RealShard()
    settings = Settings(channels=CHANNELS)
    options: dict[str, Any] = {"channels": CHANNELS, "token_secret": TOKEN_SECRET}
    async with (
        running(StreamLog(), settings=settings, clock=shard.clock) as shard.real,
        RealtimeServer(shard, **options) as first,
        RealtimeServer(shard, **options) as second,
    ):
        yield shard, [first, second]


async def come(
    session: aiohttp.ClientSession,
    servers: list[RealtimeServer],
    stack: AsyncExitStack,
    since: m.StreamPosition,
    missed: int,
) -> set[str]:
    """All at once; who they are by then. Each has recovered what it missed."""

    async def one(number: int) -> str:
        server = servers[number % len(servers)]
        client = RawClient(await stack.enter_async_context(session.ws_connect(server.url)))
        connected = await client.connect(connection_token(f"user-{number % USERS}"))
        reply: dict[str, Any] = {"error": {"temporary": True}}
        while reply.get("error", {}).get("temporary"):  # as SDKs do
            reply = await client.ask(
                "subscribe", channel=ROOM, recover=True, epoch=since.epoch, offset=since.offset
            )
        result = reply["subscribe"]
        assert result["recovered"] is True
        offsets = [p["offset"] for p in result.get("publications", [])]
        assert offsets == [since.offset + n for n in range(1, missed + 1)]
        return str(connected["connect"]["client"])

    return set(await asyncio.gather(*map(one, range(CLIENTS))))


async def test_presence_after_storms_and_after_the_loss_of_a_gateway() -> None:
    async with (
        shard_and_gateways() as (shard, servers),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        AsyncExitStack() as stack,
    ):

        def cut_all() -> None:
            for server in servers:
                for each in list(server.services.sessions):
                    each.outlet.abort()

        async def miss() -> m.StreamPosition:
            before = await shard.position()
            for n in range(MISSED):
                await shard(0, m.PublishToChannel(ROOM, b"%d" % n))
            return before

        first = await come(session, servers, stack, await shard.position(), 0)
        await shard.wait_present(CLIENTS, first)

        since = await miss()
        cut_all()
        second = await come(session, servers[::-1], stack, since, MISSED)
        assert not first & second
        await shard.wait_present(CLIENTS, second)

        # One gateway dies: what it held stays until it has been silent for long, and then goes.
        since = await miss()
        dead, alive = servers
        lost = len(dead.services.sessions)
        await dead.realtime._links.stop()
        cut_all()
        third = await come(session, [alive], stack, since, MISSED)
        await wait_until(lambda: len(alive.services.sessions) == CLIENTS, PATIENCE_SECONDS)
        await shard.wait_present(CLIENTS + lost)
        shard.skipped_seconds += SILENCE_SECONDS + 1
        await shard.wait_present(CLIENTS, third)
