"""Bar 10: many requests a Serve call against one Serve call a request.

One process calls one deployment with 64 and with 256 requests in flight. Ours goes through
serve_app/batched_handle.py and a line, as a gateway's reads do (two calls in flight); the baseline
makes a Serve call for each request, over gRPC, with the same bytes. The answer is a page of 2 KB.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import ray
import uvloop
from ray import serve
from ray.serve.schema import LoggingConfig

from actors.messages import GUEST, Outcome, ReadPost, Reply, ThreadRequest
from benchmarks.figures import Check, Verdict, conclude, median_ratio
from benchmarks.machine import BenchmarkError, work_folder
from benchmarks.plan import Plan, read_plan
from serve_app.batched_handle import BatchedHandle, Send, encode
from serve_app.deployment_lines import DeploymentLines, asks_serve
from serve_app.lines import Address, LineServer, line_key

MUST: Final = {64: 6.0, 256: 10.0}
PAGE_BYTES: Final = 2_048
_SECONDS: Final = 5.0
_WARMUP_SECONDS: Final = 1.0
_OBJECT_STORE_BYTES: Final = 100 * 1024 * 1024
_KEY: Final = line_key(secrets.token_hex(32), "thread")

_REQUEST: Final = ReadPost(GUEST, UUID("01900000-0000-7000-8000-000000000001"))
_decode_outcomes: Final = msgspec.msgpack.Decoder(list[Outcome]).decode

Ask = Callable[[], Awaitable[Reply]]


class Pages:
    """Answers each request of a batch with a page, and does nothing else."""

    async def __init__(self, key: bytes) -> None:  # type: ignore[misc]
        self._page = Reply(200, b"x" * PAGE_BYTES)
        self._server = LineServer(self.call, key)
        await self._server.start("127.0.0.1")

    async def line(self) -> Address:
        return self._server.address

    async def call(self, payload: bytes) -> bytes:
        requests = msgspec.msgpack.decode(payload, type=list[ThreadRequest])
        return msgspec.msgpack.encode([self._page] * len(requests))


async def _calls_per_second(ask: Ask, in_flight: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    begin = loop.time() + min(_WARMUP_SECONDS, seconds)
    end = begin + seconds
    answered = 0

    async def caller() -> None:
        nonlocal answered
        while (now := loop.time()) < end:
            reply = await ask()
            if len(reply.body) != PAGE_BYTES:
                raise BenchmarkError("a wrong answer")
            answered += now >= begin

    async with asyncio.TaskGroup() as callers:
        for _ in range(in_flight):
            callers.create_task(caller())
    return answered / seconds


def _serve_call(handle: Any) -> Send:
    """By reference a call would cost twice as much."""
    method = handle.options(method_name="call", _by_reference=False)

    async def send(payload: bytes) -> bytes:
        answer: bytes = await method.remote(payload)
        return answer

    return send


async def _measure(plan: Plan, handle: Any) -> int:
    send = _serve_call(handle)
    lines = DeploymentLines(asks_serve(handle), _KEY, 1)
    batched: BatchedHandle[ThreadRequest] = BatchedHandle("pages", lines.send, in_flight=2)

    async def ours() -> Reply:
        return await batched.call(_REQUEST)

    async def one_by_one() -> Reply:
        (outcome,) = _decode_outcomes(await send(encode([_REQUEST])))
        if not isinstance(outcome, Reply):
            raise BenchmarkError("a failure was answered")
        return outcome

    seconds = plan.seconds(_SECONDS)
    rows: list[tuple[object, ...]] = []
    checks = []
    for in_flight, must in MUST.items():
        rates: tuple[list[float], list[float]] = ([], [])
        for number in range(1, plan.rounds + 1):
            for name, ask, found in (
                ("batched", ours, rates[0]),
                ("one by one", one_by_one, rates[1]),
            ):
                found.append(await _calls_per_second(ask, in_flight, seconds))
                rows.append((in_flight, number, name, found[-1]))
        ratio = median_ratio(*rates)
        checks.append(Check(f"{in_flight} in flight", ratio, ">=", must))
    await batched.close()
    return conclude(
        Verdict(10, checks, plan.rounds), ("in flight", "round", "handle", "calls/s"), rows
    )


def _start(folder: Path) -> Any:
    """A cluster of our own, on loopback; the handle of the deployment."""
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
        logging_level=logging.ERROR,
    )
    serve.start(proxy_location="Disabled", logging_config=LoggingConfig(log_level="WARNING"))
    deployment: Any = serve.deployment(
        Pages, max_ongoing_requests=1_000, ray_actor_options={"num_cpus": 0}
    )
    return serve.run(deployment.bind(_KEY), name="bench", route_prefix=None)


def main() -> int:
    plan = read_plan(None, "Bar 10: batched handles against one Serve call a request.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with work_folder() as folder:
        try:
            handle = _start(folder)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_measure(plan, handle))
        except BenchmarkError as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 2
        finally:
            if ray.is_initialized():
                serve.shutdown()  # type: ignore[no-untyped-call]
                ray.shutdown()


if __name__ == "__main__":
    sys.exit(main())
