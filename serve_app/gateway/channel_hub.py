"""Fan-out: a publication is encoded once per form and written to every subscriber of its channel.

    ShardLink ─▶ on_publication ─▶ ChannelPosition ─▶ Audience ─▶ pending ─▶ flush ─▶ Sender
                                        └ gap ─▶ Gaps ─▶ history

Pending frames of one event-loop tick are joined and written once. Order rule: nothing live reaches
a subscriber before its subscribe reply. So `admit` first flushes what is pending to the others,
then writes the reply and adds the subscriber, all in one tick.

Who reads slowly: with more than half of the bound unsent it gets no ephemeral publications, above
the bound its session hears `on_slow`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge

from actors.shard_messages import Publication, StreamPosition
from config.channels import is_internal
from config.errors import AppError
from serve_app.gateway.audience import Audience, CreateDelta, Group, no_delta
from serve_app.gateway.channel import (
    Admission,
    Channel,
    Crowd,
    OnEvent,
    Sender,
    Source,
    Subscriber,
    Watcher,
    send_by_transport,
)
from serve_app.gateway.gaps import Gaps
from serve_app.gateway.protocol import Outlet
from serve_app.tally import Tally

PENDING_BYTES: Final = 65_536
"""From here on a group's frames do not wait for the end of the tick."""
_HOLD_SECONDS: Final = 0.002
"""How long one tick's flush may hold the loop; the channels left have theirs in the next ticks."""
_REST_AFTER_SECONDS: Final = 0.001
"""A flush that cost more is followed by as long a rest: sending takes half of the loop at most, the
other half reads and answers, and what comes meanwhile goes out together. A thousand sockets are
then written to some 70 times a second, not once for each of 200 publications."""

CHANNELS = Gauge(
    "serai_realtime_channels", "Channels followed by this gateway", multiprocess_mode="livesum"
)
SUBSCRIPTIONS = Gauge(
    "serai_realtime_subscriptions", "Subscriptions of connections", multiprocess_mode="livesum"
)
_SUBSCRIPTIONS = Tally(SUBSCRIPTIONS)
PUBLICATIONS = Counter("serai_realtime_publications_total", "Publications fanned out", ["kind"])
DURABLE = PUBLICATIONS.labels("durable")
EPHEMERAL = PUBLICATIONS.labels("ephemeral")
DUPLICATES = Counter("serai_realtime_duplicates_total", "Publications dropped by their offset")
DELIVERED = Counter("serai_realtime_delivered_total", "Publications written to subscribers")
BYTES = Tally(Counter("serai_realtime_sent_bytes_total", "Bytes written to connections"))
DROPPED = Counter("serai_realtime_dropped_total", "Ephemeral publications kept from slow readers")


