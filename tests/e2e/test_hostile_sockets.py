"""What a WebSocket client may send to the whole server: each time a typed error, a close code or
nothing, and everybody else is served."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest

from storage.identity import new_id
from tests.e2e.api_client import ApiClient
from tests.e2e.server import RunningServer
from tests.realtime_server import RawClient

pytestmark = pytest.mark.e2e
MALFORMED = 3501
TOO_MANY_ERRORS = 3509


@asynccontextmanager
async def _socket(server: RunningServer) -> AsyncIterator[RawClient]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.ws_url, max_msg_size=0) as socket,
    ):
        yield RawClient(socket)


async def test_commands_before_connect(server: RunningServer) -> None:
    for member in ("subscribe", "publish", "history", "presence_stats", "refresh", "ping", "rpc"):
        async with _socket(server) as client:
            await client.send({"id": 1, member: {"channel": "thread:x"}})
            assert await client.close_code() == MALFORMED, member
    async with _socket(server) as client:
        await client.connect()
        await client.send({"id": 9, "connect": {}})
        assert await client.close_code() == MALFORMED


async def test_subscribing_without_end(ada: ApiClient, server: RunningServer) -> None:
    """Who goes on asking for what is not there is shown out; who asks for too much is refused one
    by one, and the first ones stay."""
    post = await ada.post()
    async with _socket(server) as client:
        await client.connect(ada.token or "")
        channel = f"thread:{post['id']}"
        assert "subscribe" in await client.ask("subscribe", channel=channel)
        for start in range(0, 1_000, 100):
            with suppress(ConnectionError):  # the end may come before all is said
                await client.send(
                    *(
                        {"id": 10_001 + n, "subscribe": {"channel": f"thread:{new_id(276)}"}}
                        for n in range(start, start + 100)
                    )
                )
        assert await client.close_code() == TOO_MANY_ERRORS
    async with _socket(server) as client:
        # All of them real: the same public channels of many posts.
        await client.connect(ada.token or "")
        posts = await asyncio.gather(*(ada.post() for _ in range(140)))
        for n, made in enumerate(posts):
            await client.send({"id": n + 1, "subscribe": {"channel": f"thread:{made['id']}"}})
        replies: list[dict[str, Any]] = []
        while len(replies) < len(posts):
            message = await client.next()
            if "id" in message:  # else a push: presence counts come by themselves
                replies.append(message)
        refused = [reply["error"]["code"] for reply in replies if "error" in reply]
        assert refused == [106] * len(refused) and 0 < len(refused) <= 140 - 120


async def test_frames_too_large_and_in_pieces(ada: ApiClient, server: RunningServer) -> None:
    async with _socket(server) as client:
        await client.connect()
        await client.socket.send_str("x" * 1_000_000)
        assert await client.close_code() in (1009, MALFORMED)
    async with _socket(server) as client:
        await client.socket.send_bytes(b"\xff\xfe\x00")
        assert await client.close_code() == MALFORMED
    # A command in three fragments with a ping between them (RFC 6455, 5.4).
    async with _socket(server) as client:
        payload = msgspec.json.encode({"id": 1, "connect": {"token": ada.token}})
        transport = client.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        third = len(payload) // 3
        transport.write(
            _frame(0x01, payload[:third])
            + _frame(0x89, b"still there?")
            + _frame(0x00, payload[third : 2 * third])
            + _frame(0x80, payload[2 * third :])
        )
        assert (await client.next())["connect"]["client"]


def _frame(first: int, payload: bytes) -> bytes:
    """Masked with zeros, as a client may."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([first]) + length + bytes(4) + payload


async def test_broken_framing(server: RunningServer) -> None:
    """Unmasked, reserved bits, control frames too long, text that never ends, an abrupt end."""
    for broken in (
        b"\x81\x05hello",
        _frame(0xF1, b"{}"),
        _frame(0x8B, b"{}"),
        b"\x89\xfe\x01\x00" + bytes(260),
        b"\x81\xff" + b"\xff" * 8 + bytes(4),
        _frame(0x80, b"no beginning"),
        _frame(0x88, b"\x00"),
        b"\x81",
    ):
        async with _socket(server) as client:
            await client.connect()
            transport = client.socket._response.connection.transport  # type: ignore[union-attr]
            assert transport is not None
            transport.write(broken)
            if broken == b"\x81":
                transport.abort()
            else:
                async with asyncio.timeout(60):
                    while (await client.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                        pass


async def test_no_handshake(server: RunningServer) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/connection/websocket") as response:
            assert response.status in (400, 426)
            assert response.content_type == "application/problem+json"
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "8",
            "Sec-WebSocket-Key": "x",
        }
        async with session.get(f"{server.url}/connection/websocket", headers=headers) as response:
            assert response.status in (400, 426)


