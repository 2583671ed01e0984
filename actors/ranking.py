"""The two orders that votes make: `hot` for feeds, the Wilson bound for `best` comments.

Both are pure functions of stored values, never of the clock, so an index over them stays valid.
"""

from __future__ import annotations

import math
from typing import Final

# Reddit's published constants (r2/lib/db/_sorts.pyx): 2005-12-08T07:46:43Z as origin, and the
# 45,000 seconds (12.5 hours) that weigh as much as ten times the score.
HOT_EPOCH_SECONDS: Final = 1_134_028_003.0
HOT_PERIOD_SECONDS: Final = 45_000.0

# 80 % two-sided confidence (Reddit's choice for comments): the standard normal's 0.9 quantile.
WILSON_Z: Final = 1.281551565545
_Z2: Final = WILSON_Z * WILSON_Z
_HALF_Z2: Final = _Z2 / 2
_QUARTER_Z2: Final = _Z2 / 4


def hot_rank(up: int, down: int, created_ms: int) -> float:
    """Bit for bit what SQL's `hot_rank(up int, down int, created_ms bigint)` computes:

        sign(up - down) * log(greatest(abs(up - down), 1)::double precision)
          + (created_ms::double precision / 1000.0 - 1134028003.0) / 45000.0

    Each step rounds once, in the same order, so feeds ranked by one and paged by the other agree.
    Votes are 0..2^31-1, `created_ms` Unix milliseconds.
    """
    score = up - down
    magnitude = math.log10(float(abs(score))) if score else 0.0
    age = (created_ms / 1000.0 - HOT_EPOCH_SECONDS) / HOT_PERIOD_SECONDS
    return math.copysign(magnitude, score) + age


def wilson_lower_bound(up: int, down: int) -> float:
    """Lower bound of the Wilson score interval of the share of up-votes, in [0, 1); 0 without any.

    E. B. Wilson (1927), with numerator and denominator multiplied by n.
    """
    if up <= 0:
        return 0.0
    n = up + down
    return (up + _HALF_Z2 - WILSON_Z * math.sqrt(up * down / n + _QUARTER_Z2)) / (n + _Z2)


def best_rank(up: int, down: int) -> float:
    """The Wilson bound, continued below zero for comments that have down-votes only: there the
    bound is 0 whatever their number, and a comment refused by many would tie with a fresh one."""
    return wilson_lower_bound(up, down) if up > 0 else -float(down)
