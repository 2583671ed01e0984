from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.ranking import HOT_EPOCH_SECONDS, best_rank, hot_rank, wilson_lower_bound

HOT_EPOCH_MS = int(HOT_EPOCH_SECONDS) * 1000

votes = st.integers(0, 2**31 - 1)
few_votes = st.integers(0, 10_000)
times = st.integers(HOT_EPOCH_MS + 10**13)


@given(votes, votes, times)
def test_hot_never_falls_with_an_up_vote_nor_rises_with_a_down_vote(
    up: int, down: int, created_ms: int
) -> None:
    assert hot_rank(up + 1, down, created_ms) >= hot_rank(up, down, created_ms)
    assert hot_rank(up, down + 1, created_ms) <= hot_rank(up, down, created_ms)


@given(votes, votes, times, st.integers(1, 10**9))
def test_hot_rises_with_the_time_of_creation(
    up: int, down: int, created_ms: int, later_ms: int
) -> None:
    assert hot_rank(up, down, created_ms + later_ms) >= hot_rank(up, down, created_ms)


@given(votes, votes)
def test_hot_mirrors_when_votes_swap_at_the_epoch(up: int, down: int) -> None:
    assert hot_rank(up, down, HOT_EPOCH_MS) == -hot_rank(down, up, HOT_EPOCH_MS)


@given(votes, votes)
def test_the_bound_lies_between_zero_and_the_share(up: int, down: int) -> None:
    bound = wilson_lower_bound(up, down)
    assert 0.0 <= bound < 1.0
    if up + down:
        assert bound <= up / (up + down)


@given(few_votes, few_votes)
def test_best_rises_with_up_votes_and_falls_with_down_votes(up: int, down: int) -> None:
    assert best_rank(up + 1, down) > best_rank(up, down)
    assert best_rank(up, down + 1) < best_rank(up, down)


@given(few_votes, few_votes, st.integers(2, 50))
def test_more_votes_of_the_same_share_are_surer(up: int, down: int, times_as_many: int) -> None:
    if up:
        assert wilson_lower_bound(up * times_as_many, down * times_as_many) > wilson_lower_bound(
            up, down
        )
