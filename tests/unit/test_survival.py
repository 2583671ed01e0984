"""Kaplan-Meier: a published example, and the starter timelines against lifelines."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable

import pytest

from actors.survival import DayCount, beyond, estimate
from tests.lifelines_agreement import Case, counts_of, disagreement
from tests.timeline_data import STARTER, WRITTEN, rows


def starter() -> dict[tuple[str, str], list[Case]]:
    """(days, decided) by country and visa type."""
    found: dict[tuple[str, str], list[Case]] = {}
    for row in rows(STARTER):
        days = {event["kind"]: dt.date.fromisoformat(event["date"]) for event in row["events"]}
        begun = days["application_submitted"]
        decided = days.get("decision_approved") or days.get("decision_refused")
        end = decided or days.get("withdrawn") or WRITTEN.date()
        case = ((end - begun).days, decided is not None)
        found.setdefault((row["country"], row["visa_type"]), []).append(case)
    return found


def test_the_starter_timelines_agree_with_lifelines() -> None:
    groups = starter()
    everything = [case for cases in groups.values() for case in cases]
    assert len(everything) == 603
    for place, cases in {**groups, ("all", "all"): everything}.items():
        assert disagreement(cases) < 1e-9, place


def test_a_published_example() -> None:
    """Freireich et al. 1963, the treated group: Kalbfleisch & Prentice 2002, table 1.2."""
    events = {6: 3, 7: 1, 10: 1, 13: 1, 16: 1, 22: 1, 23: 1}
    censored = {6: 1, 9: 1, 10: 1, 11: 1, 17: 1, 19: 1, 20: 1, 25: 1, 32: 2, 34: 1, 35: 1}
    days = [DayCount(d, events.get(d, 0), censored.get(d, 0)) for d in {*events, *censored}]
    found = estimate(days)
    shown = [(point.day, round(point.waiting, 3)) for point in found.points]
    assert shown == [
        (6, 0.857), (7, 0.807), (10, 0.753), (13, 0.690), (16, 0.627), (22, 0.538), (23, 0.448),
    ]  # fmt: skip
    assert (found.n, found.decided) == (21, 9)
    assert found.quantile(0.5).day == 23
    assert found.quantile(0.8).day is None


def test_nobody() -> None:
    found = estimate(())
    assert (found.n, list(found.points)) == (0, [])
    assert found.quantile(0.5) == (None, None, None)
    assert found.at(10).waiting == 1.0


def test_a_quarter_is_reached_where_it_is_exact() -> None:
    """3/4 as a product of fractions is a little above it."""
    found = estimate([DayCount(day, 1, 0) for day in range(1, 41)])
    assert [found.quantile(part).day for part in (0.25, 0.5, 0.8)] == [10, 20, 32]


def test_those_who_still_wait_are_counted_from_then() -> None:
    days = [DayCount(5, 2, 1), DayCount(9, 1, 0), DayCount(30, 3, 2)]
    assert beyond(days, 5) == [DayCount(4, 1, 0), DayCount(25, 3, 2)]
    whole, rest = estimate(days), estimate(beyond(days, 5))
    assert rest.at(4).waiting == pytest.approx(whole.at(9).waiting / whole.at(5).waiting)
    assert not math.isnan(whole.at(30).lower)


def test_counting_cases() -> None:
    cases: Iterable[Case] = [(3, True), (3, False), (3, True), (1, False)]
    assert Counter(counts_of(cases)) == Counter([DayCount(3, 2, 1), DayCount(1, 0, 1)])
