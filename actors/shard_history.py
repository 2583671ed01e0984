"""History of one channel: from the ring where it reaches back far enough, else from Postgres.

Equal reads at the same time are one query: after a restart thousands of sockets ask for the same.
"""

from __future__ import annotations

import asyncio
from typing import Final

from actors.shard_messages import HistoryReply, Publication, ReadHistory, StreamPosition
from actors.stream_state import StreamState
from config.settings import Realtime
from storage import streams
from storage.postgres import Pool
from storage.streams import StreamPage

_Key = tuple[str, int, int, bool]
# The first read joined may have begun too early, a second one only where the epoch changed.
_ATTEMPTS: Final = 2


class History:
    """Answers are bounded by the request's limit and by the settings' recovery bounds; a single
    publication beyond the byte bound comes alone."""

    def __init__(self, pool: Pool, bounds: Realtime) -> None:
        self._pool = pool
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
        total = 0
        publications: list[Publication] = []
        for publication in found[:limit]:
            total += len(publication.data)
            if publications and total > self._bounds.recovery_bytes:
                break
            publications.append(publication)
        return _reply(request, StreamPosition(epoch, state.top), publications)

    async def read(self, request: ReadHistory, known_top: int) -> HistoryReply:
        """From Postgres, as it stood not before the commit of `known_top`.

        Cancelling one caller leaves the query to the others. Raises AppError, retryable.
        """
        key = (request.channel, max(0, request.after), self._limit(request), request.reverse)
        page = await self._read_once(key)
        for _ in range(_ATTEMPTS - 1):
            if page.top is None or page.top.offset >= known_top:
                break
            page = await self._read_once(key)
        if page.top is None:
            return HistoryReply(None, [], complete=False)
        publications = [Publication(request.channel, e.offset, e.data) for e in page.events]
        return _reply(request, StreamPosition(page.epoch, page.top.offset), publications)

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


def _reply(
    request: ReadHistory, top: StreamPosition, publications: list[Publication]
) -> HistoryReply:
    # Offsets are distinct and within the span, so their number says whether any is missing.
    if request.reverse:
        span = min(request.after - 1, top.offset) if request.after else top.offset
    else:
        span = top.offset - max(0, request.after)
    return HistoryReply(top, publications, complete=len(publications) == span)
