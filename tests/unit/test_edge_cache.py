"""The edge cache against a clock and backends that the test moves."""

from __future__ import annotations

import asyncio

import pytest
from multidict import CIMultiDict

from actors.messages import FROM_PRIMARY, Reply
from config.channels import ACCESS_CHANNEL
from config.errors import AppError
from serve_app.gateway.edge_cache import EdgeCache, Page
from tests.gateway_app import FakeRealtime

CHANNEL = "community:1"


class World:
    """One page with a version; `gate` holds reads back between their snapshot and their answer.
    Reads that name no position go to a replica, which shows `replayed` where that is set."""

    def __init__(self, *, max_bytes: int = 1 << 20) -> None:
        self.now = 100.0
        self.events = FakeRealtime()
        self.cache = EdgeCache(
            self.events, max_bytes=max_bytes, max_age_seconds=5.0, clock=lambda: self.now
        )
        self.version = 1
        self.position = 10
        self.offset = 100
        self.replayed: Reply | None = None
        self.primary_is_away = False
        self.positions: list[int] = []
        self.channel = CHANNEL
        self.error: str | None = None
        self.reads = 0
        self.reading = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def shown(self) -> Reply:
        return Reply(
            body=b"v%d" % self.version,
            position=self.position,
            public=True,
            channel=self.channel,
            offset=self.offset,
        )

    async def load(self, position: int) -> Reply:
        self.reads += 1
        self.positions.append(position)
        reply = self.shown()
        if position == 0 and self.replayed is not None:
            reply = self.replayed
        self.reading.set()
        await self.gate.wait()
        if self.error is not None:
            raise AppError(self.error)
        if position == FROM_PRIMARY and self.primary_is_away:
            raise AppError("unavailable")
        return reply

    async def page(self, key: str = "k", path: str = "/k", position: int | None = None) -> Page:
        return await self.cache.page(
            key, path, position, self.load, lambda reply: CIMultiDict({"ETag": "e"})
        )

    def commit(self) -> None:
        self.version += 1
        self.position += 10
        self.offset += 1


async def warm() -> World:
    """The first read makes the cache follow the channel, the second is stored."""
    world = World()
    await world.page()
    await world.page()
    assert world.cache.hit_nowait("/k") is not None
    return world


async def test_event_kills_the_entry() -> None:
    world = await warm()
    assert (await world.page()).body == b"v1"
    assert world.reads == 2
    world.commit()
    world.events.event(CHANNEL, 7)
    assert world.cache.hit_nowait("/k") is None
    assert (await world.page()).body == b"v2"
    assert world.cache.hit_nowait("/k") is not None


async def test_ephemeral_events_and_other_channels_change_nothing() -> None:
    world = await warm()
    world.events.event(CHANNEL, 0)
    world.events.event("community:2", 9)
    assert world.cache.hit_nowait("/k") is not None


async def test_entry_dies_of_age_counted_from_the_start_of_its_read() -> None:
    world = await warm()
    world.now += 4.9
    assert world.cache.hit_nowait("/k") is not None
    world.now += 0.1
    assert world.cache.hit_nowait("/k") is None
    world.reading.clear()
    world.gate.clear()
    slow = asyncio.create_task(world.page())
    await world.reading.wait()
    world.now += 5
    world.gate.set()
    await slow
    assert world.cache.hit_nowait("/k") is None


async def test_event_during_a_read_leaves_no_stale_entry() -> None:
    world = await warm()
    await event_during_a_read(world, CHANNEL, 8)


async def event_during_a_read(world: World, channel: str, offset: int) -> None:
    """Neither the entry nor who comes after the event has anything of before."""
    world.now += 5
    world.reading.clear()
    world.gate.clear()
    early = asyncio.create_task(world.page())
    await world.reading.wait()
    world.commit()
    world.events.event(channel, offset)
    # A reader that comes after the event doesn't join the read that began before it.
    late = asyncio.create_task(world.page())
    await asyncio.sleep(0)
    world.gate.set()
    assert (await early).body == b"v1"
    assert (await late).body == b"v2"
    hit = world.cache.hit_nowait("/k")
    assert hit is not None and hit.body == b"v2"


async def test_page_without_a_followed_channel_is_not_stored() -> None:
    world = World()
    await world.page()
    assert world.cache.hit_nowait("/k") is None
    assert list(world.events.listeners) == [ACCESS_CHANNEL, CHANNEL]


async def lagging() -> World:
    """A replica that has not replayed the newest event, which has been heard."""
    world = await warm()
    world.replayed = world.shown()
    world.commit()
    world.events.event(CHANNEL, world.offset)
    world.positions.clear()
    return world


async def test_page_that_lags_behind_a_heard_event_is_read_again_from_the_primary() -> None:
    world = await lagging()
    assert (await world.page()).body == b"v2"
    assert world.positions == [0, FROM_PRIMARY]
    hit = world.cache.hit_nowait("/k")
    assert hit is not None and hit.body == b"v2"
    # What is not announced is nobody's business: the page may be as old as it likes.
    world.now += 5
    world.replayed = world.shown()
    world.commit()
    assert (await world.page()).body == b"v2"
    assert world.positions == [0, FROM_PRIMARY, 0]


async def test_page_that_lags_is_better_than_none_and_not_kept() -> None:
    world = await lagging()
    world.primary_is_away = True
    assert (await world.page()).body == b"v1"
    assert world.cache.hit_nowait("/k") is None
    world.primary_is_away = False
    assert (await world.page()).body == b"v2"


