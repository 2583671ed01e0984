"""The CommunityShard actor: durable, resumable streams of thousands of channels, served by poll.

    writers --Publish--> stream_state --Deliver--> mailbox of each follower --Poll--> gateways
             Postgres --shard_catch_up--^

Nothing here is the only copy: publications are rows before they arrive, and a shard that starts
empty learns each channel's top when the first gateway asks. What gets lost on the way (a writer
that died, a dropped call) is found by the sweep.

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

from actors import content
from actors import shard_messages as m
from actors.mailbox import Mailbox
from actors.shard_catch_up import CatchUp
from actors.shard_history import History
from actors.shard_hub import ChannelEntry, GatewayEntry, Hub
from actors.slots import shard_of
from actors.stream_state import StreamState
from actors.throttle import Throttle
from config.errors import AppError
from config.settings import Settings
from storage import streams
from storage.postgres import Pool
from storage.streams import Positions

log = logging.getLogger(__name__)

POLL_PUBLICATIONS: Final = 2_000
POLL_BYTES: Final = 1_048_576
MAX_WAIT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 15.0
PRESENCE_CHANNELS: Final = 2_000
"""Channels a second whose changed counts are told; the others wait their turn."""
_HELLO_ATTEMPTS: Final = 3

_EPOCHS = Counter("serai_shard_epoch_changes_total", "Times that all streams began anew")
_EPHEMERAL_DROPPED = Counter(
    "serai_shard_ephemeral_dropped_total", "Ephemeral events beyond the number of pending keys"
)


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
        new_mailbox: Callable[[], Mailbox] = Mailbox,
    ) -> None:
        """`max_ring_bytes` bounds all rings together. The graces give publications on their way
        the time to arrive before Postgres is asked."""
        self._index = index
        self._count = count
        self._pool = pool
        self._clock = clock
        self._new_mailbox = new_mailbox
        self._epoch: str | None = None
        bounds = settings.realtime
        self._history = History(pool, bounds)
        self._catch_up = CatchUp(
            lambda: self._hub,
            pool,
            self._adopt,
            page_publications=bounds.recovery_publications,
            sweep_seconds=sweep_seconds,
            gap_grace_seconds=gap_grace_seconds,
            sweep_grace_seconds=sweep_grace_seconds,
        )
        self._hub = Hub(
            lambda: StreamState(settings.shards.ring_publications, bounds.recovery_bytes),
            self._catch_up.behind,
            max_ring_bytes,
        )
        self._throttle = Throttle()
        self._throttle_timer: asyncio.TimerHandle | None = None
        self._runner: asyncio.Task[None] | None = None
        self._handlers: dict[type, Callable[[Any], Awaitable[m.ShardReply]]] = {
            m.Publish: self._publish,
            m.PublishEphemeral: self._publish_ephemeral,
            m.Hello: self._hello,
            m.Attach: self._attach,
            m.Detach: self._detach,
            m.Poll: self._poll,
            m.ReadHistory: self._read_history,
            m.ReadPresence: self._read_presence,
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
        if self._throttle_timer is not None:
            self._throttle_timer.cancel()
            self._throttle_timer = None
        self._hub.forget_all()
        await self._history.stop()

    async def handle(self, request: m.ShardRequest) -> m.ShardReply:
        """Raises AppError("unavailable" or "overloaded") where the answer needs Postgres and there
        is none."""
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
            ephemeral_keys=len(self._throttle),
            present_channels=len(self._hub.presence),
        )

    async def sweep(self) -> None:
        """What happens each second, once: compare the tops of active channels with Postgres."""
        await self._catch_up.sweep()

    def forget_silent(self) -> None:
        """What happens each second, once: forget gateways that stopped to poll. A held poll is no
        silence."""
        now = self._clock()
        for gateway in list(self._hub.gateways.values()):
            if gateway.waiter is None and now - gateway.heard > SILENCE_SECONDS:
                log.warning("gateway %s is silent and forgotten", gateway.id)
                self._hub.forget(gateway)

    def tell_presence(self) -> None:
        """What happens each second, once: tell changed counts of connections to who is there. Not
        at once, so that joins of a second, and gateways that say Hello again, are one event."""
        counts = self._hub.presence.take_changed(self._clock(), PRESENCE_CHANNELS)
        at_ns = time.time_ns()
        for name, clients in counts:
            if not name.startswith("user:"):
                data = content.ephemeral("presence.count", at_ns, {"count": clients})
                self._send_ephemeral(m.Publication(name, 0, data))

    # ------------------------------------------------------------ what writers send

    async def _publish(self, request: m.Publish) -> None:
        self._take_publications(request.publications)
        self._take_ephemeral(request.ephemeral)

    async def _publish_ephemeral(self, request: m.PublishEphemeral) -> None:
        self._take_ephemeral(request.events)

    def _take_publications(self, publications: Iterable[m.Publication]) -> None:
        for publication in publications:
            channel = self._hub.channels.get(publication.channel)
            if channel is None:
                continue  # nobody follows it, Postgres has it
            if publication.offset > 0:
                self._hub.execute(channel, channel.state.apply(publication))
            else:
                self._hub.send(channel, publication)

    def _take_ephemeral(self, events: Iterable[m.Ephemeral]) -> None:
        now, dropped = self._clock(), self._throttle.dropped
        for event in events:
            if event.channel in self._hub.channels:
                self._send_ephemeral(self._throttle.offer(event, now))
        _EPHEMERAL_DROPPED.inc(self._throttle.dropped - dropped)
        self._arm_throttle()

    def _send_due(self) -> None:
        self._throttle_timer = None
        for publication in self._throttle.take_due(self._clock()):
            self._send_ephemeral(publication)
        self._arm_throttle()

    def _send_ephemeral(self, publication: m.Publication | None) -> None:
        if publication is not None:
            channel = self._hub.channels.get(publication.channel)
            if channel is not None:
                self._hub.send(channel, publication)

    def _arm_throttle(self) -> None:
        due = self._throttle.next_due()
        if due is None:
            return
        loop = asyncio.get_running_loop()
        delay = max(0.0, due - self._clock())
        timer = self._throttle_timer
        if timer is not None:
            if timer.when() <= loop.time() + delay:
                return
            timer.cancel()  # a key with a shorter interval came
        self._throttle_timer = loop.call_later(delay, self._send_due)

    # ------------------------------------------------------------ what gateways ask

    async def _hello(self, request: m.Hello) -> m.HelloReply:
        self._check_mine(request.channels)
        for _ in range(_HELLO_ATTEMPTS):
            gateway = GatewayEntry(
                request.gateway_id, uuid4().hex, self._new_mailbox(), self._clock()
            )
            self._hub.register(gateway, request.channels)
            try:
                tops = await self._positions(gateway, request.channels)
            except AppError:
                self._hub.forget(gateway)
                raise
            if gateway.alive:
                return m.HelloReply(gateway.incarnation, tops)
            if request.gateway_id in self._hub.gateways:
                break  # a later Hello of the same gateway has taken over
            # The epoch changed, all gateways were forgotten: register in the new one.
        raise AppError("unavailable", "say Hello again", retry_after_seconds=1)

    async def _attach(self, request: m.Attach) -> m.AttachReply:
        self._check_mine(request.channels)
        gateway = self._hub.known(request.gateway_id, request.incarnation)
        if gateway is None:
            return m.AttachReply(False, [])
        new = [name for name in request.channels if name not in gateway.channels]
        self._hub.follow(gateway, new)
        try:
            tops = await self._positions(gateway, request.channels)
        except AppError:
            self._hub.unfollow(gateway, new)
            raise
        return m.AttachReply(True, tops) if gateway.alive else m.AttachReply(False, [])

    async def _detach(self, request: m.Detach) -> None:
        gateway = self._hub.known(request.gateway_id, request.incarnation)
        if gateway is not None:
            self._hub.unfollow(gateway, request.channels)

    async def _positions(
        self, gateway: GatewayEntry, names: list[str]
    ) -> list[m.StreamPosition | None]:
        """Where each channel stands; the gateway follows all of them already. Of no use when the
        gateway is not alive any more."""
        try:
            read = await streams.read_positions(self._pool, names)
        except AppError as error:
            return [self._remembered(name, error) for name in names]
        self._adopt(read.epoch)
        return [self._position(gateway, name, read) for name in names] if gateway.alive else []

    def _position(
        self, gateway: GatewayEntry, name: str, read: Positions
    ) -> m.StreamPosition | None:
        top = read.tops.get(name)
        channel = self._hub.channels.get(name)
        if top is not None:
            if channel is not None:
                channel.stream_id = top.stream_id
                self._hub.execute(channel, channel.state.learn_top(top.offset))
            return m.StreamPosition(read.epoch, top.offset)
        if channel is not None and channel.state.top is not None:
            # Made just now: another Attach, whose read began later, has seen it.
            return m.StreamPosition(read.epoch, channel.state.top)
        self._hub.unfollow(gateway, [name])
        return None

    def _remembered(self, name: str, error: AppError) -> m.StreamPosition:
        """Without Postgres the delivered top will do: everything later comes by poll too."""
        channel = self._hub.channels.get(name)
        if channel is None or channel.state.top is None or self._epoch is None:
            raise error
        return m.StreamPosition(self._epoch, channel.state.top)

    async def _poll(self, request: m.Poll) -> m.PollReply:
        gateway = self._hub.known(request.gateway_id, request.incarnation)
        if gateway is None or not gateway.mailbox.acknowledge(request.ack):
            return m.PollReply(-1, [])
        gateway.heard = self._clock()
        for change in request.presence:
            self._hub.presence.change(gateway.id, change.channel, change.user, change.clients)
        gateway.wake()  # a poll that is still held has been given up by its caller
        if not len(gateway.mailbox) and request.wait_seconds > 0:
            await self._wait_for_mail(gateway, min(request.wait_seconds, MAX_WAIT_SECONDS))
            if not gateway.alive:
                return m.PollReply(-1, [])
        sequence, publications = gateway.mailbox.batch(POLL_PUBLICATIONS, POLL_BYTES)
        return m.PollReply(sequence or request.ack, publications)

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
        channel: ChannelEntry | None = self._hub.channels.get(request.channel)
        known_top = 0
        if channel is not None and self._epoch is not None:
            reply = self._history.from_ring(channel.state, self._epoch, request)
            if reply is not None:
                return reply
            known_top = channel.state.known_top
        reply = await self._history.read(request, known_top)
        if reply.top is not None:
            self._adopt(reply.top.epoch)
        return reply

    async def _read_presence(self, request: m.ReadPresence) -> m.PresenceReply:
        return m.PresenceReply(*self._hub.presence.count(request.channel))

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
            self.forget_silent()
            self.tell_presence()
