"""SSE and HTTP streams with commands by /emulation, from real clients over real ports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from centrifuge.protocol import client_pb2 as pb

from serve_app.gateway.peers import SIGNATURE
from tests.conditions import wait_until
from tests.emulated_clients import (
    ORIGIN,
    EmulationServer,
    StreamClient,
    connect_frame,
    stream,
)
from tests.fake_shard import FakeShard
from tests.protobuf_messages import frame_of, messages_of
from tests.realtime_server import member, thread

KINDS = ["sse", "http_stream"]


@pytest.fixture
async def server() -> AsyncIterator[EmulationServer]:
    async with EmulationServer() as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
async def test_commands_by_emulation_and_publications_by_the_stream(
    server: EmulationServer, kind: str
) -> None:
    channel = thread()
    server.shard.create(channel)
    token = server.sign_in(member())
    async with stream(server.base, kind, connect_frame(token)) as client:
        result = await client.connected()
        assert result["client"] and result["pong"] is True
        assert len(client.session) == 32
        assert client.node.startswith(server.server.private_address)
        reply = await client.ask(server.base, "subscribe", channel=channel)
        assert reply["subscribe"]["recoverable"] is True
        server.shard.publish(channel, b'{"n":\n1}')
        push = (await client.next())["push"]
        assert push == {"channel": channel, "pub": {"data": {"n": 1}, "offset": 1}}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_first_frame_may_hold_more_than_connect(
    server: EmulationServer, kind: str
) -> None:
    channel = thread()
    server.shard.create(channel)
    subscribe = msgspec.json.encode({"id": 2, "subscribe": {"channel": channel}}).decode()
    async with stream(server.base, kind, f"{connect_frame()}\n{subscribe}") as client:
        await client.connected()
        assert (await client.next())["id"] == 2


async def test_protobuf(server: EmulationServer) -> None:
    channel = thread()
    server.shard.create(channel)
    headers = {"Content-Type": "application/octet-stream"}
    first = frame_of(pb.Command(id=1, connect=pb.ConnectRequest()))
    path = f"{server.base}/connection/http_stream"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(path, data=first) as response,
    ):
        assert response.content_type == "application/octet-stream"
        [reply] = messages_of((await response.content.readchunk())[0], pb.Reply)
        asked = pb.Command(id=2, subscribe=pb.SubscribeRequest(channel=channel))
        body = _emulation(reply.connect.session, reply.connect.node, frame_of(asked))
        async with http.post(f"{server.base}/emulation", data=body) as answer:
            assert answer.status == 204
        [reply] = messages_of((await response.content.readchunk())[0], pb.Reply)
        assert reply.id == 2 and reply.HasField("subscribe")
        server.shard.publish(channel, b'{"n":1}')
        [push] = messages_of((await response.content.readchunk())[0], pb.Reply)
        assert push.push.pub.data == b'{"n":1}'


def _emulation(session: str, node: str, data: bytes) -> bytes:
    # Not in the SDK's own definitions: node 1, session 2, data 3, all of them delimited.
    request = b""
    for number, content in ((1, node.encode()), (2, session.encode()), (3, data)):
        assert len(content) < 128
        request += bytes((number << 3 | 2, len(content))) + content
    return request


@pytest.mark.parametrize("kind", KINDS)
async def test_headers_for_proxies_and_pages_of_other_origins(
    server: EmulationServer, kind: str
) -> None:
    async with stream(server.base, kind, Origin=ORIGIN) as client:
        headers = client.response.headers
        assert "no-store" in headers["Cache-Control"]
        assert headers["X-Accel-Buffering"] == "no"
        assert headers["Transfer-Encoding"] == "chunked"
        assert headers["Access-Control-Allow-Origin"] == ORIGIN
        assert headers["X-Request-Id"]
        event_stream = kind == "sse"
        assert headers["Content-Type"] == (
            "text/event-stream" if event_stream else "application/json"
        )


@pytest.mark.parametrize("path", ["/connection/sse", "/connection/http_stream", "/emulation"])
async def test_preflight(server: EmulationServer, path: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    async with (
        aiohttp.ClientSession(server.base) as http,
        http.options(path, headers=asked) as response,
    ):
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Content-Type" in response.headers["Access-Control-Allow-Headers"]
    async with (
        aiohttp.ClientSession(server.base) as http,
        http.options(path, headers=asked | {"Origin": "https://other.example"}) as response,
    ):
        assert response.status == 204
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("kind", KINDS)
async def test_a_disconnect_push_is_the_last_message(server: EmulationServer, kind: str) -> None:
    async with stream(server.base, kind, connect_frame("no such token")) as client:
        assert await client.disconnect_code() == 3500
    async with stream(server.base, kind, "nonsense") as client:
        assert await client.disconnect_code() == 3501
    await wait_until(lambda: server.sockets == 0)


@pytest.mark.parametrize("kind", [*KINDS, "uni_sse", "uni_http_stream"])
async def test_draining_ends_streams_and_refuses_new_ones(
    server: EmulationServer, kind: str
) -> None:
    first = "{}" if kind.startswith("uni") else None
    async with stream(server.base, kind, first) as client:
        assert "connect" in await client.next()
        await server.realtime.drain(0.05)
        assert await client.disconnect_code() == 3001
    method = "GET" if kind.endswith("sse") else "POST"
    async with (
        aiohttp.ClientSession(server.base) as http,
        http.request(method, f"/connection/{kind}") as response,
    ):
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
    await wait_until(lambda: server.sockets == 0)


async def test_a_body_that_arrives_while_it_drains_is_answered_with_the_end(
    server: EmulationServer,
) -> None:
    frame = connect_frame().encode()
    arrived = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield frame[:5]
        await arrived.wait()
        yield frame[5:]

    async with aiohttp.ClientSession() as http:
        url = f"{server.base}/connection/http_stream"

        async def post() -> aiohttp.ClientResponse:
            return await http.post(url, data=body(), headers={"Content-Type": "application/json"})

        asked = asyncio.create_task(post())
        await wait_until(lambda: server.realtime.statistics()["connections_held"] == 1)
        await server.realtime.drain(0.0)
        arrived.set()
        async with await asked as response:
            assert await StreamClient(http, response).disconnect_code() == 3001
    await wait_until(lambda: server.sockets == 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_goes_away_ends_its_session(server: EmulationServer, kind: str) -> None:
    async with stream(server.base, kind) as client:
        await client.connected()
        assert server.sockets == 1
        client.response.close()
        await wait_until(lambda: server.sockets == 0)
        assert await client.post(server.base, {"id": 2, "ping": {}}) == 404


async def test_a_client_that_goes_away_while_it_connects_ends_its_session(
    server: EmulationServer,
) -> None:
    token = server.sign_in(member())
    server.authorize_gate.clear()
    _, writer = await _raw(server, connect_frame(token))
    await wait_until(lambda: server.authorize_calls == 1)
    writer.transport.abort()
    await wait_until(lambda: server.sockets == 0)


async def _raw(
    server: EmulationServer, first: str, version: str = "1.1", receive_bytes: int = 0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    made = socket.socket()
    if receive_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=made, limit=4_096)
    head = f"POST /connection/http_stream HTTP/{version}\r\nHost: serai\r\n"
    writer.write(f"{head}Content-Length: {len(first)}\r\n\r\n{first}".encode())
    return reader, writer


async def test_http_1_0_gets_no_chunks(server: EmulationServer) -> None:
    reader, writer = await _raw(server, connect_frame(), "1.0")
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding" not in head.lower()
        assert "connect" in msgspec.json.decode(await reader.readline())
        await server.realtime.drain(0.05)
        last = msgspec.json.decode(await reader.read())
    assert last["push"]["disconnect"]["code"] == 3001
    writer.close()


async def test_a_slow_reader_is_ended_at_the_bound() -> None:
    channel = thread()
    async with EmulationServer(max_queue_bytes=65_536) as server:
        server.shard.create(channel)
        subscribe = msgspec.json.encode({"id": 2, "subscribe": {"channel": channel}}).decode()
        first = f"{connect_frame()}\n{subscribe}"
        reader, writer = await _raw(server, first, receive_bytes=4_096)
        async with asyncio.timeout(10):
            while b'"id":2' not in await reader.readline():
                pass
        async with stream(server.base, "sse", first) as other:
            await other.connected()
            await other.next()
            data = msgspec.json.encode("x" * 30_000)
            offset = 0
            while server.realtime.statistics()["subscriptions"] > 1:
                offset = server.shard.publish(channel, data)
                assert (await other.next())["push"]["pub"]["offset"] == offset
                assert offset < 1_000, "the slow reader was never closed"
        sent = b""
        async with asyncio.timeout(10):
            while piece := await reader.read(65_536):
                sent = sent[-200:] + piece
        assert b'"code":3008' in sent and sent.endswith(b"\r\n0\r\n\r\n")
        writer.close()


async def test_without_pong_the_stream_ends() -> None:
    async with (
        EmulationServer(ping_seconds=1.0, pong_timeout_seconds=2.0) as server,
        stream(server.base, "sse") as client,
    ):
        await client.connected()
        assert await client.next() == {}
        assert await client.post(server.base, {}) == 204
        assert await client.next() == {}
        assert await client.disconnect_code() == 3012


async def test_what_never_becomes_a_stream(server: EmulationServer) -> None:
    async with aiohttp.ClientSession(server.base) as http:

        async def status(method: str, path: str, **more: Any) -> int:
            async with http.request(method, path, **more) as response:
                return response.status

        assert await status("GET", "/connection/sse") == 400
        assert await status("HEAD", "/connection/sse?cf_connect=x") == 405
        assert await status("GET", "/connection/http_stream") == 405
        assert await status("GET", f"/connection/sse?cf_connect={'x' * 9_000}") == 431
        large = b"x" * (server.limits.max_message_bytes + 1)
        assert await status("POST", "/connection/http_stream", data=large) == 413
        packed = {"Content-Encoding": "gzip"}
        assert await status("POST", "/connection/http_stream", data=b"x", headers=packed) == 415
        assert server.sockets == 0


async def test_what_no_session_takes(server: EmulationServer) -> None:
    async with aiohttp.ClientSession(server.base) as http, stream(server.base, "sse") as client:
        await client.connected()

        async def status(**body: Any) -> int:
            async with http.post("/emulation", json=body) as response:
                return response.status

        session, node = client.session, client.node
        assert await status(session="0" * 32, node=node, data="{}") == 404
        assert await status(session=session) == 400
        assert await status(session=session, node=node, data=1) == 400
        limit = server.limits.max_message_bytes
        assert await status(session=session, node=node, data="x" * (limit + 1)) == 413
        assert await status(session=session, node=node, data="x" * 3 * limit) == 413
        quoted = {"id": 2, "rpc": {"method": "x", "data": '"' * (limit // 4)}}
        assert await client.post(server.base, quoted) == 204
        assert (await client.next())["id"] == 2


async def _hold_up(server: EmulationServer, client: StreamClient, base: str) -> None:
    """One frame with as many slow commands as may be under way, and one behind them: id 2."""
    channels = [thread() for _ in range(128)]
    for channel in channels:
        server.shard.create(channel)
    server.private.update(channels)
    server.authorize_gate.clear()
    slow = [
        {"id": number, "subscribe": {"channel": channel}}
        for number, channel in enumerate(channels, 1_000)
    ]
    assert await client.post(base, *slow, {"id": 2, "ping": {}}) == 204
    await wait_until(lambda: server.authorize_calls > 0)


async def test_no_frame_waits_for_earlier_ones_and_all_keep_their_order(
    server: EmulationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.gateway.transports.emulation.FRAMES_WAITING", 3)
    async with stream(server.base, "http_stream") as client:
        await client.connected()
        await _hold_up(server, client, server.base)
        for number in (3, 4):
            assert await client.post(server.base, {"id": number, "ping": {}}) == 204
        assert await client.post(server.base, {"id": 5, "ping": {}}) == 429
        server.authorize_gate.set()
        ids = [(await client.next())["id"] for _ in range(131)]
        assert [number for number in ids if number < 1_000] == [2, 3, 4]
        assert (await client.ask(server.base, "ping"))["ping"] == {}


async def test_what_waits_is_bounded_in_bytes_too() -> None:
    async with (
        EmulationServer(max_queue_bytes=65_536) as server,
        stream(server.base, "http_stream") as client,
    ):
        await client.connected()
        await _hold_up(server, client, server.base)
        large = {"id": 3, "rpc": {"method": "none", "data": "x" * 60_000}}
        assert await client.post(server.base, large) == 429
        server.authorize_gate.set()


async def test_one_client_does_not_hold_up_frames_of_others_between_two_gateways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.gateway.intake.COMMAND_SECONDS", 30.0)
    shard = FakeShard()
    async with (
        EmulationServer(shard) as owner,
        EmulationServer(shard) as other,
        stream(owner.base, "sse") as slow,
        stream(owner.base, "sse") as healthy,
    ):
        await slow.connected()
        await healthy.connected()
        await _hold_up(owner, slow, other.base)
        async with asyncio.TaskGroup() as tasks:
            posts = [
                tasks.create_task(slow.post(other.base, {"id": number, "ping": {}}))
                for number in range(3, 53)
            ]
            assert (await healthy.ask(other.base, "ping"))["ping"] == {}
        assert [post.result() for post in posts] == [204] * 50
        owner.authorize_gate.set()
        ids = [(await slow.next())["id"] for _ in range(179)]
        assert next(number for number in ids if number < 1_000) == 2
        assert sorted(number for number in ids if number < 1_000) == list(range(2, 53))


async def test_forwards_of_one_session_are_bounded_and_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.gateway.transports.emulation.FORWARDS_WAITING", 3)
    shard = FakeShard()
    async with (
        EmulationServer(shard) as owner,
        EmulationServer(shard) as other,
        stream(owner.base, "sse") as client,
    ):
        await client.connected()
        emulation = other.realtime._emulation
        forward, gate = other.realtime._peers.forward, asyncio.Event()
        under_way: list[int] = []

        async def forward_late(*request: Any) -> None:
            under_way.append(len(under_way))
            await gate.wait()
            await forward(*request)

        monkeypatch.setattr(other.realtime._peers, "forward", forward_late)
        posts: list[asyncio.Task[int]] = []
        for number in (2, 3, 4):
            post = client.post(other.base, {"id": number, "ping": {}})
            posts.append(asyncio.create_task(post))
            turns = emulation._forwards._turns
            await wait_until(
                lambda: sum(t.waiting for t in turns.values()) == len(posts)  # noqa: B023
            )
        assert under_way == [0]
        assert await client.post(other.base, {"id": 5, "ping": {}}) == 429
        gate.set()
        assert await asyncio.gather(*posts) == [204, 204, 204]
        assert [(await client.next())["id"] for _ in range(3)] == [2, 3, 4]
        assert not emulation._forwards._turns


async def test_a_forward_that_was_sent_is_never_reported_as_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client would send its publish again."""
    heard: list[bytes] = []

    async def take_in_and_die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"}"))
        writer.close()

    deaf = await asyncio.start_server(take_in_and_die, "127.0.0.1", 0)
    address = "{}:{}".format(*deaf.sockets[0].getsockname())
    async with deaf, EmulationServer() as server, aiohttp.ClientSession(server.base) as http:
        body = {"session": "0" * 32, "node": server.realtime._peers._name(address), "data": "{}"}
        async with http.post("/emulation", json=body) as response:
            assert response.status == 204
        assert len(heard) == 1


