"""The ports of one gateway: the shared one (SO_REUSEPORT, n gateways on a node) and a private one.

The private port reaches this very gateway, for operators and for other gateways: whoever else finds
it is told there whether it is alive and ready, and nothing more. Gateways sign what they send. It
listens on loopback alone where the shared one does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from config.errors import AppError
from config.settings import Settings
from serve_app.api.call import Services
from serve_app.api.errors import problem_response
from serve_app.api.headers import request_id_of
from serve_app.api.health import DRAINING, PRIVATE_PORT, PROBES, READINESS, Readiness
from serve_app.api.routing import SERVICES, build_app
from serve_app.gateway.peers import SIGNATURE
from serve_app.gateway.transports import emulation

__all__ = ["GatewayServer", "build_app"]

log = logging.getLogger(__name__)

_Handler = Callable[[Any], Awaitable[web.StreamResponse]]

# Who finds it full tries again after 1, 3, 7 s; Linux bounds it by net.core.somaxconn (4,096). Each
# listener of the shared port has one of its own.
_BACKLOG: Final = 4_096
_LISTENERS: Final = 2
_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = ("0.0.0.0", "::")
_CODES: Final = {400: "invalid", 413: "too_large", 431: "too_large"}


class GatewayServer:
    """Listens from `start` to `stop`; `port` and `private_port` are set between them.

    `advertised_host` is this machine to other gateways, for a server that listens on every address
    of it; without one they are taken to be on the same machine."""

    def __init__(
        self, app: web.Application, settings: Settings, *, advertised_host: str = ""
    ) -> None:
        app[READINESS] = Readiness()
        self._app = app
        self._gateway = settings.gateway
        host = settings.gateway.host
        self._advertised_host = advertised_host
        self._private_host = _LOOPBACK if _is_loopback(host) else host
        self._runner: web.AppRunner | None = None
        self._sites: list[web.TCPSite] = []
        self.port = 0
        self.private_port = 0

    async def start(self) -> None:
        """Raises OSError when a port cannot be had; then nothing listens."""
        runner = _Runner(self._app, shutdown_timeout=self._gateway.drain_seconds, access_log=None)
        await runner.setup()
        self._runner = runner
        try:
            private = await self._listen(runner, self._private_host, 0)
            self.private_port = private.port
            self._app[PRIVATE_PORT].append(private.port)
            for _ in range(_LISTENERS):
                shared = await self._listen(runner, self._gateway.host, self._gateway.port)
                self.port = shared.port
        except BaseException:
            await self.stop()
            raise
        log.info(
            "listening on %s:%d, privately on %d", self._gateway.host, self.port, self.private_port
        )

    @property
    def private_address(self) -> str:
        """`host:port` for other gateways."""
        host = self._private_host
        if host in _EVERYWHERE:
            host = self._advertised_host or _LOOPBACK
        return f"[{host}]:{self.private_port}" if ":" in host else f"{host}:{self.private_port}"

    async def stop_listening(self) -> None:
        """Take no new connection on the shared port and answer /readyz with 503; those that are
        open go on, each request on them being its last."""
        self._app[DRAINING].set()
        self._app[SERVICES].headers.draining = True
        while len(self._sites) > 1:
            await self._sites.pop().stop()

    @property
    def has_connections(self) -> bool:
        server = self._runner.server if self._runner is not None else None
        return isinstance(server, web.Server) and bool(server.connections)

    async def stop(self) -> None:
        """Requests in flight get `drain_seconds` to end. May be called at any time, and again."""
        await self.stop_listening()
        runner, self._runner = self._runner, None
        self._sites.clear()
        if runner is not None:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner, host: str, port: int) -> web.TCPSite:
        site = web.TCPSite(runner, host, port, reuse_port=port != 0, backlog=_BACKLOG)
        await site.start()
        self._sites.append(site)
        return site


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Runner(web.AppRunner):
    """Answers also those requests with a problem that never become one, because HTTP is broken."""

    async def _make_server(self) -> web.Server:
        return _Server.of(await super()._make_server(), self.app)


class _Server(web.Server):
    app: web.Application

    @classmethod
    def of(cls, made: web.Server, app: web.Application) -> _Server:
        server = cls(made.request_handler, request_factory=made.request_factory, **made._kwargs)
        server.app = app
        return server

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


def _for_operators(services: Services, handle: _Handler) -> _Handler:
    async def answer(request: Any) -> web.StreamResponse:
        # What says that it comes from another gateway is looked at by its handler: it takes a body.
        forwarded = request.path == emulation.PATH and SIGNATURE in request.headers
        if forwarded or request.path in PROBES or services.addresses.is_operator(request):
            return await handle(request)
        request_id = request_id_of(request)
        response = problem_response(AppError("not_found", "No such path."), request_id)
        services.headers.complete(request, response, request_id)
        response.force_close()
        return response

    return answer


class _Connection(RequestHandler):
    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        server: Any = self._manager
        sockname = transport.get_extra_info("sockname")
        if isinstance(sockname, tuple) and sockname[1] in server.app[PRIVATE_PORT]:
            # Decided once a connection, so that the shared port pays nothing for it.
            self._request_handler = _for_operators(server.app[SERVICES], server.request_handler)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser refuses (400, 431), and what failed outside of every endpoint (500)."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, there is no place for an error")
        request_id = request_id_of(request)
        if isinstance(exc, LineTooLong):
            status = 431
        if status >= 500:
            log.error("request failed outside of its endpoint (%s)", request_id, exc_info=exc)
        # Not the parser's own message: it repeats what was sent.
        detail = {400: "This is not a valid HTTP request.", 431: "A line is too long."}
        error = AppError(_CODES.get(status, "internal"), detail.get(status, ""))
        response = problem_response(error, request_id, status=status)
        server: Any = self._manager
        if isinstance(server, _Server):
            server.app[SERVICES].headers.complete(request, response, request_id)
        response.force_close()
        return response
