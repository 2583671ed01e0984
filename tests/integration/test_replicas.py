"""Reads from a real streaming replica: whose replay is paused, that is killed, that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from multidict import CIMultiDict

import storage.replica
from actors.feed import Feed
from actors.feed_messages import FeedRequest, ReadFeed, ReadHome
from actors.messages import GUEST, Caller, EditPost, ReadPost, Reply
from actors.outcomes import answer
from actors.thread import Thread
from config.errors import AppError
from config.settings import Postgres
from serve_app.gateway.edge_cache import EdgeCache
from storage.directory import Directory
from storage.postgres import wal_position
from storage.read_gate import READS
from storage.replica import REMOVED, Replica
from storage.replicas import ASKED_AGAIN, AskPrimary, Readers, open_readers
from tests.conditions import wait_until
from tests.gateway_app import FakeRealtime
from tests.integration.content import RECEIVED_NS, Content, content_on, create_post
from tests.replica import StreamingReplica
from tests.stores import OwnLoop, PostgresForTests

pytestmark = pytest.mark.integration

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def standby(postgres_server: PostgresForTests) -> Iterator[StreamingReplica]:
    loop = OwnLoop()
    replica = StreamingReplica(postgres_server.url)
    try:
        loop.run(replica.start())
        yield replica
    finally:
        loop.run(replica.close())
        loop.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a server may be slow without being gone."""
    monkeypatch.setattr(storage.replica, "PROBE_SECONDS", PATIENCE_SECONDS)


class Site:
    """A Thread that reads from the replica, and a post that both servers have."""

    def __init__(self, content: Content, standby: StreamingReplica, readers: Readers) -> None:
        self.content = content
        self.standby = standby
        self.readers = readers
        self.thread = Thread(
            content.pool, Directory(content.pool), content.publisher, readers=readers
        )
        self.ana: Caller
        self.post_id: UUID

    @property
    def replica(self) -> Replica:
        return self.readers.replicas[0]

    async def prepare(self) -> None:
        self.ana = await self.content.member("ana")
        self.post_id = UUID((await self.content.post(self.ana, title="Before"))["id"])
        await self.replayed(await wal_position(self.content.pool))  # type: ignore[arg-type]

    async def replayed(self, position: int) -> None:
        await wait_until(
            lambda: self.replica.in_use and self.replica.replayed >= position, PATIENCE_SECONDS
        )

    async def rename(self, title: str) -> int:
        """Its WAL position."""
        request = EditPost(self.ana, self.post_id, title, None, None, None, None, None, RECEIVED_NS)
        [reply] = await self.thread.handle_batch([request])
        assert isinstance(reply, Reply), reply
        return reply.position

    async def title(self, position: int = 0) -> Any:
        reply = await self.read(position)
        return self.content.body(reply)["title"]

    async def read(self, position: int = 0) -> Reply:
        [reply] = await self.thread.handle_batch([ReadPost(GUEST, self.post_id, position=position)])
        assert isinstance(reply, Reply), reply
        return reply


@asynccontextmanager
async def site_on(
    database_url: str, standby: StreamingReplica, **settings: Any
) -> AsyncIterator[Site]:
    postgres = Postgres(
        url=database_url,
        replica_urls=(standby.url(database_url),),
        **{"max_replica_lag_seconds": 3_600.0, **settings},
    )
    async with content_on(database_url) as content:
        readers = await open_readers(postgres, application_name="test", look_seconds=0.05)
        try:
            site = Site(content, standby, readers)
            await site.prepare()
            yield site
        finally:
            await readers.close()


@pytest.fixture
async def site(database_url: str, standby: StreamingReplica) -> AsyncIterator[Site]:
    async with site_on(database_url, standby) as site:
        yield site


def went_to(target: str) -> float:
    return float(READS.labels(target)._value.get())


def asked_again(reason: str) -> float:
    return float(ASKED_AGAIN.labels(reason)._value.get())


