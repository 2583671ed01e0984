"""What the server ends by itself: subscriptions, sessions, sockets."""

from __future__ import annotations

import asyncio
import gc
import socket
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from aiohttp.web import WebSocketResponse

from serve_app.gateway.realtime import Realtime
from serve_app.gateway.session import Session
from tests.conditions import wait_until
from tests.integration.realtime_socket import client, error_of, server
from tests.realtime_server import RawClient, RealtimeServer, member, thread

__all__ = ["client", "server"]


# ---------------------------------------------------------------- what user streams bring about


async def test_membership_changes_take_permissions_away(
    server: RealtimeServer, client: RawClient
) -> None:
    ada = member()
    private, public = thread(), thread()
    server.private.add(private)
    for channel in (private, public):
        server.shard.create(channel)
    await client.connect(server.sign_in(ada))
    for channel in (private, public):
        await client.ask("subscribe", channel=channel)
    server.denied.add((ada.account_id, private))
    server.shard.publish(f"user:{ada.account_id}", b'{"type":"membership.changed"}')
    assert (await client.next())["push"]["pub"]["offset"] == 1
    assert await client.next() == {
        "push": {
            "channel": private,
            "unsubscribe": {"code": 2000, "reason": "permission denied"},
        }
    }
    server.shard.publish(private)
    server.shard.publish(public)
    assert (await client.next())["push"]["channel"] == public


async def test_permission_taken_during_a_subscribe(
    server: RealtimeServer, client: RawClient
) -> None:
    ada = member()
    channel = thread()
    server.private.add(channel)
    server.shard.create(channel, 3)
    await client.connect(server.sign_in(ada))
    server.shard.history_gate.clear()
    position = {"recover": True, "epoch": "epoch-1", "offset": 1}
    await client.send({"id": 7, "subscribe": {"channel": channel, **position}})
    await wait_until(lambda: server.shard.calls["ReadHistory"] == 1)
    server.denied.add((ada.account_id, channel))
    server.shard.publish(f"user:{ada.account_id}", b'{"type":"membership.changed"}')
    assert (await client.next())["push"]["pub"]["offset"] == 1
    server.shard.history_gate.set()
    assert error_of(await client.next()) == 103


async def test_an_ended_session_is_disconnected(server: RealtimeServer) -> None:
    ada = member()
    token = server.sign_in(ada)
    other = server.sign_in(type(ada)(ada.account_id, "ada", "Ada", "member", uuid4()))
    async with server.socket() as first, server.socket() as second:
        await first.connect(token)
        await second.connect(other)
        name = f"user:{ada.account_id}"
        event = {"type": "session.ended", "session_id": str(ada.session_id)}
        server.shard.publish(name, msgspec.json.encode(event))
        assert await first.close_code() == 3503
        assert (await second.next())["push"]["pub"]["offset"] == 1
        server.shard.publish(name, b'{"type":"session.ended","session_id":null}')
        assert await second.close_code() == 3503


# ---------------------------------------------------------------- ends


async def test_drain_closes_everybody(server: RealtimeServer) -> None:
    async with server.socket() as first, server.socket() as second:
        await first.connect()
        await second.connect()
        await server.realtime.drain(0.1)
        assert await first.close_code() == 3001
        assert await second.close_code() == 3001
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with server.socket():
                pass
        assert refused.value.status == 503
    await wait_until(lambda: server.realtime.statistics()["sockets"] == 0)


async def test_who_comes_in_while_it_drains_is_told_too(
    server: RealtimeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handshake that was admitted just before, and is in none of the slices."""
    draining: list[asyncio.Task[None]] = []

    async def admit(realtime: Realtime) -> None:
        draining.append(asyncio.create_task(realtime.drain(0.0)))
        await draining[0]

    monkeypatch.setattr(Realtime, "_admit", admit)
    async with server.socket() as late:
        assert await late.close_code() == 3001
    await wait_until(lambda: server.realtime.statistics()["sockets"] == 0)


async def test_slow_readers_are_closed_and_others_go_on(
    server: RealtimeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.gateway.session.CLOSING_SECONDS", 0.0)
    channel = thread()
    server.shard.create(channel)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(
        b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    frame = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"%s"}}' % channel.encode()
    writer.write(bytes((0x81, 0x80 | len(frame), 0, 0, 0, 0)) + frame)
    await wait_until(lambda: server.realtime.statistics()["subscriptions"] == 1)
    async with server.socket() as client:
        await client.connect()
        await client.ask("subscribe", channel=channel)
        data = b'{"type":"x","text":"%s"}' % (b"x" * 100_000)
        offset = 0
        while server.realtime.statistics()["subscriptions"] == 2:
            server.shard.publish(channel, data)
            offset += 1
            assert (await client.next())["push"]["pub"]["offset"] == offset
            assert offset < 1_000, "the slow reader was never closed"
        server.shard.publish(channel)
        assert (await client.next())["push"]["pub"]["offset"] == offset + 1
        await wait_until(lambda: server.realtime.statistics()["sockets"] == 1)
    writer.close()


async def test_connections_leave_nothing_for_the_garbage_collector(server: RealtimeServer) -> None:
    """A storm leaves thousands at once, and a collection holds up the loop."""

    def left() -> int:
        return sum(isinstance(thing, Session | WebSocketResponse) for thing in gc.get_objects())

    gc.collect()
    before = left()
    gc.disable()
    try:
        for cut in (True, False):
            async with server.socket() as client:
                await client.connect(server.sign_in(member()))
                channel = thread()
                server.shard.create(channel)
                await client.ask("subscribe", channel=channel)
                if cut:  # as by a network that is gone
                    client.socket.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        await wait_until(lambda: left() == before)
    finally:
        gc.enable()
