"""A worker: runs the jobs of its kind (job_table.py). A plain class that serve_app deploys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from prometheus_client import Gauge

from actors.indexing import NOWHERE, Index
from actors.job_table import ENTRYPOINTS, RECURRING, Entrypoint, WorkerKind, entrypoints_of
from actors.job_tools import JobTools, PublishEphemeral, tell_nobody
from actors.notifying import Publish
from actors.writing import Writer
from config.errors import AppError
from config.settings import Settings
from storage import jobs, schedule
from storage.postgres import Pool, connect
from storage.schedule import Recurring

_log = logging.getLogger(__name__)

_POOL_SIZE: Final = 6
_OWN_POOL_SIZE: Final = 2
_SCHEDULE_SECONDS: Final = 5.0
_DEPTH_SECONDS: Final = 2.0
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0

# Every worker sees the same queue: the newest number stands for all of a node, and of several nodes
# the largest is right, not the sum.
_due = Gauge(
    "serai_jobs_due",
    f"Jobs that could run now, {jobs.MAX_DEPTH} at most",
    ["entrypoint"],
    multiprocess_mode="livemostrecent",
)
_held = Gauge(
    "serai_jobs_held",
    "Jobs that failed for good and wait for an operator",
    ["entrypoint"],
    multiprocess_mode="livemostrecent",
)
_waited = Gauge(
    "serai_jobs_waited_seconds",
    "How long the oldest job that is not done has waited: of 'index', how far search is behind",
    ["entrypoint"],
    multiprocess_mode="livemostrecent",
)


class _Pools(NamedTuple):
    """`own` counts attempts and looks at the queue, also while jobs hold all of theirs."""

    own: Pool
    of_jobs: Pool


class Worker:
    """Any number of each kind may run, each job is in one's hand. The light ones also enqueue the
    recurring jobs. A database that goes away is waited for."""

    def __init__(
        self,
        settings: Settings,
        publish: Publish,
        kind: WorkerKind = "light",
        entrypoints: Sequence[Entrypoint] = ENTRYPOINTS,
        recurring: Sequence[Recurring] = RECURRING,
        search: Index = NOWHERE,
        publish_ephemeral: PublishEphemeral = tell_nobody,
        writer: Writer | None = None,
    ) -> None:
        self._settings = settings
        self._publish = publish
        self._search = search
        self._publish_ephemeral = publish_ephemeral
        self._writer = writer
        self._entrypoints = entrypoints_of(kind, entrypoints)
        self._recurring = recurring if kind == "light" else ()
        self._stop = asyncio.Event()
        self._pools: _Pools | None = None
        self._connecting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.depth = 0
        """Jobs of this kind of worker that could run now, a few seconds ago."""

    async def start(self) -> None:
        """Returns at once; the database need not answer yet."""
        self._tasks = [
            asyncio.create_task(self._keep(self._work), name="jobs"),
            asyncio.create_task(self._keep(self._look), name="jobs-depth"),
        ]
        if self._recurring:
            self._tasks.append(asyncio.create_task(self._keep(self._schedule), name="schedule"))

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
        for pool in self._pools or ():
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await pool.close()
            except TimeoutError:
                pool.terminate()
        self._pools = None

    async def _keep(self, loop: Callable[[_Pools], Awaitable[None]]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            try:
                pools = await self._connected()
                pause = _FIRST_PAUSE_SECONDS
                await loop(pools)
            except AppError as error:
                if not error.retryable:
                    raise
                _log.warning("jobs wait for the database: %s", error)
                await self._pause(pause)
                pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)

    async def _connected(self) -> _Pools:
        async with self._connecting:
            if self._pools is None:
                own = await self._connect(_OWN_POOL_SIZE)
                try:
                    self._pools = _Pools(own, await self._connect(_POOL_SIZE))
                except BaseException:
                    own.terminate()
                    raise
            return self._pools

    async def _connect(self, size: int) -> Pool:
        postgres = self._settings.postgres
        return await connect(
            postgres.url,
            postgres,
            application_name="worker",
            size=size,
            statement_timeout_seconds=postgres.job_timeout_seconds,
        )

    async def _work(self, pools: _Pools) -> None:
        tools = JobTools(
            pools.of_jobs,
            self._publish,
            self._settings,
            self._search,
            self._publish_ephemeral,
            self._writer,
        )
        await jobs.work(
            self._settings.postgres.url,
            pools.own,
            {entry.name: entry.make(tools) for entry in self._entrypoints},
            self._stop,
            at_once={entry.name: entry.at_once for entry in self._entrypoints},
        )

    async def _look(self, pools: _Pools) -> None:
        names = [entry.name for entry in self._entrypoints]
        depths = await jobs.depths(pools.own, names)
        for name, depth in depths.items():
            _due.labels(name).set(depth.due)
            _held.labels(name).set(depth.held)
            _waited.labels(name).set(depth.waited_seconds)
        self.depth = sum(depth.due for depth in depths.values())
        await self._pause(_DEPTH_SECONDS)

    async def _schedule(self, pools: _Pools) -> None:
        await schedule.enqueue_due(pools.own, self._recurring)
        await self._pause(_SCHEDULE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass
