"""Bar 4: comments acknowledged after their commit, the whole write included.

Ours: the whole server, by HTTP. Baseline: baseline/comment_per_request.py, on the same PostgreSQL
and the same tables, by HTTP, with the same requests. Writers are connections that send their next
comment when the last one is acknowledged; each comment has its own key, each writer an account.

What a comment's job does later is left out on both sides: the worker stands still while a window is
measured, and the jobs that the window made are thrown away.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from actors.messages import Caller
from benchmarks.figures import Check, Verdict, conclude, median_difference, median_ratio
from benchmarks.load import (
    KEY,
    Answers,
    call_repeatedly,
    http_request,
    saturation,
    write_requests,
)
from benchmarks.machine import free_port, module, running, work_folder
from benchmarks.plan import Plan
from benchmarks.population import make_members, make_posts, texts, token_of
from benchmarks.program import run_bar
from benchmarks.serai import Serai, database, serai_on
from config.settings import Postgres
from storage.postgres import Pool, connect

WRITERS: Final = (16, 64, 256)
THREADS: Final = {"one hot thread": 1, "200 threads": 200}
MUST: Final = {
    ("one hot thread", 64): 3.0,
    ("one hot thread", 256): 5.0,
    ("200 threads", 64): 1.5,
    ("200 threads", 256): 2.0,
}
MUST_LATER_MS: Final = 5.0
_COMMUNITY: Final = "de-student"
_REQUESTS: Final = 2_048
_SECONDS: Final = 2.0


class Side(msgspec.Struct, frozen=True):
    """Who answers, and the requests for it: by the number of threads."""

    name: str
    port: int
    requests: dict[str, Path]


def comment_requests(
    port: int, people: Sequence[Caller], posts: Sequence[UUID], secret: str
) -> Iterator[bytes]:
    """Neighbours are by different people, whatever the threads."""
    tokens = [token_of(person, secret) for person in people]
    places = random.Random(1)
    for number, text in zip(range(_REQUESTS), texts(), strict=False):
        yield http_request(
            "POST",
            f"/api/v1/posts/{places.choice(posts)}/comments",
            port,
            {
                "Authorization": f"Bearer {tokens[number % len(tokens)]}",
                "Content-Type": "application/json",
                "Idempotency-Key": KEY,
            },
            msgspec.json.encode({"body_markdown": text}),
        )


@contextmanager
def standing_still(pids: Sequence[int]) -> Iterator[None]:
    """Stops the processes for the block, which must stay shorter than Serve's patience (10 s)."""
    _signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal_all(pids, signal.SIGCONT)


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # replaced by Serve meanwhile
            os.kill(pid, number)


class Bench:
    def __init__(self, pool: Pool, server: Serai, seconds: float) -> None:
        self._pool = pool
        self._server = server
        self._seconds = seconds

    async def write(self, side: Side, shape: str, writers: int) -> Answers:
        with standing_still(await self._server.pids("worker_light")):
            answers = await call_repeatedly(side.port, side.requests[shape], writers, self._seconds)
            await self._pool.execute("delete from pgqueuer where status = 'queued'")
        return answers


async def _side(
    name: str, port: int, folder: Path, pool: Pool, people: Sequence[Caller], secret: str
) -> Side:
    files = {}
    for shape, threads in THREADS.items():
        posts = await make_posts(pool, people[:1], [_COMMUNITY] * threads)
        path = folder / f"{name}-{threads}.requests"
        files[shape] = write_requests(path, comment_requests(port, people, posts, secret))
    return Side(name, port, files)


async def measure(plan: Plan) -> int:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder())
        url = await stack.enter_async_context(database(folder))
        server: Serai = await stack.enter_async_context(serai_on(url, folder))
        port = free_port()
        command = module("benchmarks.baseline.comment_per_request", port, url, server.secret)
        await stack.enter_async_context(running(command))
        pool = await connect(url, Postgres(), application_name="bench", size=2)
        stack.push_async_callback(pool.close)
        people = await make_members(pool, max(WRITERS))
        sides = [
            await _side("serai", server.port, folder, pool, people, server.secret),
            await _side("per request", port, folder, pool, people, server.secret),
        ]
        await pool.execute("analyze")
        bench = Bench(pool, server, plan.seconds(_SECONDS))
        return await _compare(bench, sides, plan)


async def _compare(bench: Bench, sides: Sequence[Side], plan: Plan) -> int:
    rows: list[tuple[object, ...]] = []
    checks: list[Check] = []
    all_answers: list[Answers] = []
    for side in sides:
        # Every connection of a pool plans its statements once, which takes longer than a window.
        for shape in THREADS:
            await bench.write(side, shape, WRITERS[1])
    for shape in THREADS:
        for writers in (1, *WRITERS) if THREADS[shape] == 1 else WRITERS:
            rounds: list[list[Answers]] = []
            for number in range(1, plan.rounds + 1):
                rounds.append([await bench.write(side, shape, writers) for side in sides])
                rows += [
                    (shape, writers, number, side.name, a.per_second, a.p50_ms, a.p99_ms)
                    for side, a in zip(sides, rounds[-1], strict=True)
                ]
                all_answers += rounds[-1]
            ours, baseline = zip(*rounds, strict=True)
            if writers == 1:
                later = median_difference([a.p50_ms for a in ours], [a.p50_ms for a in baseline])
                checks.append(
                    Check("p50 at one writer, later by", later, "<=", MUST_LATER_MS, "ms")
                )
            elif (shape, writers) in MUST:
                ratio = median_ratio([a.per_second for a in ours], [a.per_second for a in baseline])
                checks.append(
                    Check(f"{shape}, {writers} writers", ratio, ">=", MUST[shape, writers])
                )
    headings = ("threads", "writers", "round", "server", "comments/s", "p50 ms", "p99 ms")
    verdict = Verdict(4, checks, plan.rounds, saturation(all_answers))
    return conclude(verdict, headings, rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 4: durable writes against one transaction a request."))
