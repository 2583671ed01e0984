"""Connecting and subscribing on a real socket: what is answered, what ends the connection."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from serve_app.gateway.transports.websocket import OTHER_PROTOCOLS
from tests.conditions import wait_until
from tests.integration.realtime_socket import client, error_of, server
from tests.realtime_server import RawClient, RealtimeServer, member, thread

__all__ = ["client", "server"]


# ---------------------------------------------------------------- connect


async def test_guest_connects_without_token(client: RawClient) -> None:
    result = (await client.connect())["connect"]
    assert result["ping"] == 25 and result["pong"] is True and result["client"]
    assert "expires" not in result and "subs" not in result


async def test_member_gets_the_own_channel(server: RealtimeServer, client: RawClient) -> None:
    ada = member()
    result = (await client.connect(server.sign_in(ada)))["connect"]
    assert result["expires"] is True and 890 <= result["ttl"] <= 900
    name = f"user:{ada.account_id}"
    assert result["subs"] == {name: {"recoverable": True, "positioned": True, "epoch": "epoch-1"}}
    server.shard.publish(name, b'{"type":"notification.created"}')
    push = await client.next()
    assert push == {
        "push": {"channel": name, "pub": {"data": {"type": "notification.created"}, "offset": 1}}
    }


async def test_own_channel_recovers_in_the_connect_reply(
    server: RealtimeServer, client: RawClient
) -> None:
    ada = member()
    token = server.sign_in(ada)
    name = f"user:{ada.account_id}"
    server.shard.create(name, 5)
    position = {"recover": True, "epoch": "epoch-1", "offset": 3}
    result = (await client.connect(token, subs={name: position}))["connect"]["subs"][name]
    assert result["recovered"] is True and result["offset"] == 3
    assert [p["offset"] for p in result["publications"]] == [4, 5]


async def test_invalid_token_is_terminal(client: RawClient) -> None:
    await client.send({"id": 1, "connect": {"token": "forged"}})
    assert await client.close_code() == 3500


async def test_expired_token_is_an_error(server: RealtimeServer, client: RawClient) -> None:
    token = server.sign_in(member(), seconds=-1)
    assert error_of(await client.connect(token)) == 109


@pytest.mark.parametrize(
    "frame",
    [
        '{"id":1,"subscribe":{"channel":"thread:x"}}',
        "{}",
        "not json",
        "",
        "\n",
        '{"id":0,"connect":{}}',
        '{"id":1}',
        '{"id":1,"fly":{}}',
        '{"id":-1,"connect":{}}',
        '{"id":"1","connect":{}}',
        '{"id":1,"connect":{"token":5}}',
        '{"id":1,"connect":{}}\n\n{"id":2,"ping":{}}',
        '{"fly":{}}',
        "[" * 50_000,
        '{"id":1,"connect":{}}\n{"id":2,"connect":{}}',
        '{"id":1,"connect":{}}\n{}',
    ],
)
async def test_bad_frames_end_the_connection(client: RawClient, frame: str) -> None:
    await client.socket.send_str(frame)
    assert await client.close_code() == 3501


async def test_invalid_utf8_ends_the_connection(client: RawClient) -> None:
    await client.socket.send_bytes(b'{"id":1,"connect":{"token":"\xff\xfe"}}')
    assert await client.close_code() == 3501


async def test_frame_size_limit(server: RealtimeServer) -> None:
    def command(size: int) -> str:
        frame = '{"id":1,"connect":{"data":""}}'
        return frame.replace('""', '"' + "x" * (size - len(frame)) + '"')

    async with server.socket() as client:
        await client.socket.send_str(command(65_536))
        assert "connect" in await client.next()
    async with server.socket() as client:
        await client.socket.send_str(command(65_537))
        assert await client.close_code() == 1009


async def test_fragmented_frames(server: RealtimeServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    payload = b'{"id":1,"connect":{}}'
    for position, byte in enumerate(payload):
        final = 0x80 if position == len(payload) - 1 else 0
        opcode = 0 if position else 1
        writer.write(bytes((final | opcode, 0x81, 0, 0, 0, 0, byte)))
        await writer.drain()
    assert b'"connect"' in await reader.read(1024)
    writer.close()
    await writer.wait_closed()


async def test_subprotocol_is_echoed(server: RealtimeServer) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url, protocols=["centrifuge-json"]) as socket,
    ):
        assert socket.protocol == "centrifuge-json"


async def test_other_subprotocols_are_counted_not_logged(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    before = OTHER_PROTOCOLS._value.get()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url, protocols=["x" * 1_000, "mqtt"]) as socket,
    ):
        assert socket.protocol is None
    assert OTHER_PROTOCOLS._value.get() == before + 1
    assert "xxx" not in caplog.text


async def test_connect_and_subscribe_in_one_frame(
    server: RealtimeServer, client: RawClient
) -> None:
    channel = thread()
    server.shard.create(channel, 2)
    await client.send({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": channel}})
    assert "connect" in await client.next()
    assert await client.next() == {
        "id": 2,
        "subscribe": {"recoverable": True, "positioned": True, "epoch": "epoch-1", "offset": 2},
    }


# ---------------------------------------------------------------- subscribe


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("", 107),
        ("thread:" + "x" * 300, 107),
        ("lobby", 102),
        ("games:1", 102),
        ("thread:", 102),
        ("thread:not-a-uuid", 102),
        ("thread:018f0000-0000-7000-8000-00000000dead", 102),
        ("user:018f0000-0000-7000-8000-00000000dead", 102),
        ("$private:1", 102),
        ("community:\x00", 102),
    ],
)
async def test_channels_that_are_refused(client: RawClient, channel: str, code: int) -> None:
    await client.connect()
    assert error_of(await client.ask("subscribe", channel=channel)) == code


async def test_denied_duplicate_and_too_many(server: RealtimeServer, client: RawClient) -> None:
    await client.connect()
    secret, channels = thread(), [thread() for _ in range(129)]
    for channel in (secret, *channels):
        server.shard.create(channel)
    server.denied.add((None, secret))
    reply = await client.ask("subscribe", channel=secret)
    assert reply["error"] == {"code": 103, "message": "permission denied"}
    for channel in channels[:128]:
        assert "subscribe" in await client.ask("subscribe", channel=channel)
    assert error_of(await client.ask("subscribe", channel=channels[0])) == 105
    assert error_of(await client.ask("subscribe", channel=channels[128])) == 106
    assert await client.ask("unsubscribe", channel=channels[5]) == {"id": 133, "unsubscribe": {}}
    assert "subscribe" in await client.ask("subscribe", channel=channels[128])


async def test_unsubscribe_of_an_unknown_channel(client: RawClient) -> None:
    await client.connect()
    assert (await client.ask("unsubscribe", channel="nothing"))["unsubscribe"] == {}


async def test_unsubscribed_gets_nothing_more(server: RealtimeServer, client: RawClient) -> None:
    channel = thread()
    server.shard.create(channel)
    await client.connect()
    await client.ask("subscribe", channel=channel)
    await client.ask("unsubscribe", channel=channel)
    server.shard.publish(channel)
    assert await client.ask("ping") == {"id": 4, "ping": {}}
    await wait_until(lambda: server.realtime.statistics()["channels"] == 0)


async def test_commands_of_a_channel_keep_order(server: RealtimeServer, client: RawClient) -> None:
    channel = thread()
    server.shard.create(channel)
    await client.connect()
    server.authorize_gate.clear()
    await client.send(
        {"id": 11, "subscribe": {"channel": channel}},
        {"id": 12, "unsubscribe": {"channel": channel}},
        {"id": 13, "subscribe": {"channel": channel}},
        {"id": 14, "ping": {}},
    )
    assert (await client.next())["id"] == 14  # another command does not wait for the channel
    server.authorize_gate.set()
    assert [(await client.next())["id"] for _ in range(3)] == [11, 12, 13]
    assert server.realtime.statistics()["subscriptions"] == 1


async def test_a_stuck_subscribe_is_answered(
    server: RealtimeServer, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.gateway.intake.COMMAND_SECONDS", 0.05)
    channel = thread()
    server.shard.create(channel)
    await client.connect()
    server.authorize_gate.clear()
    reply = await client.ask("subscribe", channel=channel)
    assert reply["error"]["code"] == 100 and reply["error"]["temporary"] is True
    server.authorize_gate.set()
    assert "subscribe" in await client.ask("subscribe", channel=channel)


async def test_shard_away_is_a_temporary_error(
    server: RealtimeServer, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.gateway.intake.COMMAND_SECONDS", 0.05)
    channel = thread()
    server.shard.create(channel)
    await client.connect()
    server.shard.away = True
    assert error_of(await client.ask("subscribe", channel=channel)) == 100
    server.shard.away = False
    await wait_until(lambda: server.realtime.statistics()["channels"] == 0)


async def test_a_socket_closed_in_the_middle_leaks_nothing(server: RealtimeServer) -> None:
    channels = [thread() for _ in range(20)]
    for channel in channels:
        server.shard.create(channel)
    async with server.socket() as client:
        await client.connect(server.sign_in(member()))
        await client.ask("subscribe", channel=channels[0])
        server.authorize_gate.clear()
        server.private.update(channels)
        await client.send(*({"id": 50, "subscribe": {"channel": c}} for c in channels[1:]))
        await wait_until(lambda: server.authorize_calls == 21)
    await wait_until(lambda: server.realtime.statistics()["sockets"] == 0)
    statistics = server.realtime.statistics()
    assert statistics["channels"] == statistics["subscriptions"] == 0
    await wait_until(lambda: not server.shard.presence)
