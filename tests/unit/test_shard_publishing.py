"""Publications of clients and of the server API, in namespaces without writers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import pytest

from actors import shard_messages as m
from actors.community import CommunityShard
from actors.stored_publication import envelope
from config.channels import Namespace
from config.errors import AppError
from config.settings import Settings
from storage.postgres import Pool
from storage.streams import Positions
from tests.conditions import wait_until
from tests.shard_model import StreamLog
from tests.unit.shard_conversation import A, hello, history, poll, running

SETTINGS = Settings(
    channels={
        "room": Namespace(history="memory", history_size=3, history_ttl_seconds=60),
        "bare": Namespace(),
        "slow": Namespace(throttle_seconds=0.02),
        "kept": Namespace(history="postgres"),
    }
)


async def publish(
    shard: CommunityShard, channel: str, data: bytes = b"1", **options: object
) -> m.PublishReply:
    reply = await shard.handle(m.PublishToChannel(channel, data, **options))  # type: ignore[arg-type]
    assert isinstance(reply, m.PublishReply)
    return reply


async def test_memory_takes_offsets_and_delivers() -> None:
    log = StreamLog()
    log.down = True  # Postgres has no part in it
    async with running(log, settings=SETTINGS) as shard:
        first = await publish(shard, "room:1")
        reply = await hello(shard, "room:1")
        assert reply.tops == [m.StreamPosition(first.epoch, 1)]
        second = await publish(shard, "room:1", b"[2]", info=b'{"user":"ann"}', tags={"a": "b"})
        assert second == m.PublishReply(first.epoch, 2)
        (live,) = (await poll(shard, reply.incarnation)).publications
        assert (live.offset, live.data, live.info, live.tags) == (
            2,
            b"[2]",
            b'{"user":"ann"}',
            {"a": "b"},
        )
        assert live.time_ms > 0
        read = await history(shard, "room:1", 0, 10)
        assert read.top == m.StreamPosition(first.epoch, 2)
        assert [p.offset for p in read.publications] == [1, 2]
        assert read.publications[1] == live
        assert read.complete


async def test_what_is_trimmed_or_removed_keeps_its_top() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        for _ in range(5):
            top = await publish(shard, "room:1")
        read = await history(shard, "room:1", 0, 10)
        assert ([p.offset for p in read.publications], read.complete) == ([3, 4, 5], False)
        await shard.handle(m.RemoveHistory("room:1"))
        read = await history(shard, "room:1", 0, 10)
        assert (read.top, read.publications) == (m.StreamPosition(top.epoch, 5), [])
        assert (await history(shard, "room:1", 5, 10)).complete
        for channel, code in (("kept:1", "invalid"), ("bare:1", "invalid"), ("no:1", "not_found")):
            with pytest.raises(AppError) as refused:
                await shard.handle(m.RemoveHistory(channel))
            assert refused.value.code == code


async def test_a_restarted_shard_has_another_epoch() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        before = await publish(shard, "room:1")
    async with running(StreamLog(), settings=SETTINGS) as shard:
        after = await publish(shard, "room:1")
    assert before.epoch != after.epoch
    assert before.offset == after.offset == 1


async def test_without_history_it_is_delivered_to_who_is_there() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        assert await publish(shard, "bare:1") == m.PublishReply("", 0)
        reply = await hello(shard, "bare:1")
        assert reply.tops == [m.StreamPosition("", 0)]
        await publish(shard, "bare:1", b"2")
        answer = await poll(shard, reply.incarnation)
        assert [(p.offset, p.data) for p in answer.publications] == [(0, b"2")]
        read = await history(shard, "bare:1", 0, 10)
        assert read == m.HistoryReply(m.StreamPosition("", 0), [], True)


async def test_a_throttled_namespace_delivers_the_newest_of_each_interval() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        reply = await hello(shard, "slow:1")
        for n in range(5):
            await publish(shard, "slow:1", b"%d" % n, info=b'{"n":%d}' % n)
        await wait_until(lambda: shard.statistics().mailbox_items == 2)
        answer = await poll(shard, reply.incarnation)
        assert [(p.data, p.info) for p in answer.publications] == [
            (b"0", b'{"n":0}'),
            (b"4", b'{"n":4}'),
        ]


@pytest.mark.parametrize("channel", ["room:1", "bare:1"])
async def test_the_same_key_publishes_once(channel: str) -> None:
    now = 100.0
    async with running(StreamLog(), settings=SETTINGS, clock=lambda: now) as shard:
        reply = await hello(shard, channel, "room:2")
        first = await publish(shard, channel, key="k")
        assert await publish(shard, channel, key="k") == first
        await publish(shard, channel, key="other")
        await publish(shard, "room:2", key="k")
        answer = await poll(shard, reply.incarnation)
        assert [p.channel for p in answer.publications] == [channel, channel, "room:2"]
        now += 300
        await publish(shard, channel, key="k")
        answer = await poll(shard, reply.incarnation, answer.sequence)
        assert len(answer.publications) == 1


@pytest.mark.parametrize("channel", ["room:1", "bare:1", "kept:1"])
async def test_long_keys_are_refused(channel: str) -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        with pytest.raises(AppError) as refused:
            await publish(shard, channel, key="k" * 256)
        assert refused.value.code == "invalid"


async def test_what_is_not_kept_has_no_offset() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        reply = await hello(shard, "room:1", "kept:1")
        for channel in ("room:1", "kept:1"):
            assert await publish(shard, channel, keep=False) == m.PublishReply("", 0)
        answer = await poll(shard, reply.incarnation)
        assert [(p.channel, p.offset) for p in answer.publications] == [
            ("room:1", 0),
            ("kept:1", 0),
        ]
        read = await history(shard, "room:1", 0, 10)
        assert read.top is not None and read.top.offset == 0


async def test_content_and_unknown_namespaces_are_refused() -> None:
    async with running(StreamLog(A), settings=SETTINGS) as shard:
        for channel, code in ((A, "not_permitted"), ("no:1", "not_found"), ("bare", "not_found")):
            with pytest.raises(AppError) as refused:
                await publish(shard, channel)
            assert refused.value.code == code
        reply = await hello(shard, "no:1", A, "room:1")
        assert reply.tops[0] is None
        assert reply.tops[1] == m.StreamPosition("one", 0)
        assert shard.statistics().active_channels == 2
        assert await history(shard, "no:1", 0, 1) == m.HistoryReply(None, [], False)


async def test_postgres_is_asked_for_json_only() -> None:
    async with running(StreamLog(), settings=SETTINGS) as shard:
        for data in (b"", b"{", b"\xff", b"1}"):
            with pytest.raises(AppError) as refused:
                await publish(shard, "kept:1", data)
            assert refused.value.code == "invalid"


async def test_an_operators_channel_without_a_stream_stands_at_nothing() -> None:
    log = StreamLog()
    async with running(log, settings=SETTINGS) as shard:
        reply = await hello(shard, "kept:1")
        assert reply.tops == [m.StreamPosition("one", 0)]
        assert await history(shard, "kept:1", 0, 10) == m.HistoryReply(
            m.StreamPosition("one", 0), [], True
        )
        # Another process makes the stream: the sweep finds it.
        log.events["kept:1"] = []
        log.commit("kept:1", b'{"data":[7],"committed_ns":5000000}')
        await shard.sweep()
        await wait_until(lambda: shard.statistics().mailbox_items == 1)
        (found,) = (await poll(shard, reply.incarnation)).publications
        assert found == m.Publication("kept:1", 1, b"[7]", time_ms=5)


async def test_streams_in_memory_end_by_the_clock() -> None:
    now = 0.0
    async with running(StreamLog(), settings=SETTINGS, clock=lambda: now) as shard:
        await publish(shard, "room:1")
        held = shard.statistics().memory_bytes
        now = 60.0
        shard.expire_history()
        assert shard.statistics().memory_bytes < held
        assert shard.statistics().memory_streams == 1
        now = 86_400.0
        shard.expire_history()
        assert shard.statistics().memory_streams == 0


async def test_channels_without_a_stream_are_asked_for_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.shard_catch_up._UNBORN_AT_ONCE", 2)
    names = [f"kept:{n}" for n in range(5)]
    log = StreamLog()
    async with running(log, settings=SETTINGS) as shard:
        reply = await hello(shard, *names)
        asked: list[list[str]] = []
        read_positions = log.read_positions

        async def counted(pool: Pool, channels: Sequence[str]) -> Positions:
            asked.append(list(channels))
            return await read_positions(pool, channels)

        with patch("storage.streams.read_positions", counted):
            for _ in range(3):
                await shard.sweep()
            assert [len(turn) for turn in asked] == [2, 2, 1]
            assert {name for turn in asked for name in turn} == set(names)
            log.events["kept:0"] = [envelope(b"1", b"", None).encode()]  # by another process
            for _ in range(3):
                await shard.sweep()
        await wait_until(lambda: shard.statistics().mailbox_items == 1)
        (found,) = (await poll(shard, reply.incarnation)).publications
        assert (found.channel, found.offset) == ("kept:0", 1)
