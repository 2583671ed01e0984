"""Kaplan-Meier: whatever the cases, it agrees with lifelines and is what a survival curve is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.survival import beyond, estimate
from tests.lifelines_agreement import Case, counts_of, disagreement

cases = st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_it_agrees_with_lifelines(cases: list[Case]) -> None:
    assert disagreement(cases) < 1e-9


@settings(deadline=None)
@given(cases)
def test_it_falls_within_its_band(cases: list[Case]) -> None:
    found = estimate(counts_of(cases))
    assert found.n == len(cases)
    assert found.decided == sum(point.decided for point in found.points)
    before = 1.0
    for point in found.points:
        assert 0 <= point.lower <= point.waiting <= point.upper <= 1
        assert point.waiting < before
        before = point.waiting
    days = [found.quantile(part).day for part in (0.25, 0.5, 0.8)]
    reached = [day for day in days if day is not None]
    assert reached == sorted(reached)
    assert days[: len(reached)] == reached


@given(cases)
def test_without_censoring_it_counts(cases: list[Case]) -> None:
    decided = [(days, True) for days, _ in cases]
    found = estimate(counts_of(decided))
    for point in found.points:
        left = sum(days > point.day for days, _ in decided)
        assert point.waiting == pytest.approx(left / len(decided), abs=1e-12)


@given(cases, st.integers(0, 400))
def test_having_waited_is_a_condition(cases: list[Case], waited: int) -> None:
    counts = counts_of(cases)
    whole, rest = estimate(counts), estimate(beyond(counts, waited))
    base = whole.at(waited).waiting
    for point in rest.points:
        assert point.waiting * base == pytest.approx(whole.at(point.day + waited).waiting)