async def test_page_of_a_replica_replaces_none_that_knows_more() -> None:
    world = await warm()
    older = world.shown()
    world.commit()
    assert (await world.page(position=15)).body == b"v2"
    world.replayed = older
    world.gate.clear()
    world.reading.clear()
    world.now += 5
    slow = asyncio.create_task(world.page())
    await world.reading.wait()
    world.now += 1
    world.gate.set()
    world.commit()
    assert (await world.page(position=25)).body == b"v3"
    assert (await slow).body == b"v1"
    hit = world.cache.hit_nowait("/k")
    assert hit is not None and hit.body == b"v3"


async def test_bypassing_reader_names_its_position() -> None:
    world = await warm()
    world.positions.clear()
    await world.page(position=15)
    assert world.positions == [15]


async def test_after_a_restore_lower_offsets_are_new_ones() -> None:
    world = await warm()
    world.offset = 3
    world.events.event(CHANNEL, 3)
    world.positions.clear()
    await world.page()
    assert world.positions == [0]
    assert world.cache.hit_nowait("/k") is not None


async def test_readers_share_one_read_and_survive_the_one_who_began_it() -> None:
    world = World()
    world.gate.clear()
    readers = [asyncio.create_task(world.page()) for _ in range(10)]
    await world.reading.wait()
    readers[0].cancel()
    await asyncio.wait([readers[0]])
    world.gate.set()
    assert [page.body for page in await asyncio.gather(*readers[1:])] == [b"v1"] * 9
    assert world.reads == 1


@pytest.mark.parametrize(("asked", "reads"), [(9, 2), (10, 3), (11, 3), (None, 2)])
async def test_write_position_needs_a_strictly_higher_entry(asked: int | None, reads: int) -> None:
    world = await warm()
    await world.page(position=asked)
    assert world.reads == reads


async def test_bypassing_reader_refreshes_the_entry_for_all() -> None:
    world = await warm()
    world.commit()
    assert (await world.page(position=15)).body == b"v2"
    hit = world.cache.hit_nowait("/k")
    assert hit is not None and hit.body == b"v2"


async def test_bypassing_reader_joins_no_read_that_began_before_its_write() -> None:
    world = World()
    world.gate.clear()
    early = asyncio.create_task(world.page())
    await world.reading.wait()
    world.commit()
    own = asyncio.create_task(world.page(position=20))
    await asyncio.sleep(0)
    world.gate.set()
    assert (await own).body == b"v2"
    assert (await early).body == b"v1"


async def test_absence_is_remembered_for_a_second() -> None:
    world = World()
    world.error = "not_found"
    for _ in range(3):
        with pytest.raises(AppError, match="not_found"):
            await world.page()
    assert world.reads == 1
    world.error = None
    assert (await world.page(position=1)).body == b"v1"
    world.now += 1
    await world.page()
    assert world.reads == 3


async def test_failures_are_not_remembered() -> None:
    world = World()
    world.error = "unavailable"
    for _ in range(2):
        with pytest.raises(AppError, match="unavailable"):
            await world.page()
    assert world.reads == 2


async def test_bytes_are_bounded_and_the_least_used_goes_first() -> None:
    world = World(max_bytes=30_000)
    world.channel = ""
    for number in range(10):
        await world.page(f"k{number}", f"/k{number}")
    assert world.cache.hit_nowait("/k0") is not None
    for number in range(10, 20):
        await world.page(f"k{number}", f"/k{number}")
        assert world.cache.hit_nowait("/k0") is not None
    statistics = world.cache.statistics()
    assert 0 < statistics.bytes <= 30_000
    assert world.cache.hit_nowait("/k1") is None
    assert world.cache.hit_nowait("/k19") is not None


async def test_spellings_of_a_url_are_bounded() -> None:
    world = await warm()
    for number in range(20):
        await world.page(path=f"/k?{number}")
    known = [n for n in range(20) if world.cache.hit_nowait(f"/k?{n}") is not None]
    assert known == [16, 17, 18, 19]
    world.events.event(CHANNEL, 3)
    assert all(world.cache.hit_nowait(f"/k?{n}") is None for n in range(20))


async def test_channels_without_readers_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.gateway.edge_cache._CHANNELS", 2)
    world = World()
    for name in "abc":
        world.channel = name
        await world.page(name, f"/{name}")
        await world.page(name, f"/{name}")
    assert [len(world.events.listeners[name]) for name in "abc"] == [0, 1, 1]
    assert world.cache.hit_nowait("/a") is None
    assert world.cache.hit_nowait("/c") is not None
    await world.cache.close()
    assert [len(world.events.listeners[name]) for name in "abc"] == [0, 0, 0]


async def test_close_ends_the_reads_in_flight() -> None:
    world = World()
    world.gate.clear()
    reader = asyncio.create_task(world.page())
    await world.reading.wait()
    await world.cache.close()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert world.cache.statistics().flights == 0


async def test_a_change_of_access_kills_every_entry() -> None:
    """Of any channel and of none: which pages show something of the community nobody knows."""
    world = await warm()
    world.channel = ""
    await world.page("home", "/home")
    assert world.cache.hit_nowait("/home") is not None
    world.commit()
    world.events.event(ACCESS_CHANNEL, 1)
    assert world.cache.hit_nowait("/k") is None and world.cache.hit_nowait("/home") is None
    assert (await world.page("home", "/home")).body == b"v2"
    assert world.cache.hit_nowait("/home") is not None


@pytest.mark.parametrize("channel", [CHANNEL, ""])
async def test_a_read_from_before_a_change_of_access_is_not_stored(channel: str) -> None:
    world = await warm()
    world.channel = channel
    await event_during_a_read(world, ACCESS_CHANNEL, 1)
