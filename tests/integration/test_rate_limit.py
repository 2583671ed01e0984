"""Buckets over restarts of their owner and outages of Redis, on the real store."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from redis.asyncio import Redis

from actors.rate_limit import LeaseRequest, RateLimit
from config.errors import AppError
from config.rate_limits import RateLimitSettings, Rule
from storage.rate_buckets import RateBuckets
from storage.redis import greet, open_redis

pytestmark = pytest.mark.integration

SECOND = 1_000_000_000
SETTINGS = RateLimitSettings(account={"vote": Rule(60, 80)}, address={})


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


class Store(RateBuckets):
    """The real store behind a line that can be cut; counts the reads."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, timeout_seconds=10)
        self.cut = False
        self.loads: list[Sequence[str]] = []
        self.saved = asyncio.Event()

    async def load(self, keys: Sequence[str]) -> dict[str, int]:
        self.loads.append(keys)
        if self.cut:
            raise AppError("unavailable", "cut")
        return await super().load(keys)

    async def save(self, states: Mapping[str, int], now_ns: int) -> None:
        if self.cut:
            raise AppError("unavailable", "cut")
        await super().save(states, now_ns)
        self.saved.set()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(redis: Redis) -> Store:
    return Store(redis)


async def take(owner: RateLimit, id: str, n: int) -> int:
    [lease] = await owner.take_batch([LeaseRequest("vote", "account", id, n, 0)])
    return lease.granted


async def test_a_new_owner_goes_on_where_the_old_one_stopped(store: Store, clock: Clock) -> None:
    first = RateLimit(SETTINGS, store, clock=clock)
    assert await take(first, "ann", 70) == 70
    await first.close()
    clock.now += 5 * SECOND
    second = RateLimit(SETTINGS, store, clock=clock)
    assert await take(second, "ann", 80) == 15
    assert await take(second, "bob", 80) == 80


async def test_concurrent_first_requests_load_without_giving_tokens_twice(
    store: Store, clock: Clock
) -> None:
    first = RateLimit(SETTINGS, store, clock=clock)
    await take(first, "ann", 70)
    await first.close()
    second = RateLimit(SETTINGS, store, clock=clock)
    granted = await asyncio.gather(*(take(second, "ann", 3) for _ in range(8)))
    assert sum(granted) == 10


async def test_keys_vanish_when_the_bucket_is_full_again(
    store: Store, clock: Clock, redis: Redis
) -> None:
    owner = RateLimit(SETTINGS, store, clock=clock)
    await take(owner, "ann", 10)
    await owner.flush()
    [key] = await redis.keys("serai:rate:*")
    assert 9_000 < await redis.pttl(key) <= 11_000
    assert owner.statistics().unsaved == 0


async def test_redis_is_not_read_once_it_can_know_nothing_new(store: Store, clock: Clock) -> None:
    owner = RateLimit(SETTINGS, store, clock=clock)
    await take(owner, "ann", 1)
    assert len(store.loads) == 1
    await take(owner, "ann", 1)
    assert len(store.loads) == 1
    # Whatever an earlier owner saved has filled up by now.
    clock.now += 80 * SECOND
    await take(owner, "bob", 1)
    assert len(store.loads) == 1


async def test_an_evicted_bucket_comes_back_from_redis(store: Store, clock: Clock) -> None:
    owner = RateLimit(SETTINGS, store, clock=clock, max_buckets=1)
    clock.now += 3_600 * SECOND
    await take(owner, "ann", 70)
    await owner.flush()
    await take(owner, "bob", 75)
    assert owner.statistics().buckets == 1
    assert await take(owner, "ann", 80) == 10


async def test_an_evicted_bucket_that_is_not_saved_yet_comes_back_too(
    store: Store, clock: Clock
) -> None:
    owner = RateLimit(SETTINGS, store, clock=clock, max_buckets=2)
    await owner.take_batch(
        [LeaseRequest("vote", "account", name, n, 0) for name, n in (("cid", 80), ("bob", 75))]
    )
    await owner.flush()
    await take(owner, "ann", 70)
    assert owner.statistics().buckets == 2
    assert await take(owner, "ann", 80) == 10


async def test_without_redis_limits_go_on_in_memory_and_are_saved_later(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store.cut = True
    owner = RateLimit(SETTINGS, store, clock=clock)
    assert await take(owner, "ann", 70) == 70
    assert await take(owner, "bob", 70) == 70
    assert await take(owner, "ann", 80) == 10
    # One failed read; the next is not tried before a second has gone by.
    assert len(store.loads) == 1
    await owner.flush()
    assert owner.statistics().unsaved == 2
    assert not owner.statistics().store_available
    store.cut = False
    await owner.flush()
    assert owner.statistics().unsaved == 0
    told = [record.getMessage() for record in caplog.records if "buckets" in record.getMessage()]
    assert told == [
        "rate-limit buckets live in memory alone: unavailable: cut",
        "rate-limit buckets are saved again",
    ]
    second = RateLimit(SETTINGS, store, clock=clock)
    assert await take(second, "bob", 80) == 10


async def test_buckets_are_written_behind(store: Store, clock: Clock, redis: Redis) -> None:
    owner = RateLimit(SETTINGS, store, clock=clock, flush_interval_seconds=0.01)
    await owner.start()
    await take(owner, "ann", 10)
    async with asyncio.timeout(10):
        await store.saved.wait()
    assert await redis.exists("serai:rate:vote:account:ann")
    await owner.close()


async def test_what_is_no_state_is_left_out(redis: Redis) -> None:
    store = RateBuckets(redis, timeout_seconds=10)
    await redis.set("serai:rate:text", "soon")
    await redis.rpush("serai:rate:list", "1")
    await store.save({"good": 2**62, "full": 5}, 10)
    assert await store.load(["good", "text", "list", "none", "full"]) == {"good": 2**62}


async def test_buckets_of_one_call_may_lie_on_different_nodes(redis_cluster_url: str) -> None:
    client = open_redis(redis_cluster_url)
    assert await greet(client, 30)
    store = RateBuckets(client, timeout_seconds=10)
    states = {f"vote:account:{n}": 2**62 + n for n in range(20)}
    await store.save(states, 1)
    assert await store.load([*states, "none"]) == states
    await client.aclose()


async def test_a_dead_redis_is_unavailable(unused_port: int) -> None:
    client = Redis.from_url(f"redis://127.0.0.1:{unused_port}/0")
    store = RateBuckets(client)
    for attempt in (store.load(["a"]), store.save({"a": 2}, 1)):
        with pytest.raises(AppError) as caught:
            await attempt
        assert caught.value.code == "unavailable"
    await client.aclose()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
