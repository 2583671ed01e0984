"""Hundreds who lost their connections at once and come back with the same position."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp

from tests.conditions import wait_until
from tests.fake_shard import FakeShard
from tests.realtime_server import RawClient, RealtimeServer, thread

GATEWAYS = 2
CLIENTS = 500
MISSED = 5


async def _connect(
    session: aiohttp.ClientSession, server: RealtimeServer, stack: AsyncExitStack
) -> RawClient:
    client = RawClient(await stack.enter_async_context(session.ws_connect(server.url)))
    await client.connect()
    return client


def _present(shard: FakeShard, channel: str) -> int:
    return sum(clients for key, clients in shard.presence.items() if key[1] == channel)


def _subscribing(servers: list[RealtimeServer], channel: str) -> int:
    return sum(
        channel in session.subscriptions
        for server in servers
        for session in server.realtime._services.sessions
    )


async def test_equal_recoveries_cost_each_gateway_one_read() -> None:
    shard = FakeShard()
    channel = thread()
    shard.create(channel, MISSED)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(RealtimeServer(shard)) for _ in range(GATEWAYS)]
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        for _ in range(2):  # the second time they come back from a whole loss
            async with AsyncExitStack() as sockets:
                clients = await asyncio.gather(
                    *(
                        _connect(session, servers[number % GATEWAYS], sockets)
                        for number in range(CLIENTS)
                    )
                )
                shard.calls.clear()
                shard.history_gate.clear()
                asked = asyncio.gather(
                    *(
                        client.ask(
                            "subscribe", channel=channel, recover=True, offset=0, epoch=shard.epoch
                        )
                        for client in clients
                    )
                )
                # No answer before all have asked: whoever comes meanwhile joins the read.
                await wait_until(lambda: _subscribing(servers, channel) == CLIENTS)
                await wait_until(lambda: shard.calls["ReadHistory"] == GATEWAYS)
                shard.history_gate.set()
                for reply in await asked:
                    result = reply["subscribe"]
                    assert result["recovered"] is True
                    offsets = [p["offset"] for p in result["publications"]]
                    assert offsets == list(range(1, MISSED + 1))
                assert shard.calls["ReadHistory"] == GATEWAYS
                await wait_until(lambda: _present(shard, channel) == CLIENTS)
            await wait_until(lambda: _present(shard, channel) == 0)
