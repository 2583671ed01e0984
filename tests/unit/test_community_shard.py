"""The shard and its gateways: polls, mailboxes, channels that are put away."""

from __future__ import annotations

import asyncio
from typing import cast
from uuid import uuid4

import msgspec
import pytest

from actors import shard_messages as m
from actors.community import CommunityShard
from actors.content import thread_activity
from actors.mailbox import Mailbox
from actors.shard_presence import SILENCE_SECONDS
from config.channels import Namespace
from config.errors import AppError
from config.settings import Settings
from storage.postgres import Pool
from tests.conditions import wait_until
from tests.shard_model import StreamLog
from tests.unit.shard_conversation import A, B, commit, event, hello, history, poll, running


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


async def test_without_postgres_only_channels_that_stand_there_are_late() -> None:
    log = StreamLog(A, B)
    log.down = True
    row = Namespace(history="memory", history_size=10, history_ttl_seconds=60)
    settings = Settings(channels={"kept": row, "bare": Namespace()})
    async with running(log, settings=settings) as shard:
        reply = await hello(shard, "kept:a", A, "bare:a")
        assert reply.late == [A]
        assert reply.tops[1] is None and reply.tops[2] == m.StreamPosition("", 0)
        for name in ("kept:a", "bare:a"):
            await shard.handle(m.PublishToChannel(name, b"1"))
        got = await poll(shard, reply.incarnation)
        assert [p.channel for p in got.publications] == ["kept:a", "bare:a"]
        again = await shard.handle(m.Attach("g", reply.incarnation, [A, "nowhere:a", "bare:b"]))
        assert again == m.AttachReply(True, [None, None, m.StreamPosition("", 0)], [A])
        log.down = False
        again = await shard.handle(m.Attach("g", reply.incarnation, [A]))
        assert again == m.AttachReply(True, [m.StreamPosition("one", 0)])
        log.down = True  # what it knows by now will do
        again = await shard.handle(m.Attach("g", reply.incarnation, [A, B]))
        assert again == m.AttachReply(True, [m.StreamPosition("one", 0), None], [B])


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
            await shard.handle(m.TellPresence(gateway, reply.incarnation, [change]))
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


async def test_counters_are_marked() -> None:
    """A tab in the background gets nothing else (audience.py)."""
    log = StreamLog(A)
    async with running(log) as shard:
        reply = await hello(shard, A)
        for key, counter in (("typing:ann", False), ("vote:1", True)):
            event = m.Ephemeral(A, key, b"1", 0.0, counter=counter)
            await shard.handle(m.PublishEphemeral([event]))
        joined = [m.PresenceChange(A, "ann", 1)]
        await shard.handle(m.TellPresence("g", reply.incarnation, joined))
        shard.tell_presence()
        await commit(shard, log, A, 1)
        answer = await poll(shard, reply.incarnation)
        assert [p.counter for p in answer.publications] == [False, True, True, False]
    assert thread_activity(uuid4(), uuid4(), 1, None, 0).counter


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


async def test_counts_are_told_once_a_second_to_who_follows() -> None:
    now = [0.0]
    log = StreamLog(A, "user:ann")
    async with running(log, clock=lambda: now[0]) as shard:
        first = await hello(shard, A, "user:ann", gateway="first")
        second = await hello(shard, A, gateway="second")
        joins = [m.PresenceChange(A, f"u{n}", 1) for n in range(5)]
        joins.append(m.PresenceChange("user:ann", "ann", 1))
        await shard.handle(m.TellPresence("first", first.incarnation, joins))
        shard.tell_presence()
        answer = await poll(shard, first.incarnation, gateway="first")
        (told,) = answer.publications
        event = msgspec.json.decode(told.data)
        assert (told.channel, told.offset) == (A, 0), "no user stream tells who reads it"
        assert (event["type"], event["count"], set(event)) == (
            "presence.count",
            5,
            {"type", "at", "count"},
        )
        now[0] = 0.9
        more = [m.PresenceChange(A, "", 2)]
        await shard.handle(m.TellPresence("second", second.incarnation, more))
        reply = await poll(shard, second.incarnation, gateway="second")
        shard.tell_presence()
        assert (await poll(shard, second.incarnation, gateway="second")) == reply
        now[0] = 1.0
        shard.tell_presence()
        for gateway, incarnation in (("first", first), ("second", second)):
            answer = await poll(shard, incarnation.incarnation, gateway=gateway)
            assert [msgspec.json.decode(p.data)["count"] for p in answer.publications] == [5, 7]
