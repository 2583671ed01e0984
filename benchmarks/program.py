"""The frame of one bar's program: options in, exit status out, nothing left running."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

from benchmarks.figures import NOT_MEASURED
from benchmarks.machine import BenchmarkError
from benchmarks.plan import Plan, read_plan
from config.errors import AppError


def run_bar(measure: Callable[[Plan], Awaitable[int]], purpose: str) -> int:
    """0 reached, 1 missed, 2 not measured. SIGINT and SIGTERM end what the bar has started."""
    plan = read_plan(None, purpose)
    try:
        return asyncio.run(_until_signal(measure, plan))
    except (BenchmarkError, AppError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return NOT_MEASURED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return NOT_MEASURED


async def _until_signal(measure: Callable[[Plan], Awaitable[int]], plan: Plan) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await measure(plan)
