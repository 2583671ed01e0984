"""How far our estimate is from that of lifelines, which is here for this alone."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

from actors.survival import DayCount, estimate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lifelines import KaplanMeierFitter
    from lifelines.utils import qth_survival_times

Case = tuple[int, bool]
"""(days, whether it was decided then)."""


def counts_of(cases: Iterable[Case]) -> list[DayCount]:
    decided: Counter[int] = Counter(days for days, event in cases if event)
    censored: Counter[int] = Counter(days for days, event in cases if not event)
    return [DayCount(day, decided[day], censored[day]) for day in decided | censored]


def disagreement(cases: Sequence[Case]) -> float:
    """The largest difference of the curve and its band at any day, and of the quantiles and their
    bounds. Quantiles are not compared where a curve is within rounding of their level."""
    ours = estimate(counts_of(cases))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = KaplanMeierFitter().fit([days for days, _ in cases], [event for _, event in cases])
        band = theirs.confidence_interval_
        curves = [theirs.survival_function_.iloc[:, 0], band.iloc[:, 0], band.iloc[:, 1]]
        worst = 0.0
        for day in curves[0].index:
            point = ours.at(int(day))
            for value, curve in zip((point.waiting, point.lower, point.upper), curves, strict=True):
                worst = max(worst, abs(value - float(curve[day])))
        for part in (0.25, 0.5, 0.8):
            for own, curve in zip(ours.quantile(part), curves, strict=True):
                if (abs(curve - (1 - part)) < 1e-9).any():
                    continue
                found = float(qth_survival_times(1 - part, curve.to_frame()))
                worst = max(worst, _apart(math.inf if own is None else float(own), found))
    return worst


def _apart(one: float, other: float) -> float:
    return 0.0 if one == other else abs(one - other)
