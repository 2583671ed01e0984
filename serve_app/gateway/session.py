"""One connection: who it is, what it follows, what is due. Decides; its outlet does the I/O.

    frame ─▶ codec ─▶ in order: pong, ping … at once · connect inline · channel commands ─▶ lanes
                                                                             └ commands.py ─▶ reply

Commands of one channel run one after the other in a lane; different channels don't wait for each
other. Deadlines (connect, ping, pong, expiry, closing) are served by the process-wide wheel.
"""

from __future__ import annotations

import asyncio
import logging
from enum import IntEnum
from typing import ClassVar, Final
from uuid import uuid4

from prometheus_client import Counter, Gauge

from actors.messages import GUEST, Caller, ChannelGrant
from config.errors import AppError
from serve_app.gateway import codes, commands
from serve_app.gateway.channel import Admission
from serve_app.gateway.channel_hub import BYTES
from serve_app.gateway.codes import Disconnect, ReplyError
from serve_app.gateway.lanes import Lanes
from serve_app.gateway.protocol import (
    PONG,
    Command,
    Ending,
    ErrorResult,
    Outlet,
    Push,
    Reply,
    Wire,
)
from serve_app.gateway.services import Services, Subscription

log = logging.getLogger(__name__)

COMMAND_SECONDS: Final = 4.0
"""Below the 5 s after which SDKs give a command up, so that they hear a temporary error instead."""
CLOSING_SECONDS: Final = 3.0
"""How long the client may take to answer a close frame."""
REPLIES_PER_FRAME: Final = 16
_REAUTHORIZE_ATTEMPTS: Final = 6
_REAUTHORIZE_BACKOFF_SECONDS: Final = 0.1

SOCKETS = Gauge("serai_realtime_sockets", "Open connections", multiprocess_mode="livesum")
SLOW_CLOSES = Counter(
    "serai_realtime_slow_closes_total", "Connections closed for reading too slowly"
)
CLOSES = Counter("serai_realtime_closes_total", "Connections that the server ended", ["code"])


class State(IntEnum):
    CONNECTING = 0
    CONNECTED = 1
    CLOSED = 2


