"""The realtime side of a gateway: wires hub, links, sessions and transports together.

handle_websocket ─▶ transports/websocket.py ─▶ session.py ─▶ commands/ ─▶ catch_up.py
shard ─▶ shard_link.py ─▶ channel_hub.py ─▶ sockets
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from aiohttp import web

from actors.slots import shard_of
from config.channels import Namespaces
from config.edge import Realtime as RealtimeSettings
from config.errors import AppError
from config.settings import Settings
from serve_app.gateway import codes
from serve_app.gateway.access_changes import AccessChanges
from serve_app.gateway.account_sessions import AccountSessions
from serve_app.gateway.admission import Admission
from serve_app.gateway.capacity import Capacity
from serve_app.gateway.catch_up import CatchUp
from serve_app.gateway.channel import OnEvent
from serve_app.gateway.channel_hub import ChannelHub
from serve_app.gateway.client_tokens import ClientTokens
from serve_app.gateway.commands.connection import SERVER_VERSION
from serve_app.gateway.control_channel import ControlChannel, Node
from serve_app.gateway.direct_send import DirectSender, OutletOf
from serve_app.gateway.fossil import create_delta
from serve_app.gateway.peers import Peers
from serve_app.gateway.protocol import Outlet, Wire
from serve_app.gateway.server_api import ServerApi
from serve_app.gateway.services import (
    Authorize,
    CheckFrame,
    CheckRate,
    Rpc,
    Services,
    VerifyToken,
)
from serve_app.gateway.session import Session
from serve_app.gateway.shard_link import ShardCall, ShardLinks
from serve_app.gateway.timers import Wheel
from serve_app.gateway.transports import http_stream, sse, unidirectional, websocket
from serve_app.gateway.transports.emulation import Emulation
from serve_app.gateway.transports.stream import Complete, Opening, StreamSession

_DRAIN_SLICE_SECONDS: Final = 0.05

_Serve = Callable[
    [web.Request, Services, str, OutletOf], Coroutine[Any, Any, web.WebSocketResponse]
]
_Open = Callable[[Opening], Awaitable[web.StreamResponse]]
_Make = Callable[[Services, Outlet, Wire, str], StreamSession]


def _peer_address(request: web.Request) -> str:
    return request.remote or ""


class Realtime:
    """One per gateway process; everything on one event loop."""

    def __init__(
        self,
        settings: Settings,
        shard_call: ShardCall,
        shard_count: int,
        authorize: Authorize,
        verify_token: VerifyToken,
        gateway_id: str,
        check_rate: CheckRate | None = None,
        *,
        check_frame: CheckFrame | None = None,
        address_of: Callable[[web.Request], str] = _peer_address,
        node: Callable[[], str] = str,
        send: DirectSender | None = None,
        tokens: ClientTokens | None = None,
        rpc: Rpc | None = None,
    ) -> None:
        self._address_of = address_of
        self._check_frame = check_frame
        limits = settings.realtime
        self._peers = Peers(settings.auth.secret, node)
        self._shard_count = shard_count
        self._links = ShardLinks(shard_call, shard_count, gateway_id, shard_of)
        sender = send or DirectSender()
        self._outlet_of = sender.outlet
        self._hub = ChannelHub(
            self._links, limits.max_queue_bytes, send=sender, create_delta=create_delta
        )
        catch_up = CatchUp(self._hub, self._links, limits)
        sessions: set[Session] = set()
        self._services = Services(
            settings=limits,
            namespaces=Namespaces(settings.channels),
            hub=self._hub,
            accounts=AccountSessions(self._hub),
            access=AccessChanges(self._hub, authorize, sessions),
            links=self._links,
            catch_up=catch_up,
            wheel=Wheel(),
            authorize=authorize,
            tokens=tokens or ClientTokens(limits, settings.auth.secret, verify_token),
            publish_ephemeral=self._links.publish_ephemeral,
            check_rate=check_rate,
            rpc=rpc,
            node=self._peers.own_name,
            is_draining=lambda: self._draining,
            sessions=sessions,
        )
        self._emulation = emulation = Emulation(
            self._peers,
            self._charge_frame,
            limits.max_message_bytes,
            limits.connect_timeout_seconds,
        )
        listening = unidirectional.ListeningStream
        self._streams: dict[str, tuple[_Open, _Make]] = {
            "sse": (sse.open_stream, emulation.session),
            "http_stream": (http_stream.open_stream, emulation.session),
            "uni_sse": (unidirectional.open_sse, listening),
            "uni_http_stream": (unidirectional.open_http_stream, listening),
        }
        self._capacity = Capacity(limits, settings.rate_limit)
        self._admission = Admission()
        self._draining = False
        self._control: ControlChannel | None = None
        self.server_api: ServerApi | None = None
        """None without `realtime.api_key`."""
        if limits.api_key:
            self._open_server_api(limits, gateway_id, node)

    def _open_server_api(
        self, limits: RealtimeSettings, gateway_id: str, address: Callable[[], str]
    ) -> None:
        services, hub, links = self._services, self._hub, self._links
        started = time.monotonic()

        def describe() -> Node:
            return Node(
                uid=gateway_id,
                name=address() or gateway_id,
                version=SERVER_VERSION,
                num_clients=len(services.sessions),
                num_users=len(services.users),
                num_subs=hub.subscriptions,
                num_channels=hub.channel_count,
                uptime=int(time.monotonic() - started),
            )

        self._control = ControlChannel(hub, links, services.sessions_of, describe)
        self.server_api = ServerApi(
            limits, services.namespaces, links.ask, links.ask_all, links.publish, self._control
        )

    async def start(self) -> None:
        self._capacity.start()
        self._services.wheel.start()
        self._links.start(self._hub)
        control = self._control.start() if self._control is not None else None
        self._services.access.start(control)

    # A coroutine that only waits for another one is held by every connection: these are none.
    def handle_websocket(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        return self._handle_socket(request, websocket.serve)

    def handle_uni_websocket(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        return self._handle_socket(request, unidirectional.serve_socket)

    async def _handle_socket(self, request: web.Request, serve: _Serve) -> web.StreamResponse:
        address = self._address_of(request)
        try:
            held = self._capacity.hold(address)
        except AppError as error:
            return _refused(error)
        with held:
            try:
                await self._admit()
            except AppError as error:
                return _refused(error)
            return await serve(request, self._services, address, self._outlet_of)

    async def _admit(self) -> None:
        """Raises AppError with `retry_after_seconds`."""
        if not self._draining:
            await self._admission.enter()
        if self._draining:
            raise AppError("unavailable", "This gateway is being stopped.", retry_after_seconds=1.0)

    async def handle_stream(
        self, name: str, request: web.Request, complete: Complete
    ) -> web.StreamResponse:
        """`sse`, `http_stream`, `uni_sse` or `uni_http_stream`; answers when the stream ends.
        Raises AppError for what never becomes one."""
        open_stream, session_of = self._streams[name]
        address = self._address_of(request)
        with self._capacity.hold(address):
            await self._admit()
            return await open_stream(
                Opening(request, complete, self._services, self._outlet_of, address, session_of)
            )

    async def _charge_frame(self, request: web.Request) -> None:
        if self._check_frame is not None:
            await self._check_frame(self._address_of(request))

    async def handle_emulation(self, request: web.Request) -> web.StreamResponse:
        """Raises AppError."""
        return await self._emulation.handle(request)

    def follow(self, channel: str, on_event: OnEvent) -> None:
        """`on_event(channel, offset)` in the tick of each publication, offset 0 for ephemeral ones;
        also with the top offset once the channel is attached, and after lost continuity."""
        self._hub.follow(channel, on_event)

    def unfollow(self, channel: str, on_event: OnEvent) -> None:
        self._hub.unfollow(channel, on_event)

    async def drain(self, seconds: float) -> None:
        """Accepts no more sockets and closes those there are, evenly over `seconds`. SDKs reconnect
        with jitter and recover; at cancellation the rest stays open. Whose handshake has been
        admitted before is told at its end (`Services.is_draining`)."""
        self._draining = True
        sessions = [s for s in self._services.sessions if s.is_open]
        slices = max(1, int(seconds / _DRAIN_SLICE_SECONDS))
        size = -(-len(sessions) // slices)
        for start in range(0, len(sessions), size or 1):
            if start:
                await asyncio.sleep(_DRAIN_SLICE_SECONDS)
            for session in sessions[start : start + size]:
                session.close(codes.shutdown())

    async def stop(self) -> None:
        """Cuts what is still open and ends all tasks."""
        self._draining = True
        for session in list(self._services.sessions):
            session.close(codes.shutdown())
            session.outlet.close()
        if self._control is not None:
            await self._control.stop()
        await self._services.access.stop()
        await self._peers.stop()
        await self._links.stop()
        await self._services.catch_up.stop()
        await self._services.tokens.close()
        await self._hub.stop()
        self._services.wheel.stop()

    @property
    def is_connected(self) -> bool:
        return self._links.connected == self._shard_count

    def statistics(self) -> dict[str, int]:
        return {
            "sockets": len(self._services.sessions),
            "shards_connected": self._links.connected,
            **self._capacity.statistics(),
            **self._admission.statistics(),
            **self._hub.statistics(),
        }


def _refused(error: AppError) -> web.Response:
    retry = f"{error.retry_after_seconds:.0f}"
    return web.Response(status=error.status, headers={"Retry-After": retry})
