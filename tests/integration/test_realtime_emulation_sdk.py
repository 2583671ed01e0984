"""The JavaScript SDK over SSE and HTTP streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from serve_app.gateway import codes
from tests.conditions import wait_until
from tests.e2e.js_client import JsClient
from tests.emulated_clients import EmulationServer
from tests.realtime_server import member, thread


@pytest.fixture
async def server() -> AsyncIterator[EmulationServer]:
    async with EmulationServer() as made:
        yield made


def client_of(
    server: EmulationServer, transport: str, commands_to: EmulationServer, token: str | None = None
) -> JsClient:
    endpoint = f"{server.base}/connection/{transport}"
    return JsClient(
        [{"transport": transport, "endpoint": endpoint}],
        token,
        options={"emulationEndpoint": f"{commands_to.base}/emulation"},
    )


@pytest.mark.parametrize("transport", ["sse", "http_stream"])
async def test_subscribe_recover_and_leave(server: EmulationServer, transport: str) -> None:
    channel = thread()
    server.shard.create(channel)
    token = server.sign_in(member())
    async with client_of(server, transport, server, token) as client:
        assert (await client.wait_for_event("connected"))["transport"] == transport
        await client.subscribe(channel)
        await client.wait_for_event("subscribed", channel=channel)
        server.shard.publish(channel)
        await client.wait_for_event("publication", channel=channel, offset=1)
        mark = client.mark()
        [session] = server.realtime._services.sessions
        session.outlet.abort()
        await wait_until(lambda: server.sockets == 0)
        server.shard.publish(channel)
        await client.wait_for_event("subscribed", channel=channel, recovered=True, after=mark)
        await client.wait_for_event("publication", channel=channel, offset=2, after=mark)
        await client.unsubscribe(channel)
        await wait_until(lambda: server.realtime.statistics()["subscriptions"] == 1)
    await wait_until(lambda: server.sockets == 0)


async def test_commands_by_another_gateway(server: EmulationServer) -> None:
    channel = thread()
    server.shard.create(channel)
    async with (
        EmulationServer(server.shard) as other,
        client_of(server, "sse", other) as client,
    ):
        await client.subscribe(channel)
        await client.wait_for_event("subscribed", channel=channel)
        server.shard.publish(channel)
        await client.wait_for_event("publication", channel=channel, offset=1)


async def test_a_terminal_end_is_heard(server: EmulationServer) -> None:
    async with client_of(server, "http_stream", server) as client:
        [session] = server.realtime._services.sessions
        session.close(codes.session_ended())
        await client.wait_for_event("disconnected", code=3503)
