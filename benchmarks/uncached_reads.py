"""Bar 6: a thread of 500 comments that no cache holds.

Ours: the whole server without its edge cache; one connection asks for the 500 comments of one
random thread after the other, as a reader whose page is not cached does. Baseline: the time that
the statements of that page take by themselves, on a connection to the same database.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import UUID

import asyncpg

from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.load import Answers, call_repeatedly, http_request, saturation, write_requests
from benchmarks.machine import work_folder
from benchmarks.plan import Plan
from benchmarks.population import make_comments, make_members, make_posts
from benchmarks.program import run_bar
from benchmarks.serai import database, serai_on
from config.settings import Postgres
from storage.comments import read_comments, read_tree
from storage.postgres import connect

MUST: Final = 3.0
THREADS: Final = 40
COMMENTS: Final = 500
_AUTHORS: Final = 50
_REQUESTS: Final = 2_000
_SECONDS: Final = 5.0
_READS: Final = 200


async def _sql_p50_ms(url: str, posts: Sequence[UUID], reads: int) -> float:
    """Of both statements of a page together, as the driver measures them: answer decoded to rows,
    nothing made of them."""
    connection = await asyncpg.connect(url)
    took: list[float] = []

    def add(query: Any) -> None:
        took[-1] += query.elapsed * 1e3

    try:
        connection.add_query_logger(add)
        for number in range(reads + THREADS):  # the first ones plan and warm up
            took.append(0.0)
            tree = await read_tree(connection, random.choice(posts))
            assert tree is not None
            await read_comments(connection, [node[0] for node in tree.nodes[:COMMENTS]])
            if number < THREADS:
                took.clear()
    finally:
        await connection.close()
    return statistics.median(took)


async def measure(plan: Plan) -> int:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder())
        url = await stack.enter_async_context(database(folder))
        server = await stack.enter_async_context(
            serai_on(url, folder, SERAI_GATEWAY__EDGE_CACHE_BYTES="0")
        )
        pool = await connect(url, Postgres(), application_name="bench", size=2)
        stack.push_async_callback(pool.close)
        people = await make_members(pool, _AUTHORS)
        posts = await make_posts(pool, people, ["de-student"] * THREADS)
        await make_comments(pool, people, posts, COMMENTS)
        await pool.execute("analyze")
        paths = [
            f"/api/v1/posts/{random.choice(posts)}/comments?limit={COMMENTS}&sort=best"
            for _ in range(_REQUESTS)
        ]
        requests = write_requests(
            folder / "reads", (http_request("GET", path, server.port, {}) for path in paths)
        )
        pages: list[Answers] = []
        queries: list[float] = []
        for _ in range(plan.rounds):
            pages.append(await call_repeatedly(server.port, requests, 1, plan.seconds(_SECONDS)))
            queries.append(await _sql_p50_ms(url, posts, int(plan.seconds(_READS))))
    rows = [
        (number, name, p50, p99)
        for number, (page, query) in enumerate(zip(pages, queries, strict=True), 1)
        for name, p50, p99 in (
            ("page by HTTP", page.p50_ms, f"{page.p99_ms:.2f}"),
            ("its SQL", query, "-"),
        )
    ]
    ratio = median_ratio([page.p50_ms for page in pages], queries)
    details = {"threads": THREADS, "comments": COMMENTS, **saturation(pages)}
    verdict = Verdict(6, [Check("page / its SQL, p50", ratio, "<=", MUST)], plan.rounds, details)
    return conclude(verdict, ("round", "what", "p50 ms", "p99 ms"), rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 6: uncached pages of 500 comments against their SQL alone."))
