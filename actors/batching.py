"""Many concurrent callers, one call: what arrives while one is in flight is the next batch.

No waiting window: an idle batcher sends the first item in the same loop tick. Gateways use it for
calls to deployments (one call, and behind it one transaction, for many requests: the group
commit) and to shards.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from config.errors import AppError

Item = TypeVar("Item")
Result = TypeVar("Result")

DEFAULT_BATCH: Final = 256


def _give_up(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(AppError("unavailable", "No answer in time.", retry_after_seconds=1))


class Batcher(Generic[Item, Result]):
    """Coalesces `submit` calls into calls of `send`, which answers one result per item, in order.

    A result that is an AppError is raised to its own caller only; an exception of `send` reaches
    every caller of that batch. At most `in_flight` batches run at a time, each of at most
    `max_batch` items. New ones are refused with AppError 'overloaded' while `max_queued` wait, or
    while the first of them has waited for `max_wait_seconds`: what joins such a queue would be
    answered later still. Items start in the order of submission.
    """

    def __init__(
        self,
        send: Callable[[list[Item]], Awaitable[Sequence[Result | AppError]]],
        *,
        max_batch: int = DEFAULT_BATCH,
        in_flight: int = 1,
        max_queued: int = 10_000,
        max_wait_seconds: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._max_batch = max_batch
        self._in_flight = in_flight
        self._max_queued = max_queued
        self._max_wait_seconds = max_wait_seconds
        self._clock = clock
        # (item, its result, when it came, when it is too late)
        self._queue: deque[tuple[Item, asyncio.Future[Result], float, float]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._closed = False

    async def submit(self, item: Item, timeout_seconds: float = 30.0) -> Result:
        """The item's result. Cancelling the caller drops its item if it has not been sent yet, and
        only its answer otherwise. Raises AppError 'overloaded' when the queue is full or the item
        has waited `timeout_seconds` unsent, 'unavailable' when its answer is later than that."""
        if self._closed:
            raise AppError("unavailable", "The server is stopping.", retry_after_seconds=1)
        if self.is_congested:
            raise AppError("overloaded", "Too many requests are waiting.", retry_after_seconds=1)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        now = self._clock()
        self._queue.append((item, future, now, now + timeout_seconds))
        self._schedule()
        # Of the future, not of the task: asyncio.timeout costs five times as much.
        limit = loop.call_later(timeout_seconds, _give_up, future)
        try:
            return await future
        finally:
            limit.cancel()

    @property
    def is_congested(self) -> bool:
        """Whether `submit` would refuse now."""
        queue = self._queue
        return len(queue) >= self._max_queued or (
            bool(queue) and self._clock() - queue[0][2] > self._max_wait_seconds
        )

    def _schedule(self) -> None:
        if not self._scheduled and len(self._running) < self._in_flight:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        while self._queue and len(self._running) < self._in_flight:
            batch = self._take()
            if not batch:
                return
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        now = self._clock()
        while self._queue and len(batch) < self._max_batch:
            item, future, _, deadline = self._queue.popleft()
            if future.done():
                continue  # its caller has gone
            if deadline <= now:
                future.set_exception(
                    AppError("overloaded", "Waited too long.", retry_after_seconds=1)
                )
            else:
                batch.append((item, future))
        return batch

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._queue:
            self._schedule()

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._send([item for item, _ in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, AppError):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def close(self) -> None:
        """Refuses new items, fails the waiting ones and waits for what is in flight."""
        self._closed = True
        while self._queue:
            _, future, _, _ = self._queue.popleft()
            if not future.done():
                future.set_exception(AppError("unavailable", "The server is stopping."))
        if self._running:
            await asyncio.wait(self._running)

    def statistics(self) -> dict[str, int]:
        return {"queued": len(self._queue), "in_flight": len(self._running)}
