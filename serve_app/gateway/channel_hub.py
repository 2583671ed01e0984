"""Fan-out: a publication is encoded once per wire and written to every subscriber of its channel.

    ShardLink ─▶ on_publication ─▶ ChannelPosition ─▶ encode ─▶ pending ─▶ flush ─▶ Sender
                                        └ gap ─▶ fill from history

Pending frames of one event-loop tick are joined and written once. Order rule: nothing live reaches
a subscriber before its subscribe reply. So `admit` first flushes what is pending to the others,
then writes the reply and adds the subscriber, all in one tick.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextvars import Context
from typing import Final

from prometheus_client import Counter, Gauge

from actors.shard_messages import HistoryReply, Publication, StreamPosition
from config.errors import AppError
from serve_app.gateway.channel import (
    Admission,
    Channel,
    Group,
    OnEvent,
    Sender,
    Source,
    Subscriber,
    Watcher,
    send_by_transport,
)

log = logging.getLogger(__name__)

FILL_SECONDS: Final = 10.0
"""How long a gap may stay open while the shard is away: several times a shard's restart."""
_FILL_PAGE: Final = 1_000
_BACKOFF_SECONDS: Final = 0.02
_BACKOFF_MOST_SECONDS: Final = 1.0

CHANNELS = Gauge(
    "serai_realtime_channels", "Channels followed by this gateway", multiprocess_mode="livesum"
)
SUBSCRIPTIONS = Gauge(
    "serai_realtime_subscriptions", "Subscriptions of connections", multiprocess_mode="livesum"
)
PUBLICATIONS = Counter("serai_realtime_publications_total", "Publications fanned out", ["kind"])
DUPLICATES = Counter("serai_realtime_duplicates_total", "Publications dropped by their offset")
DELIVERED = Counter("serai_realtime_delivered_total", "Publications written to subscribers")
BYTES = Counter("serai_realtime_sent_bytes_total", "Bytes written to connections")
GAPS = Counter("serai_realtime_gaps_total", "Gaps in channels", ["outcome"])


