"""A gateway with all its realtime routes on real ports, and raw clients of one-way transports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import aiohttp
import msgspec

from config.edge import Gateway
from config.errors import AppError
from config.settings import Auth, Settings
from serve_app.gateway.realtime import Realtime
from serve_app.gateway.server import GatewayServer, build_app
from tests.fake_shard import FakeShard
from tests.gateway_app import FakeBackends, FakeLimiter, free_port
from tests.realtime_server import RealtimeServer

SECRET: Final = "a secret that all gateways of a server share"
ORIGIN: Final = "https://app.example"


class EmulationServer(RealtimeServer):
    """`server.private_address` is its name's first part. `charged`: where frames came from."""

    def __init__(
        self, shard: FakeShard | None = None, *, secret: str = SECRET, **limits: Any
    ) -> None:
        self._secret = secret
        self.charged: list[str] = []
        self.is_limited = False
        super().__init__(shard, **limits)

    def _new_realtime(self) -> Realtime:
        self.settings = Settings(
            realtime=self.limits,
            auth=Auth(secret=self._secret),
            gateway=Gateway(port=free_port(), drain_seconds=0.5, cors_origins=(ORIGIN,)),
        )
        return Realtime(
            self.settings,
            self.shard,
            1,
            self.authorize,
            self.verify_token,
            f"gateway-{uuid4().hex[:6]}",
            node=lambda: self.server.private_address,
            check_frame=self._check_frame,
        )

    async def _check_frame(self, address: str) -> None:
        self.charged.append(address)
        if self.is_limited:
            raise AppError("rate_limited", retry_after_seconds=3)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sockets(self) -> int:
        return self.realtime.statistics()["sockets"]

    async def __aenter__(self) -> Self:
        await self.realtime.start()
        app = build_app(
            self.settings, FakeBackends(), self.realtime, FakeLimiter(), self.verify_token
        )
        self.server = GatewayServer(app, self.settings)
        await self.server.start()
        self.port = self.server.port
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.realtime.stop()
        await self.server.stop()


class StreamClient:
    """Reads JSON messages of a response, and says commands by /emulation."""

    def __init__(self, http: aiohttp.ClientSession, response: aiohttp.ClientResponse) -> None:
        self.http = http
        self.response = response
        self.session = self.node = ""
        self._id = 1

    async def next(self) -> Any:
        """The next message, None at the end of the response."""
        async with asyncio.timeout(10):
            async for line in self.response.content:
                text = line.strip().removeprefix(b"data: ")
                if text:
                    return msgspec.json.decode(text)
        return None

    async def connected(self) -> Any:
        """The result of `connect`, which is the first message."""
        result = (await self.next())["connect"]
        self.session, self.node = result["session"], result["node"]
        return result

    async def post(self, base: str, *commands: Any) -> int:
        """The status of one frame."""
        frame = "\n".join(msgspec.json.encode(command).decode() for command in commands)
        body = {"session": self.session, "node": self.node, "data": frame}
        async with self.http.post(f"{base}/emulation", json=body) as response:
            return response.status

    async def ask(self, base: str, member: str, **fields: Any) -> Any:
        """The reply to one command; what comes before it is skipped."""
        self._id += 1
        status = await self.post(base, {"id": self._id, member: fields})
        assert status == 204
        while True:
            message = await self.next()
            if message.get("id") == self._id:
                return message

    async def disconnect_code(self) -> int:
        """Of the push that must be the last message."""
        last: Any = None
        while (message := await self.next()) is not None:
            last = message
        push = last.get("push", last)["disconnect"]
        code: int = push["code"]
        return code


def connect_frame(token: str = "", **fields: Any) -> str:
    request = {**({"token": token} if token else {}), **fields}
    return msgspec.json.encode({"id": 1, "connect": request}).decode()


@contextlib.asynccontextmanager
async def stream(
    base: str, kind: str, first: str | None = None, **headers: str
) -> AsyncIterator[StreamClient]:
    """An open `sse`, `http_stream`, `uni_sse` or `uni_http_stream`."""
    frame = connect_frame() if first is None else first
    path = f"{base}/connection/{kind}"
    async with aiohttp.ClientSession() as http:
        asked = (
            http.get(path, params={"cf_connect": frame}, headers=headers)
            if kind.partition("?")[0].endswith("sse")
            else http.post(path, data=frame, headers={"Content-Type": "application/json"} | headers)
        )
        async with asked as response:
            assert response.status == 200, await response.text()
            yield StreamClient(http, response)
