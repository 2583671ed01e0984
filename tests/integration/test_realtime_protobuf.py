"""Protobuf on real sockets: the real SDK, and what the handshake settles."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from centrifuge.protocol import client_pb2

from tests.conditions import wait_until
from tests.integration.realtime_socket import server
from tests.integration.sdk_client import Recorder, SdkClient
from tests.protobuf_messages import frame_of, messages_of
from tests.realtime_server import RealtimeServer, member, thread

__all__ = ["server"]


class Listener(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.data: list[Any] = []

    async def on_publication(self, ctx: Any) -> None:
        await super().on_publication(ctx)
        self.data.append(ctx.pub.data)


async def listen(sdk: SdkClient, channel: str) -> Listener:
    listener = Listener()
    await sdk.client.new_subscription(channel, listener).subscribe()
    await wait_until(lambda: bool(listener.subscribed))
    return listener


async def test_both_encodings_hear_the_same(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel, 3)
    async with SdkClient(server, use_protobuf=True) as binary, SdkClient(server) as text:
        listeners = [await listen(sdk, channel) for sdk in (binary, text)]
        for listener in listeners:
            context = listener.subscribed[0]
            assert context.recoverable and context.stream_position.offset == 3
        data = '{"type":"comment.created","text":"größer 😀\\n"}'.encode()
        server.shard.publish(channel, data)
        server.shard.send_ephemeral(channel, b'{"type":"typing"}')
        await wait_until(lambda: all(len(listener.data) == 2 for listener in listeners))
        assert [listener.offsets for listener in listeners] == [[4], [4]]
        assert listeners[0].data == [data, b'{"type":"typing"}']
        assert listeners[1].data[0]["text"] == "größer 😀\n"


async def test_cut_off_client_gets_what_it_missed(server: RealtimeServer) -> None:
    ada = member()
    token, own = server.sign_in(ada), f"user:{ada.account_id}"
    channel = thread()
    server.shard.create(channel)
    async with SdkClient(server, token, use_protobuf=True) as sdk:
        recorder = await sdk.subscribe(channel)
        await wait_until(lambda: bool(recorder.subscribed))
        server.shard.publish(channel)
        server.shard.publish(own)
        await wait_until(lambda: bool(recorder.offsets and sdk.events.server_publications))
        for session in list(server.realtime._services.sessions):
            session.outlet.abort()
        for _ in range(200):
            server.shard.publish(channel)
            server.shard.publish(own)
        await wait_until(lambda: len(recorder.offsets) >= 201)
        await wait_until(lambda: len(sdk.events.server_publications) >= 201)
        assert recorder.offsets == list(range(1, 202))
        assert sdk.events.server_publications == [(own, n) for n in range(1, 202)]
        assert recorder.subscribed[1].recovered


async def test_requests_of_the_sdk(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel, 5)
    async with SdkClient(server, use_protobuf=True) as sdk:
        subscription = sdk.client.new_subscription(channel, Recorder())
        await subscription.subscribe()
        await subscription.ready()
        history = await subscription.history(limit=2, reverse=True)
        assert [p.offset for p in history.publications] == [5, 4]
        assert history.offset == 5 and history.epoch == "epoch-1"


@pytest.mark.parametrize(
    ("query", "protocols"),
    [
        ("", ("centrifuge-protobuf",)),
        ("?cf_protocol=protobuf", ()),
        ("?format=protobuf", ()),
        ("?format=protobuf", ("centrifuge-json",)),
    ],
)
async def test_ways_to_ask_for_it(
    server: RealtimeServer, query: str, protocols: tuple[str, ...]
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url + query, protocols=protocols) as socket,
    ):
        assert socket.protocol == (protocols[0] if protocols else None)
        await socket.send_bytes(frame_of(client_pb2.Command(id=1, connect={})))
        answer = await socket.receive(timeout=10)
        assert answer.type is aiohttp.WSMsgType.BINARY
        (reply,) = messages_of(answer.data, client_pb2.Reply)
        assert reply.id == 1 and reply.connect.ping == 25 and reply.connect.client


async def test_the_kind_of_frame_is_not_looked_at(server: RealtimeServer) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(server.url) as socket:
            await socket.send_bytes(b'{"id":1,"connect":{}}')
            assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT
        async with session.ws_connect(server.url + "?format=protobuf") as socket:
            await socket.send_str(frame_of(client_pb2.Command(id=1, connect={})).decode())
            assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.BINARY


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",  # a pong that nobody asked for
        b"\x05\x08\x01",
        b"\x04\x0d\x01\x22\x00",
        b'{"id":1,"connect":{}}',
        frame_of(client_pb2.Command(id=1)),
        frame_of(client_pb2.Command(connect={})),
        frame_of(client_pb2.Command(id=1, ping={})),
    ],
)
async def test_malformed_ends_the_connection(server: RealtimeServer, frame: bytes) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url, protocols=("centrifuge-protobuf",)) as socket,
    ):
        await socket.send_bytes(frame)
        answer = await socket.receive(timeout=10)
        (reply,) = messages_of(answer.data, client_pb2.Reply)
        assert reply.push.disconnect.code == 3501 and reply.push.disconnect.reason == "bad request"
        closing = await socket.receive(timeout=10)
        assert closing.type is aiohttp.WSMsgType.CLOSE and socket.close_code == 3501
