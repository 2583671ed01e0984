"""One connection: who it is, what it follows, what is due. Decides; its outlet does the I/O.

    frame ─▶ codec ─▶ intake.py ─▶ lanes.py ─▶ commands/ ─▶ reply ─▶ outbox.py ─▶ outlet

Commands of one channel run one after the other in a lane; different channels don't wait for each
other. Deadlines (connect, ping, pong, expiry, closing) are served by the process-wide wheel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import ClassVar, Final
from uuid import uuid4

import msgspec
from prometheus_client import Counter, Gauge

from actors.messages import GUEST, Caller
from serve_app.gateway import codes, intake, reauthorization
from serve_app.gateway.channel import Admission
from serve_app.gateway.client_tokens import ConnectionToken, Override, ServerSubscription
from serve_app.gateway.codec_json import single_line
from serve_app.gateway.codes import Disconnect, ReplyError
from serve_app.gateway.commands import server_subscriptions
from serve_app.gateway.deadlines import Deadlines, Due
from serve_app.gateway.faults import Faults
from serve_app.gateway.lanes import Lanes
from serve_app.gateway.outbox import Outbox
from serve_app.gateway.protocol import (
    ClientInfo,
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
from serve_app.tally import Tally

CLOSING_SECONDS: Final = 3.0
"""How long the client may take to answer a close frame."""

SOCKETS = Gauge("serai_realtime_sockets", "Open connections", multiprocess_mode="livesum")
_SOCKETS = Tally(SOCKETS)
SLOW_CLOSES = Counter(
    "serai_realtime_slow_closes_total", "Connections closed for reading too slowly"
)
CLOSES = Counter("serai_realtime_closes_total", "Connections that the server ended", ["code"])


class State(IntEnum):
    """REFUSED: its connect failed. The client is to hang up; nothing else it says is looked at, for
    what it had sent already is no mistake of its own."""

    CONNECTING = 0
    CONNECTED = 1
    REFUSED = 2
    CLOSED = 3


class Session:
    """The transport calls `receive` for each frame, `end` when the socket is gone, nothing else."""

    answers_pings: ClassVar[bool] = True

    __slots__ = (
        "_deadlines",
        "address",
        "caller",
        "client",
        "conn_info",
        "connected_at",
        "faults",
        "lanes",
        "outbox",
        "outlet",
        "reauthorizing",
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
        self.address, self.connected_at = address, services.clock()
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
        self.reauthorizing = False
        self.lanes = Lanes(partial(intake.run, self))
        self.faults = Faults()
        limits = services.settings
        self.outbox = Outbox(outlet, wire, limits.max_queue_bytes, self.on_slow)
        self._deadlines = Deadlines(services.wheel.now() + limits.connect_timeout_seconds)
        services.sessions.add(self)
        services.wheel.set(self, self._deadlines.nearest())
        _SOCKETS.add(1)

    @property
    def is_open(self) -> bool:
        return self.state is not State.CLOSED

    @property
    def listens(self) -> bool:
        return self.state <= State.CONNECTED

    @property
    def is_connected(self) -> bool:
        return self.state is State.CONNECTED

    @property
    def own_channel(self) -> str:
        """The channel of the account, "" without one."""
        return f"user:{self.caller.account_id}" if self.caller.account_id is not None else ""

    # ------------------------------------------------------------ incoming

    async def receive(self, frame: bytes) -> None:
        """Takes one frame in. Waits while too much of this connection is in flight, which stops
        reading from its socket. Protocol errors close the session and raise nothing."""
        if not self.listens:
            return
        try:
            await intake.take(self, self.wire.codec.decode(frame), len(frame))
        except Disconnect as end:
            self.close(end)
        self.outbox.flush()

    def take_pong(self) -> None:
        """Raises Disconnect where none was asked for."""
        services = self.services
        next_by = services.wheel.now() + services.settings.pong_timeout_seconds
        if not self.is_connected or not self._deadlines.take_pong(next_by):
            raise codes.malformed()

    # ------------------------------------------------------------ outgoing

    def flush(self) -> None:
        self.outbox.flush()

    def reply(self, reply: Reply) -> None:
        """Error 106 in its place where the outlet's queue is not made for so much."""
        message = self.wire.codec.reply(reply)
        if len(message) > self.outbox.largest_message:
            self.fail(reply.id, codes.limit_exceeded())
        else:
            self.outbox.put(message)

    def fail(self, command_id: int, error: ReplyError) -> None:
        result = ErrorResult(error.code, error.message, error.temporary)
        self.outbox.put(self.wire.codec.reply(Reply(command_id, error=result)))
        end = self.faults.count(error.code, self.services.wheel.now())
        if end is not None:
            self.close(end)

    def admit(self, messages: Sequence[bytes], beginnings: Mapping[str, Beginning]) -> None:
        """Begins the subscriptions and writes the messages in this tick, with what waits and in one
        send; without any subscription the messages wait for the next flush."""
        if not self.outbox.takes:
            return
        if not beginnings:
            for message in messages:
                self.outbox.put(message)
            return
        hub = self.services.hub
        admissions = [Admission(s.channel, s.terms.wants, base) for s, base in beginnings.values()]
        hub.admit(admissions, self, self.wire.frame([*self.outbox.take(), *messages]))
        for name, (subscription, _) in beginnings.items():
            self.subscriptions[name] = subscription
            if subscription.terms.present:
                lists = subscription.row.presence == "clients"
                info = self.client_info(subscription.info) if lists else b""
                hub.arrive_client(subscription.channel, self.client, self.user, info)
        self.outbox.check_speed()

    def refuse(self) -> None:
        """The answer to connect was an error, or an end."""
        if self.state is State.CONNECTING:
            self.state = State.REFUSED

    def client_info(self, chan_info: bytes = b"") -> bytes:
        """The connection as others see it, encoded."""
        info = ClientInfo(self.user, self.client, embed(self.conn_info), embed(chan_info))
        return msgspec.json.encode(info)

    def _push(self, push: Push) -> None:
        self.outbox.send(self.wire.codec.push(push))

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
            self._deadlines.connect = 0.0
            # Connections that came together (after a restart) shall not be pinged together.
            spread = 0.5 + services.spread() / 2
            self._deadlines.ping = services.wheel.now() + services.settings.ping_seconds * spread
        return self._live_until(token.expires_at)

    def _live_until(self, expires_at: float) -> int:
        ttl, self._deadlines.expiry = self._deadline(expires_at)
        self.services.wheel.set(self, self._deadlines.nearest())
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
        self._deadlines.expect_expiry(subscription.expire_by)
        self.services.wheel.set(self, self._deadlines.nearest())
        return ttl

    def on_time(self, now: float) -> float | None:
        match self._deadlines.due(now):
            case Due.HANGUP:
                self._deadlines.hangup = 0.0
                self.outlet.abort()
            case Due.CONNECT:
                self.close(codes.stale())
            case Due.EXPIRY:
                self.close(codes.expired())
            case Due.PONG:
                self.close(codes.no_pong())
            case Due.SUBSCRIPTION:
                self._expire_subscriptions(now)
            case Due.PING:
                self._send_ping(now)
        return self._deadlines.nearest()

    def _expire_subscriptions(self, now: float) -> None:
        self._deadlines.subscription = 0.0
        for name, subscription in list(self.subscriptions.items()):
            if subscription is None:
                continue
            if subscription.expire_by and now >= subscription.expire_by:
                self.end_subscription(name, subscription, codes.UNSUBSCRIBE_EXPIRED)
            else:
                self._deadlines.expect_expiry(subscription.expire_by)

    def _send_ping(self, now: float) -> None:
        settings, deadlines = self.services.settings, self._deadlines
        deadlines.ping = now + settings.ping_seconds
        if self.answers_pings:
            deadlines.expect_pong(now + settings.pong_timeout_seconds)
        self.outbox.send(self.wire.codec.ping)

    # ------------------------------------------------------------ permissions

    def reauthorize(self) -> None:
        """Checks every subscription again, and ends what is no longer permitted."""
        self.version += 1
        if not self.reauthorizing and self.is_connected:
            self.reauthorizing = True
            self.lanes.spawn(reauthorization.run(self))

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
        """A subscription was not made after all; nothing where it was, or the session ended."""
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
        messages = [*self.outbox.take(), self.wire.codec.push(push)]
        self._release()
        if not self.outlet.is_closing():
            self.outlet.write(self.wire.frame(messages) + self.wire.close(end))
        self._deadlines.end(hangup=self.services.wheel.now() + CLOSING_SECONDS)
        self.services.wheel.set(self, self._deadlines.nearest())

    def end(self) -> None:
        """The socket is gone. Idempotent."""
        if self not in self.services.sessions:
            return
        self.services.sessions.discard(self)
        self._release()
        self._deadlines.end(hangup=0.0)
        self.services.wheel.set(self, None)
        _SOCKETS.add(-1)

    def _release(self) -> None:
        self.state = State.CLOSED
        self.services.accounts.discard(self)
        self.services.forget(self.user, self)
        for name in list(self.subscriptions):
            self.unsubscribe(name)
        self.subscriptions.clear()
        self.outbox.close()
        self.lanes.close()
