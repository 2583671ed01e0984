"""The routes under which realtime clients connect. All are open: a connection is authorized by the
token in its first frame, a later command by the secret id of its session. Handshakes are limited by
address, commands where they are carried out, and requests to /emulation by address where they come
from a client and not from another gateway (`transports/emulation.py`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import hdrs, web

from config.errors import AppError
from config.rate_limits import RouteClass
from serve_app.api.call import Call
from serve_app.api.route import Method, Nothing, Route

_Call = Call[Nothing, Nothing]
_Handler = Callable[[_Call], Awaitable[web.StreamResponse]]


def websocket(call: _Call) -> Awaitable[web.StreamResponse]:
    return _handshake(call, call.services.realtime.handle_websocket)


def uni_websocket(call: _Call) -> Awaitable[web.StreamResponse]:
    return _handshake(call, call.services.realtime.handle_uni_websocket)


async def _handshake(
    call: _Call, handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handle(call.request)
    except web.HTTPBadRequest as error:
        raise AppError("invalid", f"This is no WebSocket handshake: {error.text}") from None


def _stream(name: str) -> _Handler:
    async def handle(call: _Call) -> web.StreamResponse:
        if call.request.method == hdrs.METH_HEAD:
            raise AppError("method_not_allowed", "A stream has no length.")

        def complete(response: web.StreamResponse) -> None:
            call.services.headers.complete(call.request, response, call.request_id)

        return await call.services.realtime.handle_stream(name, call.request, complete)

    return handle


async def emulation(call: _Call) -> web.StreamResponse:
    return await call.services.realtime.handle_emulation(call.request)


def _route(
    method: Method, path: str, handler: _Handler, rate: RouteClass | None = "connect"
) -> Route[Any, Any]:
    return Route(method, path, handler, "Realtime", access="open", rate=rate, hidden=True)


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    _route("GET", "/connection/websocket", websocket),
    _route("GET", "/connection/sse", _stream("sse")),
    _route("POST", "/connection/http_stream", _stream("http_stream")),
    _route("POST", "/emulation", emulation, rate=None),
    _route("GET", "/connection/uni_websocket", uni_websocket),
    _route("GET", "/connection/uni_sse", _stream("uni_sse")),
    _route("POST", "/connection/uni_http_stream", _stream("uni_http_stream")),
)
