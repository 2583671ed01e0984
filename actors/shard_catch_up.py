"""How a shard learns what nobody told it: gaps are read from Postgres, and a sweep compares tops.

Publications overtake each other by some milliseconds all the time, so both wait for a grace before
they read. A read that fails, or brings nothing, is repeated with a growing delay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import Counter

from actors.shard_hub import FIRST_BACKOFF_SECONDS, ChannelEntry, Hub
from actors.shard_messages import Publication
from actors.stored_publication import StoredPublications
from config.errors import AppError
from storage import streams
from storage.postgres import Pool

log = logging.getLogger(__name__)

_FILLERS: Final = 2
_SWEEP_CHUNK: Final = 5_000
_UNBORN_AT_ONCE: Final = 1_000
"""Channels without a stream asked for in one sweep; clients choose how many there are."""
_LONGEST_BACKOFF_SECONDS: Final = 1.0

_FILLED = Counter("serai_shard_gaps_filled_total", "Reads that brought missing publications")
_FINDS = Counter("serai_shard_sweep_finds_total", "Streams whose publications came by the sweep")
_FAILURES = Counter("serai_shard_store_failures_total", "Reads that Postgres did not answer")


class CatchUp:
    """`adopt(epoch)` is told the epoch of every read before its result is used."""

    def __init__(
        self,
        hub: Callable[[], Hub],
        pool: Pool,
        adopt: Callable[[str], None],
        stored: StoredPublications,
        *,
        page_publications: int,
        sweep_seconds: float,
        gap_grace_seconds: float,
        sweep_grace_seconds: float,
    ) -> None:
        self._hub = hub
        self._pool = pool
        self._adopt = adopt
        self._stored = stored
        self._page_publications = page_publications
        self._sweep_seconds = sweep_seconds
        self._gap_grace_seconds = gap_grace_seconds
        self._sweep_grace_seconds = sweep_grace_seconds
        self._due: asyncio.Queue[ChannelEntry] = asyncio.Queue()
        self._unborn: list[ChannelEntry] = []  # of this round, not yet asked for
        self._unsettled = True  # the database may be another one than before

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._always(self._sweep_step))
            for _ in range(_FILLERS):
                group.create_task(self._always(self._fill_step))

    def behind(self, channel: ChannelEntry, in_doubt: bool) -> None:
        """Several gaps of a channel are one task: it reads until nothing is missing."""
        self._schedule(channel, 0.0 if in_doubt else self._gap_grace_seconds)

    async def sweep(self) -> None:
        """Once over all active channels with a stream in Postgres, one query a chunk."""
        hub = self._hub()
        known = {
            channel.stream_id: channel
            for channel in hub.channels.values()
            if channel.state.top is not None and channel.stream_id
        }
        ids = list(known)
        late: list[tuple[ChannelEntry, int]] = []
        # One query also where no channel is active: gateways want to know of a new epoch.
        for start in range(0, max(len(ids), min(1, len(hub.gateways))), _SWEEP_CHUNK):
            tops = {i: known[i].state.known_top for i in ids[start : start + _SWEEP_CHUNK]}
            epoch, passed = await streams.read_tops(self._pool, tops)
            self._adopt(epoch)
            late += [(known[i], top) for i, top in passed.items()]
        late += await self._born()
        if not late:
            return
        await asyncio.sleep(self._sweep_grace_seconds)
        for channel, top in late:
            if channel.active and channel.state.known_top < top:
                _FINDS.inc()
                hub.execute(channel, channel.state.learn_top(top))

    async def _born(self) -> list[tuple[ChannelEntry, int]]:
        """Channels that had no stream yet, and got one by another process, which hardly ever
        happens: each has its turn."""
        if not self._unborn:
            self._unborn = [c for c in self._hub().channels.values() if _is_unborn(c)]
        asked = self._unborn[-_UNBORN_AT_ONCE:]
        del self._unborn[-_UNBORN_AT_ONCE:]
        waiting = {c.name: c for c in asked if c.active and _is_unborn(c)}
        if not waiting:
            return []
        read = await streams.read_positions(self._pool, list(waiting))
        self._adopt(read.epoch)
        for name, top in read.tops.items():
            waiting[name].stream_id = top.stream_id
        return [(waiting[name], top.offset) for name, top in read.tops.items()]

    async def _always(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except AppError as error:
                self._unsettled = True
                _FAILURES.inc()
                log.info("will be tried again: %s", error)
            except Exception:
                # A shard without sweeps and fillers would lose events in silence.
                log.exception("a step failed")

    async def _sweep_step(self) -> None:
        await asyncio.sleep(self._sweep_seconds)
        if self._unsettled:
            await streams.settle(self._pool)
            self._unsettled = False
        await self.sweep()

    async def _fill_step(self) -> None:
        channel = await self._due.get()
        progress = False
        try:
            if channel.active:
                progress = await self._fill(channel)
        finally:
            channel.catching_up = False
            if progress:
                channel.backoff = FIRST_BACKOFF_SECONDS
            if channel.active and (channel.state.gap() or channel.state.suspicion):
                self._schedule(channel, 0.0 if progress else channel.backoff)
            if not progress:
                channel.backoff = min(_LONGEST_BACKOFF_SECONDS, channel.backoff * 2)

    def _schedule(self, channel: ChannelEntry, delay_seconds: float) -> None:
        if channel.catching_up:
            return
        channel.catching_up = True
        if delay_seconds > 0:
            asyncio.get_running_loop().call_later(delay_seconds, self._due.put_nowait, channel)
        else:
            self._due.put_nowait(channel)

    async def _fill(self, channel: ChannelEntry) -> bool:
        """Answers whether it brought the channel on."""
        state = channel.state
        if state.suspicion is not None:
            _, token = state.suspicion
            found = await self._read(channel, state.floor)
            if found is None:
                return False
            state.confirmed(token, *found)
            self._hub().account(channel)
        gap, before = state.gap(), state.top
        if gap is None:
            return True
        found = await self._read(channel, gap.after)
        if found is None:
            return False
        self._hub().execute(channel, state.filled(*found))
        if state.top == before:
            return False
        _FILLED.inc()
        return True

    async def _read(
        self, channel: ChannelEntry, after: int
    ) -> tuple[list[Publication], int] | None:
        """Publications after `after` and the offset up to which that is all there is. None: the
        channel was put away meanwhile, or its stream is gone."""
        page = await streams.read_events(self._pool, channel.name, after, self._page_publications)
        self._adopt(page.epoch)
        if page.top is None or not channel.active:
            return None
        upto = page.events[-1].offset if page.cut and page.events else page.top.offset
        return [self._stored.publication(channel.name, e) for e in page.events], upto


def _is_unborn(channel: ChannelEntry) -> bool:
    return channel.state.top is not None and not channel.stream_id
