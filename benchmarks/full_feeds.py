"""Feeds among very many posts: what each order costs, with its order in Redis and without, and how
large the indexes are. No bar: these are the figures that docs/feeds.md goes by.

    python -m benchmarks.full_feeds [--posts 1000000]

One page after the other, of the largest community, of one in the middle, and of all; the Feed actor
in this process, without HTTP, Serve or the edge cache.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from actors.feed import Feed
from actors.feed_messages import FeedRequest, ReadFeed, ReadHome
from actors.messages import GUEST, Caller, Reply
from benchmarks.corpus import make_corpus, sizes
from benchmarks.figures import table
from benchmarks.machine import BenchmarkError, work_folder
from benchmarks.population import make_members
from benchmarks.serai import database
from config.reference import community_seeds
from config.settings import Postgres
from storage.directory import Directory
from storage.embedded.valkey import EmbeddedValkey
from storage.feed_orders import FeedOrders
from storage.migrate import migrate
from storage.postgres import Pool, acquire, connect
from storage.redis import RedisGuard, open_redis
from storage.seed import seed

_AUTHORS: Final = 2_000
_JOINED: Final = 20
_READS: Final = 40
_READY_SECONDS: Final = 10.0


async def measure(posts: int) -> None:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder())
        url = await stack.enter_async_context(database(folder))
        await migrate(url)
        pool = await connect(url, Postgres(statement_timeout_seconds=0), size=2)
        stack.push_async_callback(pool.close)
        async with acquire(pool) as connection:
            await seed(connection)
        people = await make_members(pool, _AUTHORS)
        slugs = sorted(community.slug for community in community_seeds())
        began = time.monotonic()
        await make_corpus(pool, posts, [p.account_id for p in people], slugs)
        print(f"{posts:,} posts in {time.monotonic() - began:.0f} s")
        print(table(("of", "MB"), [(of, round(size / 1e6, 1)) for of, size in await sizes(pool)]))
        reader = people[0]
        await _join(pool, reader, slugs[:: len(slugs) // _JOINED])
        valkey = EmbeddedValkey(folder / "valkey", durable=False)
        guard = RedisGuard(open_redis(await valkey.start()), timeout_seconds=5)
        stack.push_async_callback(valkey.close)
        stack.push_async_callback(guard.close)
        guard.start()
        async with asyncio.timeout(_READY_SECONDS):
            while guard.is_away:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        directory = Directory(pool)
        feeds = {
            "": Feed(pool, directory),
            "Redis": Feed(pool, directory, orders=FeedOrders(guard), slow_seconds=0),
        }
        rows = []
        for name, request in _requests(slugs, reader):
            for order, feed in feeds.items():
                kept = isinstance(request, ReadFeed) and request.sort == "top"
                if not order or kept:
                    rows.append((name, order, *await _timed(feed, request)))
        print(table(("page of 30", "order in", "p50 ms", "worst ms"), rows), flush=True)


def _requests(slugs: Sequence[str], reader: Caller) -> list[tuple[str, FeedRequest]]:
    found: list[tuple[str, FeedRequest]] = []
    places = {"largest": slugs[0], "middle": slugs[len(slugs) // 2]}
    orders = [
        ("hot", "all"),
        ("new", "all"),
        *(("top", w) for w in ("day", "week", "month", "all")),
    ]
    for sort, window in orders:
        what = f"{sort} {window}" if sort == "top" else sort
        for where, slug in places.items():
            read = ReadFeed(GUEST, slug, sort, window, 30, None)  # type: ignore[arg-type]
            found.append((f"{where}, {what}", read))
        for who, caller in (("all", GUEST), (f"{_JOINED} joined", reader)):
            home = ReadHome(caller, sort, window, 30, None)  # type: ignore[arg-type]
            found.append((f"{who}, {what}", home))
    for language in ("en", "sw"):
        read = ReadFeed(GUEST, slugs[0], "hot", "all", 30, None, (language,))
        found.append((f"largest, hot in {language}", read))
        found.append(
            (f"all, hot in {language}", ReadHome(GUEST, "hot", "all", 30, None, (language,)))
        )
    return found


async def _timed(feed: Feed, request: FeedRequest) -> tuple[float, float]:
    times = []
    for _ in range(_READS):
        began = time.perf_counter()
        [outcome] = await feed.handle_batch([request])
        times.append((time.perf_counter() - began) * 1000)
        if not isinstance(outcome, Reply):
            raise BenchmarkError(f"a page was refused: {outcome}")
    times = sorted(times[1:])
    return round(statistics.median(times), 2), round(times[-1], 2)


async def _join(pool: Pool, reader: Caller, slugs: Sequence[str]) -> None:
    await pool.execute(
        "insert into membership (account_id, community_id)"
        " select $1, id from community where slug = any ($2::text[])",
        reader.account_id,
        list(slugs),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=1_000_000)
    asyncio.run(measure(parser.parse_args().posts))
