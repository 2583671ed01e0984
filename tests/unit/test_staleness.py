"""Stale by rule."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from actors.staleness import is_stale
from config.settings import Guides

TODAY = date(2026, 11, 20)
RULE = Guides(stale_after_days=100, check_after_days=10)


@pytest.mark.parametrize(
    ("facts_days", "check_days", "stale"),
    [(0, 0, False), (100, 10, False), (101, 0, True), (50, 11, True), (-1, -1, False)],
)
def test_days_count_from_the_bound_on(facts_days: int, check_days: int, stale: bool) -> None:
    as_of, last_checked = (TODAY - timedelta(days=days) for days in (facts_days, check_days))
    assert is_stale(as_of, last_checked, TODAY, RULE) is stale
