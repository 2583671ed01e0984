"""What a shard reads from the log: gaps, outages, epochs, history."""

from __future__ import annotations

import asyncio

import pytest

from actors import shard_messages as m
from config.errors import AppError
from config.settings import Settings, Shards
from tests.conditions import wait_until
from tests.shard_model import StreamLog
from tests.unit.shard_conversation import A, B, commit, event, hello, history, poll, running


async def test_a_gap_is_filled_and_many_gaps_are_few_reads() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        publications = [log.commit(A, event(n)) for n in range(100)]
        reads = log.reads
        await shard.handle(m.Publish(publications[1::2]))
        await wait_until(lambda: shard.statistics().mailbox_items == 100)
        assert log.reads == reads + 1
        answer = await poll(shard, reply.incarnation)
        assert answer.publications == publications


async def test_an_outage_leaves_live_publications_alone_and_gaps_wait() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        await commit(shard, log, A, 1)
        log.down = True
        await commit(shard, log, A, 2)
        lost = log.commit(A, event(3))
        await commit(shard, log, A, 4)
        assert [p.offset for p in (await poll(shard, reply.incarnation)).publications] == [1, 2]
        assert (await hello(shard, A, gateway="h")).tops == [m.StreamPosition("one", 2)]
        for request in (
            m.ReadHistory(B, 0, 10),
            m.ReadHistory(A, 0, 10),
        ):
            with pytest.raises(AppError) as failure:
                await shard.handle(request)
            assert failure.value.retryable
        assert (await hello(shard, A, B, gateway="new")).late == [B]
        attached = await shard.handle(m.Attach("g", reply.incarnation, [B]))
        assert attached == m.AttachReply(True, [None], [B])
        assert shard.statistics().gateways == 3
        assert shard.statistics().active_channels == 1
        log.down = False
        await wait_until(lambda: shard.statistics().mailbox_items == 8)
        answer = await poll(shard, reply.incarnation, 2)
        assert answer.publications[0] == lost


async def test_the_sweep_runs_by_itself_and_survives_an_outage() -> None:
    log = StreamLog(A)
    log.down = True
    async with running(log, sweep_seconds=0.001) as shard:
        log.down = False
        reply = await hello(shard, A)
        log.down = True
        log.commit(A, event(1))
        reads = log.reads
        await wait_until(lambda: log.reads > reads + 2)
        log.down = False
        await wait_until(lambda: shard.statistics().mailbox_items == 1)
        answer = await poll(shard, reply.incarnation)
        assert [p.offset for p in answer.publications] == [1]


async def test_a_changed_epoch_is_found_without_any_active_channel() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard)
        await shard.sweep()
        log.epoch = "two"
        await shard.sweep()
        assert (await poll(shard, reply.incarnation)).sequence == -1


async def test_a_fill_that_meets_a_new_epoch_brings_nothing_of_it() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        ahead = [log.commit(A, event(n)) for n in range(3)][-1]
        log.epoch = "two"
        await shard.handle(m.Publish([ahead]))
        await wait_until(lambda: shard.statistics().gateways == 0)
        assert (await poll(shard, reply.incarnation)).sequence == -1
        assert shard.statistics().epoch == "two"


async def test_a_changed_epoch_during_hello_answers_the_new_one() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        await hello(shard, A, gateway="other")
        log.epoch = "two"
        reply = await hello(shard, A)
        assert reply.tops == [m.StreamPosition("two", 0)]
        assert (await poll(shard, reply.incarnation)).sequence == 0
        assert shard.statistics().gateways == 1


async def test_equal_reads_are_one_query_and_a_cancelled_caller_takes_none_along() -> None:
    log = StreamLog(A)
    log.commit(A, event(1))
    async with running(log) as shard:
        callers = [asyncio.create_task(history(shard, A, 0, 10)) for _ in range(5)]
        await asyncio.sleep(0)
        callers[0].cancel()
        answers = await asyncio.gather(*callers[1:])
        assert [len(answer.publications) for answer in answers] == [1] * 4
        assert log.reads == 1


async def test_a_read_that_began_too_early_is_not_shared() -> None:
    log = StreamLog(A)
    log.commit(A, event(1))
    settings = Settings(shards=Shards(ring_publications=1))
    async with running(log, settings=settings) as shard:
        await hello(shard, A)
        log.yields, reads = 10_000, log.reads
        early = asyncio.create_task(history(shard, A, 0, 10))
        await wait_until(lambda: log.reads > reads)
        await commit(shard, log, A, 2)
        late = await history(shard, A, 0, 10)
        assert [p.offset for p in (await early).publications] == [1]
        assert [p.offset for p in late.publications] == [1, 2]


@pytest.mark.parametrize("follow", [True, False], ids=["ring", "postgres"])
async def test_history(follow: bool) -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        if follow:
            await hello(shard, A)
        await commit(shard, log, A, 1, 2, 3, 4, 5)

        async def read(after: int, limit: int, reverse: bool = False) -> tuple[list[int], bool]:
            reply = await history(shard, A, after, limit, reverse)
            assert reply.top == m.StreamPosition("one", 5)
            return [p.offset for p in reply.publications], reply.complete

        assert await read(2, 10) == ([3, 4, 5], True)
        assert await read(2, 2) == ([3, 4], False)
        assert await read(5, 10) == ([], True)
        assert await read(5, 0) == ([], True)
        assert await read(4, 0) == ([], False)
        assert await read(9, 10) == ([], False)
        assert await read(-3, -1) == ([], False)
        assert await read(0, 2, True) == ([5, 4], False)
        assert await read(3, 10, True) == ([2, 1], True)
        assert await read(1, 10, True) == ([], True)
        assert (await history(shard, B, 0, 1)) == m.HistoryReply(None, [], False)


@pytest.mark.parametrize("follow", [True, False], ids=["ring", "postgres"])
async def test_history_is_bounded_in_number_and_bytes(follow: bool) -> None:
    log = StreamLog(A)
    async with running(log, settings=Settings(shards=Shards(ring_publications=2000))) as shard:
        if follow:
            await hello(shard, A)
        await commit(shard, log, A, *range(1_100))
        reply = await history(shard, A, 0, 5_000)
        assert (len(reply.publications), reply.complete) == (1_000, False)
        await shard.handle(m.Publish([log.commit(A, b"x" * 200_000) for _ in range(3)]))
        reply = await history(shard, A, 1_100, 10)
        assert (len(reply.publications), reply.complete) == (2, False)


async def test_trimmed_events_make_an_answer_incomplete() -> None:
    log = StreamLog(A)
    for n in range(5):
        log.commit(A, event(n))
    log.trimmed[A] = 2
    async with running(log) as shard:
        reply = await history(shard, A, 1, 10)
        assert ([p.offset for p in reply.publications], reply.complete) == ([3, 4, 5], False)
        reply = await history(shard, A, 2, 10)
        assert reply.complete
