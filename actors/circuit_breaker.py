"""When to stop asking something that fails: the circuit breaker of M. Nygard, "Release It!". Pure.

Closed, until `failures_to_open` calls one after the other have failed. Then open: nobody asks for
`open_seconds`. After that one call tries; its success closes, its failure opens for twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

_LONGEST_DOUBLINGS: Final = 5


@dataclass(frozen=True, slots=True)
class BreakerRule:
    failures_to_open: int
    open_seconds: float


@dataclass(frozen=True, slots=True)
class BreakerState:
    failures: int = 0
    open_until: float = 0.0
    """A time of the caller's clock; 0: closed."""
    doublings: int = 0
    trying: bool = False


CLOSED: Final = BreakerState()
Answer = Literal["succeeded", "failed", "unknown"]
"""`unknown`: the call ended before it showed whether the other side works."""


def refused_for(state: BreakerState, now: float) -> float:
    """Seconds until it is worth asking again; 0: now."""
    if not state.open_until:
        return 0.0
    # Who comes while one tries is told to wait as long as another would take.
    return max(0.0, state.open_until - now) or (1.0 if state.trying else 0.0)


def begin(state: BreakerState) -> BreakerState:
    """A call begins that was not refused."""
    return replace(state, trying=True) if state.open_until else state


def end(state: BreakerState, answer: Answer, rule: BreakerRule, now: float) -> BreakerState:
    if answer == "succeeded":
        return CLOSED
    if answer == "unknown":
        return replace(state, trying=False)
    if state.open_until and not state.trying:
        return state  # one of those that ran when it opened
    failures = state.failures + 1
    if not state.trying and failures < rule.failures_to_open:
        return replace(state, failures=failures)
    doublings = min(state.doublings + 1, _LONGEST_DOUBLINGS) if state.trying else 0
    return BreakerState(failures, now + rule.open_seconds * 2**doublings, doublings)