async def test_own_writes_are_read_from_the_primary_all_else_from_the_replica(site: Site) -> None:
    await site.standby.pause_replay()
    try:
        written = await site.rename("After")
        before = went_to("replica 1"), went_to("primary")
        assert await site.title() == "Before"
        assert await site.title(written) == "After"
        assert (went_to("replica 1"), went_to("primary")) == (before[0] + 1, before[1] + 1)
        # What the reply says that it contains is what it contains.
        assert (await site.read()).position < written <= (await site.read(written)).position
    finally:
        await site.standby.resume_replay()
    await site.replayed(written)
    before = went_to("replica 1"), went_to("primary")
    reply = await site.read(written)
    assert site.content.body(reply)["title"] == "After"
    assert reply.position >= written
    assert (went_to("replica 1"), went_to("primary")) == (before[0] + 1, before[1])


async def test_what_is_new_is_never_answered_not_found(site: Site) -> None:
    """Whoever heard of it by an event has no position, and the replica may not have it yet."""
    await site.standby.pause_replay()
    try:
        new = await site.content.post(site.ana, title="New")
        before = asked_again("absent")
        [reply] = await site.thread.handle_batch([ReadPost(GUEST, UUID(new["id"]))])
        assert site.content.body(reply)["title"] == "New"
        assert asked_again("absent") == before + 1
    finally:
        await site.standby.resume_replay()


async def test_feeds_show_own_posts_and_later_everybodys(site: Site) -> None:
    pool = site.content.pool
    feed = Feed(pool, Directory(pool), readers=site.readers)

    async def titles(position: int = 0) -> list[str]:
        requests: list[FeedRequest] = [
            ReadFeed(GUEST, "de-student", "new", "all", 10, None, position=position),
            ReadHome(site.ana, "new", "all", 10, None, position=position),
        ]
        pages = [site.content.body(reply) for reply in await feed.handle_batch(requests)]
        assert pages[0]["items"] == pages[1]["items"]
        return [item["title"] for item in pages[0]["items"]]

    await site.standby.pause_replay()
    try:
        [reply] = await site.content.ask(create_post(site.ana, title="New"))
        assert isinstance(reply, Reply)
        assert await titles() == ["Before"]
        assert await titles(reply.position) == ["New", "Before"]
    finally:
        await site.standby.resume_replay()
    await site.replayed(reply.position)
    assert await titles() == ["New", "Before"]


async def test_a_cached_page_does_not_outlive_its_event(site: Site) -> None:
    """Events overtake replicas: the page that is read after one must show it."""
    events = FakeRealtime()
    cache = EdgeCache(events, max_bytes=1 << 20, max_age_seconds=3_600.0)
    channel = f"thread:{site.post_id}"

    async def page() -> bytes:
        return (await cache.page("k", "/k", None, site.read, lambda reply: CIMultiDict())).body

    assert b"Before" in await page()  # the first read makes the cache follow the channel
    assert b"Before" in await page()
    await site.standby.pause_replay()
    try:
        await site.rename("After")
        assert b"Before" in await page()
        offset, _ = site.content.publisher.types(channel)[-1]
        events.event(channel, offset)
        assert b"After" in await page()
        assert cache.hit_nowait("/k") is not None
    finally:
        await site.standby.resume_replay()
        await cache.close()


async def test_a_replica_that_knows_less_than_before_is_not_believed(site: Site) -> None:
    """A standby that crashed starts again somewhere before where it had been."""
    await site.standby.pause_replay()
    try:
        written = await site.rename("After")
        with pytest.raises(AskPrimary):
            site.replica.replayed = written
            async with site.readers.acquire(written):
                raise AssertionError("unreachable")
        site.replica.replayed = written
        assert await site.title(written) == "After"
    finally:
        await site.standby.resume_replay()


async def test_a_lagging_replica_is_left_out_and_comes_back(
    database_url: str, standby: StreamingReplica
) -> None:
    async with site_on(database_url, standby, max_replica_lag_seconds=0.5) as site:
        removed = REMOVED.labels("1", "behind")._value.get()
        await standby.pause_replay()
        try:
            written = await site.rename("After")
            await wait_until(lambda: not site.replica.in_use, PATIENCE_SECONDS)
            assert await site.title() == "After"
            assert REMOVED.labels("1", "behind")._value.get() > removed
        finally:
            await standby.resume_replay()
        await site.replayed(written)
        assert await site.title() == "After"


