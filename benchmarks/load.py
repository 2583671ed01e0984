"""The two load programs and what they report: wsload reads WebSockets, httpload calls HTTP."""

from __future__ import annotations

import statistics
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.figures import Check
from benchmarks.machine import BenchmarkError, built, json_of, on_core

_BUSY: Final = 0.9
URL_PATH: Final = "/connection/websocket"
KEY: Final = "@" * 16
"""Where this stands in a request, httpload puts sixteen fresh hex digits each time."""


# wsload's exit status where connections were lost or refused, and where --track saw a fault. Then
# its counts are the figure: what the server loses or sends twice misses a bar.
_COUNTED: Final = (0, 1, 3)


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What a run under --track must not see."""

    connections_dropped: int = 0
    order_missing: int = 0
    order_duplicates: int = 0
    order_reorders: int = 0


class Readers(Faults, frozen=True, kw_only=True):
    """What readers of one channel got. CPU is that of the processes named to `read_channel`."""

    connections_ok: int
    delivered: int
    deliveries_per_s: float
    msgs_per_recv: float
    latency_p50_ms: float
    latency_p99_ms: float
    server_cpu: float
    server_user_s_per_million: float
    server_sys_s_per_million: float
    own_cpu: float

    @property
    def cpu_s_per_million(self) -> float:
        return self.server_user_s_per_million + self.server_sys_s_per_million


async def read_channel(
    port: int,
    pids: Sequence[int],
    *,
    channel: str | None,
    connections: int,
    seconds: float,
    warmup_seconds: float = 1.0,
    stamp: str = "sent_ns",
    spinning_on: int | None = None,
) -> Readers:
    """`connections` subscribers of a channel for some seconds; `channel` None speaks no protocol
    and counts raw messages. Latency runs from the `stamp` in the data to its arrival. `spinning_on`
    gives the readers a core of their own, on which they never sleep."""
    kind = ["--plain"] if channel is None else ["--channel", channel, "--track"]
    within: list[str] = []
    if spinning_on is not None:
        kind.append("--spin")
        within = on_core(spinning_on)
    result = await wsload(
        [
            "--url", f"ws://127.0.0.1:{port}{URL_PATH}", *kind, "--connections", str(connections),
            "--ramp", "2000", "--warmup", str(warmup_seconds), "--seconds", str(seconds),
            "--marker", f'"{stamp}":', "--server-pids", ",".join(map(str, pids)),
        ],
        connections / 2000 + warmup_seconds + seconds, *within,
    )  # fmt: skip
    if result["connections_ok"] != connections or not result["delivered"]:
        raise BenchmarkError(
            f"{result['connections_ok']} readers got {result['delivered']} messages"
        )
    return msgspec.convert(result, Readers)


async def wsload(arguments: Sequence[str], seconds: float, *within: str) -> dict[str, Any]:
    """What wsload counted in some `seconds`; `within` is the command that it is run by. Callers
    check `connections_ok` and judge the Faults."""
    program = str(built("wsload/wsload.c"))
    return await json_of([*within, program, *arguments, "--json"], seconds, accepted=_COUNTED)


def fault_checks(runs: Sequence[Faults]) -> list[Check]:
    """That no reader was cut off, and that each got all publications once and in order."""
    twice = sum(run.order_duplicates + run.order_reorders for run in runs)
    return [
        Check("readers cut off", sum(run.connections_dropped for run in runs), "<=", 0, ""),
        Check("publications lost", sum(run.order_missing for run in runs), "<=", 0, ""),
        Check("twice or out of order", twice, "<=", 0, ""),
    ]


REACHED: Final = 0.95
"""The part of a rate asked for that counts as reached."""


def rate_check(name: str, deliveries_per_s: Sequence[float], asked: float) -> Check:
    """That the rounds' median is the rate that the figures are for."""
    return Check(name, statistics.median(deliveries_per_s) / asked, ">=", REACHED)


class Answers(msgspec.Struct, frozen=True):
    """What HTTP callers got; latency is that of answers with a 2xx status."""

    answered: int
    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    first_failure: int
    mb_per_s: float
    own_cpu: float


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)) + request)
    return path


def http_request(
    method: str, path: str, port: int, headers: Mapping[str, str], body: bytes = b""
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def call_repeatedly(
    port: int, requests: Path, connections: int, seconds: float, warmup_seconds: float = 0.5
) -> Answers:
    """Each connection sends its next request when the last one is answered. An answer that is not
    2xx ends the bar: a refused request is not the work that is measured."""
    result = await json_of(
        [
            str(built("httpload.c")),
            *map(str, (port, connections, warmup_seconds, seconds, requests)),
        ],
        warmup_seconds + seconds,
    )
    answers = msgspec.convert(result, Answers)
    if answers.failed or not answers.answered:
        raise BenchmarkError(
            f"{answers.failed} of {answers.failed + answers.answered} requests failed,"
            f" the first with {answers.first_failure}"
        )
    return answers


def saturation(loads: Iterable[Readers | Answers]) -> dict[str, bool]:
    """Says so where a load program itself used most of a core and may have been the limit."""
    return {"load_was_busy": True} if any(load.own_cpu > _BUSY for load in loads) else {}