async def test_a_failure_while_a_frame_is_taken_in_ends_the_session(
    server: EmulationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stream(server.base, "sse") as client:
        await client.connected()

        def fail(*_: Any) -> None:
            raise ValueError("a defect")

        monkeypatch.setattr("serve_app.gateway.intake.accept", fail)
        assert await client.post(server.base, {"id": 2, "ping": {}}) == 204
        assert await client.disconnect_code() == 3004
    await wait_until(lambda: server.sockets == 0)


async def test_a_frame_may_be_written_with_escapes(server: EmulationServer) -> None:
    letters = server.limits.max_message_bytes // 2 - 100
    async with (
        aiohttp.ClientSession(server.base) as http,
        stream(server.base, "sse") as client,
    ):
        await client.connected()
        frame = '{"id":2,"rpc":{"method":"none","data":"%s"}}' % ("д" * letters)
        body = {"session": client.session, "node": client.node, "data": frame}
        # `json=` escapes each of the letters, with six bytes.
        async with http.post("/emulation", json=body) as response:
            assert response.status == 204
        assert (await client.next())["id"] == 2


async def test_any_gateway_takes_a_frame_and_passes_it_to_the_owner() -> None:
    shard = FakeShard()
    channel = thread()
    shard.create(channel)
    async with (
        EmulationServer(shard) as owner,
        EmulationServer(shard) as other,
        stream(owner.base, "sse") as client,
    ):
        await client.connected()
        reply = await client.ask(other.base, "subscribe", channel=channel)
        assert "subscribe" in reply
        client.session = "0" * 32
        assert await client.post(other.base, {"id": 9, "ping": {}}) == 404


async def test_a_node_that_is_gone_is_not_found() -> None:
    async with EmulationServer() as server:
        async with EmulationServer() as gone, stream(gone.base, "sse") as client:
            await client.connected()
            session, node = client.session, client.node
        async with aiohttp.ClientSession(server.base) as http:
            body = {"session": session, "node": node, "data": "{}"}
            async with http.post("/emulation", json=body) as response:
                assert response.status == 404


async def test_nothing_is_sent_to_an_address_that_no_gateway_has_signed() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    victim = await asyncio.start_server(listen, "127.0.0.1", 0)
    address = "{}:{}".format(*victim.sockets[0].getsockname())
    async with (
        victim,
        EmulationServer() as server,
        EmulationServer(secret="another secret of another server 123") as stranger,
        stream(server.base, "sse") as client,
        stream(stranger.base, "sse") as foreign,
        aiohttp.ClientSession(server.base) as http,
    ):
        await client.connected()
        await foreign.connected()
        signature = client.node.rpartition("-")[2]
        for node in (
            address,
            f"{address}-",
            f"{address}-{signature}",
            foreign.node,
            "ä-\ufffd",
            "",
        ):
            body = {"session": "0" * 32, "node": node, "data": "{}"}
            async with http.post("/emulation", json=body) as response:
                assert response.status == 404
        assert heard == []


async def test_the_private_port_takes_what_a_gateway_has_signed() -> None:
    shard = FakeShard()
    async with (
        EmulationServer(shard) as owner,
        EmulationServer(shard) as other,
        stream(owner.base, "sse") as client,
        aiohttp.ClientSession() as http,
    ):
        await client.connected()
        fields = {"session": client.session, "node": client.node, "data": '{"id":2,"ping":{}}'}
        body = msgspec.json.encode(fields)
        peers = other.realtime._peers
        address = peers.address_of(client.node)
        assert address == owner.server.private_address

        async def status(signature: str | None, content: bytes = body) -> int:
            # Forwarded: whoever comes so is no operator.
            headers = {"X-Forwarded-For": "203.0.113.9", "Content-Type": "application/json"}
            if signature is not None:
                headers[SIGNATURE] = signature
            url = f"http://{address}/emulation"
            async with http.post(url, data=content, headers=headers) as response:
                return response.status

        genuine = peers.sign(address, body)
        assert await status(None) == 404
        assert await status("0" * 64) == 404
        assert await status(genuine, body + b" ") == 404
        assert await status(peers.sign(peers._address(), body)) == 404
        assert await status(genuine) == 204
        assert (await client.next())["id"] == 2
        # One hop only: what came from a gateway is not passed on.
        fields |= {"session": "0" * 32, "node": other.realtime._peers.own_name()}
        body = msgspec.json.encode(fields)
        assert await status(peers.sign(address, body), body) == 404
