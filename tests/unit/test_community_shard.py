"""The shard against a log in memory: polls, mailboxes, clocks and outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from actors import shard_messages as m
from actors.community import SILENCE_SECONDS, CommunityShard
from actors.mailbox import Mailbox
from config.errors import AppError
from config.settings import Settings, Shards
from storage.postgres import Pool
from tests.conditions import wait_until
from tests.shard_model import StreamLog

A, B = "thread:a", "thread:b"


@asynccontextmanager
async def running(log: StreamLog, **options: Any) -> AsyncIterator[CommunityShard]:
    settings = options.pop("settings", Settings())
    defaults = {"sweep_seconds": 3600, "gap_grace_seconds": 0, "sweep_grace_seconds": 0}
    with log.installed():
        shard = CommunityShard(0, 1, cast(Pool, None), settings, **{**defaults, **options})
        await shard.start()
        try:
            yield shard
        finally:
            await shard.stop()


async def hello(shard: CommunityShard, *channels: str, gateway: str = "g") -> m.HelloReply:
    reply = await shard.handle(m.Hello(gateway, list(channels)))
    assert isinstance(reply, m.HelloReply)
    return reply


async def poll(
    shard: CommunityShard, incarnation: str, ack: int = 0, *, wait: float = 0, gateway: str = "g"
) -> m.PollReply:
    reply = await shard.handle(m.Poll(gateway, incarnation, ack, wait))
    assert isinstance(reply, m.PollReply)
    return reply


async def history(shard: CommunityShard, *arguments: Any, **options: Any) -> m.HistoryReply:
    reply = await shard.handle(m.ReadHistory(*arguments, **options))
    assert isinstance(reply, m.HistoryReply)
    return reply


def event(n: int) -> bytes:
    return b'{"n":%d}' % n


async def commit(shard: CommunityShard, log: StreamLog, channel: str, *numbers: int) -> None:
    await shard.handle(m.Publish([log.commit(channel, event(n)) for n in numbers]))


async def test_publications_after_the_answered_position_come_by_poll() -> None:
    log = StreamLog(A, B)
    log.commit(A, event(1))
    async with running(log) as shard:
        reply = await hello(shard, A, "thread:unknown", B)
        one, two = m.StreamPosition("one", 1), m.StreamPosition("one", 0)
        assert reply.tops == [one, None, two]
        assert shard.statistics().active_channels == 2
        await commit(shard, log, A, 2)
        await commit(shard, log, B, 1)
        answer = await poll(shard, reply.incarnation)
        assert [(p.channel, p.offset) for p in answer.publications] == [(A, 2), (B, 1)]
        assert await poll(shard, reply.incarnation) == answer, "not acknowledged yet"
        assert await poll(shard, reply.incarnation, answer.sequence) == m.PollReply(
            answer.sequence, []
        )


async def test_a_held_poll_wakes_at_once() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        held = asyncio.create_task(poll(shard, reply.incarnation, wait=10))
        await asyncio.sleep(0)
        await commit(shard, log, A, 1)
        async with asyncio.timeout(5):
            assert [p.offset for p in (await held).publications] == [1]


async def test_a_newer_poll_releases_the_one_that_is_held() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        old = asyncio.create_task(poll(shard, reply.incarnation, wait=10))
        await asyncio.sleep(0)
        new = asyncio.create_task(poll(shard, reply.incarnation, wait=10))
        async with asyncio.timeout(5):
            assert (await old).publications == []
            await commit(shard, log, A, 1)
            assert len((await new).publications) == 1


async def test_a_cancelled_poll_loses_nothing() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        held = asyncio.create_task(poll(shard, reply.incarnation, wait=10))
        await asyncio.sleep(0)
        await commit(shard, log, A, 1)
        held.cancel()
        await asyncio.wait([held])
        assert len((await poll(shard, reply.incarnation)).publications) == 1


async def test_unknown_gateways_and_wrong_cursors_are_told_to_say_hello() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        for answer in (
            await poll(shard, reply.incarnation, gateway="other"),
            await poll(shard, "other"),
            await poll(shard, reply.incarnation, ack=1),
        ):
            assert answer == m.PollReply(-1, [])
        attached = await shard.handle(m.Attach("g", "other", [A]))
        assert attached == m.AttachReply(False, [])


async def test_a_second_hello_ends_the_first_and_keeps_the_ring() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        first = await hello(shard, A)
        await commit(shard, log, A, 1)
        held = asyncio.create_task(poll(shard, first.incarnation, ack=1, wait=10))
        await asyncio.sleep(0)
        second = await hello(shard, A)
        assert (await held).sequence == -1
        assert (await poll(shard, first.incarnation)).sequence == -1
        assert (await poll(shard, second.incarnation)).sequence == 0
        reads = log.reads
        assert len((await history(shard, A, 0, 10)).publications) == 1
        assert log.reads == reads, "from the ring"


async def test_a_full_mailbox_forgets_the_gateway_alone() -> None:
    log = StreamLog(A)
    boxes = iter([Mailbox(max_items=2), Mailbox(), Mailbox()])
    async with running(log, new_mailbox=lambda: next(boxes)) as shard:
        slow = await hello(shard, A, gateway="slow")
        quick = await hello(shard, A, gateway="quick")
        await commit(shard, log, A, 1, 2, 3)
        assert (await poll(shard, slow.incarnation, gateway="slow")).sequence == -1
        answer = await poll(shard, quick.incarnation, gateway="quick")
        assert [p.offset for p in answer.publications] == [1, 2, 3]
        again = await hello(shard, A, gateway="slow")
        assert again.tops == [m.StreamPosition("one", 3)]


async def test_an_answer_holds_2000_publications_or_one_mebibyte() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        await commit(shard, log, A, *range(2_100))
        first = await poll(shard, reply.incarnation)
        assert len(first.publications) == 2_000
        second = await poll(shard, reply.incarnation, first.sequence)
        assert len(second.publications) == 100
        large = [log.commit(A, b"x" * 400_000) for _ in range(3)]
        await shard.handle(m.Publish(large))
        third = await poll(shard, reply.incarnation, second.sequence)
        assert third.publications == large[:2]


async def test_silent_gateways_are_forgotten_with_their_presence() -> None:
    now = [0.0]
    log = StreamLog(A)
    async with running(log, clock=lambda: now[0]) as shard:
        silent = await hello(shard, A, gateway="silent")
        held = await hello(shard, A, gateway="held")
        for gateway, reply in (("silent", silent), ("held", held)):
            change = m.PresenceChange(A, "ann", 1)
            await shard.handle(m.Poll(gateway, reply.incarnation, 0, 0, [change]))
        assert await shard.handle(m.ReadPresence(A)) == m.PresenceReply(2, 1)
        waiting = asyncio.create_task(poll(shard, held.incarnation, wait=10, gateway="held"))
        await asyncio.sleep(0)
        now[0] = SILENCE_SECONDS + 0.1
        shard.forget_silent()
        assert (await poll(shard, silent.incarnation, gateway="silent")).sequence == -1
        assert await shard.handle(m.ReadPresence(A)) == m.PresenceReply(1, 1)
        assert not waiting.done()
        waiting.cancel()


async def test_idle_channels_are_put_away() -> None:
    log = StreamLog(A, B)
    async with running(log) as shard:
        reply = await hello(shard, A)
        attached = await shard.handle(m.Attach("g", reply.incarnation, [B]))
        assert attached == m.AttachReply(True, [m.StreamPosition("one", 0)])
        await commit(shard, log, A, 1)
        assert shard.statistics().ring_bytes == len(event(1))
        await shard.handle(m.Detach("g", reply.incarnation, [A, B]))
        statistics = shard.statistics()
        assert (statistics.active_channels, statistics.ring_bytes) == (0, 0)
        await commit(shard, log, A, 2)
        assert shard.statistics().active_channels == 0


async def test_rings_together_are_bounded_and_the_longest_silent_goes_first() -> None:
    log = StreamLog(A, B)
    async with running(log, max_ring_bytes=3 * len(event(1))) as shard:
        await hello(shard, A, B)
        await commit(shard, log, A, 1, 2)
        await commit(shard, log, B, 1, 2)
        assert shard.statistics().ring_bytes == 2 * len(event(1))
        reads = log.reads
        assert (await history(shard, B, 0, 10)).complete
        assert log.reads == reads
        assert (await history(shard, A, 0, 10)).complete
        assert log.reads == reads + 1


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
            m.Hello("new", [A, B]),
            m.Attach("g", reply.incarnation, [B]),
        ):
            with pytest.raises(AppError) as failure:
                await shard.handle(request)
            assert failure.value.retryable
        assert shard.statistics().gateways == 2
        assert shard.statistics().active_channels == 1
        log.down = False
        await wait_until(lambda: shard.statistics().mailbox_items == 6)
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


async def test_ephemeral_events_are_coalesced_and_cost_nothing_without_followers() -> None:
    now = [0.0]
    log = StreamLog(A)
    async with running(log, clock=lambda: now[0]) as shard:

        async def send(data: bytes, channel: str = A, interval: float = 0.02) -> None:
            await shard.handle(m.PublishEphemeral([m.Ephemeral(channel, "k", data, interval)]))

        await send(b"nobody")
        assert shard.statistics().ephemeral_keys == 0
        reply = await hello(shard, A)
        await send(b"1")
        await send(b"2")
        await send(b"3")
        answer = await poll(shard, reply.incarnation)
        assert answer.publications == [m.Publication(A, 0, b"1")]
        now[0] = 0.02
        await wait_until(lambda: shard.statistics().mailbox_items == 2)
        answer = await poll(shard, reply.incarnation, answer.sequence)
        assert answer.publications == [m.Publication(A, 0, b"3")]


async def test_a_shorter_interval_is_not_kept_waiting_by_a_longer_one() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        await hello(shard, A)
        for key, interval in (("slow", 60.0), ("quick", 0.01)):
            for data in (b"1", b"2"):
                event = m.Ephemeral(A, key, data, interval)
                await shard.handle(m.PublishEphemeral([event]))
        await wait_until(lambda: shard.statistics().mailbox_items == 3)


async def test_an_overwritten_publication_is_not_delivered_but_replayed() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        await commit(shard, log, A, 1, 2)
        answer = await poll(shard, reply.incarnation)
        log.events[A][0] = b'{"n":null}'
        deleted = log.commit(A, b'{"type":"post.deleted"}')
        await shard.handle(m.Publish([m.Publication(A, 1, log.events[A][0]), deleted]))
        live = await poll(shard, reply.incarnation, answer.sequence)
        assert live.publications == [deleted]

        async def answered_by_the_ring() -> bool:
            reads = log.reads
            replayed = await history(shard, A, 0, 10)
            assert [p.data for p in replayed.publications] == log.events[A]
            return log.reads == reads

        for _ in range(100):
            if await answered_by_the_ring():
                break
            await asyncio.sleep(0)
        else:
            pytest.fail("the ring was never confirmed")


async def test_a_channel_of_another_shard_is_refused() -> None:
    with StreamLog(A).installed():
        shards = [CommunityShard(i, 2, cast(Pool, None), Settings()) for i in (0, 1)]
        outcomes: list[str] = []
        for shard in shards:
            try:
                await hello(shard, A)
                outcomes.append("mine")
            except AppError as error:
                outcomes.append(error.code)
            await shard.stop()
        assert sorted(outcomes) == ["invalid", "mine"]


async def test_stop_answers_held_polls() -> None:
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        held = asyncio.create_task(poll(shard, reply.incarnation, wait=10))
        await asyncio.sleep(0)
        assert not held.done()
    assert (await held).sequence == -1
