"""A gateway's realtime side alone, on a real port, with a fake shard and a table of permissions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import aiohttp
import msgspec
from aiohttp import web

from actors.account_messages import ChannelGrant
from actors.messages import Caller
from config.channels import Namespace, Namespaces
from config.edge import Realtime as RealtimeSettings
from config.errors import AppError
from config.settings import Auth, Settings
from serve_app.gateway.realtime import Realtime
from serve_app.gateway.services import Rpc, Services
from tests.fake_shard import FakeShard

SECRET = "a secret of the tests, with thirty-two"


def thread() -> str:
    return f"thread:{uuid4()}"


def member(handle: str = "ada") -> Caller:
    return Caller(uuid4(), handle, handle.title(), "member", uuid4())


class RealtimeServer:
    """Tokens are names in `tokens`; channels in `denied` and `private` are what they say, those in
    `communities` belong to one.

    `refused` holds what callers are answered whatever they ask for, by session id."""

    def __init__(
        self,
        shard: FakeShard | None = None,
        *,
        channels: dict[str, Namespace] | None = None,
        rpc: Rpc | None = None,
        **limits: Any,
    ) -> None:
        self.channels = channels or {}
        self.rpc = rpc
        self.shard = shard or FakeShard(Namespaces(self.channels))
        self.tokens: dict[str, tuple[Caller, float]] = {}
        self.denied: set[tuple[UUID | None, str]] = set()
        self.private: set[str] = set()
        self.communities: dict[str, UUID] = {}
        self.refused: dict[UUID | None, AppError] = {}
        self.typists: set[UUID] = set()
        self.authorize_calls = 0
        self.authorize_gate = asyncio.Event()
        self.authorize_gate.set()
        self.limits = RealtimeSettings(**limits)
        self.realtime = self._new_realtime()
        self._runner: web.AppRunner | None = None
        self.port = 0

    def _new_realtime(self) -> Realtime:
        settings = Settings(auth=Auth(secret=SECRET), realtime=self.limits, channels=self.channels)
        return Realtime(
            settings,
            self.shard,
            1,
            self.authorize,
            self.verify_token,
            f"gateway-{uuid4().hex[:6]}",
            rpc=self.rpc,
        )

    @property
    def services(self) -> Services:
        return self.realtime._services

    def sign_in(self, caller: Caller, token: str = "", seconds: float = 900.0) -> str:
        token = token or f"token-{uuid4().hex}"
        self.tokens[token] = (caller, time.time() + seconds)
        self.shard.streams.setdefault(f"user:{caller.account_id}", [])
        return token

    def verify_token(self, token: str) -> tuple[Caller, float]:
        if token not in self.tokens:
            raise AppError("unauthenticated")
        caller, expires_at = self.tokens[token]
        if expires_at <= time.time():
            raise AppError("token_expired")
        return caller, expires_at

    async def authorize(self, caller: Caller, channel: str) -> ChannelGrant:
        self.authorize_calls += 1
        await self.authorize_gate.wait()
        if caller.session_id in self.refused:
            raise self.refused[caller.session_id]
        if channel not in self.shard.streams:
            raise AppError("not_found")
        own = channel == f"user:{caller.account_id}"
        if (caller.account_id, channel) in self.denied or (channel.startswith("user:") and not own):
            raise AppError("not_permitted")
        public = channel not in self.private
        community = str(self.communities.get(channel, ""))
        return ChannelGrant(channel, public, caller.account_id in self.typists, community)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    async def __aenter__(self) -> Self:
        await self.realtime.start()
        app = web.Application()
        app.router.add_get("/connection/websocket", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        return await self.realtime.handle_websocket(request)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self.realtime.stop()
        await self._runner.cleanup()

    @contextlib.asynccontextmanager
    async def socket(self) -> AsyncIterator[RawClient]:
        async with aiohttp.ClientSession() as session, session.ws_connect(self.url) as socket:
            yield RawClient(socket)


class RawClient:
    """A client that says exactly what it is told to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._messages: list[Any] = []
        self._id = 0

    async def send(self, *commands: Any) -> None:
        await self.socket.send_str("\n".join(msgspec.json.encode(c).decode() for c in commands))

    async def next(self) -> Any:
        """The next message, whichever frame it came in."""
        while not self._messages:
            message = await self.socket.receive(timeout=10)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            self._messages += [msgspec.json.decode(line) for line in message.data.split("\n")]
        return self._messages.pop(0)

    async def ask(self, member: str, **fields: Any) -> Any:
        """The reply to one command; pushes that come before it are skipped."""
        self._id += 1
        await self.send({"id": self._id, member: fields})
        while True:
            message = await self.next()
            if message.get("id") == self._id:
                return message

    async def connect(self, token: str = "", **fields: Any) -> Any:
        return await self.ask("connect", **({"token": token} if token else {}), **fields)

    async def close_code(self) -> int:
        """What the server ends the connection with; the disconnect push says the same."""
        pushed = None
        while True:
            message = await self.socket.receive(timeout=10)
            if message.type is aiohttp.WSMsgType.TEXT:
                for line in message.data.split("\n"):
                    push = msgspec.json.decode(line).get("push", {}).get("disconnect")
                    pushed = push["code"] if push else pushed
            else:
                assert message.type in (
                    aiohttp.WSMsgType.CLOSE,
                    aiohttp.WSMsgType.CLOSING,
                    aiohttp.WSMsgType.CLOSED,
                )
                code = self.socket.close_code
                assert code is not None
                assert pushed in (None, code)
                return code
