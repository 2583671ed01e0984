"""Counts that one turn of the loop tells together."""

from __future__ import annotations

import asyncio

from serve_app.tally import Tally


class Told:
    def __init__(self) -> None:
        self.amounts: list[float] = []

    def inc(self, amount: float = 1) -> None:
        self.amounts.append(amount)


async def test_what_one_turn_adds_is_told_once() -> None:
    told = Told()
    tally = Tally(told)
    for _ in range(3):
        tally.add()
    tally.add(4)
    assert not told.amounts
    await asyncio.sleep(0)
    assert told.amounts == [7]
    tally.add(2)
    tally.add(-2)
    await asyncio.sleep(0)
    assert told.amounts == [7]


def test_without_a_loop_it_is_told_at_once() -> None:
    told = Told()
    Tally(told).add(5)
    assert told.amounts == [5]


def test_a_loop_that_ended_before_its_turn_loses_nothing() -> None:
    told = Told()
    tally = Tally(told)
    ended = asyncio.new_event_loop()
    ended.call_soon(tally.add)
    ended.call_soon(ended.stop)
    ended.run_forever()  # the tally's own turn would be the next one
    ended.close()
    assert not told.amounts

    async def go_on() -> None:
        tally.add()
        await asyncio.sleep(0)

    asyncio.run(go_on())
    assert told.amounts == [2]
