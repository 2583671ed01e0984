"""Whole gateways in this process, with one real shard and a real database, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import aiohttp
import jwt
import msgspec
from cent import AsyncClient

from actors import shard_messages as m
from actors.account_messages import AccountsRequest, AuthorizeChannel, ChannelGrant
from actors.community import CommunityShard
from actors.messages import Failure, Reply
from config.channels import Namespace
from config.edge import Gateway as GatewaySettings
from config.edge import Realtime
from config.errors import AppError
from config.rate_limits import RateLimitSettings
from config.settings import Auth, Postgres, Settings
from serve_app.gateway.gateway import Gateway
from storage.postgres import Pool, connect
from storage.streams import ensure_partitions
from tests.gateway_app import free_port
from tests.realtime_server import RawClient

API_KEY: Final = "the key of an application's own backend"
TOKEN_SECRET: Final = "the secret of an application's own backend"
NAMESPACES: Final = {
    "default": Namespace(user_limited=True, presence="clients", publish="subscribers"),
    "chat": Namespace(
        subscribe="anyone",
        read_history="readers",
        read_presence="readers",
        history="memory",
        history_size=10,
        history_ttl_seconds=60.0,
        recovery="stream",
        presence="clients",
    ),
    "kept": Namespace(history="postgres", recovery="stream"),
    "brief": Namespace(history="postgres", history_size=2),
    "secret": Namespace(subscribe="token", user_limited=True),
}


class OneShard:
    """The real one; `restart` loses what it holds in memory, gateways in `deaf` hear no news."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self.pool = pool
        self._settings = settings
        self._real: CommunityShard | None = None
        self.deaf: set[str] = set()

    async def start(self) -> None:
        self._real = CommunityShard(0, 1, self.pool, self._settings, sweep_seconds=0.05)
        await self._real.start()

    async def stop(self) -> None:
        real, self._real = self._real, None
        if real is not None:
            await real.stop()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def call(self, index: int, request: m.ShardRequest) -> m.ShardReply:
        real = self._real
        if real is None:
            raise AppError("unavailable")
        reply = await real.handle(request)
        if self._real is not real:
            raise AppError("unavailable")
        if isinstance(request, m.Poll) and request.gateway_id in self.deaf:
            await asyncio.sleep(0.01)  # it asks again at once, for ever
            return m.PollReply(request.ack, [])
        return reply


class Accounts:
    """Whoever asks may follow the channels in `open`; all others are of another account."""

    def __init__(self) -> None:
        self.open: set[str] = set()

    async def __call__(self, payload: bytes) -> bytes:
        requests = msgspec.msgpack.decode(payload, type=list[AccountsRequest])
        return msgspec.msgpack.encode([self._answer(request) for request in requests])

    def _answer(self, request: AccountsRequest) -> Reply | Failure:
        if isinstance(request, AuthorizeChannel) and request.channel in self.open:
            return Reply(body=msgspec.msgpack.encode(ChannelGrant(request.channel, public=False)))
        return Failure.of(AppError("not_permitted"))


async def _nothing(payload: bytes) -> bytes:
    raise AppError("unavailable")


class Gateways:
    def __init__(self, settings: Sequence[Settings], shard: OneShard, accounts: Accounts) -> None:
        self.shard = shard
        self.accounts = accounts
        self.secret = settings[0].auth.secret
        self.urls = [f"http://127.0.0.1:{s.gateway.port}" for s in settings]
        self.gateways = [
            Gateway(
                made,
                gateway_id=f"gateway-{number}",
                thread=_nothing,
                feed=_nothing,
                accounts=accounts,
                search=_nothing,
                rate_limit=_nothing,
                shards=shard,
            )
            for number, made in enumerate(settings)
        ]

    @asynccontextmanager
    async def api(self, number: int = 0, key: str = API_KEY) -> AsyncIterator[AsyncClient]:
        client = AsyncClient(f"{self.urls[number]}/api", key, timeout=aiohttp.ClientTimeout(10))  # type: ignore[arg-type]
        try:
            yield client
        finally:
            await client._session.close()

    @asynccontextmanager
    async def socket(self, number: int = 0) -> AsyncIterator[RawClient]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.urls[number]}/connection/websocket") as socket,
        ):
            yield RawClient(socket)

    @asynccontextmanager
    async def connected(self, user: str, number: int = 0) -> AsyncIterator[RawClient]:
        async with self.socket(number) as client:
            reply = await client.connect(connection_token(user))
            assert "connect" in reply, reply
            yield client


def connection_token(user: str, **claims: Any) -> str:
    return jwt.encode({"sub": user, **claims}, TOKEN_SECRET, "HS256")


@asynccontextmanager
async def running_gateways(
    database_url: str, count: int = 1, **realtime: Any
) -> AsyncIterator[Gateways]:
    pool = await connect(database_url, Postgres())
    async with pool.acquire() as connection:
        await ensure_partitions(connection, datetime.now(UTC).date(), 1)
    options = {"api_key": API_KEY, "token_secret": TOKEN_SECRET, **realtime}
    secret = uuid4().hex
    settings = [
        Settings(
            gateway=GatewaySettings(port=free_port(), drain_seconds=0.0),
            realtime=Realtime(**options),
            channels=NAMESPACES,
            auth=Auth(secret=secret),
            rate_limit=RateLimitSettings(enabled=False),
        )
        for _ in range(count)
    ]
    shard = OneShard(pool, settings[0])
    await shard.start()
    gateways = Gateways(settings, shard, Accounts())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        stack.push_async_callback(shard.stop)
        for gateway in gateways.gateways:
            await gateway.start()
            stack.push_async_callback(gateway.stop)
        yield gateways