class ChannelHub:
    """All channels that this gateway follows. Lives on one event loop."""

    def __init__(
        self,
        source: Source,
        max_buffered: int,
        *,
        send: Sender = send_by_transport,
    ) -> None:
        self._source = source
        self._max_buffered = max_buffered
        self._send = send
        self._channels: dict[str, Channel] = {}
        self._dirty: dict[Channel, None] = {}
        self._flush_handle: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ following

    def find(self, name: str) -> Channel | None:
        return self._channels.get(name)

    def pin(self, name: str) -> Channel:
        """Follows the channel at least until `unpin`."""
        channel = self._channels.get(name)
        if channel is None:
            channel = Channel(name, asyncio.get_running_loop().create_future())
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
        self._dirty.pop(channel, None)
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
        BYTES.inc(len(reply))
        for channel, wants, _ in admissions:
            key = subscriber.wire, wants
            group = channel.groups.get(key)
            if group is None:
                group = channel.groups[key] = Group()
            group.members[subscriber.outlet] = subscriber
            SUBSCRIPTIONS.inc()

    def leave(self, channel: Channel, subscriber: Subscriber) -> None:
        for key, group in channel.groups.items():
            if group.members.pop(subscriber.outlet, None) is not None:
                SUBSCRIPTIONS.dec()
                if not group.members:
                    del channel.groups[key]
                    self._drop_unused(channel)
                return

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
        self._fill_if_missing(channel)

    def on_publication(self, publication: Publication) -> None:
        channel = self._channels.get(publication.channel)
        if channel is None:
            return  # detached meanwhile
        if publication.offset == 0:
            PUBLICATIONS.labels("ephemeral").inc()
            self._push(channel, publication)
            return
        ready = channel.position.take(publication)
        if not ready and channel.position.known and publication.offset <= channel.position.last:
            DUPLICATES.inc()
        self._deliver(channel, ready)
        if channel.position.overflowed:
            self._abandon(channel)
        else:
            self._fill_if_missing(channel)

    def expect(self, channel: Channel, offset: int) -> None:
        """The stream is known to reach `offset`; what is missing up to it is fetched."""
        channel.position.expect(offset)
        self._fill_if_missing(channel)

    def _deliver(self, channel: Channel, publications: Iterable[Publication]) -> None:
        for publication in publications:
            PUBLICATIONS.labels("durable").inc()
            channel.remember(publication)
            self._push(channel, publication)
            if channel.watcher is not None:
                channel.watcher.on_publication(channel, publication)

    def _push(self, channel: Channel, publication: Publication) -> None:
        for (wire, _), group in channel.groups.items():
            message = wire.codec.publication(channel.name, publication)
            group.pending.append(wire.frame((message,)))
        if channel.groups:
            self._dirty[channel] = None
            if self._flush_handle is None:
                self._flush_handle = asyncio.get_running_loop().call_soon(self._flush_dirty)
        self._tell_listeners(channel, publication.offset)

    def _tell_listeners(self, channel: Channel, offset: int) -> None:
        for on_event in list(channel.listeners):
            on_event(channel.name, offset)

    # ------------------------------------------------------------ flushing

    def _flush_dirty(self) -> None:
        self._flush_handle = None
        while self._dirty:
            self.flush(next(iter(self._dirty)))

    def flush_all(self) -> None:
        """Nothing waits any more afterwards, neither here nor in the sender."""
        while self._dirty:
            self.flush(next(iter(self._dirty)))
        self._send.settle()

    def flush(self, channel: Channel) -> None:
        """Writes what is pending to the subscribers of this moment."""
        self._dirty.pop(channel, None)
        for group in list(channel.groups.values()):
            if not group.pending:
                continue
            data = b"".join(group.pending)
            count = len(group.pending) * len(group.members)
            group.pending.clear()
            slow = self._send(group.members, data, self._max_buffered)
            DELIVERED.inc(count)
            BYTES.inc(len(data) * len(group.members))
            for outlet in slow:
                subscriber = group.members.get(outlet)
                if subscriber is not None:
                    subscriber.on_slow()

    # ------------------------------------------------------------ gaps

    def _fill_if_missing(self, channel: Channel) -> None:
        if not channel.position.missing or channel.fill is not None:
            return
        task = asyncio.get_running_loop().create_task(self._fill(channel), context=Context())
        channel.fill = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fill(self, channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + FILL_SECONDS
        backoff = _BACKOFF_SECONDS
        position = channel.position
        try:
            while position.missing:
                after = position.last
                try:
                    reply = await self._source.history(channel.name, after, _FILL_PAGE)
                except AppError as error:
                    if not error.retryable:
                        raise
                else:
                    if not self._take_history(channel, reply):
                        self._abandon(channel)
                        return
                if position.last == after and position.missing:
                    # The shard is away, or has not seen yet what it announced through another.
                    if loop.time() >= give_up_at:
                        self._abandon(channel)
                        return
                    await asyncio.sleep(backoff)
                    backoff = min(backoff * 2, _BACKOFF_MOST_SECONDS)
            GAPS.labels("filled").inc()
        except Exception:
            log.exception("filling a gap of %s failed", channel.name)
            self._abandon(channel)
        finally:
            channel.fill = None

    def _take_history(self, channel: Channel, reply: HistoryReply) -> bool:
        """False when the gap can't be filled from this stream."""
        position = channel.position
        if reply.top is None:
            return False
        placement = position.place(reply.top)
        if placement.lost:
            self._discontinue(channel)
            return True
        first = reply.publications[0].offset if reply.publications else 0
        if first > position.last + 1 or (not first and reply.top.offset > position.last):
            return False  # trimmed
        self._deliver(channel, position.take_all(reply.publications))
        return True

    def _abandon(self, channel: Channel) -> None:
        GAPS.labels("unfillable").inc()
        channel.position.give_up()
        self._discontinue(channel)

    def _vanish(self, channel: Channel) -> None:
        """There is no such stream (any more), and the shard does not follow it."""
        if channel.live.done():
            self._discontinue(channel)
        else:
            channel.live.set_exception(AppError("not_found", "there is no such channel"))
            channel.live.exception()  # seen, also where nobody waits
        channel.listeners.clear()
        self._drop_unused(channel)

    def _discontinue(self, channel: Channel) -> None:
        channel.forget()
        self.flush(channel)
        for subscriber in channel.subscribers():
            subscriber.on_discontinuity(channel.name)
        if channel.watcher is not None:
            channel.watcher.on_loss(channel)
        self._tell_listeners(channel, channel.position.last)

    # ------------------------------------------------------------ life

    async def stop(self) -> None:
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def statistics(self) -> dict[str, int]:
        return {
            "channels": len(self._channels),
            "subscriptions": sum(
                len(group.members)
                for channel in self._channels.values()
                for group in channel.groups.values()
            ),
            "gaps_open": sum(c.position.missing for c in self._channels.values()),
        }
