from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from actors.batching import Batcher
from config.errors import AppError


class Deployment:
    """Answers each batch when told to; an item below zero is refused."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.called = asyncio.Event()

    async def __call__(self, items: list[int]) -> Sequence[int | AppError]:
        self.batches.append(items)
        self.called.set()
        await self.open.wait()
        return [AppError("invalid") if item < 0 else item * 10 for item in items]


async def test_what_arrives_in_flight_goes_out_together_and_in_order() -> None:
    deployment = Deployment()
    batcher = Batcher(deployment, max_batch=4)
    deployment.open.clear()
    first = asyncio.create_task(batcher.submit(0))
    await deployment.called.wait()
    rest = [asyncio.create_task(batcher.submit(n)) for n in range(1, 7)]
    await asyncio.sleep(0)
    deployment.open.set()
    assert await asyncio.gather(first, *rest) == [0, 10, 20, 30, 40, 50, 60]
    assert deployment.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_a_refusal_reaches_its_own_caller_only() -> None:
    batcher = Batcher(Deployment())
    results = await asyncio.gather(
        batcher.submit(1), batcher.submit(-1), batcher.submit(2), return_exceptions=True
    )
    assert results[0] == 10 and results[2] == 20
    assert isinstance(results[1], AppError) and results[1].code == "invalid"


async def test_a_failed_call_reaches_every_caller_and_the_next_batch_goes_on() -> None:
    calls = 0

    async def send(items: list[int]) -> list[int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise AppError("unavailable")
        return items

    batcher = Batcher(send)
    results = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)
    assert [getattr(result, "code", None) for result in results] == ["unavailable"] * 2
    assert await batcher.submit(3) == 3


async def test_a_cancelled_caller_drops_only_its_item() -> None:
    deployment = Deployment()
    batcher = Batcher(deployment)
    deployment.open.clear()
    first = asyncio.create_task(batcher.submit(1))
    await deployment.called.wait()
    dropped = asyncio.create_task(batcher.submit(2))
    kept = asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0)
    dropped.cancel()
    await asyncio.sleep(0)
    deployment.open.set()
    assert [await first, await kept] == [10, 30]
    assert deployment.batches == [[1], [3]]


async def test_a_full_queue_refuses_with_a_time_to_come_back() -> None:
    deployment = Deployment()
    deployment.open.clear()
    batcher = Batcher(deployment, max_queued=2)
    running = asyncio.create_task(batcher.submit(1))
    await deployment.called.wait()
    waiting = [asyncio.create_task(batcher.submit(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(AppError) as refused:
        await batcher.submit(4)
    assert refused.value.code == "overloaded"
    assert refused.value.retry_after_seconds is not None
    deployment.open.set()
    assert await asyncio.gather(running, *waiting) == [10, 20, 30]


async def test_a_queue_that_does_not_move_takes_no_more() -> None:
    now = 0.0
    deployment = Deployment()
    deployment.open.clear()
    batcher = Batcher(deployment, max_wait_seconds=2.0, clock=lambda: now)
    running = asyncio.create_task(batcher.submit(1))
    await deployment.called.wait()
    now = 60.0  # what is in flight may take its time
    waiting = [asyncio.create_task(batcher.submit(2))]
    await asyncio.sleep(0)
    now = 62.0
    waiting.append(asyncio.create_task(batcher.submit(3)))
    await asyncio.sleep(0)
    now = 62.1
    assert batcher.is_congested
    with pytest.raises(AppError) as refused:
        await batcher.submit(4)
    assert (refused.value.code, refused.value.retry_after_seconds) == ("overloaded", 1)
    deployment.open.set()
    assert await asyncio.gather(running, *waiting) == [10, 20, 30]
    assert not batcher.is_congested
    assert await batcher.submit(5) == 50


async def test_an_item_that_waited_too_long_is_not_sent() -> None:
    now = 0.0
    deployment = Deployment()
    deployment.open.clear()
    batcher = Batcher(deployment, clock=lambda: now)
    running = asyncio.create_task(batcher.submit(1))
    await deployment.called.wait()
    late = asyncio.create_task(batcher.submit(2, timeout_seconds=5))
    await asyncio.sleep(0)
    now = 6.0
    deployment.open.set()
    assert await running == 10
    with pytest.raises(AppError) as refused:
        await late
    assert refused.value.code == "overloaded"
    assert deployment.batches == [[1]]


async def test_closing_fails_the_waiting_and_finishes_what_runs() -> None:
    deployment = Deployment()
    deployment.open.clear()
    batcher = Batcher(deployment)
    running = asyncio.create_task(batcher.submit(1))
    await deployment.called.wait()
    waiting = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    deployment.open.set()
    await closing
    assert await running == 10
    with pytest.raises(AppError):
        await waiting
    with pytest.raises(AppError):
        await batcher.submit(3)