class Session:
    """The transport calls `receive` for each frame, `end` when the socket is gone, nothing else."""

    answers_pings: ClassVar[bool] = True

    __slots__ = (
        "_close_by",
        "_connect_by",
        "_expire_by",
        "_lanes",
        "_outbox",
        "_ping_at",
        "_pong_by",
        "_reauthorizing",
        "address",
        "caller",
        "client",
        "outlet",
        "services",
        "session",
        "slot",
        "state",
        "subscriptions",
        "version",
        "wire",
    )

    def __init__(self, services: Services, outlet: Outlet, wire: Wire, address: str) -> None:
        self.services = services
        self.outlet = outlet
        self.wire = wire
        self.address = address
        self.client = str(uuid4())
        # What the commands of an emulated connection name it by; only its client knows it.
        self.session = ""
        self.caller: Caller = GUEST
        self.state = State.CONNECTING
        self.slot = -1
        # None reserves the place of a subscription that is being made.
        self.subscriptions: dict[str, Subscription | None] = {}
        # Counts what may have changed permissions; a subscribe that began before checks again.
        self.version = 0
        self._reauthorizing = False
        self._lanes = Lanes(self._run_of_channel)
        self._outbox: list[bytes] = []
        self._connect_by = services.wheel.now() + services.settings.connect_timeout_seconds
        self._ping_at = self._pong_by = self._expire_by = self._close_by = 0.0
        services.sessions.add(self)
        services.wheel.set(self, self._connect_by)
        SOCKETS.inc()

    @property
    def user(self) -> str:
        return str(self.caller.account_id) if self.caller.account_id is not None else ""

    # ------------------------------------------------------------ incoming

    async def receive(self, frame: bytes) -> None:
        """Takes one frame in. Waits while too many commands of this connection are in flight, which
        stops reading from its socket. Protocol errors close the session and raise nothing."""
        if self.state is State.CLOSED:
            return
        try:
            for command in self.wire.codec.decode(frame):
                await self._accept(command)
                await self._lanes.wait_room()
                if not self.is_open:
                    return
        except Disconnect as end:
            self.close(end)
        self.flush()

    @property
    def is_open(self) -> bool:
        return self.state is not State.CLOSED

    async def _accept(self, command: Command) -> None:
        if command is PONG:
            self._on_pong()
            return
        if command.send is None and command.id == 0:
            raise codes.malformed()
        if self.state is State.CONNECTING:
            if command.connect is None:
                raise codes.malformed()
            await self._execute(commands.connect, command)
            return
        if command.connect is not None:
            raise codes.malformed()
        name = commands.channel_of(command)
        if name is None:
            try:
                commands.answer_at_once(self, command)
            except ReplyError as error:
                self.fail(command.id, error)
        elif command.unsubscribe is not None and not self._lanes.busy(name):
            await commands.unsubscribe(self, command)
        else:
            self._lanes.put(name, command)

    def _on_pong(self) -> None:
        if self.state is not State.CONNECTED or not self._pong_by:
            raise codes.malformed()
        self._pong_by = 0.0

    async def _run_of_channel(self, command: Command) -> None:
        await self._execute(commands.of_channel(command), command)
        self.flush()

    async def _execute(self, handler: commands.Handler, command: Command) -> None:
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await handler(self, command)
        except ReplyError as error:
            self.fail(command.id, error)
        except AppError as error:
            self.fail(command.id, codes.reply_error(error))
        except TimeoutError:
            self.fail(command.id, codes.internal())
        except Disconnect as end:
            self.close(end)
        except Exception:
            log.exception("a realtime command failed")
            self.fail(command.id, codes.internal())

    # ------------------------------------------------------------ outgoing

    def reply(self, reply: Reply) -> None:
        """Replies of one tick share frames."""
        if self.is_open:
            self._outbox.append(self.wire.codec.reply(reply))
            if len(self._outbox) >= REPLIES_PER_FRAME:
                self.flush()

    def fail(self, command_id: int, error: ReplyError) -> None:
        result = ErrorResult(error.code, error.message, error.temporary)
        self.reply(Reply(command_id, error=result))

    def admit(self, reply: Reply, subscriptions: dict[str, Subscription]) -> None:
        """Replies and begins the subscriptions, all in this tick."""
        self.flush()
        if not self.is_open or self.outlet.is_closing():
            return
        frame = self.wire.frame((self.wire.codec.reply(reply),))
        admissions = [Admission(s.channel) for s in subscriptions.values()]
        self.services.hub.admit(admissions, self, frame)
        for name, subscription in subscriptions.items():
            self.subscriptions[name] = subscription
            if not subscription.server_side:
                self.services.hub.arrive_client(subscription.channel, self.client, self.user, b"")
        self._close_if_slow()

    def flush(self) -> None:
        if self._outbox and self.is_open:
            frame = self.wire.frame(self._outbox)
            self._outbox.clear()
            self._write(frame)

    def _write(self, data: bytes) -> None:
        if self.outlet.is_closing():
            return  # the read loop is about to end this session
        self.outlet.write(data)
        BYTES.inc(len(data))
        self._close_if_slow()

    def _close_if_slow(self) -> None:
        if self.outlet.get_write_buffer_size() > self.services.settings.max_queue_bytes:
            self.on_slow()

    # ------------------------------------------------------------ identity and deadlines

    def identify(self, caller: Caller, expires_at: float) -> int:
        """Takes a verified token's identity; returns the seconds until it expires, 0 for never."""
        services = self.services
        self.caller = caller
        now = services.wheel.now()
        ttl = 0
        self._expire_by = 0.0
        if expires_at:
            remaining = max(expires_at - services.clock(), 1.0)
            ttl = int(remaining)
            self._expire_by = now + remaining + services.settings.refresh_grace_seconds
        if self.state is State.CONNECTING:
            self.state = State.CONNECTED
            self._connect_by = 0.0
            # Connections that came together (after a restart) shall not be pinged together.
            spread = 0.5 + services.spread() / 2
            self._ping_at = now + services.settings.ping_seconds * spread
        self.services.wheel.set(self, self._next_deadline())
        return ttl

    def on_time(self, now: float) -> float | None:
        if self.state is State.CLOSED:
            if self._close_by and now >= self._close_by:
                self._close_by = 0.0
                self.outlet.abort()
        elif self._connect_by and now >= self._connect_by:
            self.close(codes.stale())
        elif self._expire_by and now >= self._expire_by:
            self.close(codes.expired())
        elif self._pong_by and now >= self._pong_by:
            self.close(codes.no_pong())
        elif self._ping_at and now >= self._ping_at:
            settings = self.services.settings
            self._ping_at = now + settings.ping_seconds
            if self.answers_pings:
                self._pong_by = self._pong_by or now + settings.pong_timeout_seconds
            self._write(self.wire.frame((self.wire.codec.ping,)))
        return self._next_deadline()

    def _next_deadline(self) -> float | None:
        if self.state is State.CLOSED:
            return self._close_by or None
        times = (self._connect_by, self._expire_by, self._pong_by, self._ping_at)
        return min((when for when in times if when), default=None)

    # ------------------------------------------------------------ permissions

    def reauthorize(self) -> None:
        """Checks every subscription again, and ends what is no longer permitted."""
        self.version += 1
        if not self._reauthorizing and self.state is State.CONNECTED:
            self._reauthorizing = True
            self._lanes.spawn(self._reauthorize())

    async def _reauthorize(self) -> None:
        checked = -1
        try:
            while checked != self.version:
                checked = self.version
                await self._reauthorize_self()
                for name in list(self.subscriptions):
                    await self._reauthorize_channel(name)
        finally:
            self._reauthorizing = False

    async def _reauthorize_self(self) -> None:
        try:
            await self._authorize_again(f"user:{self.user}")
        except AppError as error:
            # Nobody could say: the SDK connects again, and is authorized then.
            self.close(codes.refused_connection(error) or codes.insufficient_state())

    async def _reauthorize_channel(self, name: str) -> None:
        subscription = self.subscriptions.get(name)
        if subscription is None or subscription.server_side:
            return
        try:
            grant = await self._authorize_again(name)
        except AppError as error:
            denied = error.code in codes.DENIALS
            # Nobody could say: the SDK subscribes again, and is authorized then.
            why = codes.UNSUBSCRIBE_DENIED if denied else codes.UNSUBSCRIBE_INSUFFICIENT
            self._end_subscription(name, subscription, why)
        else:
            subscription.may_type = grant.may_publish_typing

    async def _authorize_again(self, name: str) -> ChannelGrant:
        """Raises the AppError of a denial, or of the last of several attempts."""
        for attempt in range(_REAUTHORIZE_ATTEMPTS - 1):
            try:
                return await self.services.authorize(self.caller, name)
            except AppError as error:
                if error.code in codes.DENIALS:
                    raise
            await asyncio.sleep(_REAUTHORIZE_BACKOFF_SECONDS * 2**attempt)
        return await self.services.authorize(self.caller, name)

    # ------------------------------------------------------------ ends

    def unsubscribe(self, name: str) -> None:
        """Silent; also of a channel that the connection is not in."""
        subscription = self.subscriptions.get(name)
        if subscription is None:
            return
        del self.subscriptions[name]
        self.services.hub.leave(subscription.channel, self)
        if not subscription.server_side:
            self.services.hub.depart_client(subscription.channel, self.client, self.user)

    def _end_subscription(
        self, name: str, subscription: Subscription, why: tuple[int, str]
    ) -> None:
        if self.subscriptions.get(name) is not subscription or not self.is_open:
            return
        self.unsubscribe(name)
        self.flush()
        if self.is_open:
            push = Push(name, unsubscribe=Ending(*why))
            self._write(self.wire.frame((self.wire.codec.push(push),)))

    def on_discontinuity(self, channel: str) -> None:
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            return
        if subscription.server_side:
            # SDKs do not resubscribe these by themselves: only a reconnect recovers them.
            self.close(codes.insufficient_state())
        else:
            self._end_subscription(channel, subscription, codes.UNSUBSCRIBE_INSUFFICIENT)

    def on_slow(self) -> None:
        if self.is_open:
            SLOW_CLOSES.inc()
            self.close(codes.slow())

    def close(self, end: Disconnect) -> None:
        """Tells the client and waits for it to hang up, for a bounded time. Idempotent."""
        if self.state is State.CLOSED:
            return
        CLOSES.labels(str(end.code)).inc()
        push = Push(disconnect=Ending(end.code, end.reason))
        messages = [*self._outbox, self.wire.codec.push(push)]
        self._release()
        if not self.outlet.is_closing():
            self.outlet.write(self.wire.frame(messages) + self.wire.close(end))
        self._close_by = self.services.wheel.now() + CLOSING_SECONDS
        self.services.wheel.set(self, self._close_by)

    def end(self) -> None:
        """The socket is gone. Idempotent."""
        if self not in self.services.sessions:
            return
        self.services.sessions.discard(self)
        self._release()
        self.services.wheel.set(self, None)
        SOCKETS.dec()

    def _release(self) -> None:
        self.state = State.CLOSED
        self.services.accounts.discard(self)
        for name in list(self.subscriptions):
            self.unsubscribe(name)
        self.subscriptions.clear()
        self._outbox.clear()
        self._lanes.close()
