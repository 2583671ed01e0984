"""What is done from time to time so that tables neither end nor grow for ever: a job each."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from actors.job_tools import JobTools
from storage import idempotency, jobs, retention, sessions, streams
from storage.postgres import Connection, acquire, in_transaction
from storage.retention import Records

_log = logging.getLogger(__name__)

MAINTENANCE_LOCK: Final = 0x5E7A1
SESSIONS_KEPT_DAYS: Final = 30
NOTIFICATIONS_KEPT_DAYS: Final = 90
RECORDS_KEPT_DAYS: Final = 365
TRANSLATIONS_KEPT_DAYS: Final = 90
_BATCH: Final = 10_000
# Each holds its rows, and a file's, until the commit.
_EMPTIED_AT_ONCE: Final = 200


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Maintenance:
    """Its methods are handlers of jobs without a payload."""

    def __init__(self, tools: JobTools, now: Callable[[], datetime] = _utc_now) -> None:
        self._pool = tools.pool
        self._settings = tools.settings
        self._streams = tools.settings.streams
        self._now = now

    async def maintain_streams(self, payload: bytes) -> None:
        """Makes stream partitions ahead and drops those past their retention.

        The lock is the session's, because a partition is detached outside of a transaction; the
        pool lets go of it with the connection. Who does not get it has nothing to do: another run
        is at it.
        """
        async with acquire(self._pool) as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", MAINTENANCE_LOCK):
                return
            today = self._now().date()
            made = await streams.ensure_partitions(
                connection, today, self._streams.partitions_ahead_days
            )
            before = today - timedelta(days=self._streams.retention_days)
            dropped = await streams.drop_partitions(connection, before)
        if made or dropped:
            _log.info("stream partitions: made %s, dropped %s", made, dropped)

    async def forget_sessions(self, payload: bytes) -> None:
        await self._forget(
            lambda connection: sessions.forget_sessions(connection, SESSIONS_KEPT_DAYS, _BATCH)
        )

    async def forget_idempotency(self, payload: bytes) -> None:
        await self._forget(lambda connection: idempotency.forget(connection, _BATCH))

    async def purge_removed(self, payload: bytes) -> None:
        """Texts of what was removed long ago, for good."""
        days = self._settings.content.removed_days
        hours = self._settings.media.orphan_hours
        for table in ("post", "comment"):

            async def work(
                connection: Connection, table: Literal["post", "comment"] = table
            ) -> int:
                return await retention.purge(connection, table, days, _EMPTIED_AT_ONCE, hours)

            while await in_transaction(self._pool, work) == _EMPTIED_AT_ONCE:
                pass

    async def forget_records(self, payload: bytes) -> None:
        """Notifications that were read, admissions that were refused, logs of communities,
        translations, and answers of the assistant.

        An erasure finds the events of a notification by its row, which therefore outlives them.
        """
        read_days = max(NOTIFICATIONS_KEPT_DAYS, self._streams.retention_days + 1)
        kept: dict[Records, int] = {
            "notification": read_days,
            "join_request": RECORDS_KEPT_DAYS,
            "invitation": RECORDS_KEPT_DAYS,
            "community_log": RECORDS_KEPT_DAYS,
            "translation": TRANSLATIONS_KEPT_DAYS,
            "answer": self._settings.assistant.kept_days,
            "answer_feedback": RECORDS_KEPT_DAYS,
        }
        for table, days in kept.items():

            async def some(connection: Connection, table: Records = table, days: int = days) -> int:
                return await retention.forget(connection, table, days, _BATCH)

            await self._forget(some)

    async def trim_jobs(self, payload: bytes) -> None:
        await jobs.trim(self._pool)

    async def _forget(self, some: Callable[[Connection], Awaitable[int]]) -> None:
        """A statement each: what is forgotten stays so, wherever the job is cut off."""
        async with acquire(self._pool) as connection:
            while await some(connection) == _BATCH:
                pass
