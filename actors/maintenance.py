"""What is done from time to time so that tables neither end nor grow for ever: a job each."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from actors.job_tools import JobTools
from storage import idempotency, jobs, sessions, streams
from storage.postgres import Connection, acquire

_log = logging.getLogger(__name__)

MAINTENANCE_LOCK: Final = 0x5E7A1
SESSIONS_KEPT_DAYS: Final = 30
_BATCH: Final = 10_000


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Maintenance:
    """Its methods are handlers of jobs without a payload."""

    def __init__(self, tools: JobTools, now: Callable[[], datetime] = _utc_now) -> None:
        self._pool = tools.pool
        self._streams = tools.settings.streams
        self._now = now

    async def maintain_streams(self, payload: bytes) -> None:
        """Makes stream partitions ahead and drops those past their retention.

        The lock is the session's, because a partition is detached outside of a transaction. Who
        does not get it has nothing to do: another run is at it.
        """
        async with acquire(self._pool) as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", MAINTENANCE_LOCK):
                return
            try:
                today = self._now().date()
                made = await streams.ensure_partitions(
                    connection, today, self._streams.partitions_ahead_days
                )
                before = today - timedelta(days=self._streams.retention_days)
                dropped = await streams.drop_partitions(connection, before)
            finally:
                await connection.execute("select pg_advisory_unlock($1)", MAINTENANCE_LOCK)
        if made or dropped:
            _log.info("stream partitions: made %s, dropped %s", made, dropped)

    async def forget_sessions(self, payload: bytes) -> None:
        await self._forget(
            lambda connection: sessions.forget_sessions(connection, SESSIONS_KEPT_DAYS, _BATCH)
        )

    async def forget_idempotency(self, payload: bytes) -> None:
        await self._forget(lambda connection: idempotency.forget(connection, _BATCH))

    async def trim_jobs(self, payload: bytes) -> None:
        await jobs.trim(self._pool)

    async def _forget(self, some: Callable[[Connection], Awaitable[int]]) -> None:
        """A statement each: what is forgotten stays so, wherever the job is cut off."""
        async with acquire(self._pool) as connection:
            while await some(connection) == _BATCH:
                pass
