"""Bar 9: what the rate-limit check adds to a request.

Ours: the lines of serve_app/api/endpoint.py that limit a request, with a gateway's limiter and the
RateLimit actor behind it in the same process, so that the actor's own work is in the figure.
Baseline: the same lines with a limiter that lets everything through. Requests come from 2,000
accounts behind 500 addresses, each account twice a second, within the default limits of reads;
their time is a clock that the loop moves on, so that leases expire and are renewed as they would.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final
from uuid import UUID

import uvloop
from multidict import CIMultiDict

from actors.rate_limit import Lease, LeaseRequest, RateLimit
from benchmarks.figures import Check, Verdict, conclude, median_difference
from benchmarks.machine import BenchmarkError
from benchmarks.plan import Plan, read_plan
from config.rate_limits import RateLimitSettings
from serve_app.gateway.leased_bucket import UNLIMITED
from serve_app.gateway.leased_bucket import Verdict as Answer
from serve_app.gateway.rate_limiter import RateLimiter

MUST_MICROSECONDS: Final = 5.0
ACCOUNTS: Final = 2_000
ADDRESSES: Final = 500
REQUESTS: Final = 200_000
_STEP_NS: Final = 250_000  # 4,000 requests a second
_ROUNDS_BEFORE: Final = 20_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10**12

    def __call__(self) -> int:
        return self.now_ns


class NoLimit:
    async def check(self, route_class: str, account_id: str | None, address: str) -> Answer:
        return UNLIMITED


async def _cpu_microseconds(limiter: RateLimiter | NoLimit, clock: Clock, requests: int) -> float:
    """A request; raises BenchmarkError where one was refused."""
    accounts = [UUID(int=number) for number in range(ACCOUNTS)]
    addresses = [f"192.0.{n // 250}.{n % 250}" for n in range(ADDRESSES)]
    refused = 0
    began = 0.0
    for number in range(-_ROUNDS_BEFORE, requests):
        if number == 0:
            began = time.process_time()
        clock.now_ns += _STEP_NS
        headers: CIMultiDict[str] = CIMultiDict()
        verdict = await limiter.check(
            "read", str(accounts[number % ACCOUNTS]), addresses[number % ADDRESSES]
        )
        headers.update(verdict.headers())
        refused += not verdict.allowed
    used = time.process_time() - began
    if refused:
        raise BenchmarkError(f"{refused} requests were refused")
    return used / requests * 1e6


async def measure(plan: Plan) -> int:
    requests = int(plan.seconds(REQUESTS))
    ours: list[float] = []
    bare: list[float] = []
    calls: list[float] = []
    for _ in range(plan.rounds):
        clock = Clock()
        settings = RateLimitSettings(enabled=True)
        actor = RateLimit(settings, None, clock=clock)
        asked = 0

        async def take(batch: list[LeaseRequest], actor: RateLimit = actor) -> list[Lease]:
            nonlocal asked
            asked += 1
            return await actor.take_batch(batch)

        limiter = RateLimiter(take, settings, clock)
        ours.append(await _cpu_microseconds(limiter, clock, requests))
        await limiter.close()
        calls.append(asked / (requests + _ROUNDS_BEFORE))
        bare.append(await _cpu_microseconds(NoLimit(), clock, requests))
    rows = [
        (number, name, microseconds, share)
        for number, pair in enumerate(zip(ours, bare, calls, strict=True), 1)
        for name, microseconds, share in (
            ("leases", pair[0], pair[2]),
            ("no check", pair[1], 0.0),
        )
    ]
    verdict = Verdict(
        9,
        [Check("the check", median_difference(ours, bare), "<=", MUST_MICROSECONDS, "us")],
        plan.rounds,
        {"accounts": ACCOUNTS, "addresses": ADDRESSES},
    )
    return conclude(verdict, ("round", "limiter", "CPU us/request", "calls/request"), rows)


def main() -> int:
    plan = read_plan(None, "Bar 9: the rate-limit check of a request against none.")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure(plan))
    except BenchmarkError as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
