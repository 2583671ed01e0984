"""The CommunityShard actor: durable, resumable streams of thousands of channels, served by poll.

    writers --Publish--> stream_state --Deliver--> mailbox of each follower --Poll--> gateways
             Postgres --shard_catch_up--^

Of streams in Postgres nothing here is the only copy: publications are rows before they arrive, and
a shard that starts empty learns each channel's top when the first gateway asks. What gets lost on
the way (a writer that died, a dropped call) is found by the sweep. Streams in memory
(memory_streams) end with the shard; the new epoch says so.

The one rule that keeps gaps out: a gateway is registered for a channel *before* its top is read, so
everything after the answered position is in its mailbox, or comes there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final
from uuid import uuid4

import msgspec
from prometheus_client import Counter

from actors import content, history_page
from actors import shard_messages as m
from actors.channel_publishing import ChannelPublishing
from actors.mailbox import Mailbox
from actors.memory_streams import MemoryStreams
from actors.new_posts import NewPosts
from actors.shard_catch_up import CatchUp
from actors.shard_ephemeral import EphemeralEvents
from actors.shard_history import History
from actors.shard_hub import ChannelEntry, GatewayEntry, Hub
from actors.shard_positions import NOWHERE, ChannelPositions
from actors.shard_presence import SILENCE_SECONDS, ShardPresence
from actors.slots import shard_of
from actors.stored_publication import StoredPublications
from actors.stream_state import StreamState
from config.channels import Namespace, Namespaces
from config.errors import AppError
from config.settings import Settings
from storage.postgres import Pool

log = logging.getLogger(__name__)

POLL_PUBLICATIONS: Final = 2_000
POLL_BYTES: Final = 1_048_576
MAX_WAIT_SECONDS: Final = 10.0
_HELLO_ATTEMPTS: Final = 3

_EPOCHS = Counter("serai_shard_epoch_changes_total", "Times that all streams began anew")


class ShardStatistics(msgspec.Struct, frozen=True):
    index: int
    epoch: str | None
    gateways: int
    active_channels: int
    ring_bytes: int
    mailbox_items: int
    mailbox_bytes: int
    ephemeral_keys: int
    present_channels: int
    memory_streams: int
    memory_bytes: int


class CommunityShard:
    """Shard `index` of `count`. Gaps are filled and silent gateways forgotten after `start`."""

    def __init__(
        self,
        index: int,
        count: int,
        pool: Pool,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sweep_seconds: float = 1.0,
        gap_grace_seconds: float = 0.02,
        sweep_grace_seconds: float = 0.1,
        max_ring_bytes: int = 256 * 1024 * 1024,
        max_memory_bytes: int = 256 * 1024 * 1024,
        new_mailbox: Callable[[], Mailbox] = Mailbox,
    ) -> None:
        """`max_ring_bytes` bounds all rings together, `max_memory_bytes` all streams that live in
        memory alone. The graces give publications on their way the time to arrive before Postgres
        is asked."""
        self._index = index
        self._count = count
        self._clock = clock
        self._new_mailbox = new_mailbox
        self._epoch: str | None = None
        bounds = settings.realtime
        self._namespaces = Namespaces(settings.channels)
        stored = StoredPublications(self._namespaces)
        self._history = History(pool, bounds, stored)
        self._presence = ShardPresence(lambda: self._hub, self._namespaces, clock)
        self._catch_up = CatchUp(
            lambda: self._hub,
            pool,
            self._adopt,
            stored,
            page_publications=bounds.recovery_publications,
            sweep_seconds=sweep_seconds,
            gap_grace_seconds=gap_grace_seconds,
            sweep_grace_seconds=sweep_grace_seconds,
        )
        self._new_posts = NewPosts()
        self._hub = Hub(
            lambda: StreamState(settings.shards.ring_publications, bounds.recovery_bytes),
            self._catch_up.behind,
            self._presence.forgotten,
            self._new_posts.see,
            max_ring_bytes,
        )
        self._memory = MemoryStreams(
            lambda channel: channel in self._hub.channels,
            max_bytes=max_memory_bytes,
            page_publications=bounds.recovery_publications,
            page_bytes=bounds.recovery_bytes,
        )
        self._ephemeral = EphemeralEvents(self._hub, clock)
        self._positions = ChannelPositions(
            self._hub,
            pool,
            self._namespaces,
            self._memory,
            adopt=self._adopt,
            epoch=lambda: self._epoch,
            clock=clock,
        )
        self._publishing = ChannelPublishing(
            self._hub,
            pool,
            self._namespaces,
            self._memory,
            self._ephemeral,
            connections=max(1, settings.postgres.pool_size // 2),
            adopt=self._adopt,
            clock=clock,
        )
        self._runner: asyncio.Task[None] | None = None
        self._handlers: dict[type, Callable[[Any], Awaitable[m.ShardReply]]] = {
            m.Publish: self._publish,
            m.PublishEphemeral: self._publish_ephemeral,
            m.PublishToChannel: self._publish_to_channel,
            m.RemoveHistory: self._publishing.remove_history,
            m.Hello: self._hello,
            m.Attach: self._attach,
            m.Detach: self._detach,
            m.Poll: self._poll,
            m.TellPresence: self._tell_presence,
            m.ReadHistory: self._read_history,
            m.ReadPresence: self._presence.read_presence,
            m.ReadClients: self._presence.read_clients,
            m.ListChannels: self._presence.list_channels,
        }

    async def start(self) -> None:
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name=f"shard-{self._index}")

    async def stop(self) -> None:
        """Ends what runs; held polls answer that the gateway is unknown."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
            self._runner = None
        self._ephemeral.stop()
        self._hub.forget_all()
        await self._history.stop()

    async def handle(self, request: m.ShardRequest) -> m.ShardReply:
        """Raises AppError("unavailable" or "overloaded") where the answer needs Postgres and there
        is none, and what publishing refuses."""
        return await self._handlers[type(request)](request)

    def statistics(self) -> ShardStatistics:
        boxes = [gateway.mailbox for gateway in self._hub.gateways.values()]
        return ShardStatistics(
            index=self._index,
            epoch=self._epoch,
            gateways=len(boxes),
            active_channels=len(self._hub.channels),
            ring_bytes=self._hub.ring_bytes,
            mailbox_items=sum(map(len, boxes)),
            mailbox_bytes=sum(box.size_bytes for box in boxes),
            ephemeral_keys=len(self._ephemeral),
            present_channels=len(self._presence),
            memory_streams=len(self._memory),
            memory_bytes=self._memory.size_bytes,
        )

    async def sweep(self) -> None:
        """What happens each second, once: compare the tops of active channels with Postgres."""
        await self._catch_up.sweep()

    def forget_silent(self) -> None:
        """What happens each second, once: forget gateways that stopped to poll, with the presence
        of those that did not come back. A held poll is no silence."""
        now = self._clock()
        for gateway in list(self._hub.gateways.values()):
            if gateway.waiter is None and now - gateway.heard > SILENCE_SECONDS:
                log.warning("gateway %s is silent and forgotten", gateway.id)
                self._hub.forget(gateway)
        self._presence.expire()

    def tell_presence(self) -> None:
        """What happens each second, once: tell changed counts of connections, and the joins and
        leaves that wait, to who is there."""
        self._presence.tell_counts()
        self._presence.tell_visits()

    def tell_new_posts(self) -> None:
        """What happens each second, once: tell open feeds what came. Not at once, so that the posts
        of a second are one event."""
        at_ns = time.time_ns()
        for name, count in self._new_posts.take().items():
            channel = self._hub.channels.get(name)
            if channel is not None:
                data = content.ephemeral("feed.activity", at_ns, count._asdict())
                self._hub.send(channel, m.Publication(name, 0, data, counter=True))

    def expire_history(self) -> None:
        """What happens each second, once: free what has ended of the streams in memory."""
        self._memory.expire(self._clock())

    # ------------------------------------------------------------ what writers send

    async def _publish(self, request: m.Publish) -> None:
        self._take_publications(request.publications)
        self._ephemeral.take(request.ephemeral)

    async def _publish_ephemeral(self, request: m.PublishEphemeral) -> None:
        self._ephemeral.take(request.events)

    async def _publish_to_channel(self, request: m.PublishToChannel) -> m.PublishReply:
        self._check_mine([request.channel])
        return await self._publishing.publish(request)

    def _take_publications(self, publications: Iterable[m.Publication]) -> None:
        for publication in publications:
            channel = self._hub.channels.get(publication.channel)
            if channel is None:
                continue  # nobody follows it, Postgres has it
            if publication.offset > 0:
                self._hub.execute(channel, channel.state.apply(publication))
            else:
                self._hub.send(channel, publication)

    # ------------------------------------------------------------ what gateways ask

    async def _hello(self, request: m.Hello) -> m.HelloReply:
        self._check_mine(request.channels)
        for _ in range(_HELLO_ATTEMPTS):
            gateway = GatewayEntry(
                request.gateway_id, uuid4().hex, self._new_mailbox(), self._clock()
            )
            known = self._hub.register(gateway, request.channels)
            self._presence.expect(gateway.id, known=known, follows=bool(request.channels))
            tops, late = await self._positions.read(gateway, request.channels)
            if gateway.alive:
                return m.HelloReply(gateway.incarnation, tops, late)
            if request.gateway_id in self._hub.gateways:
                break  # a later Hello of the same gateway has taken over
            # The epoch changed, all gateways were forgotten: register in the new one.
        raise AppError("unavailable", "say Hello again", retry_after_seconds=1)

    async def _attach(self, request: m.Attach) -> m.AttachReply:
        self._check_mine(request.channels)
        gateway = self._hub.known(request.gateway_id, request.incarnation)
        if gateway is None:
            return m.AttachReply(False, [])
        self._hub.follow(gateway, request.channels)
        tops, late = await self._positions.read(gateway, request.channels)
        if not gateway.alive:
            return m.AttachReply(False, [])
        return m.AttachReply(True, tops, late)

    async def _detach(self, request: m.Detach) -> None:
        gateway = self._hub.known(request.gateway_id, request.incarnation)
        if gateway is not None:
            self._hub.unfollow(gateway, request.channels)

    async def _poll(self, request: m.Poll) -> m.PollReply:
        gateway = self._hub.known(request.gateway_id, request.incarnation)
        if gateway is None or not gateway.mailbox.acknowledge(request.ack):
            return m.PollReply(-1, [])
        gateway.heard = self._clock()
        gateway.wake()  # a poll that is still held has been given up by its caller
        if not len(gateway.mailbox) and request.wait_seconds > 0:
            await self._wait_for_mail(gateway, min(request.wait_seconds, MAX_WAIT_SECONDS))
            if not gateway.alive:
                return m.PollReply(-1, [])
        sequence, publications = gateway.mailbox.batch(POLL_PUBLICATIONS, POLL_BYTES)
        return m.PollReply(sequence or request.ack, publications)

    async def _tell_presence(self, request: m.TellPresence) -> m.PresenceTaken:
        gateway = self._hub.known(request.gateway_id, request.incarnation)
        if gateway is None:
            return m.PresenceTaken(False)
        self._presence.take(gateway.id, request)
        return m.PresenceTaken(gateway.alive)  # what it told may have filled its own mailbox

    async def _wait_for_mail(self, gateway: GatewayEntry, seconds: float) -> None:
        waiter = gateway.waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            gateway.heard = self._clock()
            if gateway.waiter is waiter:
                gateway.waiter = None

    async def _read_history(self, request: m.ReadHistory) -> m.HistoryReply:
        namespace = self._namespaces.of(request.channel)
        if namespace is None:
            return m.HistoryReply(None, [], complete=False)
        if namespace.history == "memory":
            self._check_mine([request.channel])  # it would begin a second stream
            return self._memory.read(request, self._clock())
        if namespace.history == "none":
            return history_page.reply(request, NOWHERE, [])
        return await self._read_stored(request, namespace)

    async def _read_stored(self, request: m.ReadHistory, namespace: Namespace) -> m.HistoryReply:
        channel: ChannelEntry | None = self._hub.channels.get(request.channel)
        known_top = 0
        if channel is not None and self._epoch is not None:
            reply = self._history.from_ring(channel.state, self._epoch, request)
            if reply is not None:
                return reply
            known_top = channel.state.known_top
        unborn = namespace.subscribe != "content"
        reply = await self._history.read(request, known_top, unborn=unborn)
        if reply.top is not None:
            self._adopt(reply.top.epoch)
        return reply

    def _check_mine(self, names: Iterable[str]) -> None:
        for name in names:
            if shard_of(name, self._count) != self._index:
                # Two processes with different shard counts: silence would be worse.
                raise AppError("invalid", f"channel {name} belongs to another shard")

    # ------------------------------------------------------------ on its own

    def _adopt(self, epoch: str) -> None:
        """Offsets of another epoch mean nothing here: all gateways say Hello and learn it."""
        if self._epoch is not None and self._epoch != epoch:
            log.warning("epoch %s follows %s: all streams begin anew", epoch, self._epoch)
            _EPOCHS.inc()
            self._hub.forget_all()
        self._epoch = epoch

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._catch_up.run())
            group.create_task(self._each_second())

    async def _each_second(self) -> None:
        # Apart from the sweep, which may hang with Postgres.
        while True:
            await asyncio.sleep(1.0)
            for step in (
                self.forget_silent,
                self.tell_presence,
                self.tell_new_posts,
                self.expire_history,
            ):
                try:
                    step()
                except Exception:
                    # It would take the sweep along, and events be lost in silence.
                    log.exception("a step failed")
