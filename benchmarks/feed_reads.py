"""Bar 5: a community's feed page, while 1 % of the pages change each second.

Ours: the whole server. Baselines: aiohttp that answers the same bytes from a dict, and a FastAPI
stack that answers the same page from the same database. 64 connections ask for 200 communities'
pages in turn; meanwhile two communities a second get a post. The changes go through our server in
every round, also while a baseline is measured; the dict gets the changed bytes as well.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec
from aiohttp import ClientSession, ClientTimeout

from benchmarks.baseline_environment import baseline_python
from benchmarks.corpus import make_corpus
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.load import Answers, call_repeatedly, http_request, saturation, write_requests
from benchmarks.machine import ROOT, BenchmarkError, free_port, module, running, work_folder
from benchmarks.plan import Plan
from benchmarks.population import make_members, make_posts, texts, token_of
from benchmarks.program import run_bar
from benchmarks.serai import database, serai_on
from config.reference import community_seeds
from config.settings import Postgres
from storage.postgres import connect

MUST_DICT: Final = 0.5
MUST_FASTAPI: Final = 15.0
CONNECTIONS: Final = 64
PAGES: Final = 200
CHANGED_PART: Final = 0.01
_POSTS_EACH: Final = 32
_SECONDS: Final = 6.0
_AUTHORS: Final = 50
# What a team would add to the tables for the FastAPI query; our own statement doesn't use it.
_BASELINE_INDEX: Final = """
    create index on post (community_id, pinned desc, hot desc, id desc) where deleted_at is null"""


def path_of(slug: str) -> str:
    return f"/api/v1/communities/{slug}/feed?sort=hot"


class Changer:
    """Writes a post into one community after the other, and keeps the dict's copy true."""

    def __init__(
        self, session: ClientSession, serai: str, pages: str, slugs: Sequence[str], token: str
    ) -> None:
        self._session = session
        self._serai = serai
        self._pages = pages
        self._slugs = slugs
        self._turns = itertools.cycle(slugs)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._texts = texts()
        self.changes = 0

    async def copy(self, slug: str) -> None:
        async with self._session.get(self._serai + path_of(slug)) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise BenchmarkError(f"the feed of {slug} answered {answer.status}")
        async with self._session.put(self._pages + path_of(slug), data=body) as stored:
            stored.raise_for_status()

    async def copy_all(self) -> None:
        for slug in self._slugs:
            await self.copy(slug)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Raises what went wrong at the end of the block."""
        task = asyncio.create_task(self._change())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise BenchmarkError(f"a page could not be changed: {error!r}")

    async def _change(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1 / (CHANGED_PART * len(self._slugs))
            await asyncio.sleep(max(0.0, due - loop.time()))
            slug = next(self._turns)
            body = {
                "community_id": slug,
                "title": f"Change {self.changes}",
                "body_markdown": next(self._texts),
                "tags": ["visa", "waiting"],
            }
            url = f"{self._serai}/api/v1/posts"
            async with self._session.post(url, json=body, headers=self._headers) as answer:
                if answer.status != 201:
                    raise BenchmarkError(f"{answer.status} {await answer.text()}")
            await self.copy(slug)
            self.changes += 1


async def require_same_page(session: ClientSession, ours: str, baseline: str, slug: str) -> int:
    """The size of ours. The cursor is each server's own, all else must be equal."""
    pages: list[dict[str, Any]] = []
    size = 0
    for server in (ours, baseline):
        async with session.get(server + path_of(slug)) as answer:
            body = await answer.read()
        if answer.status != 200:
            raise BenchmarkError(f"{server} answered {answer.status}")
        size = size or len(body)
        pages.append(msgspec.json.decode(body))
        pages[-1]["next_cursor"] = bool(pages[-1]["next_cursor"])
    if pages[0] != pages[1]:
        raise BenchmarkError(f"the baseline answers another page:\n{pages[0]}\n{pages[1]}")
    return size


async def measure(plan: Plan) -> int:
    python = await asyncio.to_thread(baseline_python)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder())
        url = await stack.enter_async_context(database(folder))
        server = await stack.enter_async_context(serai_on(url, folder))
        dict_port, fastapi_port = free_port(), free_port()
        await stack.enter_async_context(
            running(module("benchmarks.baseline.pages_from_dict", dict_port))
        )
        unhurried = Postgres(statement_timeout_seconds=0)
        pool = await connect(url, unhurried, application_name="bench", size=2)
        stack.push_async_callback(pool.close)
        people = await make_members(pool, _AUTHORS)
        slugs = [seed.slug for seed in itertools.islice(community_seeds(), PAGES)]
        if plan.posts:
            await make_corpus(pool, plan.posts, [p.account_id for p in people], slugs)
        await make_posts(pool, people, slugs * _POSTS_EACH)
        await pool.execute(_BASELINE_INDEX)
        await pool.execute("analyze")
        script = ROOT / "benchmarks" / "baseline" / "feed_by_fastapi.py"
        await stack.enter_async_context(running([str(python), str(script), str(fastapi_port), url]))
        session = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(total=10)))
        servers = {
            "serai": server.url,
            "dict": f"http://127.0.0.1:{dict_port}",
            "fastapi": f"http://127.0.0.1:{fastapi_port}",
        }
        page_bytes = await require_same_page(session, server.url, servers["fastapi"], slugs[7])
        token = token_of(people[0], server.secret)
        changer = Changer(session, server.url, servers["dict"], slugs, token)
        await changer.copy_all()
        found: dict[str, list[Answers]] = {name: [] for name in servers}
        for _ in range(plan.rounds):
            for name, base in servers.items():
                port = int(base.rpartition(":")[2])
                requests = write_requests(
                    folder / name, (http_request("GET", path_of(s), port, {}) for s in slugs)
                )
                async with changer.changing():
                    found[name].append(
                        await call_repeatedly(port, requests, CONNECTIONS, plan.seconds(_SECONDS))
                    )
        await require_same_page(session, server.url, servers["fastapi"], slugs[0])
    return _conclude(plan, found, page_bytes)


def _conclude(plan: Plan, found: dict[str, list[Answers]], page_bytes: int) -> int:
    rates = {name: [a.per_second for a in answers] for name, answers in found.items()}
    checks = [
        Check("dict of bytes", median_ratio(rates["serai"], rates["dict"]), ">=", MUST_DICT),
        Check("FastAPI", median_ratio(rates["serai"], rates["fastapi"]), ">=", MUST_FASTAPI),
    ]
    rows = [
        (number, name, a.per_second, a.p50_ms, a.p99_ms, a.mb_per_s)
        for number in range(1, plan.rounds + 1)
        for name, answers in found.items()
        for a in (answers[number - 1],)
    ]
    details = {"page_bytes": page_bytes, **saturation(itertools.chain(*found.values()))}
    headings = ("round", "server", "pages/s", "p50 ms", "p99 ms", "MB/s")
    return conclude(Verdict(5, checks, plan.rounds, details), headings, rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 5: feed pages against a dict of bytes and a FastAPI stack."))
