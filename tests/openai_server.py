"""An OpenAI-compatible server that behaves, or misbehaves, as its test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % text.encode()


FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


async def begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


def writes(*parts: bytes) -> Behaviour:
    async def behave(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        for part in parts:
            await response.write(part)
        return response

    return behave


def answers(status: int, text: str = "", **headers: str) -> Behaviour:
    async def behave(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return behave


class OpenAiServer:
    """`async with` it. `behave` may be set to another behaviour at any time."""

    def __init__(self) -> None:
        self.behave: Behaviour = writes(event("Form "), event("I-20"), FINISH, DONE)
        self.requests: list[Any] = []
        self.keys: list[str] = []
        self.hung_up = asyncio.Event()
        """Somebody went away before the end of an answer."""
        self.endpoint = ""

    async def __aenter__(self) -> OpenAiServer:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        [(_, port, *_)] = self._runner.addresses
        self.endpoint = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def hang(self, request: web.Request) -> web.StreamResponse:
        """Begins an answer and then says nothing more."""
        response = await begin(request)
        await response.write(event("Form "))
        await asyncio.Event().wait()
        return response

    async def hang_silently(self, request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("Authorization", ""))
        try:
            return await self.behave(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.hung_up.set()
            raise
