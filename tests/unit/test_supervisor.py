"""How fast a child that keeps ending is restarted, without any real child."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from config.errors import AppError
from serve_app import supervisor as supervisor_module
from serve_app.supervisor import Supervisor, restart_delay_seconds
from tests.conditions import wait_until


class Fragile:
    """Ends as soon as it is told to; its first `broken_starts` restarts fail."""

    role = "fragile"

    def __init__(self, broken_starts: int = 0) -> None:
        self._broken_starts = broken_starts
        self._ended = asyncio.Event()
        self.starts = 0
        self.stops = 0
        self.pid: int | None = None

    async def start(self) -> str:
        if self.starts and self._broken_starts:
            self._broken_starts -= 1
            raise AppError("unavailable", "the disk is full")
        self.starts += 1
        self.pid = self.starts
        self._ended.clear()
        return "fragile://"

    def end(self) -> None:
        self.pid = None
        self._ended.set()

    async def stop(self, *, fast: bool = True) -> None:
        self.stops += 1
        self.end()

    async def close(self) -> None:
        await self.stop()

    async def wait_exit(self) -> int:
        await self._ended.wait()
        return -9


def test_the_first_restart_is_immediate_and_the_later_ones_slow_down() -> None:
    delays = [restart_delay_seconds(ends) for ends in range(1, 40)]
    assert delays[:4] == [0.0, 0.25, 0.5, 1.0]
    assert all(earlier <= later for earlier, later in pairwise(delays))
    assert delays[-1] == 15.0


async def test_a_restart_that_fails_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_FIRST_DELAY_SECONDS", 0.001)
    child = Fragile(broken_starts=2)
    async with Supervisor(tmp_path, [child]) as supervisor:
        assert supervisor.processes() == [{"role": "fragile", "pid": 1}]
        child.end()
        await wait_until(lambda: child.starts == 2)
        assert supervisor.processes() == [{"role": "fragile", "pid": 2}]
        assert supervisor.statistics() == {"fragile": 1}
    assert child.stops and supervisor.processes() == []


async def test_stop_ends_the_watching_before_the_child(tmp_path: Path) -> None:
    child = Fragile()
    supervisor = Supervisor(tmp_path, [child])
    await supervisor.start()
    await supervisor.stop()
    await supervisor.stop()
    assert child.starts == 1
    assert len(asyncio.all_tasks()) == 1  # this test's own
