"""Bar 8: 5,000 sockets lose their connection at once and come back with (epoch, offset).

Ours: a gateway process (storm_gateway.py) with 100 streams and 100 publications a second that go on
all the while; from the moment when all reconnect to the last reply that recovered its subscription.
Baseline: aiohttp's WebSocket alone, 5,000 connect() at once; the time from connect() to the end of
the handshake, the 99th percentile: a little less than all take. wsload fails where an offset is
missing, comes twice or out of order on any of the sockets.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import msgspec

from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.load import URL_PATH
from benchmarks.machine import (
    BenchmarkError,
    built,
    cpu_seconds,
    free_port,
    json_of,
    module,
    running,
    work_folder,
)
from benchmarks.plan import Plan
from benchmarks.program import run_bar
from benchmarks.storm_gateway import channel_names

MUST: Final = 2.0
SOCKETS: Final = 5_000
CHANNELS: Final = 100
PER_SECOND: Final = 100.0
_SECONDS: Final = 6.0
_AWAY_SECONDS: Final = 1.0
_AT_ONCE: Final = 1_000_000


class Storm(msgspec.Struct, frozen=True):
    storm_back: int
    storm_all_back_ms: float
    storm_publications: int
    storm_unrecovered: int
    storm_lost: int
    order_missing: int
    order_duplicates: int
    order_reorders: int
    latency_p99_ms: float


class Handshakes(msgspec.Struct, frozen=True):
    connections_ok: int
    handshake_p99_ms: float


async def _wsload(port: int, seconds: float, *kind: str) -> dict[str, Any]:
    return await json_of(
        [
            str(built("wsload/wsload.c")), "--url", f"ws://127.0.0.1:{port}{URL_PATH}", *kind,
            "--json", "--connections", str(SOCKETS), "--timeout", "60",
        ],
        seconds + 60,
    )  # fmt: skip


async def _storm(seconds: float) -> tuple[Storm, float]:
    """And the CPU seconds of the gateway over the whole run."""
    port = free_port()
    channels = [part for name in channel_names(CHANNELS) for part in ("--channel", name)]
    with work_folder() as metrics:
        env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        command = module("benchmarks.storm_gateway", port, PER_SECOND, CHANNELS)
        async with running(command, env=env) as gateway:
            result = await _wsload(
                port, seconds, *channels, "--recoverable", "--track", "--ramp", "1500",
                "--seconds", str(seconds), "--warmup", "1",
                "--reconnect-storm", str(SOCKETS), "--storm-pause", str(_AWAY_SECONDS),
            )  # fmt: skip
            used = cpu_seconds([gateway.pid])
    storm = msgspec.convert(result, Storm)
    if storm.storm_back != SOCKETS or not storm.storm_publications:
        raise BenchmarkError(f"{storm.storm_back} came back, {storm.storm_publications} recovered")
    return storm, used


async def _handshakes() -> Handshakes:
    port = free_port()
    async with running(module("benchmarks.baseline.bare_websocket", port)):
        result = await _wsload(
            port, 1, "--plain", "--ramp", str(_AT_ONCE), "--seconds", "0.2", "--warmup", "0"
        )
    handshakes = msgspec.convert(result, Handshakes)
    if handshakes.connections_ok != SOCKETS:
        raise BenchmarkError(f"{handshakes.connections_ok} bare handshakes succeeded")
    return handshakes


async def measure(plan: Plan) -> int:
    seconds = max(4.0, plan.seconds(_SECONDS))
    storms: list[Storm] = []
    bare: list[Handshakes] = []
    rows: list[tuple[object, ...]] = []
    for number in range(1, plan.rounds + 1):
        storm, used = await _storm(seconds)
        storms.append(storm)
        bare.append(await _handshakes())
        rows += [
            (number, "storm", f"{storm.storm_all_back_ms:.0f}", storm.storm_publications,
             storm.order_missing, storm.order_duplicates, f"{used:.1f}"),
            (number, "bare handshakes", f"{bare[-1].handshake_p99_ms:.0f}", 0, 0, 0, "-"),
        ]  # fmt: skip
    ratio = median_ratio([s.storm_all_back_ms for s in storms], [h.handshake_p99_ms for h in bare])
    lost = sum(s.order_missing + s.storm_lost + s.storm_unrecovered for s in storms)
    twice = sum(s.order_duplicates + s.order_reorders for s in storms)
    verdict = Verdict(
        8,
        [
            Check("all back / bare handshakes", ratio, "<=", MUST),
            Check("publications lost", lost, "<=", 0, ""),
            Check("twice or out of order", twice, "<=", 0, ""),
        ],
        plan.rounds,
        {"sockets": SOCKETS, "channels": CHANNELS, "publications_per_s": PER_SECOND},
    )
    headings = ("round", "what", "ms", "recovered", "missing", "twice", "CPU s")
    return conclude(verdict, headings, rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 8: a reconnect storm against bare handshakes."))
