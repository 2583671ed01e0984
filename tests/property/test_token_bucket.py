"""GCRA against a plain token bucket, and the bounds that leases keep, for arbitrary traffic."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.rate_limit import RateLimit
from actors.token_bucket import available, decide, interval_ns
from config.rate_limits import RateLimitSettings, Rule
from serve_app.gateway.rate_limiter import RateLimiter

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND

rules = st.builds(
    Rule, st.floats(1 / 60, 60_000, allow_nan=False), st.integers(min_value=1, max_value=50)
)
# Pauses as parts of the time in which one token returns: most near it, where mistakes would show.
pauses = st.one_of(
    st.just(Fraction(0)),
    st.fractions(min_value=0, max_value=3, max_denominator=8),
    st.fractions(min_value=0, max_value=200, max_denominator=3),
)


def moments(rule: Rule, waits: list[Fraction]) -> list[int]:
    unit = interval_ns(rule)
    return list(accumulate((int(wait * unit) for wait in waits), initial=START))[1:]


@given(rules, st.lists(st.tuples(pauses, st.integers(1, 60)), max_size=60))
def test_equals_a_plain_token_bucket(rule: Rule, traffic: list[tuple[Fraction, int]]) -> None:
    unit = interval_ns(rule)
    tokens, before, tat = Fraction(rule.burst), START, 0
    times = moments(rule, [wait for wait, _ in traffic])
    for now, (_, wanted) in zip(times, traffic, strict=True):
        n = min(wanted, rule.burst)
        tokens = min(Fraction(rule.burst), tokens + Fraction(now - before, unit))
        before = now
        decision, tat = decide(tat, now, rule, n)
        assert decision.granted == (n if tokens >= n else 0)
        retry_after = 0 if tokens >= n else (n - tokens) * unit
        tokens -= decision.granted
        assert decision.remaining == int(tokens) == available(tat, now, rule)
        assert decision.retry_after_ns == retry_after
        assert decision.reset_after_ns == (rule.burst - tokens) * unit


@given(rules, st.lists(st.tuples(pauses, st.integers(1, 8)), max_size=60))
def test_no_window_holds_more_than_burst_and_rate(
    rule: Rule, traffic: list[tuple[Fraction, int]]
) -> None:
    tat, given_at = 0, []
    times = moments(rule, [wait for wait, _ in traffic])
    for now, (_, wanted) in zip(times, traffic, strict=True):
        decision, tat = decide(tat, now, rule, min(wanted, rule.burst))
        given_at += [now] * decision.granted
    assert_bounded(given_at, rule, extra=0)


@given(rules, st.integers(0, 2**62), st.integers(0, 2**61), st.integers(0, 2**40))
def test_waiting_never_takes_tokens_away(rule: Rule, tat: int, now: int, later: int) -> None:
    assert available(tat, now, rule) <= available(tat, now + later, rule)


@given(rules, st.integers(0, 2**62), st.integers(0, 2**61))
def test_the_promised_wait_is_exact(rule: Rule, tat: int, now: int) -> None:
    decision, after = decide(tat, now, rule)
    if decision.granted:
        return
    then = now + decision.retry_after_ns
    assert decide(after, then, rule)[0].granted == 1
    assert decide(after, then - 1, rule)[0].granted == 0


def assert_bounded(given_at: list[int], rule: Rule, extra: int) -> None:
    """No window of any length holds more than burst + rate * length (+ `extra`) tokens."""
    unit = interval_ns(rule)
    for first, start in enumerate(given_at):
        for last in range(first, len(given_at)):
            bound = rule.burst + (given_at[last] - start) // unit + extra
            assert last - first + 1 <= bound


leased = st.builds(Rule, st.floats(20, 60_000, allow_nan=False), st.integers(1, 60))
unleased = st.builds(Rule, st.floats(1, 19, allow_nan=False), st.integers(1, 10))


@settings(max_examples=60)
@given(
    st.one_of(leased, unleased),
    st.integers(1, 3),
    st.lists(st.tuples(pauses, st.integers(0, 2), st.integers(1, 20)), max_size=25),
)
def test_gateways_exceed_a_limit_by_at_most_one_lease_each(
    rule: Rule, gateways: int, traffic: list[tuple[Fraction, int, int]]
) -> None:
    """Real limiters over one real owner; each step sends some requests at once to one gateway."""
    table = RateLimitSettings(account={"vote": rule}, address={})
    times = moments(rule, [wait for wait, _, _ in traffic])

    async def play() -> list[int]:
        now = START
        owner = RateLimit(table, None, clock=lambda: now)
        limiters = [
            RateLimiter(owner.take_batch, table, clock=lambda: now) for _ in range(gateways)
        ]
        given_at: list[int] = []
        for moment, (_, gateway, requests) in zip(times, traffic, strict=True):
            now = moment
            limiter = limiters[gateway % gateways]
            verdicts = await asyncio.gather(
                *(limiter.check("vote", "a", "192.0.2.1") for _ in range(requests))
            )
            given_at += [now] * sum(verdict.allowed for verdict in verdicts)
        for limiter in limiters:
            await limiter.close()
        return given_at

    assert_bounded(asyncio.run(play()), rule, extra=gateways * rule.lease_size)


@settings(max_examples=40)
@given(leased, st.lists(pauses, min_size=1, max_size=60))
def test_one_gateway_alone_wastes_no_token_while_its_leases_live(
    rule: Rule, waits: list[Fraction]
) -> None:
    """Within the life of a lease a member is refused only when the plain bucket is empty too."""
    table = RateLimitSettings(account={"vote": rule}, address={})
    lease_life = [now for now in moments(rule, waits) if now < START + 10 * SECOND]

    async def play() -> None:
        now = START
        owner = RateLimit(table, None, clock=lambda: now)
        limiter = RateLimiter(owner.take_batch, table, clock=lambda: now)
        tat = 0
        for moment in lease_life:
            now = moment
            decision, tat = decide(tat, now, rule)
            verdict = await limiter.check("vote", "a", "192.0.2.1")
            assert verdict.allowed or not decision.granted
        await limiter.close()

    asyncio.run(play())