class ChannelHub:
    """All channels that this gateway follows. Lives on one event loop."""

    def __init__(
        self,
        source: Source,
        max_buffered: int,
        *,
        send: Sender = send_by_transport,
        create_delta: CreateDelta = no_delta,
    ) -> None:
        self._source = source
        self._max_buffered = max_buffered
        self._send = send
        self._create_delta = create_delta
        self._channels: dict[str, Channel] = {}
        self.subscriptions = 0
        # A channel may stand here twice, or clean; `channel.dirty` is the truth.
        self._dirty: deque[Channel] = deque()
        self._tick: asyncio.Handle | None = None
        # When the last flush of a tick began, and what the sender had spent until then.
        self._resumed_at = self._spent_then = 0.0
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._gaps = Gaps(source, self._deliver, self._discontinue)
        # Told to the counters once a tick: each call there costs as much as a delivery.
        self._durable = self._ephemeral = self._delivered = self._bytes = 0

    # ------------------------------------------------------------ following

    @property
    def channel_count(self) -> int:
        """Without those that gateways follow for themselves."""
        return sum(not is_internal(name) for name in self._channels)

    def find(self, name: str) -> Channel | None:
        return self._channels.get(name)

    def pin(self, name: str) -> Channel:
        """Follows the channel at least until `unpin`."""
        channel = self._channels.get(name)
        if channel is None:
            live = asyncio.get_running_loop().create_future()
            channel = Channel(name, live, Audience(self._create_delta))
            self._channels[name] = channel
            CHANNELS.inc()
            self._source.attach(name)
        channel.pins += 1
        return channel

    def unpin(self, channel: Channel) -> None:
        channel.pins -= 1
        self._drop_unused(channel)

    def follow(self, name: str, on_event: OnEvent) -> None:
        """`on_event` also hears the top position once the channel is attached, and after continuity
        was lost: what was published unheard shows as an offset above what was known."""
        channel = self.pin(name)
        channel.listeners[on_event] = None
        self.unpin(channel)

    def unfollow(self, name: str, on_event: OnEvent) -> None:
        channel = self._channels.get(name)
        if channel is not None:
            channel.listeners.pop(on_event, None)
            self._drop_unused(channel)

    def watch(self, name: str, watcher: Watcher) -> Channel:
        """Follows the channel at least until `unwatch`; one watcher a channel."""
        channel = self.pin(name)
        channel.watcher = watcher
        self.unpin(channel)
        return channel

    def unwatch(self, name: str) -> None:
        channel = self._channels.get(name)
        if channel is not None:
            channel.watcher = None
            self._drop_unused(channel)

    def _drop_unused(self, channel: Channel) -> None:
        if channel.used or self._channels.get(channel.name) is not channel:
            return
        del self._channels[channel.name]
        CHANNELS.dec()
        channel.dirty = False
        if channel.fill is not None:
            channel.fill.cancel()
        channel.live.cancel()
        self._source.detach(channel.name)

    # ------------------------------------------------------------ subscribers

    def admit(self, admissions: Iterable[Admission], subscriber: Subscriber, reply: bytes) -> None:
        """Writes the reply and subscribes, in one tick and without a gap to what is live."""
        admissions = list(admissions)
        for admission in admissions:
            self.flush(admission.channel)
        subscriber.outlet.write(reply)
        BYTES.add(len(reply))
        for channel, wants, base in admissions:
            channel.audience.add(subscriber, wants, base)
            self.subscriptions += 1
            _SUBSCRIPTIONS.add(1)

    def leave(self, channel: Channel, subscriber: Subscriber) -> None:
        if channel.audience.remove(subscriber.outlet):
            self.subscriptions -= 1
            _SUBSCRIPTIONS.add(-1)
            self._drop_unused(channel)

    def arrive_client(self, channel: Channel, client: str, user: str, info: bytes) -> None:
        """`info` empty: the client counts and is not listed."""
        self._count_user(channel, user, 1)
        if info:
            channel.clients[client] = info
            self._source.client(channel.name, client, info)

    def depart_client(self, channel: Channel, client: str, user: str) -> None:
        self._count_user(channel, user, -1)
        if channel.clients.pop(client, None) is not None:
            self._source.client(channel.name, client, b"")

    def _count_user(self, channel: Channel, user: str, change: int) -> None:
        clients = channel.users.get(user, 0) + change
        if clients:
            channel.users[user] = clients
        else:
            channel.users.pop(user, None)
        self._source.presence(channel.name, user, clients)

    def users_of(self, name: str) -> dict[str, int]:
        """Connections of each user on the channel, "" for guests."""
        channel = self._channels.get(name)
        return channel.users if channel is not None else {}

    def clients_of(self, name: str) -> dict[str, bytes]:
        """Encoded ClientInfo by client, of those that are listed."""
        channel = self._channels.get(name)
        return channel.clients if channel is not None else {}

    # ------------------------------------------------------------ from the source

    def on_position(self, name: str, top: StreamPosition | None) -> None:
        """Everything later than `top` comes by `on_publication`."""
        channel = self._channels.get(name)
        if channel is None:
            return
        if top is None:
            self._vanish(channel)
            return
        placement = channel.position.place(top)
        if placement.lost:
            self._discontinue(channel)
        self._deliver(channel, placement.deliver)
        if not channel.live.done():
            channel.live.set_result(None)
            self._tell_listeners(channel, channel.position.last)
        self._gaps.fill_if_missing(channel)

    def on_publication(self, publication: Publication) -> None:
        channel = self._channels.get(publication.channel)
        if channel is None:
            return  # detached meanwhile
        if publication.offset == 0:
            self._ephemeral += 1
            self._push(channel, publication)
            return
        ready = channel.position.take(publication)
        if not ready and channel.position.known and publication.offset <= channel.position.last:
            DUPLICATES.inc()
        self._deliver(channel, ready)
        if channel.position.overflowed:
            self._gaps.abandon(channel)
        else:
            self._gaps.fill_if_missing(channel)

    def expect(self, channel: Channel, offset: int) -> None:
        """The stream is known to reach `offset`; what is missing up to it is fetched."""
        channel.position.expect(offset)
        self._gaps.fill_if_missing(channel)

    def _deliver(self, channel: Channel, publications: Iterable[Publication]) -> None:
        for publication in publications:
            self._durable += 1
            channel.remember(publication)
            self._push(channel, publication)
            if channel.watcher is not None:
                channel.watcher.on_publication(channel, publication)

    def _push(self, channel: Channel, publication: Publication) -> None:
        if channel.audience.groups:
            pending_bytes = channel.audience.put(publication)
            if pending_bytes > PENDING_BYTES:
                self.flush(channel)
            elif pending_bytes and not channel.dirty:
                channel.dirty = True
                self._dirty.append(channel)
        if self._tick is None:
            self._tick = asyncio.get_running_loop().call_soon(self._on_tick)
            self._flushed.clear()
        if channel.listeners:
            self._tell_listeners(channel, publication.offset)

    def _tell_listeners(self, channel: Channel, offset: int) -> None:
        for on_event in list(channel.listeners):
            on_event(channel.name, offset)

    # ------------------------------------------------------------ flushing

    def _on_tick(self) -> None:
        loop = asyncio.get_running_loop()
        now, spent = loop.time(), self._send.spent_seconds
        took = spent - self._spent_then
        if took > _REST_AFTER_SECONDS and now < self._resumed_at + 2 * took:
            self._tick = loop.call_at(self._resumed_at + 2 * took, self._on_tick)
            return
        self._tick = None
        self._resumed_at, self._spent_then = now, spent
        until = now + _HOLD_SECONDS
        try:
            while self._dirty and loop.time() < until:
                self.flush(self._dirty.popleft())
        finally:  # also when one channel fails: the others and who waits must go on
            if self._dirty:
                self._tick = loop.call_soon(self._on_tick)
            else:
                self._flushed.set()
            self._count()

    def flush_all(self) -> None:
        """Nothing waits any more afterwards, neither here nor in the sender."""
        while self._dirty:
            self.flush(self._dirty.popleft())
        self._send.settle()

    async def wait_flushed(self) -> None:
        """Until nothing waits here: who brings publications brings no more before."""
        await self._flushed.wait()

    def flush(self, channel: Channel) -> None:
        """Writes what is pending to the subscribers of this moment."""
        channel.dirty = False
        audience = channel.audience
        broken: list[tuple[Group, Outlet]] = []
        slow: list[Subscriber] = []
        rechain = False
        for group in audience.groups.values():
            if group.pending:
                if group.ephemeral:
                    broken += self._flush_sparing(group, slow)
                else:
                    self._write(group, group.crowd, b"".join(group.pending), slow)
                    self._delivered += len(group.pending) * len(group.members)
                group.clear()
                rechain = rechain or (group.base is not None and not group.chained)
        if rechain or broken:
            audience.rechain(broken)
        for subscriber in slow:
            subscriber.on_slow()

    def _flush_sparing(self, group: Group, slow: list[Subscriber]) -> list[tuple[Group, Outlet]]:
        """Leaves the ephemeral part out for who reads slowly; returns whose chain breaks by it."""
        most = self._max_buffered // 2
        late = {outlet for outlet in group.members if outlet.get_write_buffer_size() > most}
        prompt = Crowd(o for o in group.members if o not in late) if late else group.crowd
        if prompt:
            self._write(group, prompt, b"".join(group.pending), slow)
            self._delivered += len(group.pending) * len(prompt)
        if not late:
            return []
        data, is_broken = group.without_ephemeral()
        if data:
            self._write(group, Crowd(late), data, slow)
        self._delivered += (len(group.pending) - group.ephemeral) * len(late)
        DROPPED.inc(group.ephemeral * len(late))
        return [(group, outlet) for outlet in late] if is_broken else []

    def _write(self, group: Group, outlets: Crowd, data: bytes, slow: list[Subscriber]) -> None:
        self._bytes += len(data) * len(outlets)
        for outlet in self._send(outlets, data, self._max_buffered):
            subscriber = group.members.get(outlet)
            if subscriber is not None:
                slow.append(subscriber)

    def _count(self) -> None:
        if self._durable:
            DURABLE.inc(self._durable)
        if self._ephemeral:
            EPHEMERAL.inc(self._ephemeral)
        if self._delivered:
            DELIVERED.inc(self._delivered)
            BYTES.add(self._bytes)
        self._durable = self._ephemeral = self._delivered = self._bytes = 0

    # ------------------------------------------------------------ losses

    def _vanish(self, channel: Channel) -> None:
        """There is no such stream (any more), and the shard does not follow it."""
        if channel.live.done():
            self._discontinue(channel, gone=True)
        else:
            channel.live.set_exception(AppError("not_found", "there is no such channel"))
            channel.live.exception()  # seen, also where nobody waits
        channel.listeners.clear()
        self._drop_unused(channel)

    def _discontinue(self, channel: Channel, *, gone: bool = False) -> None:
        """Passive subscribers hear of it only when the channel is `gone`: they miss nothing."""
        channel.forget()
        self.flush(channel)
        for subscriber in channel.audience.subscribers(passive=gone):
            subscriber.on_discontinuity(channel.name)
        if channel.watcher is not None:
            channel.watcher.on_loss(channel)
        self._tell_listeners(channel, channel.position.last)

    # ------------------------------------------------------------ life

    async def stop(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._flushed.set()
        self._send.settle()
        await self._gaps.stop()

    def statistics(self) -> dict[str, int]:
        return {
            "channels": self.channel_count,
            "subscriptions": self.subscriptions,
            "gaps_open": sum(channel.position.missing for channel in self._channels.values()),
        }
