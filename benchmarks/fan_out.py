"""Bar 1: what it costs a gateway to write one publication to each of 1,000 sockets.

Ours: a gateway process with an in-process shard (bare_gateway.py). Baseline: sendloop.c, which does
nothing but send(). The same readers for both, in turn. A publication's data is 200 bytes in both;
ours adds the protocol's frame around it, which is part of the cost.

Server and readers have a core each, and the readers never sleep. Else the sender's kernel wakes
them, on its account: hardly ever where they are behind, for every message where they are quicker
than it. The slower of two senders paid 1.5 us more a message for readers that slept.
"""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.bare_gateway import CHANNEL, PUBLICATION_BYTES
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.load import Readers, fault_checks, rate_check, read_channel
from benchmarks.machine import built, free_port, module, on_core, running, work_folder
from benchmarks.plan import Plan
from benchmarks.program import run_bar

MUST: Final = 1.25
GOAL: Final = 1.10
SOCKETS: Final = 1_000
PER_SECOND: Final = 30.0
_SECONDS: Final = 10.0
_SERVER_CORE: Final = 0
_READER_CORE: Final = 1


async def measure_gateway(
    rate: float,
    sockets: int,
    seconds: float,
    *,
    together: bool = False,
    burst: int = 1,
    apart: bool = False,
) -> Readers:
    """A gateway by itself, started for this and ended after it. Options: see SteadyShard; `apart`:
    on a core of its own, as its readers."""
    port = free_port()
    options = [f"burst={burst}", *(["together"] if together else [])]
    command = module("benchmarks.bare_gateway", port, rate, *options)
    if apart:
        command = [*on_core(_SERVER_CORE), *command]
    with work_folder() as metrics:
        # As in the server, where counters live in files that all processes share.
        env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        async with running(command, env=env) as gateway:
            return await read_channel(
                port, [gateway.pid], channel=CHANNEL, connections=sockets, seconds=seconds,
                spinning_on=_READER_CORE if apart else None,
            )  # fmt: skip


async def measure_send_loop(
    rate: float, sockets: int, seconds: float, *, burst: int = 1
) -> Readers:
    port = free_port()
    program = str(built("sendloop.c"))
    command = [program, str(port), str(rate), str(PUBLICATION_BYTES), str(burst)]
    async with running([*on_core(_SERVER_CORE), *command]) as loop:
        return await read_channel(
            port, [loop.pid], channel=None, connections=sockets, seconds=seconds,
            spinning_on=_READER_CORE,
        )  # fmt: skip


async def compare(
    plan: Plan, bar: int, *, must: float, goal: float, rate: float, burst: int = 1
) -> int:
    seconds = plan.seconds(_SECONDS)
    ours: list[Readers] = []
    floor: list[Readers] = []
    for _ in range(plan.rounds):
        ours.append(await measure_gateway(rate, SOCKETS, seconds, burst=burst, apart=True))
        floor.append(await measure_send_loop(rate, SOCKETS, seconds, burst=burst))
    ratio = median_ratio([r.cpu_s_per_million for r in ours], [r.cpu_s_per_million for r in floor])
    rows = [
        (number, name, r.cpu_s_per_million, r.server_user_s_per_million,
         r.server_sys_s_per_million, r.deliveries_per_s, r.latency_p50_ms, r.latency_p99_ms)
        for number, pair in enumerate(zip(ours, floor, strict=True), 1)
        for name, r in zip(("gateway", "C send()"), pair, strict=True)
    ]  # fmt: skip
    verdict = Verdict(
        bar,
        [
            Check("CPU of gateway / C loop", ratio, "<=", must),
            rate_check("rate", [r.deliveries_per_s for r in ours], rate * burst * SOCKETS),
            *fault_checks([*ours, *floor]),
        ],
        plan.rounds,
        {"goal": goal, "sockets": SOCKETS},
    )
    headings = ("round", "server", "CPU s/M", "user", "system", "deliveries/s", "p50 ms", "p99 ms")
    return conclude(verdict, headings, rows)


async def measure(plan: Plan) -> int:
    return await compare(plan, 1, must=MUST, goal=GOAL, rate=PER_SECOND)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 1: fan-out cost against a C send() loop."))