_MEMBERS = [
    "connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history",
    "ping", "send", "rpc", "refresh", "sub_refresh", "unknown",
]  # fmt: skip


_READABLE = [
    "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "ping",
]  # fmt: skip


def _anything(dice: random.Random, channels: list[str]) -> Any:
    simple: list[Any] = [None, True, -1, 0, 2**31, 2**63, 1.5, "", "a\0b", "é", "x" * 300, [], {}]
    fields = {
        name: dice.choice([*simple, *channels])
        for name in dice.sample(
            ["channel", "token", "recover", "epoch", "offset", "data", "limit", "since", "reverse",
             "flag", "type", "subs", "name"],
            dice.randrange(5),
        )
    }  # fmt: skip
    if dice.random() < 0.7:
        fields["channel"] = dice.choice(channels)
    command: dict[str, Any] = {"id": dice.choice([0, 1, 7, 2**32 - 1, 2**32, -1, "1", None])}
    if dice.random() < 0.8:
        command["id"] = dice.randrange(1, 1000)
    for member in dice.sample(_MEMBERS, dice.choice([0, 1, 1, 1, 1, 2])):
        command[member] = fields if dice.random() < 0.9 else dice.choice(simple)
    return command


async def test_fuzz(ada: ApiClient, server: RunningServer) -> None:
    """2,000 frames of near-protocol and of noise: replies are typed, closes are protocol codes.

    Every fourth connection hears some replies before it says anything malformed: once the end of a
    connection is decided, what it had asked for is no longer answered."""
    dice = random.Random(20261120)
    post = await ada.post()
    channels = [
        f"thread:{post['id']}", f"community:{post['community_id']}", f"user:{ada.id}",
        f"thread:{uuid4()}", "thread:x", "a:b", ":",
    ]  # fmt: skip
    closes: set[int] = set()
    errors: set[int] = set()
    sent = 0
    async with aiohttp.ClientSession() as session:
        while sent < 2000:
            async with session.ws_connect(server.ws_url) as socket:
                token = ada.token if dice.random() < 0.5 else ""
                await socket.send_json({"id": 1, "connect": {"token": token}})
                if dice.random() < 0.25:
                    sent += await _ask_in_turn(socket, dice, channels, errors)
                for _ in range(dice.randrange(1, 40)):
                    sent += 1
                    lines = [
                        msgspec.json.encode(_anything(dice, channels))
                        for _ in range(dice.choice([1, 1, 2, 5]))
                    ]
                    frame = b"\n".join(lines)
                    if dice.random() < 0.1:
                        cut = dice.randrange(len(frame) + 1)
                        frame = frame[:cut] + dice.randbytes(dice.randrange(4)) + frame[cut:]
                    try:
                        if dice.random() < 0.9:
                            await socket.send_str(frame.decode("latin-1"))
                        else:
                            await socket.send_bytes(frame)
                    except ConnectionError:
                        break
                await _end(socket, closes, errors)
    assert closes <= {1000, 1009, 3500, 3501, 3503, 3005}, closes
    assert 100 not in errors and errors <= {*range(101, 113)}, errors
    assert closes and errors
    await ada.comment(post["id"])


async def _ask_in_turn(
    socket: aiohttp.ClientWebSocketResponse,
    dice: random.Random,
    channels: list[str],
    errors: set[int],
) -> int:
    """Commands that can be read, one after the other; the first about what there is not. How
    many."""
    asked = [("subscribe", "thread:x")]
    asked += [(dice.choice(_READABLE), dice.choice(channels)) for _ in range(dice.randrange(9))]
    for number, (member, channel) in enumerate(asked, 2):
        await socket.send_json({"id": number, member: {"channel": channel}})
        answered: set[int] = set()
        async with asyncio.timeout(60):
            while number not in answered:
                message = await socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                answered |= _replies(message.data, errors)
    return len(asked)


def _replies(frame: str, errors: set[int]) -> set[int]:
    """Their ids; what is an error is typed."""
    answered = set()
    for line in frame.split("\n"):
        reply = msgspec.json.decode(line)
        answered.add(reply.get("id", 0))
        if "error" in reply:
            errors.add(reply["error"]["code"])
            assert reply["error"]["message"]
    return answered


async def _end(socket: aiohttp.ClientWebSocketResponse, closes: set[int], errors: set[int]) -> None:
    """Says a command that is always answered, or malformed, and reads to the end."""
    with suppress(ConnectionError):
        await socket.send_str("{")
    async with asyncio.timeout(60):
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            _replies(message.data, errors)
    if socket.close_code is not None:
        closes.add(socket.close_code)
