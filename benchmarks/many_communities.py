"""Bar 13: does a delivery cost more when the same traffic is spread over many communities?

1,000 sockets, 300 publications a second, each to 10 subscribers: in one community, in 100, and in
10,000 (then each socket follows 100). Everything is the same but the number of channels that the
gateway and its link keep. CPU of the gateway process for each million deliveries.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

import msgspec

from benchmarks.bare_gateway import channel_name
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.machine import (
    BenchmarkError,
    cpu_seconds,
    free_port,
    module,
    running,
    work_folder,
)
from benchmarks.plan import Plan
from benchmarks.program import run_bar
from benchmarks.socket_reader import SocketReader

MUST: Final = 1.3
COMMUNITIES: Final = (1, 100, 10_000)
SOCKETS: Final = 1_000
SUBSCRIBERS: Final = 10
PER_SECOND: Final = 300.0
_SECONDS: Final = 10.0
_WARMUP_SECONDS: Final = 1.0
_AT_ONCE: Final = 10
_READY_SECONDS: Final = 120.0


class Cost(msgspec.Struct, frozen=True):
    communities: int
    delivered: int
    cpu_s_per_million: float


async def _connect(port: int, communities: int) -> list[SocketReader]:
    channels: list[list[str]] = [[] for _ in range(SOCKETS)]
    for number in range(communities):
        for place in range(SUBSCRIBERS):
            channels[(number * SUBSCRIBERS + place) % SOCKETS].append(channel_name(number))
    readers: list[SocketReader] = []
    async with asyncio.timeout(_READY_SECONDS):
        for start in range(0, SOCKETS, _AT_ONCE):
            batch = [SocketReader(names) for names in channels[start : start + _AT_ONCE]]
            await asyncio.gather(*(reader.connect(port) for reader in batch))
            readers += batch
    return readers


async def measure_spread(communities: int, seconds: float) -> Cost:
    port = free_port()
    with work_folder() as metrics:
        env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        command = module("benchmarks.bare_gateway", port, PER_SECOND, f"channels={communities}")
        async with running(command, env=env) as gateway:
            readers = await _connect(port, communities)
            try:
                await asyncio.sleep(_WARMUP_SECONDS)
                before, cpu = sum(r.publications for r in readers), cpu_seconds([gateway.pid])
                began = time.monotonic()
                await asyncio.sleep(seconds)
                delivered = sum(r.publications for r in readers) - before
                used = cpu_seconds([gateway.pid]) - cpu
                expected = PER_SECOND * SUBSCRIBERS * (time.monotonic() - began)
                lost = sum(r.lost for r in readers)
            finally:
                for reader in readers:
                    reader.close()
    if lost:
        raise BenchmarkError(f"{lost} of {SOCKETS} readers were cut off")
    if not 0.8 * expected <= delivered <= 1.2 * expected:
        raise BenchmarkError(f"{delivered} deliveries, {expected:.0f} were to come")
    return Cost(communities, delivered, used / delivered * 1e6)


async def measure(plan: Plan) -> int:
    seconds = plan.seconds(_SECONDS)
    costs: dict[int, list[Cost]] = {communities: [] for communities in COMMUNITIES}
    for _ in range(plan.rounds):
        for communities in COMMUNITIES:
            costs[communities].append(await measure_spread(communities, seconds))
    one = [cost.cpu_s_per_million for cost in costs[1]]
    checks = [
        Check(
            f"{communities} communities / one",
            median_ratio([cost.cpu_s_per_million for cost in costs[communities]], one),
            "<=",
            MUST,
        )
        for communities in COMMUNITIES[1:]
    ]
    rows = [
        (number, cost.communities, cost.delivered, cost.cpu_s_per_million)
        for number in range(1, plan.rounds + 1)
        for cost in (costs[communities][number - 1] for communities in COMMUNITIES)
    ]
    verdict = Verdict(13, checks, plan.rounds, {"sockets": SOCKETS, "subscribers": SUBSCRIBERS})
    return conclude(verdict, ("round", "communities", "delivered", "CPU s/M"), rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 13: cost of a delivery over many communities."))
