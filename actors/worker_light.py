"""The light worker: runs the jobs that need no model. A plain class that serve_app deploys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from actors.maintenance import maintain
from actors.notifying import Notifier, Publish
from config.errors import AppError
from config.settings import Postgres, Streams
from storage import jobs
from storage.postgres import Pool, connect

_log = logging.getLogger(__name__)

_POOL_SIZE: Final = 4
_TRIM_SECONDS: Final = 60.0
_MAINTENANCE_SECONDS: Final = 3600.0
_DEFAULT_STREAMS: Final = Streams()
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0


class WorkerLight:
    """Any number may run, each job is in one's hand. A database that goes away is waited for."""

    def __init__(
        self, settings: Postgres, publish: Publish, streams: Streams = _DEFAULT_STREAMS
    ) -> None:
        self._settings = settings
        self._streams = streams
        self._publish = publish
        self._stop = asyncio.Event()
        self._pool: Pool | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns at once; the database need not answer yet."""
        self._tasks = [
            asyncio.create_task(self._keep(self._work), name="jobs"),
            asyncio.create_task(self._keep(self._trim), name="jobs-trim"),
            asyncio.create_task(self._keep(self._maintain), name="maintenance"),
        ]

    def check_health(self) -> None:
        """Raises RuntimeError when a loop has died, for whatever reason but a missing database."""
        for task in self._tasks:
            if task.done() and not self._stop.is_set():
                error = None if task.cancelled() else task.exception()
                raise RuntimeError(f"the loop {task.get_name()!r} has ended") from error

    async def stop(self) -> None:
        """Waits up to 10 seconds for the jobs in hand; others find the rest in the queue."""
        self._stop.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._pool is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
            self._pool = None

    async def _keep(self, loop: Callable[[Pool], Awaitable[None]]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            try:
                pool = await self._connected()
                pause = _FIRST_PAUSE_SECONDS
                await loop(pool)
            except AppError as error:
                if not error.retryable:
                    raise
                _log.warning("jobs wait for the database: %s", error)
                await self._pause(pause)
                pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)

    async def _connected(self) -> Pool:
        if self._pool is None:
            pool = await connect(
                self._settings.url,
                self._settings,
                application_name="worker",
                size=_POOL_SIZE,
                statement_timeout_seconds=self._settings.job_timeout_seconds,
            )
            if self._pool is None:
                self._pool = pool
            else:  # the other loop was faster
                await pool.close()
        return self._pool

    async def _work(self, pool: Pool) -> None:
        notifier = Notifier(pool, self._publish)
        await jobs.work(self._settings.url, pool, {"notify": notifier.run}, self._stop)

    async def _trim(self, pool: Pool) -> None:
        await jobs.trim(pool)
        await self._pause(_TRIM_SECONDS)

    async def _maintain(self, pool: Pool) -> None:
        await maintain(pool, self._streams, datetime.now(UTC))
        await self._pause(_MAINTENANCE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass
