"""A gateway's HTTP side on real sockets, with backends that answer what a test tells them."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import aiohttp
import msgspec
from aiohttp import web

from actors.account_messages import Tokens
from actors.assistant_messages import AnswerEvent, AskQuestion
from actors.messages import Caller, Reply
from config.edge import Gateway
from config.errors import AppError
from config.rate_limits import RouteClass
from config.settings import Settings
from serve_app.gateway.backends import OnEvent
from serve_app.gateway.leased_bucket import UNLIMITED, Verdict
from serve_app.gateway.server import GatewayServer, build_app

MEMBER: Final = Caller(UUID("0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2b"), "amina", "Amina", "member")
AS_MEMBER: Final = {"Authorization": "Bearer good"}
POST_ID: Final = "0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2c"
PAGE: Final = b'{"items":[],"next_cursor":null}'
REFUSED: Final = Verdict(False, 10, 0, 9, 7)


class FakeBackends:
    """Remembers every request; `answer` decides, by default one empty page for everybody."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answer: Callable[[Any], Reply | Awaitable[Reply]] = lambda request: Reply(body=PAGE)

    async def _ask(self, request: Any) -> Reply:
        self.requests.append(request)
        answer = self.answer(request)
        return answer if isinstance(answer, Reply) else await answer

    thread_write = thread_read = feed = accounts_read = accounts_write = search = assistant = _ask

    async def ask(self, request: AskQuestion) -> AsyncGenerator[AnswerEvent, None]:
        """One event, whose data is the answer."""
        yield AnswerEvent("answer", (await self._ask(request)).body)

    def fail(self, code: str, **more: Any) -> None:
        def answer(request: Any) -> Reply:
            raise AppError(code, **more)

        self.answer = answer


class FakeRealtime:
    def __init__(self) -> None:
        self.listeners: dict[str, list[OnEvent]] = {}
        self.is_connected = True

    def follow(self, channel: str, on_event: OnEvent) -> None:
        self.listeners.setdefault(channel, []).append(on_event)

    def unfollow(self, channel: str, on_event: OnEvent) -> None:
        self.listeners[channel].remove(on_event)

    def event(self, channel: str, offset: int) -> None:
        for on_event in list(self.listeners.get(channel, ())):
            on_event(channel, offset)

    async def handle_websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.close()
        return socket

    handle_uni_websocket = handle_websocket

    async def handle_stream(
        self, name: str, request: web.Request, complete: Callable[[web.StreamResponse], None]
    ) -> web.StreamResponse:
        return web.Response(text=name)

    async def handle_emulation(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)


class FakeLimiter:
    """Allows everything until `verdict` says otherwise; remembers what was charged."""

    def __init__(self) -> None:
        self.verdict = UNLIMITED
        self.charged: list[tuple[str, str | None, str]] = []

    def check_nowait(
        self, route_class: RouteClass, account_id: str | None, address: str
    ) -> Verdict | None:
        self.charged.append((route_class, account_id, address))
        return self.verdict

    async def check(self, route_class: RouteClass, account_id: str | None, address: str) -> Verdict:
        self.charged.append((route_class, account_id, address))
        return self.verdict


def verify_token(token: str) -> tuple[Caller, float]:
    if token == "good":
        return MEMBER, 2e9
    raise AppError("token_expired" if token == "expired" else "unauthenticated")


class GatewayUnderTest:
    def __init__(self, settings: Settings) -> None:
        self.backends = FakeBackends()
        self.realtime = FakeRealtime()
        self.limiter = FakeLimiter()
        self.settings = settings
        self.app = build_app(settings, self.backends, self.realtime, self.limiter, verify_token)
        self.server = GatewayServer(self.app, settings)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running_gateway(
    **gateway: Any,
) -> AsyncIterator[tuple[GatewayUnderTest, aiohttp.ClientSession]]:
    made = GatewayUnderTest(Settings(gateway=Gateway(port=free_port(), **gateway)))
    await made.server.start()
    try:
        async with aiohttp.ClientSession(
            made.url, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as session:
            yield made, session
    finally:
        await made.server.stop()


def tokens(refresh_token: str = "secret-refresh-token") -> bytes:
    return msgspec.json.encode(
        Tokens(msgspec.Raw(b'{"id":"1","handle":"amina"}'), "access", 900, refresh_token)
    )


async def problem_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The problem document; checks what holds for all of them."""
    assert response.content_type == "application/problem+json", await response.text()
    problem: dict[str, Any] = msgspec.json.decode(await response.read())
    assert problem["status"] == response.status
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert problem["type"] == f"urn:serai:problem:{problem['code']}"
    assert response.headers["Cache-Control"] == "no-store"
    return problem
