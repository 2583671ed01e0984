"""What a bar says at its end: checks against their bounds, a table, one line of JSON. Pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

MISSED: Final = 1
NOT_MEASURED: Final = 2


def median_ratio(ours: Sequence[float], baseline: Sequence[float]) -> float:
    """The median over rounds of ours / baseline, each round with the baseline measured beside it.

    Raises ValueError for rounds that don't pair up, and where a baseline measured nothing.
    """
    if not ours or len(ours) != len(baseline):
        raise ValueError(f"{len(ours)} rounds of ours, {len(baseline)} of the baseline")
    if min(baseline) <= 0:
        raise ValueError("a baseline round measured nothing")
    return statistics.median(a / b for a, b in zip(ours, baseline, strict=True))


def median_difference(ours: Sequence[float], baseline: Sequence[float]) -> float:
    """The median over rounds of ours - baseline."""
    if not ours or len(ours) != len(baseline):
        raise ValueError(f"{len(ours)} rounds of ours, {len(baseline)} of the baseline")
    return statistics.median(a - b for a, b in zip(ours, baseline, strict=True))


class Check(msgspec.Struct, frozen=True):
    """One figure and its bound: `value` must be <= or >= `must`."""

    name: str
    value: float
    bound: Literal["<=", ">="]
    must: float
    unit: str = "x"

    @property
    def reached(self) -> bool:
        return self.value <= self.must if self.bound == "<=" else self.value >= self.must

    @property
    def shortfall(self) -> float:
        """How far from the bound, as a factor: above 1 is missed."""
        if self.bound == "<=":
            return self.value / self.must if self.must else float("inf" if self.value > 0 else 0)
        return self.must / self.value if self.value > 0 else float("inf")


class Verdict(msgspec.Struct, frozen=True):
    """All checks of one bar; its `ratio` and `must` are those of the check nearest to failing.

    `not_measured` says why the figures are not those that the bar asks for, where the baseline or
    the machine fell short: then nothing is reached.
    """

    bar: int
    checks: Sequence[Check]
    rounds: int
    details: Mapping[str, Any] = {}
    not_measured: Sequence[str] = ()

    @property
    def reached(self) -> bool:
        return (
            bool(self.checks)
            and not self.not_measured
            and all(check.reached for check in self.checks)
        )

    def line(self) -> str:
        worst = max(self.checks, key=lambda check: (not check.reached, check.shortfall))
        return json.dumps(
            {
                "bar": self.bar,
                "ratio": round(worst.value, 3),
                "must": worst.must,
                "reached": self.reached,
                "rounds": self.rounds,
                "checks": [
                    {
                        "name": check.name,
                        "value": round(check.value, 3),
                        "bound": check.bound,
                        "must": check.must,
                        "unit": check.unit,
                        "reached": check.reached,
                    }
                    for check in self.checks
                ],
                **({"not_measured": list(self.not_measured)} if self.not_measured else {}),
                **self.details,
            },
            separators=(",", ":"),
        )


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their longest cell, numbers to the right."""
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    right = [
        bool(rows) and all(isinstance(row[place], int | float) for row in rows)
        for place in range(len(headings))
    ]
    lines = [headings, ["-" * width for width in widths], *texts]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def conclude(verdict: Verdict, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> int:
    """Prints table, checks and the line of JSON; the exit status of the bar."""
    print(table(headings, rows))
    print()
    print(
        table(
            ("check", "median", "must", ""),
            [
                (
                    check.name,
                    f"{check.value:.2f} {check.unit}",
                    f"{check.bound} {check.must:g} {check.unit}",
                    "reached" if check.reached else "MISSED",
                )
                for check in verdict.checks
            ],
        )
    )
    for reason in verdict.not_measured:
        print(f"not measured: {reason}")
    print(verdict.line(), flush=True)
    if verdict.not_measured:
        return NOT_MEASURED
    return 0 if verdict.reached else MISSED


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)
