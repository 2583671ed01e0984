"""The time limit of commands: what asyncio.timeout promises, as far as it is needed here."""

from __future__ import annotations

import asyncio

import pytest

from serve_app.gateway.time_limit import TimeLimit


async def test_what_takes_too_long_is_a_timeout() -> None:
    with pytest.raises(TimeoutError), TimeLimit(0.001):
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(0)  # nothing of the cancellation is left
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_what_is_done_in_time_is_left_alone() -> None:
    with TimeLimit(0.001):
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)


async def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="mine"), TimeLimit(60):
        raise ValueError("mine")


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def wait(begun: asyncio.Event) -> None:
        with TimeLimit(60):
            begun.set()
            await asyncio.get_running_loop().create_future()

    begun = asyncio.Event()
    task = asyncio.create_task(wait(begun))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_as_the_time_runs_out_is_cancelled() -> None:
    async def wait(begun: asyncio.Event) -> None:
        limit = TimeLimit(60)
        with limit:
            begun.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                limit._expire()  # in the same turn as the cancellation

    begun = asyncio.Event()
    task = asyncio.create_task(wait(begun))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_one_within_another() -> None:
    with pytest.raises(TimeoutError), TimeLimit(0.001), TimeLimit(60):
        await asyncio.get_running_loop().create_future()
