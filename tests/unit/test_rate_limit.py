"""The owner of the buckets in memory alone: grants, bounds, forgetting."""

from __future__ import annotations

import msgspec
import pytest

from actors.rate_limit import LEASE_TTL_NS, Kind, Lease, LeaseRequest, RateLimit
from config.rate_limits import RateLimitSettings, Rule

SECOND = 1_000_000_000
SETTINGS = RateLimitSettings(
    account={"vote": Rule(600, 80), "login": Rule(6, 3)}, address={"register": Rule(3, 5)}
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def owner(clock: Clock) -> RateLimit:
    return RateLimit(SETTINGS, None, clock=clock)


def vote(id: str, at_once: int = 1, ahead: int = 0) -> LeaseRequest:
    return LeaseRequest("vote", "account", id, at_once, ahead)


async def test_a_lease_holds_what_is_waited_for_and_at_most_one_lease_size(
    owner: RateLimit,
) -> None:
    [lease] = await owner.take_batch([vote("ann", at_once=3, ahead=1_000)])
    assert (lease.granted, lease.remaining, lease.ttl_ns) == (13, 67, LEASE_TTL_NS)
    assert (lease.retry_after_ns, lease.reset_after_ns) == (0, 13 * SECOND // 10)


async def test_the_last_token_comes_with_the_wait_for_the_next(owner: RateLimit) -> None:
    [lease] = await owner.take_batch([vote("ann", at_once=80)])
    assert (lease.granted, lease.remaining, lease.retry_after_ns) == (80, 0, SECOND // 10)
    [refused] = await owner.take_batch([vote("ann", at_once=5, ahead=5)])
    assert (refused.granted, refused.retry_after_ns) == (0, SECOND // 10)


@pytest.mark.parametrize(
    ("route_class", "kind", "burst"), [("login", "account", 3), ("register", "address", 5)]
)
async def test_a_slow_limit_gives_exactly_what_was_asked(
    owner: RateLimit, route_class: str, kind: Kind, burst: int
) -> None:
    request = LeaseRequest(route_class, kind, "ann", 1, 50)
    leases = [(await owner.take_batch([request]))[0] for _ in range(burst + 1)]
    assert [lease.granted for lease in leases] == [1] * burst + [0]
    assert {lease.ttl_ns for lease in leases} == {0}


async def test_one_batch_may_name_a_bucket_twice_and_answers_in_order(owner: RateLimit) -> None:
    leases = await owner.take_batch([vote("ann", 50), vote("bob", 1), vote("ann", 50)])
    assert [lease.granted for lease in leases] == [50, 1, 30]


async def test_a_class_of_newer_settings_passes(owner: RateLimit) -> None:
    [lease] = await owner.take_batch([LeaseRequest("ask", "account", "ann", 2, 3)])
    assert (lease.granted, lease.retry_after_ns) == (5, 0)
    assert owner.statistics().buckets == 0


async def test_nonsense_numbers_cost_one_token(owner: RateLimit) -> None:
    [lease] = await owner.take_batch([vote("ann", at_once=-5, ahead=-5)])
    assert (lease.granted, lease.remaining) == (1, 79)


async def test_full_buckets_are_forgotten(owner: RateLimit, clock: Clock) -> None:
    await owner.take_batch([vote("ann", 80), vote("bob", 1), vote("cid", 1)])
    clock.now += SECOND // 10
    # Bob is used again, so his first entry says too early that he is full.
    await owner.take_batch([vote("bob", 2)])
    assert owner.statistics().buckets == 2
    clock.now += 8 * SECOND
    await owner.take_batch([vote("dan", 1)])
    assert owner.statistics().buckets == 1


async def test_over_the_bound_the_fullest_buckets_go_first(clock: Clock) -> None:
    owner = RateLimit(SETTINGS, None, clock=clock, max_buckets=2)
    await owner.take_batch([vote("ann", 80), vote("bob", 1), vote("cid", 40)])
    assert owner.statistics().buckets == 2
    leases = await owner.take_batch([vote("ann", 80), vote("cid", 80)])
    assert [lease.granted for lease in leases] == [0, 40]


async def test_a_clock_set_back_locks_nobody_out(owner: RateLimit, clock: Clock) -> None:
    await owner.take_batch([vote("ann", 80)])
    clock.now -= 600 * SECOND
    [refused] = await owner.take_batch([vote("ann")])
    assert (refused.granted, refused.retry_after_ns) == (0, SECOND // 10)
    clock.now += SECOND // 10
    [lease] = await owner.take_batch([vote("ann")])
    assert lease.granted == 1


def test_messages_survive_the_wire() -> None:
    request, lease = vote("ann", 1, 2), Lease(1, 2, 3, 2**62, 5)
    encode = msgspec.msgpack.encode
    assert msgspec.msgpack.decode(encode([request]), type=list[LeaseRequest]) == [request]
    assert msgspec.msgpack.decode(encode([lease]), type=list[Lease]) == [lease]
