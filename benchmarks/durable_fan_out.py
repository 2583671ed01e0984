"""Bar 3: from a comment's commit to 1,000 subscribers, the whole server involved.

Ours: comments by HTTP at a steady rate to one thread that 1,000 guests follow; CPU of gateway,
thread and shard, latency from the commit. Baseline: the bare fan-out of bar 1 (bare_gateway.py) at
the same rate; CPU of the gateway, latency from the making of the publication.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from uuid import UUID

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from actors.messages import Caller
from benchmarks.fan_out import SOCKETS, measure_gateway
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.load import (
    REACHED,
    Readers,
    fault_checks,
    rate_check,
    read_channel,
    saturation,
)
from benchmarks.machine import BenchmarkError, work_folder
from benchmarks.plan import Plan
from benchmarks.population import make_members, make_posts, texts, token_of
from benchmarks.program import run_bar
from benchmarks.serai import Serai, database, serai_on
from config.settings import Postgres
from storage.postgres import connect

RATES: Final = (50.0, 200.0)
MUST_CPU: Final = {50.0: 3.0, 200.0: 1.3}
GOAL_CPU: Final = {50.0: 1.5, 200.0: 1.1}
MUST_P99: Final = 5.0
_AUTHORS: Final = 64
_COMMUNITY: Final = "de-student"
_SECONDS: Final = 5.0
_MOST_WAITING: Final = 1_000


class Writer:
    """Comments on one thread at a steady rate, whether or not earlier ones are answered. `skipped`
    counts those that were due while _MOST_WAITING others waited for an answer."""

    def __init__(self, server: Serai, post_id: UUID, people: Sequence[Caller]) -> None:
        self._url = f"{server.url}/api/v1/posts/{post_id}/comments"
        self._tokens = [token_of(person, server.secret) for person in people]
        self._texts = texts()
        self._failure: str | None = None
        self.written = 0
        self.skipped = 0

    @asynccontextmanager
    async def writing(self, per_second: float) -> AsyncIterator[None]:
        """Raises BenchmarkError at the end of the block when a comment was refused."""
        task = asyncio.create_task(self._write(per_second))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        if self._failure is not None:
            raise BenchmarkError(f"a comment was refused: {self._failure}")

    async def _write(self, per_second: float) -> None:
        loop = asyncio.get_running_loop()
        timeout = ClientTimeout(total=30)
        waiting: set[asyncio.Task[None]] = set()
        async with ClientSession(timeout=timeout, connector=TCPConnector(limit=256)) as session:
            due = loop.time()
            try:
                while self._failure is None:
                    due += 1 / per_second
                    await asyncio.sleep(max(0.0, due - loop.time()))
                    if len(waiting) >= _MOST_WAITING:
                        self.skipped += 1
                    else:
                        task = asyncio.create_task(self._comment(session))
                        waiting.add(task)
                        task.add_done_callback(waiting.discard)
            finally:
                await asyncio.gather(*waiting, return_exceptions=True)

    async def _comment(self, session: ClientSession) -> None:
        headers = {"Authorization": f"Bearer {self._tokens[self.written % len(self._tokens)]}"}
        self.written += 1
        body = {"body_markdown": next(self._texts)}
        try:
            async with session.post(self._url, json=body, headers=headers) as answer:
                if answer.status != 201:
                    self._failure = f"{answer.status} {await answer.text()}"
        except (ClientError, TimeoutError) as error:
            self._failure = repr(error)


async def measure(plan: Plan) -> int:
    seconds = plan.seconds(_SECONDS)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder())
        url = await stack.enter_async_context(database(folder))
        server = await stack.enter_async_context(serai_on(url, folder))
        pool = await connect(url, Postgres(), application_name="bench", size=2)
        stack.push_async_callback(pool.close)
        people = await make_members(pool, _AUTHORS)
        (post_id,) = await make_posts(pool, people, [_COMMUNITY])
        await pool.execute("analyze")
        pids = await server.pids("gateway", "thread", "shard")
        writer = Writer(server, post_id, people)

        async def durable(per_second: float) -> Readers:
            async with writer.writing(per_second):
                return await read_channel(
                    server.port, pids, channel=f"thread:{post_id}", connections=SOCKETS,
                    seconds=seconds, stamp="committed_ns",
                )  # fmt: skip

        # A few readers first: the first subscriptions and comments plan their statements.
        async with writer.writing(RATES[0]):
            await read_channel(
                server.port, pids, channel=f"thread:{post_id}", connections=10, seconds=1
            )
        rows: list[tuple[object, ...]] = []
        checks: list[Check] = []
        everything: list[Readers] = []
        behind: list[str] = []
        writer.skipped = 0  # before, it was the warm-up's
        for rate in RATES:
            ours: list[Readers] = []
            bare: list[Readers] = []
            for number in range(1, plan.rounds + 1):
                ours.append(await durable(rate))
                bare.append(await measure_gateway(rate, SOCKETS, seconds, together=True))
                rows += [
                    _row(rate, number, "serai", ours[-1]),
                    _row(rate, number, "bare", bare[-1]),
                ]
            everything += [*ours, *bare]
            checks += _checks(rate, ours, bare)
            baseline = rate_check("", [r.deliveries_per_s for r in bare], rate * SOCKETS)
            if not baseline.reached:  # the machine is too slow, or too busy, for what is asked
                behind.append(
                    f"the bare fan-out reached {baseline.value:.2f} of {rate:g}/s, not {REACHED}"
                )
    checks.append(Check("comments not written in time", writer.skipped, "<=", 0, ""))
    checks += fault_checks(everything)
    details = {"goal": {f"{rate:g}/s": goal for rate, goal in GOAL_CPU.items()}}
    headings = (
        "rate/s", "round", "path", "CPU s/M", "cores", "deliveries/s", "a recv", "p50 ms", "p99 ms",
    )  # fmt: skip
    verdict = Verdict(3, checks, plan.rounds, {**details, **saturation(everything)}, behind)
    return conclude(verdict, headings, rows)


def _row(rate: float, number: int, path: str, readers: Readers) -> tuple[object, ...]:
    return (
        f"{rate:g}", number, path, readers.cpu_s_per_million, readers.server_cpu,
        readers.deliveries_per_s, readers.msgs_per_recv, readers.latency_p50_ms,
        readers.latency_p99_ms,
    )  # fmt: skip


def _checks(rate: float, ours: Sequence[Readers], bare: Sequence[Readers]) -> list[Check]:
    cpu = median_ratio([r.cpu_s_per_million for r in ours], [r.cpu_s_per_million for r in bare])
    p99 = median_ratio([r.latency_p99_ms for r in ours], [r.latency_p99_ms for r in bare])
    return [
        Check(f"CPU at {rate:g}/s / bare fan-out", cpu, "<=", MUST_CPU[rate]),
        Check(f"p99 at {rate:g}/s / bare fan-out", p99, "<=", MUST_P99),
        rate_check(
            f"deliveries at {rate:g}/s / asked", [r.deliveries_per_s for r in ours], rate * SOCKETS
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 3: commit to delivery against the bare fan-out."))
