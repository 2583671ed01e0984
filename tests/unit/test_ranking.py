from __future__ import annotations

import math

import pytest

from actors.ranking import HOT_EPOCH_SECONDS, best_rank, hot_rank, wilson_lower_bound

HOT_EPOCH_MS = int(HOT_EPOCH_SECONDS) * 1000


@pytest.mark.parametrize(
    ("up", "down", "seconds", "expected"),
    [
        (0, 0, 0, 0.0),
        (1, 0, 0, 0.0),
        (10, 0, 0, 1.0),
        (100, 0, 45_000, 3.0),
        (0, 100, 45_000, -1.0),
        (7, 7, 90_000, 2.0),
    ],
)
def test_hot_at_points_that_can_be_reckoned_by_hand(
    up: int, down: int, seconds: int, expected: float
) -> None:
    assert hot_rank(up, down, HOT_EPOCH_MS + seconds * 1000) == expected


def test_ten_times_the_votes_outweigh_twelve_and_a_half_hours() -> None:
    older = hot_rank(100, 0, HOT_EPOCH_MS)
    newer = hot_rank(10, 0, HOT_EPOCH_MS + 45_000_000)
    assert older == newer


@pytest.mark.parametrize(
    ("up", "down"), [(1, 0), (0, 1), (1, 1), (10, 0), (40, 20), (5, 10), (1, 900), (90_000, 7)]
)
def test_wilson_is_the_textbook_form(up: int, down: int) -> None:
    n, z = up + down, 1.281551565545
    p = up / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt((p * (1 - p) + z * z / (4 * n)) / n)
    textbook = (centre - spread) / (1 + z * z / n)
    assert wilson_lower_bound(up, down) == pytest.approx(textbook, rel=1e-9, abs=1e-12)


def test_wilson_of_unanimous_votes_is_n_over_n_plus_z_squared() -> None:
    z_squared = 1.281551565545**2
    assert wilson_lower_bound(0, 0) == 0.0
    assert wilson_lower_bound(1, 0) == pytest.approx(1 / (1 + z_squared))
    assert wilson_lower_bound(50, 0) == pytest.approx(50 / (50 + z_squared))


def test_comments_with_down_votes_only_stand_below_fresh_ones() -> None:
    assert best_rank(1, 5) > best_rank(0, 0) > best_rank(0, 1) > best_rank(0, 9)
