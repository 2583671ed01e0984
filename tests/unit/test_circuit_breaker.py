from __future__ import annotations

from actors.circuit_breaker import CLOSED, BreakerRule, BreakerState, begin, end, refused_for

RULE = BreakerRule(failures_to_open=3, open_seconds=10.0)


def after_failures(count: int, now: float = 100.0) -> BreakerState:
    state = CLOSED
    for _ in range(count):
        state = end(begin(state), "failed", RULE, now)
    return state


def test_only_failures_one_after_the_other_open_it() -> None:
    assert refused_for(after_failures(2), 100.0) == 0
    mended = end(after_failures(2), "succeeded", RULE, 100.0)
    assert mended == CLOSED
    assert refused_for(after_failures(3), 100.0) == 10.0
    assert refused_for(after_failures(3), 104.0) == 6.0


def test_who_went_away_says_nothing() -> None:
    assert end(begin(after_failures(2)), "unknown", RULE, 100.0) == after_failures(2)


def test_after_its_time_one_tries_and_the_others_wait() -> None:
    state = after_failures(3)
    assert refused_for(state, 110.0) == 0
    trying = begin(state)
    assert refused_for(trying, 110.0) > 0
    assert end(trying, "succeeded", RULE, 111.0) == CLOSED


def test_a_try_that_fails_opens_for_twice_as_long_up_to_a_bound() -> None:
    state, now = after_failures(3), 100.0
    waits = []
    for _ in range(8):
        now += refused_for(state, now)
        state = end(begin(state), "failed", RULE, now)
        waits.append(refused_for(state, now))
    assert waits == [20, 40, 80, 160, 320, 320, 320, 320]


def test_a_try_that_is_given_up_leaves_the_next_one_to_try() -> None:
    state = end(begin(after_failures(3)), "unknown", RULE, 111.0)
    assert refused_for(state, 111.0) == 0


def test_those_that_ran_when_it_opened_do_not_lengthen_it() -> None:
    state = after_failures(3)
    assert end(state, "failed", RULE, 105.0) == state
