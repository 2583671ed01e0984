"""Sessions without sockets: an outlet that keeps what is written, and a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.account_messages import ChannelGrant
from actors.messages import Caller
from actors.shard_messages import (
    Ephemeral,
    HistoryReply,
    Publication,
    ShardReply,
    ShardRequest,
    StreamPosition,
)
from config.channels import Namespace, Namespaces
from config.edge import Realtime as RealtimeSettings
from config.errors import AppError
from serve_app.gateway.access_changes import AccessChanges
from serve_app.gateway.account_sessions import AccountSessions
from serve_app.gateway.catch_up import CatchUp
from serve_app.gateway.channel_hub import ChannelHub
from serve_app.gateway.client_tokens import ClientTokens
from serve_app.gateway.services import Services
from serve_app.gateway.session import Session
from serve_app.gateway.shard_link import ShardLinks
from serve_app.gateway.timers import Wheel
from serve_app.gateway.transports.websocket import JSON_WIRE

CHANNEL = "thread:018f0000-0000-7000-8000-000000000001"
SECRET = "a secret of the tests, with thirty-two"


def parse_frames(data: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of each server frame."""
    frames = []
    while data:
        assert data[0] & 0x80 and not data[1] & 0x80
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        frames.append((data[0] & 0x0F, data[start : start + length]))
        data = data[start + length :]
    return frames


class FakeOutlet:
    """`unsent` is what get_write_buffer_size answers; a reader that keeps up leaves it at 0."""

    def __init__(self) -> None:
        self.written = b""
        self.writes = 0
        self.unsent = 0
        self.aborted = self.closed = False

    def write(self, data: bytes) -> None:
        if self.is_closing():
            raise RuntimeError("unable to perform operation on a closed handle")  # as uvloop does
        self.written += data
        self.writes += 1

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def take(self) -> list[Any]:
        """The messages written since the last take; a close frame as ("close", code)."""
        data, self.written = self.written, b""
        messages: list[Any] = []
        for opcode, payload in parse_frames(data):
            if opcode == 8:
                messages.append(("close", int.from_bytes(payload[:2], "big")))
            else:
                messages += [msgspec.json.decode(line) for line in payload.split(b"\n")]
        return messages


class Bench:
    """Services with `now` for all clocks. Tokens are account names; every channel is known."""

    def __init__(self, channels: Mapping[str, Namespace] | None = None, **limits: Any) -> None:
        self.now = 1_000.0
        self.settings = RealtimeSettings(**limits)
        self.callers: dict[str, tuple[Caller, float]] = {}
        self.links = ShardLinks(self._shard, 1, "gateway", lambda channel, count: 0)
        self.source = _Source()
        self.hub = ChannelHub(self.source, self.settings.max_queue_bytes)
        self.source.hub = self.hub
        self.wheel = Wheel(lambda: self.now)
        self.services = Services(
            settings=self.settings,
            namespaces=Namespaces(channels or {}),
            hub=self.hub,
            accounts=AccountSessions(self.hub),
            access=AccessChanges(self.hub, self._authorize, ()),
            links=self.links,
            catch_up=CatchUp(self.hub, self.source, self.settings),
            wheel=self.wheel,
            authorize=self._authorize,
            tokens=ClientTokens(self.settings, SECRET, self._verify, clock=lambda: self.now),
            publish_ephemeral=self._publish_ephemeral,
            clock=lambda: self.now,
            spread=lambda: 1.0,
        )

    async def _shard(self, shard: int, request: ShardRequest) -> ShardReply:
        raise AppError("unavailable")

    async def _publish_ephemeral(self, events: list[Ephemeral]) -> None:
        return None

    async def _authorize(self, caller: Caller, channel: str) -> ChannelGrant:
        return ChannelGrant(channel, public=True)

    def _verify(self, token: str) -> tuple[Caller, float]:
        if token not in self.callers:
            raise AppError("unauthenticated")
        return self.callers[token]

    def session(self) -> tuple[Session, FakeOutlet]:
        outlet = FakeOutlet()
        return Session(self.services, outlet, JSON_WIRE, "192.0.2.1"), outlet

    async def connected(self, token: str = "") -> tuple[Session, FakeOutlet]:
        session, outlet = self.session()
        fields = {"token": token} if token else {}
        await session.receive(msgspec.json.encode({"id": 1, "connect": fields}))
        (reply,) = outlet.take()
        assert "connect" in reply, reply
        return session, outlet

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            self.wheel.advance(self.now)


class _Source:
    """Attaches at once; streams are lists."""

    def __init__(self) -> None:
        self.hub: ChannelHub | None = None
        self.streams: dict[str, list[bytes]] = {}
        self.epoch = "e"
        self.attached: list[str] = []
        self.detached: list[str] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.clients: dict[tuple[str, str], bytes] = {}
        self.reads = 0

    def attach(self, channel: str) -> None:
        self.attached.append(channel)
        asyncio.get_running_loop().call_soon(self._place, channel)

    def _place(self, channel: str) -> None:
        assert self.hub is not None
        top = len(self.streams.setdefault(channel, []))
        self.hub.on_position(channel, StreamPosition(self.epoch, top))

    def detach(self, channel: str) -> None:
        self.detached.append(channel)

    def presence(self, channel: str, user: str, clients: int) -> None:
        self.counts[channel, user] = clients

    def client(self, channel: str, client: str, info: bytes) -> None:
        self.clients[channel, client] = info

    async def history(self, channel: str, after: int, limit: int) -> HistoryReply:
        self.reads += 1
        await asyncio.sleep(0)
        stream = self.streams[channel]
        found = [
            Publication(channel, n + 1, data) for n, data in enumerate(stream) if n + 1 > after
        ]
        top = StreamPosition(self.epoch, len(stream))
        return HistoryReply(top, found[:limit], len(found) <= limit)


def closed_with(messages: list[Any]) -> int:
    push, (kind, code) = messages
    assert kind == "close" and push["push"]["disconnect"]["code"] == code
    return int(code)


async def settle() -> None:
    """Lets everything run that needs no clock."""
    for _ in range(20):
        await asyncio.sleep(0)


async def ask(session: Session, member: str, **fields: Any) -> None:
    await session.receive(msgspec.json.encode({"id": 2, member: fields}))
    await settle()
