"""The order of a window in Redis, on one server and on a cluster: what the query says, but for
votes of the last moment; and with Redis away everything goes on."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors import top_reads
from actors.feed import Feed
from actors.feed_messages import FeedWindow, ReadFeed
from actors.messages import GUEST, Caller, CastVote, DeletePost, Failure, Outcome, Reply
from config.errors import AppError
from storage import feeds
from storage.directory import Directory
from storage.embedded.valkey import EmbeddedValkey
from storage.feed_keys import HIGHEST_ID
from storage.feed_orders import FeedOrders, OrderTerms
from storage.redis import RedisGuard, open_redis
from tests.conditions import wait_until
from tests.integration.content import RECEIVED_NS, Content, content_on, create_post

pytestmark = pytest.mark.integration

HERE = "de"
NUMBERS = itertools.count(100)


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as made:
        yield made


@pytest.fixture
async def ada(here: Content) -> Caller:
    return await here.member("ada")


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
def either_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
async def guard(either_url: str) -> AsyncIterator[RedisGuard]:
    made = RedisGuard(open_redis(either_url), timeout_seconds=10)
    made.start()
    await wait_until(lambda: not made.is_away, 30)
    yield made
    await made.close()


def body(outcome: Outcome) -> Any:
    assert isinstance(outcome, Reply), outcome
    return json.loads(outcome.body)


async def write(here: Content, author: Caller, count: int) -> list[UUID]:
    """The oldest first."""
    outcomes = await here.ask(*(create_post(author, HERE) for _ in range(count)))
    return sorted(UUID(body(outcome)["id"]) for outcome in outcomes)


async def warm_feed(here: Content, guard: RedisGuard) -> Feed:
    """One that has found its queries to be slow."""
    feed = Feed(here.pool, Directory(here.pool), orders=FeedOrders(guard), slow_seconds=0)
    await page(feed)
    return feed


async def vote(here: Content, post: UUID, count: int) -> None:
    voters = [await here.member(f"v{next(NUMBERS)}") for _ in range(count)]
    await here.ask(*(CastVote(voter, "post", post, 1) for voter in voters))


async def page(
    feed: Feed, limit: int = 100, cursor: str | None = None, window: FeedWindow = "week"
) -> Any:
    [outcome] = await feed.handle_batch([ReadFeed(GUEST, HERE, "top", window, limit, cursor)])
    return body(outcome)


def ids(found: Any) -> list[UUID]:
    return [UUID(item["id"]) for item in found["items"]]


def made(result: str) -> float:
    return float(top_reads._READS.labels(result)._value.get())


async def test_an_order_is_what_the_query_says_and_follows_the_log(
    here: Content, ada: Caller, guard: RedisGuard
) -> None:
    plain = Feed(here.pool, Directory(here.pool))
    feed = await warm_feed(here, guard)
    posts = await write(here, ada, 7)
    await vote(here, posts[3], 2)
    await vote(here, posts[5], 1)
    built, hits, behind = made("built"), made("hit"), made("behind")
    assert await page(feed) == await page(plain)
    assert await page(feed) == await page(plain)
    assert (made("built"), made("hit")) == (built + 1, hits + 1)
    [late] = await write(here, ada, 1)
    shown = await page(feed)
    assert shown == await page(plain) and late in ids(shown)
    assert made("behind") == behind + 1
    await here.ask(DeletePost(ada, posts[5], RECEIVED_NS))
    shown = await page(feed)
    assert shown == await page(plain) and posts[5] not in ids(shown)
    assert made("built") == built + 1, "all of it from one order"


async def test_what_stands_still_is_on_one_page_though_others_are_voted_on(
    here: Content, ada: Caller, guard: RedisGuard
) -> None:
    feed = await warm_feed(here, guard)
    posts = await write(here, ada, 6)
    for votes, post in enumerate(posts):
        await vote(here, post, votes)
    first = await page(feed, 2)
    assert ids(first) == [posts[5], posts[4]]
    await vote(here, posts[4], 9)  # the cursor must not go by what it has now
    seen, cursor = ids(first), first["next_cursor"]
    while cursor is not None:
        found = await page(feed, 2, cursor)
        seen, cursor = seen + ids(found), found["next_cursor"]
    assert seen == posts[::-1]


async def test_beyond_what_an_order_holds_the_query_answers(
    here: Content, ada: Caller, guard: RedisGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_reads, "ORDER_POSTS", 4)
    feed = await warm_feed(here, guard)
    posts = await write(here, ada, 7)
    for votes, post in enumerate(posts):
        await vote(here, post, votes)
    queries = made("query")
    seen: list[UUID] = []
    cursor = None
    while True:
        found = await page(feed, 2, cursor)
        seen, cursor = seen + ids(found), found["next_cursor"]
        if cursor is None:
            break
    assert seen == posts[::-1]
    assert made("query") > queries
    await write(here, ada, 1)  # below the floor: it must not come to stand in the order
    assert ids(await page(feed, 3)) == posts[:3:-1]


async def test_many_readers_build_an_order_once(
    here: Content, ada: Caller, guard: RedisGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = await write(here, ada, 3)
    builds = 0
    entered, go_on = asyncio.Event(), asyncio.Event()
    build = feeds.top_order

    async def slow(*arguments: Any) -> Any:
        nonlocal builds
        builds += 1
        entered.set()
        await go_on.wait()
        return await build(*arguments)

    monkeypatch.setattr(feeds, "top_order", slow)
    feed = await warm_feed(here, guard)
    readers = [asyncio.create_task(page(feed, limit)) for limit in (3, 4, 5)]
    await asyncio.wait_for(entered.wait(), 30)
    go_on.set()
    for found in await asyncio.gather(*readers):
        assert ids(found) == posts[::-1]
    assert builds == 1


async def test_where_the_query_is_quick_redis_is_not_asked(
    here: Content, ada: Caller, guard: RedisGuard
) -> None:
    feed = Feed(here.pool, Directory(here.pool), orders=FeedOrders(guard), slow_seconds=60)
    posts = await write(here, ada, 2)
    before = [made(result) for result in ("hit", "built", "query")]
    for _ in range(2):
        assert ids(await page(feed)) == posts[::-1]
    assert [made(result) for result in ("hit", "built", "query")] == before


async def test_an_order_that_was_changed_meanwhile_stays_as_it_is(guard: RedisGuard) -> None:
    orders = FeedOrders(guard)
    name = f"{{{UUID(int=1).hex}}}:test"
    before = OrderTerms("e", 1, 10, (1.0, UUID(int=1)))
    after = before._replace(offset=2)
    keys = [(3.0, UUID(int=3)), (1.0, UUID(int=2)), (1.0, UUID(int=1))]
    await orders.store(name, before, keys, 60_000)
    for _ in range(2):  # the second one comes too late
        await orders.change(name, before, after, [UUID(int=2)], [(2.0, UUID(int=9))])
    top = (float("inf"), HIGHEST_ID)
    found = await orders.read(name, top, 10)
    expected = [(3.0, UUID(int=3)), (2.0, UUID(int=9)), (1.0, UUID(int=1))]
    assert found == (after, expected)
    assert await orders.read(name, (2.0, UUID(int=9)), 1) == (after, expected[2:])
    await orders.store(name, after, [], 60_000)
    assert await orders.read(name, top, 10) == (after, [])
    assert await orders.read(f"{name}:none", top, 10) is None


async def test_with_redis_away_nobody_waits_and_it_is_used_again_when_it_is_back(
    here: Content, ada: Caller, short_directory: Path
) -> None:
    valkey = EmbeddedValkey(short_directory / "valkey", durable=False)
    guard = RedisGuard(open_redis(await valkey.start()), timeout_seconds=10)
    try:
        feed = await warm_feed(here, guard)
        posts = await write(here, ada, 2)
        assert ids(await page(feed)) == posts[::-1], "before it was ever reached"
        guard.start()
        await wait_until(lambda: not guard.is_away, 30)
        assert ids(await page(feed)) == posts[::-1]
        await valkey.stop()
        assert ids(await page(feed)) == posts[::-1]
        assert guard.is_away

        async def never(client: object) -> None:
            raise AssertionError("nobody is to ask")

        with pytest.raises(AppError):
            await guard.ask(never)
        away = made("away")
        posts += await write(here, ada, 1)
        assert ids(await page(feed)) == posts[::-1]
        assert made("away") == away + 1
        await valkey.start()
        await wait_until(lambda: not guard.is_away, 30)
        built = made("built")
        assert ids(await page(feed)) == posts[::-1]
        assert made("built") == built + 1
    finally:
        await guard.close()
        await valkey.close()


async def test_whoever_has_voted_sees_the_vote(
    here: Content, ada: Caller, guard: RedisGuard
) -> None:
    feed = await warm_feed(here, guard)
    posts = await write(here, ada, 3)
    assert ids(await page(feed)) == posts[::-1]
    [voted] = await here.ask(CastVote(ada, "post", posts[0], 1))
    assert isinstance(voted, Reply)
    request = ReadFeed(GUEST, HERE, "top", "week", 9, None, position=voted.position)
    [mine, others] = await feed.handle_batch(
        [request, msgspec.structs.replace(request, position=0)]
    )
    assert ids(body(mine)) == [posts[0], posts[2], posts[1]]
    assert isinstance(mine, Reply) and isinstance(others, Reply)
    assert mine.position >= voted.position > others.position


async def test_a_private_community_keeps_its_order_to_itself(
    here: Content, ada: Caller, guard: RedisGuard
) -> None:
    feed = await warm_feed(here, guard)
    await write(here, ada, 1)
    await page(feed)
    await here.pool.execute("update community set visibility = 'private' where slug = $1", HERE)
    [outcome] = await feed.handle_batch([ReadFeed(GUEST, HERE, "top", "week", 9, None)])
    assert isinstance(outcome, Failure) and outcome.code == "not_found"
