"""Keeps this machine's child servers alive while the foreground command runs.

A child that ends is restarted at once; one that keeps ending is restarted ever more slowly, so that
a broken disk does not become a busy loop. The failure table promises "within 2 s" for the former.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, Self, TypedDict

from config.errors import AppError
from serve_app.data_lock import DataDirLock

_log = logging.getLogger(__name__)

_FIRST_DELAY_SECONDS: Final = 0.25
_LONGEST_DELAY_SECONDS: Final = 15.0
# A child that lived this long has recovered: its next end counts as the first again.
_STABLE_SECONDS: Final = 30.0


class Child(Protocol):
    """A server that the supervisor owns: `EmbeddedPostgres`, `EmbeddedValkey`, a model server."""

    @property
    def role(self) -> str: ...

    @property
    def pid(self) -> int | None: ...

    async def start(self) -> str: ...

    async def stop(self, *, fast: bool = True) -> None: ...

    async def close(self) -> None: ...

    async def wait_exit(self) -> int: ...


class ProcessEntry(TypedDict):
    role: str
    pid: int


def restart_delay_seconds(quick_ends: int) -> float:
    """The pause before a restart after `quick_ends` ends in a row; none after the first."""
    if quick_ends <= 1:
        return 0.0
    return min(_FIRST_DELAY_SECONDS * 2.0 ** (quick_ends - 2), _LONGEST_DELAY_SECONDS)


class Supervisor:
    """Owns the data directory's lock and the children, in start order."""

    def __init__(self, data_dir: Path, children: Sequence[Child]) -> None:
        self._children = tuple(children)
        self._lock = DataDirLock(data_dir)
        self._watchers: list[asyncio.Task[None]] = []
        self._started: list[Child] = []
        self._restarts = {child.role: 0 for child in self._children}

    async def start(self) -> dict[str, str]:
        """Starts the children one after the other and returns their URLs by role.

        Call it in the main thread. When it raises (`AppError`) or is cancelled, those already
        started are stopped and the lock is free.
        """
        self._lock.acquire()
        urls: dict[str, str] = {}
        try:
            for child in self._children:
                self._started.append(child)
                urls[child.role] = await child.start()
                watcher = asyncio.create_task(self._watch(child), name=f"watch {child.role}")
                self._watchers.append(watcher)
        except BaseException:
            await self.stop()
            raise
        return urls

    async def stop(self, *, fast: bool = True) -> None:
        """Stops the children in reverse order; idempotent. Cancelling it does not stop it early:
        it finishes, then raises."""
        stopping = asyncio.create_task(self._stop(fast=fast))
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await asyncio.wait({stopping})
            raise

    async def _stop(self, *, fast: bool) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.cancel()
        if watchers:
            await asyncio.wait(watchers)
        while self._started:
            child = self._started.pop()
            try:
                await child.stop(fast=fast)
                await child.close()
            except (AppError, OSError):
                _log.exception("%s did not stop cleanly", child.role)
        self._lock.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def processes(self) -> list[ProcessEntry]:
        """The children that run now."""
        entries = ((child.role, child.pid) for child in self._started)
        return [{"role": role, "pid": pid} for role, pid in entries if pid is not None]

    def statistics(self) -> dict[str, int]:
        """Restarts by role since the start."""
        return dict(self._restarts)

    async def _watch(self, child: Child) -> None:
        clock = asyncio.get_running_loop().time
        quick_ends = 0
        while True:
            began = clock()
            status = await child.wait_exit()
            quick_ends = 1 if clock() - began > _STABLE_SECONDS else quick_ends + 1
            _log.error("%s ended unexpectedly (%s)", child.role, describe_exit(status))
            while not await self._restarted(child, restart_delay_seconds(quick_ends)):
                quick_ends += 1

    async def _restarted(self, child: Child, delay_seconds: float) -> bool:
        if delay_seconds:
            _log.warning("%s: next start in %.1f s", child.role, delay_seconds)
            await asyncio.sleep(delay_seconds)
        try:
            await child.start()
        except (AppError, OSError) as error:
            _log.error("%s could not be restarted: %s", child.role, error)
            return False
        self._restarts[child.role] += 1
        _log.warning("%s runs again, pid %s", child.role, child.pid)
        return True


def describe_exit(status: int) -> str:
    """In words, from the status of `ChildProcess.wait_exit`."""
    return f"signal {-status}" if status < 0 else f"exit status {status}"
