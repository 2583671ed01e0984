"""Transports that only listen: bare pushes, `connect` first."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from tests.conditions import wait_until
from tests.emulated_clients import EmulationServer, stream
from tests.realtime_server import member


@pytest.fixture
async def server() -> AsyncIterator[EmulationServer]:
    async with EmulationServer(ping_seconds=1.0, pong_timeout_seconds=0.1) as made:
        yield made


@pytest.mark.parametrize("kind", ["uni_sse", "uni_http_stream"])
async def test_streams(server: EmulationServer, kind: str) -> None:
    caller = member()
    channel = f"user:{caller.account_id}"
    request = msgspec.json.encode({"token": server.sign_in(caller)}).decode()
    async with stream(server.base, kind, request) as client:
        result = (await client.next())["connect"]
        assert result["client"] and channel in result["subs"]
        assert "pong" not in result and "session" not in result
        server.shard.publish(channel, b'{"n":1}')
        pub = {"data": {"n": 1}, "offset": 1}
        assert await client.next() == {"channel": channel, "pub": pub}
        # Pings come, and nobody is asked to answer.
        assert await client.next() == {}
        assert await client.next() == {}


async def test_sse_takes_a_token_or_nothing(server: EmulationServer) -> None:
    caller = member()
    path = f"{server.base}/connection/uni_sse"
    params = {"token": server.sign_in(caller)}
    async with aiohttp.ClientSession() as http:
        async with http.get(path, params=params) as response:
            assert await response.content.readline() == b"\r\n"
            first = await response.content.readline()
            assert f"user:{caller.account_id}".encode() in first
        async with http.get(path) as response:
            assert await response.content.readline() == b"\r\n"
            assert (await response.content.readline()).startswith(b'data: {"connect":{"client":')


async def test_an_error_of_the_connect_request_ends_it(server: EmulationServer) -> None:
    expired = msgspec.json.encode({"token": server.sign_in(member(), seconds=-1)}).decode()
    for request, code in ((expired, 3005), ('{"token":"unknown"}', 3500), ("[]", 3501)):
        async with stream(server.base, "uni_http_stream", request) as client:
            assert await client.disconnect_code() == code


@pytest.mark.parametrize("kind", ["sse", "uni_sse"])
async def test_an_event_stream_has_no_protobuf(server: EmulationServer, kind: str) -> None:
    async with stream(server.base, f"{kind}?cf_protocol=protobuf") as client:
        assert await client.disconnect_code() == 3506


async def test_what_listens_has_no_protobuf(server: EmulationServer) -> None:
    octets = {"Content-Type": "application/octet-stream"}
    async with stream(server.base, "uni_http_stream", "", **octets) as client:
        assert await client.disconnect_code() == 3506
    url = f"{server.base}/connection/uni_websocket"
    for path, protocols in ((f"{url}?format=protobuf", ()), (url, ("centrifuge-protobuf",))):
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(path, protocols=protocols) as socket,
        ):
            assert (await socket.receive_json(timeout=10))["disconnect"]["code"] == 3506
            assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 3506
    await wait_until(lambda: server.sockets == 0)


async def test_websocket(server: EmulationServer) -> None:
    caller = member()
    channel = f"user:{caller.account_id}"
    url = f"{server.base}/connection/uni_websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        await socket.send_json({"token": server.sign_in(caller)})
        first = await socket.receive_json(timeout=10)
        assert channel in first["connect"]["subs"] and "pong" not in first["connect"]
        await socket.send_str("whatever is said later")
        server.shard.publish(channel, b'{"n":1}')
        push = await socket.receive_json(timeout=10)
        assert push == {"channel": channel, "pub": {"data": {"n": 1}, "offset": 1}}
        await server.realtime.drain(0.05)
        push = await socket.receive_json(timeout=10)
        assert push["disconnect"]["code"] == 3001
        assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 3001
    await wait_until(lambda: server.sockets == 0)
