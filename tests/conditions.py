"""Waiting for a condition with a deadline, instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path


async def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Raises `TimeoutError` when `condition` has not come true in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions are anything, also outside this process
            await asyncio.sleep(0.01)


async def wait_until_async(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """The same, where the condition has to be asked for, of a database for instance."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - nothing signals
            await asyncio.sleep(0.02)


def process_ended(pid: int) -> bool:
    """True also for a zombie: nobody may have reaped it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def wait_ended(pid: int, seconds: float = 20.0) -> None:
    """Blocking. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not process_ended(pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} still runs")
        time.sleep(0.02)
