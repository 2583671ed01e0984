"""The connections of one server for reads, and the bounded queue before them.

A queue that may grow without end makes everyone wait for answers that their askers have given up by
then. So whoever comes when it is full is refused at once, and the others are answered in time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import Counter, Gauge

import storage.postgres
from config.errors import AppError
from storage.postgres import Connection, Pool

READS: Final = Counter("serai_reads_total", "Reads by the server that they went to", ["target"])
REFUSED: Final = Counter(
    "serai_reads_refused_total", "Reads refused because too many waited already", ["target"]
)
WAITING: Final = Gauge(
    "serai_reads_waiting", "Reads that wait for a connection", ["target"],
    multiprocess_mode="livesum",
)  # fmt: skip


class ReadGate:
    """At most `waiting_per_connection` reads wait for each connection of the pool; further ones get
    AppError `overloaded`. Errors of asyncpg pass through as they are."""

    def __init__(self, pool: Pool, target: str, waiting_per_connection: int) -> None:
        self.pool = pool
        self._most_waiting = waiting_per_connection * pool.get_max_size()
        self._waiting = 0
        self._using = 0
        self._reads = READS.labels(target)
        self._refused = REFUSED.labels(target)
        self._shown = WAITING.labels(target)

    @property
    def busy(self) -> int:
        """Reads that wait or run."""
        return self._waiting + self._using

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if self._waiting >= self._most_waiting:
            self._refused.inc()
            raise AppError("overloaded", "Too many reads are waiting.", retry_after_seconds=1.0)
        self._reads.inc()
        self._waiting += 1
        self._shown.set(self._waiting)
        try:
            connection = await self.pool.acquire(timeout=storage.postgres.ACQUIRE_TIMEOUT_SECONDS)
        finally:
            self._waiting -= 1
            self._shown.set(self._waiting)
        self._using += 1
        try:
            yield connection
        finally:
            self._using -= 1
            await self.pool.release(connection)
