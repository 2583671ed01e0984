"""Recovery of a subscription by (epoch, offset): what it missed, or that nobody can say.

recovered = (epoch empty or equal) and all of (offset, top] is at hand, in order, within limits.
Equal recoveries that overlap share one history read, but none that began before text was removed or
another epoch came. What is published during the read is kept beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context
from typing import Final, NamedTuple

from prometheus_client import Counter

from actors.shard_messages import HistoryReply, Publication
from config.edge import Realtime as RealtimeSettings
from serve_app.gateway.channel import Channel, Source, Tail
from serve_app.gateway.channel_hub import ChannelHub
from serve_app.tally import Tally

_ATTEMPTS: Final = 3

RECOVERIES = Counter(
    "serai_realtime_recoveries_total", "Subscriptions that asked to recover", ["outcome"]
)
_RECOVERED = Tally(RECOVERIES.labels("recovered"))
_UNRECOVERED = Tally(RECOVERIES.labels("unrecovered"))


class _Read:
    """`waiting`: recoveries that want its answer, with all of `tail` up to that moment."""

    __slots__ = ("tail", "task", "waiting")

    def __init__(self, task: asyncio.Task[HistoryReply], tail: Tail) -> None:
        self.task = task
        self.tail = tail
        self.waiting = 0


class _Found(NamedTuple):
    reply: HistoryReply
    publications: list[Publication]


class CatchUp:
    def __init__(self, hub: ChannelHub, source: Source, settings: RealtimeSettings) -> None:
        self._hub = hub
        self._source = source
        self._publications = settings.recovery_publications
        self._bytes = settings.recovery_bytes
        # (channel, after, purges of the channel when it began)
        self._reads: dict[tuple[Channel, int, int], _Read] = {}

    async def recover(self, channel: Channel, epoch: str, offset: int) -> list[Publication] | None:
        """Everything after `offset` up to the channel's `position.last`, None if unrecoverable.

        The answer holds in the tick in which it is returned: admit the subscriber before awaiting
        anything. Raises AppError when the shard is away.
        """
        missed = await self._find(channel, epoch, offset)
        (_UNRECOVERED if missed is None else _RECOVERED).add()
        return missed

    async def newest(self, channel: Channel) -> Publication | None:
        """The publication at the channel's `position.last`, None if it is kept no longer. Holds in
        the tick in which it is returned. Raises AppError when the shard is away."""
        position = channel.position
        for _ in range(_ATTEMPTS):
            if channel.ring and channel.ring[-1].offset == position.last:
                return channel.ring[-1]
            last, purges = position.last, channel.purges
            if not last:
                return None
            found = await self._read(channel, last - 1)
            if found.reply.top is None or found.reply.top.epoch != position.epoch:
                return None
            if channel.purges == purges:
                return next((p for p in found.publications if p.offset == position.last), None)
        return None

    async def _find(self, channel: Channel, epoch: str, offset: int) -> list[Publication] | None:
        position = channel.position
        for _ in range(_ATTEMPTS):
            if epoch not in ("", position.epoch):
                return None
            if offset > position.last:
                # The client may come from a gateway that is ahead of this one: ask how far it goes.
                if not await self._reach(channel, offset):
                    return None
                continue
            if position.last - offset > self._publications:
                return None
            if channel.remembers(offset):
                missed = [p for p in channel.ring if p.offset > offset]
            else:
                purges = channel.purges
                found = await self._read(channel, offset)
                top = found.reply.top
                if epoch not in ("", position.epoch) or top is None or top.epoch != position.epoch:
                    return None
                if channel.purges != purges:
                    continue  # what was read may hold text that has been removed since
                merged = self._merge(channel, offset, found.publications)
                if merged is None:
                    return None
                channel.remember_older(merged)
                missed = merged
            return missed if sum(len(p.data) for p in missed) <= self._bytes else None
        return None

    def _merge(
        self, channel: Channel, offset: int, found: Iterable[Publication]
    ) -> list[Publication] | None:
        last = channel.position.last
        known = {p.offset: p for p in (*found, *channel.ring) if offset < p.offset <= last}
        if len(known) != last - offset:
            return None
        return [known[o] for o in range(offset + 1, last + 1)]

    async def _reach(self, channel: Channel, offset: int) -> bool:
        """Whether the stream has `offset`; if so, the channel has caught up with it."""
        reply = await self._source.history(channel.name, offset, 0)
        top = reply.top
        if top is None or top.epoch != channel.position.epoch or top.offset < offset:
            return False
        self._hub.expect(channel, top.offset)
        if channel.fill is not None:
            await asyncio.shield(channel.fill)
        return True

    async def _read(self, channel: Channel, after: int) -> _Found:
        """The answer holds in the tick in which it is returned."""
        key = channel, after, channel.purges
        read = self._reads.get(key) or self._begin(key)
        read.waiting += 1
        try:
            reply = await asyncio.shield(read.task)
            return _Found(reply, [*reply.publications, *read.tail.publications])
        finally:
            read.waiting -= 1
            if not read.waiting and read.task.done():
                channel.tails.discard(read.tail)

    def _begin(self, key: tuple[Channel, int, int]) -> _Read:
        channel, after, _ = key
        task = asyncio.get_running_loop().create_task(
            self._source_read(channel.name, after), context=Context()
        )
        read = self._reads[key] = _Read(task, Tail(self._publications))
        channel.tails.add(read.tail)

        def end(_: asyncio.Task[HistoryReply]) -> None:
            del self._reads[key]
            if not read.waiting:
                channel.tails.discard(read.tail)

        task.add_done_callback(end)
        return read

    async def _source_read(self, name: str, after: int) -> HistoryReply:
        return await self._source.history(name, after, self._publications)

    async def stop(self) -> None:
        tasks = [read.task for read in self._reads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
