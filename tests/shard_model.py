"""A log in memory in the place of storage.streams' reads, with faults on command, and a gateway
that follows the documented protocol and nothing else. For the tests of shards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar
from unittest.mock import patch

from actors import shard_messages as m
from actors.community import CommunityShard
from config.errors import AppError
from storage.postgres import Pool
from storage.streams import Positions, StreamEvent, StreamPage, StreamTop

T = TypeVar("T")


class StreamLog:
    """`yields`: turns of the loop that an answer takes to arrive after its snapshot."""

    def __init__(self, *channels: str) -> None:
        self.epoch = "one"
        self.events: dict[str, list[bytes]] = {channel: [] for channel in channels}
        self.trimmed: dict[str, int] = {}
        self.down = False
        self.yields = 3
        self.reads = 0

    def commit(self, channel: str, data: bytes) -> m.Publication:
        self.events[channel].append(data)
        return m.Publication(channel, len(self.events[channel]), data)

    def top(self, channel: str) -> int:
        return len(self.events[channel])

    async def settle(self, pool: Pool) -> None:
        await self._answer(None)

    async def read_positions(self, pool: Pool, channels: Sequence[str]) -> Positions:
        tops = {
            channel: StreamTop(self._id(channel), self.top(channel))
            for channel in channels
            if channel in self.events
        }
        return await self._answer(Positions(self.epoch, tops))

    async def read_tops(self, pool: Pool, known: Mapping[int, int]) -> tuple[str, dict[int, int]]:
        tops = {self._id(channel): self.top(channel) for channel in self.events}
        return await self._answer(
            (self.epoch, {i: tops[i] for i, top in known.items() if i in tops and tops[i] > top})
        )

    async def read_events(
        self,
        pool: Pool,
        channel: str,
        after: int,
        limit: int,
        *,
        reverse: bool = False,
        max_bytes: int = 524_288,
    ) -> StreamPage:
        if channel not in self.events:
            return await self._answer(StreamPage(self.epoch, None, [], cut=False))
        stored = [
            StreamEvent(offset, data)
            for offset, data in enumerate(self.events[channel], 1)
            if offset > self.trimmed.get(channel, 0)
        ]
        if reverse:
            stored = [e for e in reversed(stored) if after == 0 or e.offset < after]
        else:
            stored = [e for e in stored if e.offset > after]
        found: list[StreamEvent] = []
        total = 0
        for event in stored[:limit]:
            total += len(event.data)
            if found and total > max_bytes:
                break
            found.append(event)
        top = StreamTop(self._id(channel), self.top(channel))
        return await self._answer(
            StreamPage(self.epoch, top, found, cut=len(found) < len(stored) or len(found) == limit)
        )

    @contextmanager
    def installed(self) -> Iterator[None]:
        with (
            patch.multiple(
                "storage.streams",
                settle=self.settle,
                read_positions=self.read_positions,
                read_tops=self.read_tops,
                read_events=self.read_events,
            ),
            patch("actors.shard_hub.FIRST_BACKOFF_SECONDS", 0.001),
            patch("actors.shard_catch_up._LONGEST_BACKOFF_SECONDS", 0.002),
        ):
            yield

    def _id(self, channel: str) -> int:
        return 1 + list(self.events).index(channel)

    async def _answer(self, snapshot: T) -> T:
        self.reads += 1
        if self.down:
            raise AppError("unavailable", "down for the test")
        for _ in range(self.yields):
            await asyncio.sleep(0)
        return snapshot


class FollowingGateway:
    """Follows its channels from a first position on; `seen` is what its client got, in order.

    The client starts from a page: `start(channel, offset)` says that it has seen everything up to
    there by other means.
    """

    def __init__(self, gateway_id: str) -> None:
        self.id = gateway_id
        self.incarnation = ""
        self.epoch = ""
        self.ack = 0
        self.last: dict[str, int] = {}
        self.seen: dict[str, list[m.Publication]] = {}
        self.ephemeral: list[m.Publication] = []
        self._wanted: dict[str, int] = {}
        self._early: dict[str, list[m.Publication]] = {}
        self._turn = asyncio.Lock()
        self.restarted: list[str] = []
        """Channels whose client has to fetch its page again: another epoch, or events are gone."""

    def start(self, channel: str, offset: int) -> None:
        self.last[channel] = offset
        self.seen[channel] = []

    @property
    def behind(self) -> bool:
        return not self.incarnation or any(
            self.last[channel] < offset for channel, offset in self._wanted.items()
        )

    async def step(self, shard: CommunityShard, *, answer_lost: bool = False) -> None:
        """Says Hello where it has to, else polls once. Outages are left to the next step."""
        async with self._turn:
            try:
                if not self.incarnation:
                    await self._hello(shard)
                await self._catch_up(shard)
                await self._poll(shard, answer_lost=answer_lost)
            except AppError as error:
                assert error.retryable, error

    async def _hello(self, shard: CommunityShard) -> None:
        channels = list(self.last)
        reply = await shard.handle(m.Hello(self.id, channels))
        assert isinstance(reply, m.HelloReply)
        if reply.late:
            raise AppError("unavailable", "Postgres is away")
        self.incarnation, self.ack = reply.incarnation, 0
        self._early.clear()
        for channel, top in zip(channels, reply.tops, strict=True):
            assert top is not None
            self._positioned(channel, top)

    async def attach(self, shard: CommunityShard, channel: str, offset: int) -> None:
        """Publications may come by poll before the answer: they wait for it."""
        self._early[channel] = []
        try:
            reply = await shard.handle(m.Attach(self.id, self.incarnation, [channel]))
        except AppError:
            del self._early[channel]
            raise
        assert isinstance(reply, m.AttachReply)
        if reply.late:
            del self._early[channel]
            raise AppError("unavailable", "Postgres is away")
        async with self._turn:
            self.start(channel, offset)
            early = self._early.pop(channel, [])
            if not reply.known:
                self.incarnation = ""
                return
            (top,) = reply.tops
            assert top is not None
            self._positioned(channel, top)
            try:
                await self._catch_up(shard)
                for publication in early:
                    await self._take(shard, publication)
            except AppError as error:
                assert error.retryable, error
                self.incarnation = ""

    async def detach(self, shard: CommunityShard, channel: str) -> None:
        await shard.handle(m.Detach(self.id, self.incarnation, [channel]))
        for forgotten in (self.last, self.seen, self._wanted, self._early):
            forgotten.pop(channel, None)

    async def _poll(self, shard: CommunityShard, *, answer_lost: bool = False) -> None:
        reply = await shard.handle(m.Poll(self.id, self.incarnation, self.ack, 0.0))
        assert isinstance(reply, m.PollReply)
        if answer_lost:
            return
        if reply.sequence < 0:
            self.incarnation = ""
            return
        for publication in reply.publications:
            await self._take(shard, publication)
        self.ack = reply.sequence

    async def _take(self, shard: CommunityShard, publication: m.Publication) -> None:
        channel = publication.channel
        if publication.offset == 0:
            self.ephemeral.append(publication)
        elif channel in self._early:
            self._early[channel].append(publication)
        elif channel in self.last:
            if publication.offset == self.last[channel] + 1:
                self._deliver(publication)
            elif publication.offset > self.last[channel]:
                self._wanted[channel] = max(publication.offset, self._wanted.get(channel, 0))
                await self._catch_up(shard)

    def _positioned(self, channel: str, top: m.StreamPosition) -> None:
        if self.epoch not in ("", top.epoch):
            self._wanted.clear()
            for name in self.last:
                self.start(name, 0)
                self.restarted.append(name)
        self.epoch = top.epoch
        self._wanted[channel] = top.offset

    async def _catch_up(self, shard: CommunityShard) -> None:
        for channel in list(self._wanted):
            while self.last[channel] < self._wanted[channel]:
                after = self.last[channel]
                reply = await shard.handle(m.ReadHistory(channel, after, 3))
                assert isinstance(reply, m.HistoryReply)
                if reply.top is None or reply.top.epoch != self.epoch:
                    self.incarnation = ""
                    return
                offsets = [p.offset for p in reply.publications]
                if not offsets or offsets[0] != after + 1:
                    self.restarted.append(channel)
                    self.start(channel, self._wanted[channel])
                    break
                for publication in reply.publications:
                    self._deliver(publication)
            del self._wanted[channel]

    def _deliver(self, publication: m.Publication) -> None:
        self.seen[publication.channel].append(publication)
        self.last[publication.channel] = publication.offset
