"""Kaplan-Meier: how long cases take, where some are still waiting. Pure.

Whoever still waits counts as long as they have waited and not as an answer, instead of being left
out: the mean of finished cases alone is too short. Estimate: Kaplan & Meier, J. Am. Stat. Assoc. 53
(1958). Variance: Greenwood (1926). Band: the log(-log) transformation (Kalbfleisch & Prentice, The
Statistical Analysis of Failure Time Data, 2nd ed. 2002, section 1.4), which stays within 0 and 1.
Bounds of quantiles: Brookmeyer & Crowley, Biometrics 38 (1982), on the same band.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95
_Z: Final = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
# A product of fractions that is 3/4 on paper is not so in floating point.
_ROUNDING: Final = 1e-12


class DayCount(NamedTuple):
    """Cases that were decided on a day after their beginning, and those that were followed up to it
    without a decision."""

    day: int
    decided: int
    censored: int


class Point(NamedTuple):
    """A day with decisions: how many waited when it began, and which part of all still waits after
    it, with its confidence band."""

    day: int
    at_risk: int
    decided: int
    waiting: float
    lower: float
    upper: float


class Quantile(NamedTuple):
    """None: not reached."""

    day: int | None
    lower: int | None
    upper: int | None


class Estimate(NamedTuple):
    """`points` by day; before the first one everybody waits."""

    n: int
    decided: int
    points: Sequence[Point]

    def at(self, day: int) -> Point:
        """The state after this day."""
        last = Point(0, self.n, 0, 1.0, 1.0, 1.0)
        for point in self.points:
            if point.day > day:
                break
            last = point
        return last

    def quantile(self, decided: float) -> Quantile:
        """The first day by which this part (0..1) of all cases is decided."""
        waiting = 1 - decided + _ROUNDING
        return Quantile(
            next((p.day for p in self.points if p.waiting <= waiting), None),
            next((p.day for p in self.points if p.lower <= waiting), None),
            next((p.day for p in self.points if p.upper <= waiting), None),
        )


def estimate(counts: Iterable[DayCount]) -> Estimate:
    """One DayCount a day, in any order, days not negative. Who is censored on a day counts among
    those at risk of its decisions."""
    days = sorted(counts)
    n = at_risk = sum(day.decided + day.censored for day in days)
    waiting, variance = 1.0, 0.0
    points: list[Point] = []
    for day in days:
        if day.decided:
            left = at_risk - day.decided
            waiting *= left / at_risk
            variance += day.decided / (at_risk * left) if left else math.inf
            lower, upper = _band(waiting, variance)
            points.append(Point(day.day, at_risk, day.decided, waiting, lower, upper))
        at_risk -= day.decided + day.censored
    return Estimate(n, sum(day.decided for day in days), points)


def beyond(counts: Iterable[DayCount], day: int) -> list[DayCount]:
    """Of those who still wait after this day, counted from it."""
    return [count._replace(day=count.day - day) for count in counts if count.day > day]


def _band(waiting: float, variance: float) -> tuple[float, float]:
    if waiting <= 0.0:  # the variance has no limit there; as lifelines has it
        return 0.0, 0.0
    logarithm = math.log(waiting)
    width = _Z * math.sqrt(variance) / -logarithm
    return waiting ** math.exp(width), waiting ** math.exp(-width)
