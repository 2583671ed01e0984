"""What must be done from time to time so that tables neither end nor grow for ever."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from config.settings import Streams
from storage import idempotency, sessions, streams
from storage.postgres import Pool, acquire

_log = logging.getLogger(__name__)

MAINTENANCE_LOCK: Final = 0x5E7A1
SESSIONS_KEPT_DAYS: Final = 30
_BATCH: Final = 10_000


async def maintain(pool: Pool, settings: Streams, now: datetime) -> bool:
    """Makes stream partitions ahead, drops those past their retention, forgets old idempotency
    records and sessions. Safe to repeat; False: another process is at it.

    The lock is the session's, because a partition is detached outside of a transaction.
    """
    async with acquire(pool) as connection:
        if not await connection.fetchval("select pg_try_advisory_lock($1)", MAINTENANCE_LOCK):
            return False
        try:
            today = now.date()
            made = await streams.ensure_partitions(
                connection, today, settings.partitions_ahead_days
            )
            before = today - timedelta(days=settings.retention_days)
            dropped = await streams.drop_partitions(connection, before)
            if made or dropped:
                _log.info("stream partitions: made %s, dropped %s", made, dropped)
            while await idempotency.forget(connection, _BATCH) == _BATCH:
                pass
            while await sessions.forget_sessions(connection, SESSIONS_KEPT_DAYS, _BATCH) == _BATCH:
                pass
        finally:
            await connection.execute("select pg_advisory_unlock($1)", MAINTENANCE_LOCK)
    return True
