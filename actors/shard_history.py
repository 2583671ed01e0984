"""History of one channel: from the ring where it reaches back far enough, else from Postgres.

Equal reads at the same time are one query: after a restart thousands of sockets ask for the same.
"""

from __future__ import annotations

import asyncio
from typing import Final

from actors import history_page
from actors.shard_messages import HistoryReply, ReadHistory, StreamPosition
from actors.stored_publication import StoredPublications
from actors.stream_state import StreamState
from config.edge import Realtime
from storage import streams
from storage.postgres import Pool
from storage.streams import StreamPage

_Key = tuple[str, int, int, bool]
# The first read joined may have begun too early, a second one only where the epoch changed.
_ATTEMPTS: Final = 2


class History:
    """Answers are bounded by the request's limit and by the settings' recovery bounds; a single
    publication beyond the byte bound comes alone."""

    def __init__(self, pool: Pool, bounds: Realtime, stored: StoredPublications) -> None:
        self._pool = pool
        self._stored = stored
        self._bounds = bounds
        self._reads: dict[_Key, asyncio.Task[StreamPage]] = {}

    def from_ring(
        self, state: StreamState, epoch: str, request: ReadHistory
    ) -> HistoryReply | None:
        """None where the ring can't answer."""
        limit = self._limit(request)
        if state.top is None or state.known_top > state.top:
            # A gateway may have been told the higher top, and must get everything up to there.
            return None
        if request.reverse:
            found = state.ring_before(request.after or state.top + 1, limit)
        else:
            found = state.ring_after(request.after)
        if found is None:
            return None
        publications = history_page.page(found, limit, self._bounds.recovery_bytes)
        return history_page.reply(request, StreamPosition(epoch, state.top), publications)

    async def read(
        self, request: ReadHistory, known_top: int, *, unborn: bool = False
    ) -> HistoryReply:
        """From Postgres, as it stood not before the commit of `known_top`. `unborn`: a channel
        without a stream stands at 0.

        Cancelling one caller leaves the query to the others. Raises AppError, retryable.
        """
        key = (request.channel, max(0, request.after), self._limit(request), request.reverse)
        page = await self._read_once(key)
        for _ in range(_ATTEMPTS - 1):
            top = page.top.offset if page.top is not None else 0
            if top >= known_top or (page.top is None and not unborn):
                break
            page = await self._read_once(key)
        if page.top is None and not unborn:
            return HistoryReply(None, [], complete=False)
        top = page.top.offset if page.top is not None else 0
        publications = [self._stored.publication(request.channel, e) for e in page.events]
        return history_page.reply(request, StreamPosition(page.epoch, top), publications)

    async def stop(self) -> None:
        reads = list(self._reads.values())
        for read in reads:
            read.cancel()
        if reads:
            await asyncio.wait(reads)

    async def _read_once(self, key: _Key) -> StreamPage:
        read = self._reads.get(key)
        if read is None:
            channel, after, limit, reverse = key
            read = asyncio.create_task(
                streams.read_events(
                    self._pool,
                    channel,
                    after,
                    limit,
                    reverse=reverse,
                    max_bytes=self._bounds.recovery_bytes,
                )
            )
            self._reads[key] = read
            read.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(read)

    def _finished(self, key: _Key, read: asyncio.Task[StreamPage]) -> None:
        del self._reads[key]
        if not read.cancelled():
            read.exception()  # seen, also where every caller has gone

    def _limit(self, request: ReadHistory) -> int:
        return max(0, min(request.limit, self._bounds.recovery_publications))
