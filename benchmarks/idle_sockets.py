"""Bar 7: memory of a socket that is connected, subscribed and silent, at 10,000 of them.

Ours: a gateway process with an in-process shard that publishes nothing (bare_gateway.py). Baseline:
aiohttp's WebSocket alone. Growth from before the first socket to when all are there, RSS and PSS.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from typing import Final

import msgspec

from benchmarks.bare_gateway import CHANNEL
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.load import URL_PATH
from benchmarks.machine import (
    BenchmarkError,
    built,
    free_port,
    json_of,
    module,
    running,
    work_folder,
)
from benchmarks.plan import Plan
from benchmarks.program import run_bar

MUST: Final = 1.3
GOAL_KB: Final = 16.0
SOCKETS: Final = 10_000
_OWN_FILES: Final = 500
FILES: Final = 2 * SOCKETS + _OWN_FILES
_NEVER: Final = 0.0001
_SECONDS: Final = 3.0
_PER_SECOND: Final = 500


class Growth(msgspec.Struct, frozen=True):
    connections_ok: int
    rss_per_connection_kb: float
    pss_per_connection_kb: float


async def _idle(port: int, pid: int, sockets: int, seconds: float, *kind: str) -> Growth:
    result = await json_of(
        [
            str(built("wsload/wsload.c")), "--url", f"ws://127.0.0.1:{port}{URL_PATH}", *kind,
            "--json", "--connections", str(sockets), "--ramp", str(_PER_SECOND),
            "--warmup", "2", "--seconds", str(seconds), "--server-pids", str(pid),
        ],
        sockets / _PER_SECOND + 2 + seconds,
    )  # fmt: skip
    growth = msgspec.convert(result, Growth)
    if growth.connections_ok != sockets:
        raise BenchmarkError(f"{growth.connections_ok} of {sockets} sockets came")
    return growth


async def _gateway(sockets: int, seconds: float) -> Growth:
    port = free_port()
    with work_folder() as metrics:
        env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        async with running(module("benchmarks.bare_gateway", port, _NEVER), env=env) as gateway:
            return await _idle(port, gateway.pid, sockets, seconds, "--channel", CHANNEL)


async def _bare(sockets: int, seconds: float) -> Growth:
    port = free_port()
    async with running(module("benchmarks.baseline.bare_websocket", port)) as server:
        return await _idle(port, server.pid, sockets, seconds, "--plain", "--hello", "hello")


def affordable() -> int:
    """How many of the sockets the limit of open files allows: two descriptors a socket in the
    gateway, and some for itself."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < FILES:
        with suppress(ValueError, OSError):  # root may
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
            hard = FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return SOCKETS if hard == resource.RLIM_INFINITY else min(SOCKETS, (hard - _OWN_FILES) // 2)


async def measure(plan: Plan) -> int:
    sockets = affordable()
    seconds = plan.seconds(_SECONDS)
    ours: list[Growth] = []
    bare: list[Growth] = []
    for _ in range(plan.rounds):
        ours.append(await _gateway(sockets, seconds))
        bare.append(await _bare(sockets, seconds))
    rows = [
        (number, name, one.connections_ok, one.rss_per_connection_kb, one.pss_per_connection_kb)
        for number, pair in enumerate(zip(ours, bare, strict=True), 1)
        for name, one in zip(("gateway", "aiohttp alone"), pair, strict=True)
    ]
    rss = median_ratio(
        [g.rss_per_connection_kb for g in ours], [g.rss_per_connection_kb for g in bare]
    )
    pss = median_ratio(
        [g.pss_per_connection_kb for g in ours], [g.pss_per_connection_kb for g in bare]
    )
    fewer = (
        [f"{sockets} sockets instead of {SOCKETS}; the hard limit of open files must be {FILES}"]
        if sockets < SOCKETS
        else []
    )
    verdict = Verdict(
        7,
        [
            Check("RSS a socket / aiohttp alone", rss, "<=", MUST),
            Check("PSS a socket / aiohttp alone", pss, "<=", MUST),
        ],
        plan.rounds,
        {"goal_kb": GOAL_KB, "sockets": sockets},
        fewer,
    )
    return conclude(verdict, ("round", "server", "sockets", "RSS kB", "PSS kB"), rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 7: memory of an idle socket against aiohttp alone."))
