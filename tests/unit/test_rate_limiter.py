"""The gateway's side: leases, refusals that are remembered, outages, cancellation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from actors.rate_limit import LEASE_TTL_NS, Lease, LeaseRequest, RateLimit
from config.errors import AppError
from config.rate_limits import RateLimitSettings, Rule
from serve_app.gateway.leased_bucket import UNLIMITED
from serve_app.gateway.rate_limiter import LOOPBACK, RateLimiter, address_id
from serve_app.lines import LineLost

SECOND = 1_000_000_000
ADDRESS = "192.0.2.1"
SETTINGS = RateLimitSettings(
    account={"vote": Rule(600, 80), "login": Rule(6, 3)},
    address={"vote": Rule(6000, 800), "login": Rule(12, 2)},
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


class Wire:
    """What lies between gateway and actor: counts the calls, and can be cut or held."""

    def __init__(self, actor: RateLimit) -> None:
        self.actor = actor
        self.batches: list[list[LeaseRequest]] = []
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()

    async def take(self, requests: list[LeaseRequest]) -> list[Lease]:
        self.batches.append(requests)
        self.reached.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return await self.actor.take_batch(requests)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wire(clock: Clock) -> Wire:
    return Wire(RateLimit(SETTINGS, None, clock=clock))


@pytest.fixture
async def limiter(clock: Clock, wire: Wire) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter(wire.take, SETTINGS, clock, expected_gateways=2)
    yield limiter
    await limiter.close()


async def test_a_lease_serves_later_requests_without_a_call(
    limiter: RateLimiter, wire: Wire
) -> None:
    assert limiter.check_nowait("vote", "ann", ADDRESS) is None
    first = await limiter.check("vote", "ann", ADDRESS)
    later = [limiter.check_nowait("vote", "ann", ADDRESS) for _ in range(4)]
    assert len(wire.batches) == 1
    # Both rules travel together; the account's is the tighter one.
    assert [(r.kind, r.id, r.at_once) for r in wire.batches[0]] == [
        ("account", "ann", 1),
        ("address", ADDRESS, 1),
    ]
    verdicts = [first, *later]
    assert [v.remaining for v in verdicts if v is not None] == [79, 78, 77, 76, 75]
    assert all(v is not None and v.allowed and v.limit == 80 for v in verdicts)
    assert limiter.check_nowait("vote", "ann", ADDRESS) is None


async def test_leases_grow_with_use_up_to_their_bound(limiter: RateLimiter, wire: Wire) -> None:
    for _ in range(58):
        assert (await limiter.check("vote", "ann", ADDRESS)).allowed
    asked = [r.ahead for batch in wire.batches for r in batch if r.kind == "account"]
    assert asked == [4, 8, 10, 10, 10, 10]
    assert SETTINGS.account["vote"].lease_size == 10


async def test_an_expired_lease_is_lost_and_the_next_is_as_large_as_its_use(
    limiter: RateLimiter, wire: Wire, clock: Clock
) -> None:
    for _ in range(2):
        await limiter.check("vote", "ann", ADDRESS)
    clock.now += LEASE_TTL_NS
    assert limiter.check_nowait("vote", "ann", ADDRESS) is None
    await limiter.check("vote", "ann", ADDRESS)
    assert [r.ahead for r in wire.batches[1]] == [1, 1]


async def test_concurrent_misses_are_one_request(limiter: RateLimiter, wire: Wire) -> None:
    verdicts = await asyncio.gather(
        *(limiter.check("vote", "ann", ADDRESS) for _ in range(50)),
        limiter.check("vote", "bob", ADDRESS),
    )
    assert all(v.allowed for v in verdicts)
    assert len(wire.batches) == 1
    assert {(r.kind, r.id): r.at_once for r in wire.batches[0]} == {
        ("account", "ann"): 50,
        ("account", "bob"): 1,
        ("address", ADDRESS): 51,
    }


async def test_over_the_limit_the_first_in_line_pass_and_the_rest_are_told_when(
    limiter: RateLimiter, wire: Wire, clock: Clock
) -> None:
    verdicts = await asyncio.gather(*(limiter.check("vote", "ann", ADDRESS) for _ in range(100)))
    assert [v.allowed for v in verdicts] == [True] * 80 + [False] * 20
    refused = limiter.check_nowait("vote", "ann", ADDRESS)
    assert refused is not None
    assert refused.headers() == {
        "RateLimit-Limit": "80",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "8",
        "Retry-After": "1",
    }
    # A refusal is remembered: who hammers on costs no calls, and gets exactly the rate.
    assert len(wire.batches) == 1
    clock.now += SECOND // 10
    assert (await limiter.check("vote", "ann", ADDRESS)).allowed
    assert not (await limiter.check("vote", "ann", ADDRESS)).allowed


async def test_a_refusal_by_account_does_not_use_up_the_address(
    limiter: RateLimiter, clock: Clock
) -> None:
    await asyncio.gather(*(limiter.check("vote", "ann", ADDRESS) for _ in range(80)))
    for _ in range(2_000):
        verdict = limiter.check_nowait("vote", "ann", ADDRESS)
        assert verdict is not None
        assert not verdict.allowed
    assert (await limiter.check("vote", "bob", ADDRESS)).allowed


async def test_a_leased_token_goes_back_when_the_other_rule_refuses(clock: Clock) -> None:
    settings = RateLimitSettings(account={"vote": Rule(60, 1)}, address={"vote": Rule(600, 80)})
    wire = Wire(RateLimit(settings, None, clock=clock))
    limiter = RateLimiter(wire.take, settings, clock)
    # Ann has spent her token at another gateway, so only a call can tell.
    await wire.actor.take_batch([LeaseRequest("vote", "account", "ann", 1, 0)])
    assert (await limiter.check("vote", None, ADDRESS)).remaining == 79
    assert not (await limiter.check("vote", "ann", ADDRESS)).allowed
    verdict = limiter.check_nowait("vote", None, ADDRESS)
    assert verdict is not None
    assert verdict.remaining == 78
    await limiter.close()


async def test_a_slow_limit_is_never_leased(limiter: RateLimiter, wire: Wire) -> None:
    allowed = [(await limiter.check("login", "ann", ADDRESS)).allowed for _ in range(3)]
    assert allowed == [True, True, False]
    assert len(wire.batches) == 2
    # The address's last token left a refusal behind: the third login needed no call, and has not
    # touched the account's bucket.
    [lease] = await wire.actor.take_batch([LeaseRequest("login", "account", "ann", 1, 0)])
    assert (lease.granted, lease.ttl_ns) == (1, 0)


async def test_guests_are_held_by_address_alone(limiter: RateLimiter, wire: Wire) -> None:
    assert (await limiter.check("vote", None, ADDRESS)).limit == 800
    assert [r.kind for r in wire.batches[0]] == ["address"]


async def test_loopback_is_exempt_from_the_address_rule_alone(clock: Clock) -> None:
    settings = RateLimitSettings(
        exempt_loopback=True, account={"comment": Rule(60, 1)}, address={"comment": Rule(60, 1)}
    )
    wire = Wire(RateLimit(settings, None, clock=clock))
    limiter = RateLimiter(wire.take, settings, clock)
    for loopback in ("127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"):
        assert limiter.check_nowait("comment", None, loopback) is UNLIMITED
    assert (await limiter.check("comment", "ann", "::1")).allowed
    assert not (await limiter.check("comment", "ann", "::1")).allowed
    assert not any(r.kind == "address" for batch in wire.batches for r in batch)
    await limiter.close()


async def test_switched_off_or_without_a_rule_nothing_is_limited(
    limiter: RateLimiter, wire: Wire
) -> None:
    off = RateLimiter(wire.take, RateLimitSettings(enabled=False))
    assert off.check_nowait("login", "ann", ADDRESS) is UNLIMITED
    assert limiter.check_nowait("ask", "ann", ADDRESS) is UNLIMITED
    assert UNLIMITED.headers() == {}


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", LOOPBACK),
        ("127.0.0.1", LOOPBACK),
        ("", "unreadable"),
        ("example.org", "unreadable"),
    ],
)
def test_addresses_share_a_bucket_as_households_do(address: str, bucket: str) -> None:
    assert address_id(address) == bucket


async def test_a_long_name_is_not_kept_as_it_came(limiter: RateLimiter, wire: Wire) -> None:
    await limiter.check("login", "x" * 10_000, ADDRESS)
    await limiter.check("login", "x" * 9_999 + "y", ADDRESS)
    ids = [r.id for batch in wire.batches for r in batch if r.kind == "account"]
    assert len(set(ids)) == 2
    assert all(len(id) <= 64 for id in ids)


FAILURES = [
    AppError("unavailable"),
    AppError("overloaded"),
    AppError("internal"),
    TimeoutError(),
    LineLost(),
]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_without_rate_limit_a_gateway_gives_its_own_share(
    limiter: RateLimiter,
    wire: Wire,
    clock: Clock,
    failure: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    wire.failure = failure
    allowed = [(await limiter.check("vote", "ann", ADDRESS)).allowed for _ in range(50)]
    assert allowed == [True] * 40 + [False] * 10
    # One call found it out; no other request waited for one.
    assert len(wire.batches) == 1
    fresh = await limiter.check("vote", "bob", ADDRESS)
    assert (fresh.allowed, fresh.limit, fresh.remaining) == (True, 40, 39)
    assert len(wire.batches) == 1

    clock.now += SECOND
    assert (await limiter.check("vote", "ann", ADDRESS)).allowed
    assert len(wire.batches) == 2
    clock.now += SECOND
    wire.failure = None
    assert (await limiter.check("vote", "ann", ADDRESS)).limit == 80
    told = [r.getMessage().split(",")[0] for r in caplog.records if "RateLimit" in r.getMessage()]
    assert told == ["RateLimit does not answer", "RateLimit answers again"]


async def test_while_one_request_probes_the_others_stay_local(
    limiter: RateLimiter, wire: Wire, clock: Clock
) -> None:
    wire.failure = AppError("unavailable")
    await limiter.check("vote", "ann", ADDRESS)
    clock.now += SECOND
    wire.open.clear()
    wire.reached.clear()
    probe = asyncio.create_task(limiter.check("vote", "ann", ADDRESS))
    await wire.reached.wait()
    assert (await limiter.check("vote", "bob", ADDRESS)).limit == 40
    assert not probe.done()
    wire.open.set()
    assert (await probe).allowed


async def test_a_silent_rate_limit_is_given_up_after_the_deadline(wire: Wire, clock: Clock) -> None:
    limiter = RateLimiter(wire.take, SETTINGS, clock, deadline_seconds=0.01)
    wire.open.clear()
    assert (await limiter.check("vote", "ann", ADDRESS)).allowed
    await limiter.close()


async def test_a_defect_in_the_transport_leaves_nobody_waiting(
    limiter: RateLimiter, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    wire.failure = KeyError("defect")
    for name in ("ann", "bob"):
        verdict = await limiter.check("vote", name, ADDRESS)
        assert (verdict.allowed, verdict.limit) == (True, 40)
    # The second call started when the first had ended, and been reported.
    assert "asking RateLimit failed unexpectedly" in caplog.text


async def test_a_short_answer_counts_as_none(wire: Wire, clock: Clock) -> None:
    async def short(requests: list[LeaseRequest]) -> list[Lease]:
        return (await wire.take(requests))[1:]

    limiter = RateLimiter(short, SETTINGS, clock, expected_gateways=2)
    assert (await limiter.check("vote", "ann", ADDRESS)).limit == 40
    await limiter.close()


async def test_a_cancelled_caller_drops_only_itself(limiter: RateLimiter, wire: Wire) -> None:
    wire.open.clear()
    callers = [asyncio.create_task(limiter.check("vote", "ann", ADDRESS)) for _ in range(3)]
    await wire.reached.wait()
    callers[0].cancel()
    wire.open.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    # Its token was not spent: it lies in the lease with the four that were asked for ahead.
    left = [limiter.check_nowait("vote", "ann", ADDRESS) for _ in range(6)]
    assert [verdict is not None for verdict in left] == [True] * 5 + [False]


async def test_closing_answers_whoever_waits(wire: Wire, clock: Clock) -> None:
    limiter = RateLimiter(wire.take, SETTINGS, clock)
    wire.open.clear()
    caller = asyncio.create_task(limiter.check("vote", "ann", ADDRESS))
    await wire.reached.wait()
    await limiter.close()
    assert (await caller).allowed
    assert (await limiter.check("vote", "bob", ADDRESS)).allowed
    assert len(wire.batches) == 1


async def test_the_number_of_buckets_is_bounded(wire: Wire, clock: Clock) -> None:
    limiter = RateLimiter(wire.take, SETTINGS, clock, max_buckets_per_rule=10)
    for number in range(100):
        await limiter.check("vote", f"member-{number}", ADDRESS)
    accounts, _ = limiter._tables["vote"]
    assert accounts is not None
    assert len(accounts.buckets) == 10
    clock.now += LEASE_TTL_NS
    for number in range(100, 110):
        await limiter.check("vote", f"member-{number}", ADDRESS)
        clock.now += LEASE_TTL_NS
    assert len(accounts.buckets) < 10
    await limiter.close()
