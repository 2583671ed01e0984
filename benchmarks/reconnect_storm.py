"""Bar 8: 5,000 sockets lose their connection at once and come back with (epoch, offset).

Ours: a gateway process (storm_gateway.py) with 100 streams and 100 publications a second that go on
all the while; from the moment when all reconnect to the last reply that recovered its subscription.
Baseline: aiohttp's WebSocket alone, 5,000 connect() at once; the time from connect() to the end of
the handshake, the 99th percentile: a little less than all take. A socket that does not come back,
and an offset that is missing, comes twice or out of order on any of them, misses the bar.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import msgspec

from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.load import URL_PATH, Faults, fault_checks, wsload
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
from benchmarks.storm_gateway import channel_names

MUST: Final = 2.0
SOCKETS: Final = 5_000
CHANNELS: Final = 100
PER_SECOND: Final = 100.0
_SECONDS: Final = 6.0
_AWAY_SECONDS: Final = 1.0
_AT_ONCE: Final = 1_000_000
_TIMEOUT_SECONDS: Final = 60.0


class Storm(Faults, frozen=True, kw_only=True):
    connections_ok: int
    storm_back: int
    storm_all_back_ms: float | None
    storm_publications: int
    storm_unrecovered: int
    storm_lost: int

    @property
    def back_ms(self) -> float:
        """Where not all came back, as long as the others were waited for: at least that."""
        if self.storm_all_back_ms is None:
            return _TIMEOUT_SECONDS * 1_000
        return self.storm_all_back_ms


class Handshakes(msgspec.Struct, frozen=True):
    connections_ok: int
    handshake_p99_ms: float


async def _wsload(port: int, seconds: float, *kind: str) -> dict[str, Any]:
    return await wsload(
        [
            "--url", f"ws://127.0.0.1:{port}{URL_PATH}", *kind,
            "--connections", str(SOCKETS), "--timeout", str(_TIMEOUT_SECONDS),
        ],
        seconds + _TIMEOUT_SECONDS,
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
    if storm.connections_ok != SOCKETS:
        raise BenchmarkError(f"{storm.connections_ok} of {SOCKETS} sockets came")
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
            (number, "storm", f"{storm.back_ms:.0f}", storm.storm_publications,
             storm.order_missing, storm.order_duplicates, f"{used:.1f}"),
            (number, "bare handshakes", f"{bare[-1].handshake_p99_ms:.0f}", 0, 0, 0, "-"),
        ]  # fmt: skip
    ratio = median_ratio([s.back_ms for s in storms], [h.handshake_p99_ms for h in bare])
    lost = sum(s.storm_lost + s.storm_unrecovered for s in storms)
    recovered = min(s.storm_publications for s in storms)
    verdict = Verdict(
        8,
        [
            Check("all back / bare handshakes", ratio, "<=", MUST),
            Check("did not come back", SOCKETS - min(s.storm_back for s in storms), "<=", 0, ""),
            Check("came back without what they missed", lost, "<=", 0, ""),
            Check("publications recovered", recovered, ">=", 1, ""),
            *fault_checks(storms),
        ],
        plan.rounds,
        {"sockets": SOCKETS, "channels": CHANNELS, "publications_per_s": PER_SECOND},
    )
    headings = ("round", "what", "ms", "recovered", "missing", "twice", "CPU s")
    return conclude(verdict, headings, rows)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 8: a reconnect storm against bare handshakes."))
