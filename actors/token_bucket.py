"""A token bucket as one integer: the generic cell rate algorithm (GCRA, ITU-T I.371).

The state is the theoretical arrival time `tat_ns`: the moment at which the bucket is full again.
A bucket of which nothing is known is full, so 0 is a valid first state. All times are integer
nanoseconds of one clock that the caller reads; a clock that is set back makes the bucket empty at
worst, never locked for longer than it takes to fill.

In any window of w ns at most `burst + w // interval_ns(rule)` tokens are given.
"""

from __future__ import annotations

import math

import msgspec

from config.rate_limits import Rule

_MINUTE_NS = 60_000_000_000


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a bucket answers.

    `remaining` are whole tokens left; `retry_after_ns` is the wait until the refused number of
    tokens is there (0 when granted); `reset_after_ns` the wait until the bucket is full.
    """

    granted: int
    remaining: int
    retry_after_ns: int
    reset_after_ns: int


def interval_ns(rule: Rule) -> int:
    """Time in which one token comes back, rounded up: never faster than the rule says."""
    return math.ceil(_MINUTE_NS / rule.per_minute)


def fill_ns(rule: Rule) -> int:
    """Time in which an empty bucket becomes full."""
    return rule.burst * interval_ns(rule)


def available(tat_ns: int, now_ns: int, rule: Rule) -> int:
    """Whole tokens at hand, 0 … burst."""
    interval = interval_ns(rule)
    capacity = rule.burst * interval
    debt = min(max(tat_ns - now_ns, 0), capacity)
    return (capacity - debt) // interval


def decide(tat_ns: int, now_ns: int, rule: Rule, n: int = 1) -> tuple[Decision, int]:
    """Take `n` tokens (1 … burst) or none; returns the decision and the new state.

    A refusal costs nothing: the state stays, apart from being brought into bounds.
    """
    if not 1 <= n <= rule.burst:
        raise ValueError(f"{n} tokens can never be taken from a bucket of {rule.burst}")
    interval = interval_ns(rule)
    capacity = rule.burst * interval
    debt = min(max(tat_ns - now_ns, 0), capacity)
    after = debt + n * interval
    if after > capacity:
        refused = Decision(0, (capacity - debt) // interval, after - capacity, debt)
        return refused, now_ns + debt
    return Decision(n, (capacity - after) // interval, 0, after), now_ns + after


def grant(tat_ns: int, now_ns: int, rule: Rule, n: int) -> tuple[Decision, int]:
    """Take as many of `n` (≥ 1) tokens as there are; refused only when there is none."""
    return decide(tat_ns, now_ns, rule, max(1, min(n, available(tat_ns, now_ns, rule))))