async def test_a_replica_of_another_incarnation_is_left_out(site: Site) -> None:
    await site.standby.pause_replay()
    try:
        await site.content.pool.execute("update incarnation set epoch = 'restored'")
        await wait_until(lambda: not site.replica.in_use, PATIENCE_SECONDS)
    finally:
        await site.standby.resume_replay()
    await wait_until(lambda: site.replica.in_use, PATIENCE_SECONDS)


async def test_a_replica_killed_in_the_middle_of_reads_does_no_harm(site: Site) -> None:
    started, killed = asyncio.Event(), asyncio.Event()

    async def slowly(request: ReadPost) -> Reply:
        async with site.readers.acquire(request.position) as connection:
            if request.position == 0:
                assert await connection.fetchval("select pg_is_in_recovery()")
                started.set()
                await killed.wait()
            return Reply(body=str(await connection.fetchval("select 42")).encode())

    async def others() -> int:
        count = 0
        while not killed.is_set() or count < 50:
            assert await site.title() == "Before"
            count += 1
        return count

    slow = asyncio.create_task(answer(ReadPost(GUEST, site.post_id), slowly))
    await started.wait()
    reading = [asyncio.create_task(others()) for _ in range(4)]
    failed = asked_again("failed")
    await site.standby.kill()
    killed.set()
    assert (await slow).body == b"42"
    assert min(await asyncio.gather(*reading)) >= 50
    assert asked_again("failed") > failed
    await wait_until(lambda: not site.replica.in_use, PATIENCE_SECONDS)
    await site.standby.start()
    await wait_until(lambda: site.replica.in_use, PATIENCE_SECONDS)
    assert await site.title() == "Before"


async def test_a_replica_that_hangs_keeps_nobody_waiting_for_long(
    database_url: str, standby: StreamingReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.replica, "PROBE_SECONDS", 2.0)
    async with site_on(database_url, standby) as site:
        standby.hang()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await asyncio.gather(*(site.title() for _ in range(20))) == ["Before"] * 20
            assert not site.replica.in_use
        finally:
            standby.go_on()
        await wait_until(lambda: site.replica.in_use, PATIENCE_SECONDS)


async def test_replicas_answer_while_the_primary_is_away(site: Site) -> None:
    await site.readers.primary.close()
    assert await site.title() == "Before"
    with pytest.raises(AppError) as caught:
        async with site.readers.acquire(2**62):
            pass
    assert caught.value.code == "unavailable"


async def test_the_own_region_comes_first(database_url: str, standby: StreamingReplica) -> None:
    url = standby.url(database_url)
    postgres = Postgres(
        url=database_url,
        replica_urls=(f"{url}#far", f"{url}#here", url),
        region="here",
        max_replica_lag_seconds=3_600.0,
    )
    readers = await open_readers(postgres, application_name="test", look_seconds=0.05)
    try:
        await wait_until(lambda: all(r.in_use for r in readers.replicas), PATIENCE_SECONDS)
        before = went_to("replica 2")
        for _ in range(5):
            async with readers.acquire() as connection:
                assert await connection.fetchval("select pg_is_in_recovery()")
        assert went_to("replica 2") == before + 5
        readers.replicas[1].in_use = False
        elsewhere = went_to("replica 2"), went_to("primary")
        async with readers.acquire():
            pass
        assert (went_to("replica 2"), went_to("primary")) == elsewhere
    finally:
        await readers.close()


async def test_a_server_that_follows_nobody_is_no_replica(database_url: str) -> None:
    postgres = Postgres(url=database_url, replica_urls=(database_url,))
    readers = await open_readers(postgres, application_name="test")
    try:
        assert not readers.replicas[0].in_use
    finally:
        await readers.close()
