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
from benchmarks.load import URL_PATH, Faults, fault_checks, rate_check, wsload
from benchmarks.machine import BenchmarkError, cpu_seconds, work_folder
from benchmarks.namespaces import namespaces, why_not
from benchmarks.plan import Plan
from benchmarks.population import make_members, make_posts, texts, token_of
from benchmarks.program import run_bar
from benchmarks.ray_nodes import ONE_GATEWAY_A_NODE, PORT, ClusterError, NodesServer
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


class Delivered(Faults, frozen=True, kw_only=True):
    connections_ok: int
    delivered_total: int
    deliveries_per_s: float


class Round(msgspec.Struct, frozen=True):
    per_cpu_second: float
    per_second: float
    delivered: list[Delivered]


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


async def measure_shape(shape: Shape, seconds: float) -> Round:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder())
        nodes = stack.enter_context(namespaces(shape.nodes))
        env = {
            "SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": str(shape.gateways),
            "SERAI_GATEWAY__DRAIN_SECONDS": "0.2",
            "SERAI_LOG_LEVEL": "WARNING",
        }
        if shape.nodes == shape.gateways:
            env |= ONE_GATEWAY_A_NODE
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
        load = [
            "--url", f"ws://127.0.0.1:{PORT}{URL_PATH}", "--channel", f"thread:{post}", "--track",
            "--connections", str(sockets), "--ramp", "1000", "--warmup", "1",
            "--seconds", str(seconds),
        ]  # fmt: skip
        async with _writing(server.url(0), post, server.secret, people):
            before = cpu_seconds(pids)
            results: list[dict[str, Any]] = await asyncio.gather(
                *(wsload(load, seconds + 5, *node.command()) for node in nodes)
            )
            used = cpu_seconds(pids) - before
    counts = [msgspec.convert(result, Delivered) for result in results]
    if any(c.connections_ok != sockets or not c.delivered_total for c in counts):
        raise BenchmarkError(f"not everybody was served: {counts}")
    return Round(
        sum(c.delivered_total for c in counts) / used,
        sum(c.deliveries_per_s for c in counts),
        counts,
    )


async def measure(plan: Plan) -> int:
    missing = why_not()
    if missing:
        raise BenchmarkError(missing)
    seconds = plan.seconds(_SECONDS)
    shapes = (ONE, TWO_GATEWAYS, TWO_NODES)
    done: dict[str, list[Round]] = {shape.name: [] for shape in shapes}
    rows: list[tuple[object, ...]] = []
    for number in range(1, plan.rounds + 1):
        for shape in shapes:
            figure = await measure_shape(shape, seconds)
            done[shape.name].append(figure)
            rows.append(
                (number, shape.name, SOCKETS * shape.gateways, figure.per_cpu_second,
                 figure.per_second)
            )  # fmt: skip
    rates = {
        shape: rate_check(
            f"{shape.name}: deliveries / asked",
            [figure.per_second for figure in done[shape.name]],
            PER_SECOND * SOCKETS * shape.gateways,
        )
        for shape in shapes
    }
    one = [figure.per_cpu_second for figure in done[ONE.name]]
    everything = [
        each for rounds in done.values() for figure in rounds for each in figure.delivered
    ]
    verdict = Verdict(
        14,
        [
            *(
                Check(
                    f"{shape.name} / one of each",
                    median_ratio([figure.per_cpu_second for figure in done[shape.name]], one),
                    ">=",
                    MUST,
                )
                for shape in (TWO_GATEWAYS, TWO_NODES)
            ),
            rates[TWO_GATEWAYS],
            rates[TWO_NODES],
            *fault_checks(everything),
        ],
        plan.rounds,
        {"sockets_per_gateway": SOCKETS, "comments_per_s": PER_SECOND},
        # The machine is too slow, or too busy, for what is asked.
        [] if rates[ONE].reached else [f"{ONE.name} reached {rates[ONE].value:.2f} of the rate"],
    )
    headings = ("round", "servers", "sockets", "deliveries a CPU s", "deliveries/s")
    return conclude(verdict, headings, rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 14: deliveries a CPU second on more gateways and nodes."))
