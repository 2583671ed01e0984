"""Bar 14: deliveries a CPU second when gateways and nodes are doubled, and their sockets with them.

Nodes are network namespaces on this machine (namespaces.py, root), the server is the whole one,
with comments by HTTP at a steady rate; CPU is that of gateways, thread and shard. One gateway on
one node is the baseline of every round.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from uuid import UUID

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from actors.messages import Caller
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.load import URL_PATH
from benchmarks.machine import BenchmarkError, built, cpu_seconds, json_of, work_folder
from benchmarks.namespaces import namespaces, why_not
from benchmarks.plan import Plan
from benchmarks.population import make_members, make_posts, texts, token_of
from benchmarks.program import run_bar
from benchmarks.ray_nodes import PORT, ClusterError, NodesServer
from config.settings import Postgres
from storage.embedded.postgres import running_postgres_url
from storage.postgres import connect

MUST: Final = 0.9
SOCKETS: Final = 1_000
"""For each gateway."""
PER_SECOND: Final = 20.0
_SECONDS: Final = 6.0
_AUTHORS: Final = 16
_COMMUNITY: Final = "de-student"


class Delivered(msgspec.Struct, frozen=True):
    connections_ok: int
    delivered_total: int


class Shape(msgspec.Struct, frozen=True):
    name: str
    nodes: int
    gateways: int


ONE: Final = Shape("1 gateway, 1 node", 1, 1)
TWO_GATEWAYS: Final = Shape("2 gateways, 1 node", 1, 2)
TWO_NODES: Final = Shape("2 gateways, 2 nodes", 2, 2)


@asynccontextmanager
async def _writing(
    url: str, post: UUID, secret: str, people: Sequence[Caller]
) -> AsyncIterator[None]:
    tokens = [token_of(person, secret) for person in people]
    words = texts()
    failures: list[str] = []

    async def write() -> None:
        loop = asyncio.get_running_loop()
        due, number = loop.time(), 0
        async with ClientSession(timeout=ClientTimeout(total=30)) as session:
            while not failures:
                due += 1 / PER_SECOND
                await asyncio.sleep(max(0.0, due - loop.time()))
                headers = {"Authorization": f"Bearer {tokens[number % len(tokens)]}"}
                number += 1
                try:
                    async with session.post(
                        f"{url}/api/v1/posts/{post}/comments",
                        json={"body_markdown": next(words)}, headers=headers,
                    ) as answer:  # fmt: skip
                        if answer.status != 201:
                            failures.append(f"{answer.status} {await answer.text()}")
                except (ClientError, TimeoutError) as error:
                    failures.append(repr(error))

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    if failures:
        raise BenchmarkError(f"a comment was refused: {failures[0]}")


async def _deliveries_per_cpu_second(shape: Shape, seconds: float) -> float:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder())
        nodes = stack.enter_context(namespaces(shape.nodes))
        env = {
            "SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": str(shape.gateways),
            "SERAI_GATEWAY__DRAIN_SECONDS": "0.2",
            "SERAI_LOG_LEVEL": "WARNING",
        }
        server = NodesServer(nodes, folder, env)
        running = server.running()
        try:
            await asyncio.to_thread(running.__enter__)
        except ClusterError as error:
            raise BenchmarkError(f"the cluster does not start:\n{str(error)[-2000:]}") from error
        stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
        database = running_postgres_url(server.data_dir / "postgres")
        if database is None:
            raise BenchmarkError("PostgreSQL does not run")
        pool = await connect(database, Postgres(), application_name="bench", size=2)
        stack.push_async_callback(pool.close)
        people = await make_members(pool, _AUTHORS)
        (post,) = await make_posts(pool, people, [_COMMUNITY])
        pids = [
            pid for role in ("gateway", "thread", "shard")
            for pid in await asyncio.to_thread(server.pids, role)
        ]  # fmt: skip
        sockets = SOCKETS * shape.gateways // shape.nodes
        loads = [
            nodes[number].command(
                str(built("wsload/wsload.c")), "--url", f"ws://127.0.0.1:{PORT}{URL_PATH}",
                "--channel", f"thread:{post}", "--track", "--json", "--connections", str(sockets),
                "--ramp", "1000", "--warmup", "1", "--seconds", str(seconds),
            )
            for number in range(shape.nodes)
        ]  # fmt: skip
        async with _writing(server.url(0), post, server.secret, people):
            before = cpu_seconds(pids)
            results: list[dict[str, Any]] = await asyncio.gather(
                *(json_of(load, seconds + 5) for load in loads)
            )
            used = cpu_seconds(pids) - before
    counts = [msgspec.convert(result, Delivered) for result in results]
    if any(c.connections_ok != sockets or not c.delivered_total for c in counts):
        raise BenchmarkError(f"not everybody was served: {counts}")
    return sum(c.delivered_total for c in counts) / used


async def measure(plan: Plan) -> int:
    missing = why_not()
    if missing:
        raise BenchmarkError(missing)
    seconds = plan.seconds(_SECONDS)
    figures: dict[str, list[float]] = {shape.name: [] for shape in (ONE, TWO_GATEWAYS, TWO_NODES)}
    rows: list[tuple[object, ...]] = []
    for number in range(1, plan.rounds + 1):
        for shape in (ONE, TWO_GATEWAYS, TWO_NODES):
            figure = await _deliveries_per_cpu_second(shape, seconds)
            figures[shape.name].append(figure)
            rows.append((number, shape.name, SOCKETS * shape.gateways, figure))
    one = figures[ONE.name]
    verdict = Verdict(
        14,
        [
            Check(f"{shape.name} / one of each", median_ratio(figures[shape.name], one), ">=", MUST)
            for shape in (TWO_GATEWAYS, TWO_NODES)
        ],
        plan.rounds,
        {"sockets_per_gateway": SOCKETS, "comments_per_s": PER_SECOND},
    )
    return conclude(verdict, ("round", "servers", "sockets", "deliveries a CPU s"), rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 14: deliveries a CPU second on more gateways and nodes."))
