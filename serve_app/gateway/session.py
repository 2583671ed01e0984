"""One connection: who it is, what it follows, what is due. Decides; its outlet does the I/O.

    frame ─▶ codec ─▶ in order: pong, ping … at once · connect inline · channel commands ─▶ lanes
                                                                             └ commands/ ─▶ reply

Commands of one channel run one after the other in a lane; different channels don't wait for each
other. Deadlines (connect, ping, pong, expiry, closing) are served by the process-wide wheel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import ClassVar, Final
from uuid import uuid4

import msgspec
from prometheus_client import Counter, Gauge

from actors.messages import GUEST, Caller
from config.errors import AppError
from serve_app.gateway import codes, commands, reauthorization
from serve_app.gateway.channel import Admission
from serve_app.gateway.channel_hub import BYTES
from serve_app.gateway.client_tokens import ConnectionToken, Override, ServerSubscription
from serve_app.gateway.codec_json import single_line
from serve_app.gateway.codes import Disconnect, ReplyError
from serve_app.gateway.commands import server_subscriptions
from serve_app.gateway.faults import Faults
from serve_app.gateway.lanes import Lanes
from serve_app.gateway.protocol import (
    PONG,
    ClientInfo,
    Command,
    Ending,
    ErrorResult,
    MessagePush,
    Outlet,
    Push,
    RefreshPush,
    Reply,
    Wire,
)
from serve_app.gateway.services import Services
from serve_app.gateway.subscription import NO_OVERRIDE, Beginning, Subscription, embed

log = logging.getLogger(__name__)

COMMAND_SECONDS: Final = 4.0
"""Below the 5 s after which SDKs give a command up, so that they hear a temporary error instead."""
CLOSING_SECONDS: Final = 3.0
"""How long the client may take to answer a close frame."""
REPLIES_PER_FRAME: Final = 16

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
        "_faults",
        "_lanes",
        "_outbox",
        "_ping_at",
        "_pong_by",
        "_reauthorizing",
        "_subscriptions_expire_by",
        "address",
        "caller",
        "client",
        "conn_info",
        "outlet",
        "services",
        "session",
        "slot",
        "state",
        "subscriptions",
        "user",
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
        self.user = ""
        self.conn_info = b""
        self.state = State.CONNECTING
        self.slot = -1
        # None reserves the place of a subscription that is being made.
        self.subscriptions: dict[str, Subscription | None] = {}
        # Counts what may have changed permissions; a subscribe that began before checks again.
        self.version = 0
        self._reauthorizing = False
        self._lanes = Lanes(self._run_of_lane)
        self._faults = Faults()
        self._outbox: list[bytes] = []
        self._connect_by = services.wheel.now() + services.settings.connect_timeout_seconds
        self._ping_at = self._pong_by = self._expire_by = self._close_by = 0.0
        self._subscriptions_expire_by = 0.0
        services.sessions.add(self)
        services.wheel.set(self, self._connect_by)
        SOCKETS.inc()

    @property
    def is_open(self) -> bool:
        return self.state is not State.CLOSED

    @property
    def is_connected(self) -> bool:
        return self.state is State.CONNECTED

    @property
    def own_channel(self) -> str:
        """The channel of the account, "" without one."""
        return f"user:{self.caller.account_id}" if self.caller.account_id is not None else ""

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
        if command.refresh is not None:
            await self._execute(commands.refresh, command)
            return
        name = commands.lane_of(command)
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

    async def _run_of_lane(self, command: Command) -> None:
        await self._execute(commands.of_lane(command), command)
        self.flush()

    async def _execute(self, handler: commands.Handler, command: Command) -> None:
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await handler(self, command)
        except (ReplyError, AppError) as error:
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
        end = self._faults.count(error.code, self.services.wheel.now())
        if end is not None:
            self.close(end)

    def admit(self, messages: Sequence[bytes], beginnings: Mapping[str, Beginning]) -> None:
        """Writes the messages and begins the subscriptions, all in this tick."""
        self.flush()
        if not self.is_open or self.outlet.is_closing():
            return
        hub = self.services.hub
        admissions = [Admission(s.channel, s.terms.wants, base) for s, base in beginnings.values()]
        hub.admit(admissions, self, self.wire.frame(messages))
        for name, (subscription, _) in beginnings.items():
            self.subscriptions[name] = subscription
            if subscription.terms.present:
                lists = subscription.row.presence == "clients"
                info = self.client_info(subscription.info) if lists else b""
                hub.arrive_client(subscription.channel, self.client, self.user, info)
        self._close_if_slow()

    def client_info(self, chan_info: bytes = b"") -> bytes:
        """The connection as others see it, encoded."""
        info = ClientInfo(self.user, self.client, embed(self.conn_info), embed(chan_info))
        return msgspec.json.encode(info)

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

    def identify(self, token: ConnectionToken) -> int:
        """Takes a good token's identity; returns the seconds until it expires, 0 for never."""
        services = self.services
        self.user, self.caller = token.user, token.caller
        self.conn_info = token.info or self.conn_info
        if self.user and self.is_open:
            services.users.setdefault(self.user, {})[self] = None
        if self.state is State.CONNECTING:
            self.state = State.CONNECTED
            self._connect_by = 0.0
            # Connections that came together (after a restart) shall not be pinged together.
            spread = 0.5 + services.spread() / 2
            self._ping_at = services.wheel.now() + services.settings.ping_seconds * spread
        return self._live_until(token.expires_at)

    def _live_until(self, expires_at: float) -> int:
        ttl, self._expire_by = self._deadline(expires_at)
        self.services.wheel.set(self, self._next_deadline())
        return ttl

    def _deadline(self, expires_at: float) -> tuple[int, float]:
        """Seconds from now as clients are told, and the loop time with the grace; 0 for never."""
        services = self.services
        if not expires_at:
            return 0, 0.0
        remaining = max(expires_at - services.clock(), 1.0)
        grace = services.settings.refresh_grace_seconds
        return int(remaining), services.wheel.now() + remaining + grace

    def expire_subscription(self, subscription: Subscription, expires_at: float) -> int:
        """Ends it then (Unix seconds, 0: never) and after the grace; returns the seconds left."""
        ttl, subscription.expire_by = self._deadline(expires_at)
        self._expect_expiry(subscription)
        self.services.wheel.set(self, self._next_deadline())
        return ttl

    def _expect_expiry(self, subscription: Subscription) -> None:
        """One deadline for all subscriptions, which looks through them when it comes."""
        if subscription.expire_by:
            nearest = self._subscriptions_expire_by or subscription.expire_by
            self._subscriptions_expire_by = min(nearest, subscription.expire_by)

    def _expire_subscriptions(self, now: float) -> None:
        self._subscriptions_expire_by = 0.0
        for name, subscription in list(self.subscriptions.items()):
            if subscription is None:
                continue
            if subscription.expire_by and now >= subscription.expire_by:
                self.end_subscription(name, subscription, codes.UNSUBSCRIBE_EXPIRED)
            else:
                self._expect_expiry(subscription)

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
        elif self._subscriptions_expire_by and now >= self._subscriptions_expire_by:
            self._expire_subscriptions(now)
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
        times = (
            self._connect_by,
            self._expire_by,
            self._subscriptions_expire_by,
            self._pong_by,
            self._ping_at,
        )
        return min((when for when in times if when), default=None)

    # ------------------------------------------------------------ permissions

    def reauthorize(self) -> None:
        """Checks every subscription again, and ends what is no longer permitted."""
        self.version += 1
        if not self._reauthorizing and self.is_connected:
            self._reauthorizing = True
            self._lanes.spawn(self._reauthorize())

    async def _reauthorize(self) -> None:
        checked = -1
        try:
            while checked != self.version:
                checked = self.version
                await reauthorization.check(self)
        finally:
            self._reauthorizing = False

    # ------------------------------------------------------------ what the server does by itself

    async def subscribe_by_server(
        self,
        channel: str,
        *,
        info: bytes = b"",
        data: bytes = b"",
        recover_since: tuple[str, int] | None = None,
        expire_at: float = 0.0,
        override: Override = NO_OVERRIDE,
    ) -> None:
        """As `server_subscriptions.subscribe`."""
        options = ServerSubscription(info, data, override)
        await server_subscriptions.subscribe(self, channel, options, recover_since, expire_at)

    def unsubscribe_by_server(
        self, channel: str, code: int = 2000, reason: str = "server unsubscribe"
    ) -> None:
        """Of whatever subscription there is; `channel` empty: of all but the own `user:` channel,
        which belongs to the connection."""
        for name in [channel] if channel else list(self.subscriptions):
            subscription = self.subscriptions.get(name)
            if subscription is not None and (channel or name != self.own_channel):
                self.end_subscription(name, subscription, (code, reason))

    def refresh_by_server(self, expire_at: float) -> None:
        """The connection now lives until then (Unix seconds, 0 for ever), without a new token."""
        if self.is_connected:
            ttl = self._live_until(expire_at)
            self._push(Push(refresh=RefreshPush(expires=ttl > 0, ttl=ttl)))

    def send_message(self, data: bytes) -> None:
        """A message of the server, of JSON, outside of any channel."""
        if self.is_connected:
            self._push(Push(message=MessagePush(msgspec.Raw(single_line(data)))))

    def _push(self, push: Push) -> None:
        self.flush()
        if self.is_open:
            self._write(self.wire.frame((self.wire.codec.push(push),)))

    # ------------------------------------------------------------ ends

    def unsubscribe(self, name: str) -> None:
        """Silent; also of a channel that the connection is not in."""
        subscription = self.subscriptions.get(name)
        if subscription is None:
            return
        del self.subscriptions[name]
        # In this order: who leaves does not hear of it.
        self.services.hub.leave(subscription.channel, self)
        if subscription.terms.present:
            self.services.hub.depart_client(subscription.channel, self.client, self.user)

    def give_up_place(self, name: str) -> None:
        """A subscription that was to be made was not; nothing where it was, or the session ended."""
        if name in self.subscriptions and self.subscriptions[name] is None:
            del self.subscriptions[name]

    def end_subscription(self, name: str, subscription: Subscription, why: tuple[int, str]) -> None:
        """Tells the client. Nothing where another one has taken its place."""
        if self.subscriptions.get(name) is subscription and self.is_open:
            self.unsubscribe(name)
            self._push(Push(name, unsubscribe=Ending(*why)))

    def on_discontinuity(self, channel: str) -> None:
        subscription = self.subscriptions.get(channel)
        if subscription is None or not subscription.needs_continuity:
            return
        if subscription.server_side:
            # SDKs do not resubscribe these by themselves: only a reconnect recovers them.
            self.close(codes.insufficient_state())
        else:
            self.end_subscription(channel, subscription, codes.UNSUBSCRIBE_INSUFFICIENT)

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
        self.services.forget(self.user, self)
        for name in list(self.subscriptions):
            self.unsubscribe(name)
        self.subscriptions.clear()
        self._outbox.clear()
        self._lanes.close()
