"""Whatever gets lost, doubled or overtaken between writers, shard and gateways: snapshot + events
== fresh snapshot, and every offset is seen exactly once, in order."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import shard_messages as m
from actors.community import CommunityShard
from actors.mailbox import Mailbox
from config.settings import Settings, Shards
from storage.postgres import Pool
from tests.shard_model import FollowingGateway, StreamLog

CHANNELS = ("thread:a", "thread:b")

channel_ = st.sampled_from(CHANNELS)
gateway_ = st.integers(0, 1)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), channel_, st.integers(1, 4)),
        st.tuples(st.just("commit"), channel_, st.integers(1, 4)),
        st.tuples(st.just("publish"), st.integers(0, 30), st.sampled_from(["once", "again"])),
        st.tuples(st.just("publish"), st.integers(0, 30), st.sampled_from(["once", "again"])),
        st.tuples(st.just("lose"), st.integers(0, 30)),
        st.tuples(st.just("remove"), channel_, st.integers(0, 30)),
        st.tuples(st.just("poll"), gateway_, st.booleans()),
        st.tuples(st.just("poll"), gateway_, st.booleans()),
        st.tuples(st.just("reattach"), gateway_, channel_),
        st.tuples(
            st.just("commit while attaching"),
            gateway_,
            channel_,
            st.lists(st.sampled_from(["publish", "lose", "poll"]), max_size=4),
        ),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("turns"), st.integers(1, 12)),
        st.tuples(st.just("outage"), st.booleans()),
        st.tuples(st.just("restart")),
    ),
    max_size=60,
)


def data(event: dict[str, Any]) -> bytes:
    return msgspec.json.encode(event)


def fold(events: list[bytes]) -> dict[int, str]:
    """What a page shows: the texts by id, without the removed ones."""
    shown: dict[int, str] = {}
    for encoded in events:
        event = msgspec.json.decode(encoded)
        if event["type"] == "post.created":
            shown[event["id"]] = event["text"]
        else:
            shown.pop(event["id"], None)
    return shown


class World:
    def __init__(self, ring: int, mailbox: int) -> None:
        self.log = StreamLog(*CHANNELS)
        self.settings = Settings(shards=Shards(ring_publications=ring))
        self.mailbox = mailbox
        self.shard = self.new_shard()
        self.gateways = [FollowingGateway("g0"), FollowingGateway("g1")]
        self.on_the_way: list[list[m.Publication]] = []
        self.pages: dict[tuple[str, str], list[bytes]] = {}

    def new_shard(self) -> CommunityShard:
        return CommunityShard(
            0,
            1,
            cast(Pool, None),
            self.settings,
            sweep_seconds=3600,
            gap_grace_seconds=0,
            sweep_grace_seconds=0,
            new_mailbox=lambda: Mailbox(max_items=self.mailbox),
        )

    def open_page(self, gateway: FollowingGateway, channel: str) -> int:
        """The client reads a page and will subscribe from its position."""
        self.pages[gateway.id, channel] = list(self.log.events[channel])
        return self.log.top(channel)

    async def run(self, steps: list[tuple[Any, ...]]) -> None:
        await self.shard.start()
        for gateway in self.gateways:
            for channel in CHANNELS:
                gateway.start(channel, self.open_page(gateway, channel))
        for step in steps:
            await self.do(*step)
        self.log.down = False
        await self.settle()

    async def run_and_stop(self, steps: list[tuple[Any, ...]]) -> None:
        await self.run(steps)
        await self.shard.stop()

    async def check_history(self) -> None:
        """What the shard answers is what the log holds, overwritten texts included."""
        for channel, stored in self.log.events.items():
            history = await self.shard.handle(m.ReadHistory(channel, 0, 1000))
            assert isinstance(history, m.HistoryReply)
            assert history.top is not None
            top = history.top.offset
            assert [p.data for p in history.publications] == stored[:top]
            backwards = await self.shard.handle(m.ReadHistory(channel, 0, 2, reverse=True))
            assert isinstance(backwards, m.HistoryReply)
            assert backwards.top is not None
            top = backwards.top.offset
            newest = stored[max(0, top - 2) : top]
            assert [p.data for p in backwards.publications] == newest[::-1]

    async def do(self, name: str, *arguments: Any) -> None:
        match name, arguments:
            case "commit", (channel, count):
                self.on_the_way.append(
                    [
                        self.log.commit(
                            channel, data({"type": "post.created", "id": n, "text": f"t{n}"})
                        )
                        for n in range(self.log.top(channel) + 1, self.log.top(channel) + 1 + count)
                    ]
                )
            case "remove", (channel, index):
                self.remove(channel, index)
            case "publish", (index, how):
                if self.on_the_way:
                    index %= len(self.on_the_way)
                    publications = self.on_the_way[index]
                    if how == "once":
                        del self.on_the_way[index]
                    await self.shard.handle(m.Publish(publications))
            case "lose", (index,):
                if self.on_the_way:
                    del self.on_the_way[index % len(self.on_the_way)]
            case "poll", (index, answer_lost):
                await self.gateways[index].step(self.shard, answer_lost=answer_lost)
            case "reattach", (index, channel):
                gateway = self.gateways[index]
                if gateway.incarnation and not self.log.down:
                    await gateway.detach(self.shard, channel)
                    await gateway.attach(self.shard, channel, self.open_page(gateway, channel))
            case "commit while attaching", (index, channel, events):
                gateway = self.gateways[index]
                if gateway.incarnation and not self.log.down:
                    await self.commit_while_attaching(gateway, channel, events)
            case "sweep", ():
                if not self.log.down:
                    await self.shard.sweep()
            case "turns", (count,):
                for _ in range(count):
                    await asyncio.sleep(0)
            case "outage", (down,):
                self.log.down = down
            case "restart", ():
                await self.shard.stop()
                self.shard = self.new_shard()
                await self.shard.start()

    async def commit_while_attaching(
        self, gateway: FollowingGateway, channel: str, events: list[str]
    ) -> None:
        await gateway.detach(self.shard, channel)
        page = self.open_page(gateway, channel)
        async with asyncio.TaskGroup() as group:
            group.create_task(gateway.attach(self.shard, channel, page))
            for event in events:
                await asyncio.sleep(0)
                if event == "poll":
                    await gateway.step(self.shard)
                    continue
                await self.do("commit", channel, 1)
                publications = self.on_the_way.pop()
                if event == "publish":
                    await self.shard.handle(m.Publish(publications))

    def remove(self, channel: str, index: int) -> None:
        """What the removing transaction does: overwrite, append; then send both."""
        stored = self.log.events[channel]
        if not stored:
            return
        offset = index % len(stored) + 1
        event = msgspec.json.decode(stored[offset - 1])
        stored[offset - 1] = data({"type": "post.deleted", "id": event["id"]})
        overwritten = m.Publication(channel, offset, stored[offset - 1])
        appended = self.log.commit(channel, data({"type": "post.deleted", "id": event["id"]}))
        self.on_the_way.append([overwritten, appended])

    async def settle(self) -> None:
        """Until everything has arrived; bounded by rounds, never by time."""
        for _ in range(500):
            await self.shard.sweep()
            for gateway in self.gateways:
                await gateway.step(self.shard)
            if all(
                not gateway.behind and gateway.last[channel] == self.log.top(channel)
                for gateway in self.gateways
                for channel in CHANNELS
            ):
                return
            await asyncio.sleep(0.001)
        raise AssertionError("the gateways did not catch up")


@settings(max_examples=80)
@given(operations, st.sampled_from([1, 3, 1000]), st.sampled_from([3, 10_000]))
def test_every_gateway_sees_every_offset_once_in_order(
    steps: list[tuple[Any, ...]], ring: int, mailbox: int
) -> None:
    world = World(ring, mailbox)
    with world.log.installed():
        asyncio.run(world.run_and_stop(steps))
    for gateway in world.gateways:
        assert gateway.restarted == []
        for channel in CHANNELS:
            page = world.pages[gateway.id, channel]
            top = world.log.top(channel)
            seen = gateway.seen[channel]
            assert [p.offset for p in seen] == list(range(len(page) + 1, top + 1))
            assert fold(page + [p.data for p in seen]) == fold(world.log.events[channel])


@settings(max_examples=80)
@given(
    operations, st.sampled_from([3, 1000]), st.lists(st.integers(0, 5), min_size=12, max_size=12)
)
def test_history_never_brings_removed_text_back(
    steps: list[tuple[Any, ...]], ring: int, order: list[int]
) -> None:
    """In whatever order removals and what they remove arrive, the ring agrees with the log."""
    world = World(ring, 10_000)

    async def play() -> None:
        await world.run(steps)
        await world.check_history()
        await world.shard.stop()
        world.shard = world.new_shard()
        await world.shard.start()
        for gateway in world.gateways:
            gateway.incarnation = ""
            await gateway.step(world.shard)
        await world.do("commit", CHANNELS[0], 3)
        if order[0] % 2:
            await world.shard.handle(m.Publish(world.on_the_way[-1]))
        world.remove(CHANNELS[0], 1)
        world.remove(CHANNELS[0], world.log.top(CHANNELS[0]) - 2)
        for turns in order:
            for _ in range(turns):
                await asyncio.sleep(0)
            if world.on_the_way:
                index = turns % len(world.on_the_way)
                await world.shard.handle(m.Publish(world.on_the_way.pop(index)))
            # Until the removal has arrived the shard can't know better.
            if not any(b".deleted" in p.data for batch in world.on_the_way for p in batch):
                await world.check_history()
        await world.settle()
        await world.check_history()
        await world.shard.stop()

    with world.log.installed():
        asyncio.run(play())


@settings(max_examples=40)
@given(operations, st.integers(0, 10), operations)
def test_after_a_restore_everyone_starts_anew_in_the_new_epoch(
    before: list[tuple[Any, ...]], kept: int, after: list[tuple[Any, ...]]
) -> None:
    world = World(1000, 10_000)

    async def play() -> None:
        await world.shard.start()
        for gateway in world.gateways:
            for channel in CHANNELS:
                gateway.start(channel, world.open_page(gateway, channel))
        for step in before:
            await world.do(*step)
        world.log.down = False
        await world.settle()
        world.log.epoch = "two"
        for channel in CHANNELS:
            del world.log.events[channel][kept:]
        world.on_the_way.clear()
        await world.do("sweep")
        for gateway in world.gateways:
            await gateway.step(world.shard)
        for step in after:
            if step[0] not in ("reattach", "commit while attaching"):
                await world.do(*step)
        world.log.down = False
        await world.settle()
        await world.shard.stop()

    with world.log.installed():
        asyncio.run(play())
    for gateway in world.gateways:
        assert gateway.epoch == "two"
        assert set(gateway.restarted) == set(CHANNELS)
        for channel in CHANNELS:
            seen = gateway.seen[channel]
            assert [p.offset for p in seen] == list(range(1, world.log.top(channel) + 1))
            assert fold([p.data for p in seen]) == fold(world.log.events[channel])
