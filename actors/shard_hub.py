"""What a shard holds in memory: gateways with mailboxes, channels with followers. No I/O.

A channel lives while a gateway follows it. Rings are bounded each and together, mailboxes each.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Counter, Gauge

from actors.mailbox import Mailbox
from actors.shard_messages import Publication
from actors.stream_state import Deliver, Drop, Effect, FillGap, Lost, Recheck, StreamState

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS: Final = 0.1

_ACTIVE = Gauge(
    "serai_shard_active_channels",
    "Channels that at least one gateway follows",
    multiprocess_mode="livesum",
)
_GATEWAYS = Gauge("serai_shard_gateways", "Gateways that poll", multiprocess_mode="livesum")
_OVERFLOWS = Counter("serai_shard_mailbox_overflows_total", "Gateways forgotten for a full mailbox")
_DUPLICATES = Counter("serai_shard_duplicates_total", "Publications that were known already")
_RECHECKS = Counter("serai_shard_rechecks_total", "Doubts about what a ring holds")
_LOST = Counter("serai_shard_lost_total", "Offsets that Postgres no longer has")


class GatewayEntry:
    """A gateway between two Hellos; `alive` turns False for good when it is forgotten."""

    __slots__ = ("alive", "channels", "heard", "id", "incarnation", "mailbox", "waiter")

    def __init__(self, gateway_id: str, incarnation: str, mailbox: Mailbox, now: float) -> None:
        self.id = gateway_id
        self.incarnation = incarnation
        self.mailbox = mailbox
        self.heard = now
        self.alive = True
        self.channels: set[str] = set()
        self.waiter: asyncio.Future[None] | None = None
        """The poll that is held open."""

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class ChannelEntry:
    """`catching_up`: waits for a filler or has one. `counted`: the ring's share of the total."""

    __slots__ = ("backoff", "catching_up", "counted", "followers", "name", "state", "stream_id")

    def __init__(self, name: str, state: StreamState) -> None:
        self.name = name
        self.state = state
        self.stream_id = 0
        self.followers: dict[str, GatewayEntry] = {}
        self.catching_up = False
        self.backoff = FIRST_BACKOFF_SECONDS
        self.counted = 0

    @property
    def active(self) -> bool:
        return bool(self.followers)


class Hub:
    """`on_behind(channel, in_doubt)` is called when a channel needs Postgres: publications are
    missing, or (`in_doubt`) what its ring holds is to be read again. `on_forgotten(gateway)` is
    called once for each gateway that is forgotten, `on_delivered` once for each publication of a
    stream, in order."""

    def __init__(
        self,
        new_state: Callable[[], StreamState],
        on_behind: Callable[[ChannelEntry, bool], None],
        on_forgotten: Callable[[GatewayEntry], None],
        on_delivered: Callable[[Publication], None],
        max_ring_bytes: int,
    ) -> None:
        self._new_state = new_state
        self._on_behind = on_behind
        self._on_forgotten = on_forgotten
        self._on_delivered = on_delivered
        self._max_ring_bytes = max_ring_bytes
        self.gateways: dict[str, GatewayEntry] = {}
        self.channels: dict[str, ChannelEntry] = {}
        self.ring_bytes = 0
        self._rings: OrderedDict[str, ChannelEntry] = OrderedDict()  # the longest silent first

    def register(self, gateway: GatewayEntry, channels: Iterable[str]) -> bool:
        """Takes the place of an earlier entry of the same id, and answers whether there was one;
        rings of shared channels survive."""
        old = self.gateways.get(gateway.id)
        self.follow(gateway, channels)
        if old is not None:
            self.forget(old)
        self.gateways[gateway.id] = gateway
        _GATEWAYS.inc()
        return old is not None

    def known(self, gateway_id: str, incarnation: str) -> GatewayEntry | None:
        gateway = self.gateways.get(gateway_id)
        return gateway if gateway is not None and gateway.incarnation == incarnation else None

    def follow(self, gateway: GatewayEntry, channels: Iterable[str]) -> None:
        for name in channels:
            channel = self.channels.get(name)
            if channel is None:
                channel = self.channels[name] = ChannelEntry(name, self._new_state())
                _ACTIVE.inc()
            channel.followers[gateway.id] = gateway
            gateway.channels.add(name)

    def unfollow(self, gateway: GatewayEntry, channels: Iterable[str]) -> None:
        for name in channels:
            gateway.channels.discard(name)
            channel = self.channels.get(name)
            if channel is None or channel.followers.get(gateway.id) is not gateway:
                continue
            del channel.followers[gateway.id]
            if not channel.followers:
                del self.channels[name]
                self._rings.pop(name, None)
                self.ring_bytes -= channel.counted
                channel.counted = 0
                _ACTIVE.dec()

    def forget(self, gateway: GatewayEntry) -> None:
        """A held poll wakes."""
        if not gateway.alive:
            return
        gateway.alive = False
        self.unfollow(gateway, list(gateway.channels))
        if self.gateways.pop(gateway.id, None) is not None:
            _GATEWAYS.dec()
        self._on_forgotten(gateway)
        gateway.wake()

    def forget_all(self) -> None:
        for gateway in list(self.gateways.values()):
            self.forget(gateway)

    def send(self, channel: ChannelEntry, publication: Publication) -> None:
        full: list[GatewayEntry] = []
        for gateway in channel.followers.values():
            if gateway.mailbox.put(publication):
                gateway.wake()
            else:
                full.append(gateway)
        for gateway in full:
            _OVERFLOWS.inc()
            log.warning("gateway %s does not keep up and is forgotten", gateway.id)
            self.forget(gateway)

    def execute(self, channel: ChannelEntry, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Deliver(publications):
                    for publication in publications:
                        self.send(channel, publication)
                        self._on_delivered(publication)
                    self.account(channel)
                case FillGap():
                    self._on_behind(channel, False)
                case Recheck():
                    _RECHECKS.inc()
                    self._on_behind(channel, True)
                case Drop():
                    _DUPLICATES.inc()
                case Lost(count):
                    log.warning("%s: %d events are no longer stored", channel.name, count)
                    _LOST.inc(count)

    def account(self, channel: ChannelEntry) -> None:
        """After the ring changed: keep all rings together within their bound."""
        if not channel.active:
            return
        self.ring_bytes += channel.state.ring_bytes - channel.counted
        channel.counted = channel.state.ring_bytes
        self._rings[channel.name] = channel
        self._rings.move_to_end(channel.name)
        while self.ring_bytes > self._max_ring_bytes and self._rings:
            _, oldest = self._rings.popitem(last=False)
            oldest.state.forget_ring()
            self.ring_bytes -= oldest.counted
            oldest.counted = 0
