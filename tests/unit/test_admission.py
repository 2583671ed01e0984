"""Handshakes in slices: order, room for other work between them, refusals."""

from __future__ import annotations

import asyncio
import gc

from config.errors import AppError
from serve_app.collector import CollectorRest
from serve_app.gateway.admission import RUSH, Admission


async def test_a_few_enter_at_once() -> None:
    admission = Admission(per_slice=4)
    async with asyncio.timeout(5):
        for _ in range(4):
            await admission.enter()
    assert admission.statistics() == {"handshakes_waiting": 0}


async def test_many_enter_in_order_and_one_slice_a_turn() -> None:
    admission = Admission(per_slice=4)
    entered: list[int] = []
    turns: list[int] = []

    async def come(number: int) -> None:
        await admission.enter()
        entered.append(number)

    def count() -> None:
        turns.append(len(entered))
        if len(entered) < 50:
            loop.call_soon(count)

    loop = asyncio.get_running_loop()
    loop.call_soon(count)
    async with asyncio.timeout(5):
        await asyncio.gather(*(come(number) for number in range(50)))
    assert entered == list(range(50))
    steps = [b - a for a, b in zip(turns, [*turns[1:], 50], strict=True)]
    # What woke in one turn runs in the next, beside what enters at once.
    assert max(steps) <= 8
    assert len(turns) >= 50 / 8


async def test_a_full_queue_refuses_with_different_advice() -> None:
    admission = Admission(per_slice=1, most_waiting=3)
    waiting = [asyncio.create_task(admission.enter()) for _ in range(4)]
    await asyncio.sleep(0)
    advice = set()
    refused = 0
    while refused < 30:
        late = [asyncio.create_task(admission.enter()) for _ in range(200)]
        for done in await asyncio.gather(*late, return_exceptions=True):
            if done is not None:
                assert isinstance(done, AppError)
                assert done.code == "overloaded"
                assert done.retry_after_seconds is not None
                assert 1 <= done.retry_after_seconds <= 10
                advice.add(done.retry_after_seconds)
                refused += 1
    assert len(advice) > 1
    await asyncio.gather(*waiting)


async def test_who_leaves_the_queue_takes_no_place() -> None:
    admission = Admission(per_slice=1)
    first, gone, stays = (asyncio.create_task(admission.enter()) for _ in range(3))
    await admission.enter()
    await first
    gone.cancel()
    async with asyncio.timeout(5):
        await stays
    assert gone.cancelled() or gone.done()
    assert admission.statistics() == {"handshakes_waiting": 0}


async def test_the_collector_rests_during_a_rush_and_only_then() -> None:
    admission = Admission(per_slice=4)
    try:
        few = [asyncio.create_task(admission.enter()) for _ in range(RUSH)]
        await asyncio.sleep(0)
        assert gc.isenabled()
        many = [asyncio.create_task(admission.enter()) for _ in range(RUSH)]
        await asyncio.sleep(0)
        assert not gc.isenabled()
        async with asyncio.timeout(30):
            await asyncio.gather(*few, *many)
            await asyncio.sleep(0)
        assert gc.isenabled()
    finally:
        gc.enable()


def test_a_rush_that_does_not_end_ends_the_rest() -> None:
    rest = CollectorRest()
    try:
        rest.begin(100.0)
        rest.end_if_long(101.0)
        assert not gc.isenabled()
        rest.end_if_long(111.0)
        assert gc.isenabled()
    finally:
        gc.enable()
