"""How far a replica is behind, pure.

A replica's own clock of the last replayed commit grows while nothing is written, so an idle primary
would look like a replica that stands still. Therefore the primary's log is sampled: a replica that
has replayed all that the log held at some moment is no further behind than that moment. Both are
upper bounds, the smaller one counts.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

_SAMPLES: Final = 1_000
# A replica that swings about its bound would otherwise be taken out and in all the time.
_RETURN_PART: Final = 0.5


class PrimaryLog:
    """How long the primary's log was when. Positions are bytes since its beginning."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def saw(self, at: float, written: int) -> None:
        self._samples.append((at, written))

    def lag_seconds(self, replayed: int) -> float:
        """As of the newest sample: while the primary is away nobody falls behind it. Infinite for
        who is behind all that is remembered."""
        if not self._samples:
            return 0.0
        now = self._samples[-1][0]
        for at, written in reversed(self._samples):
            if written <= replayed:
                return now - at
        return float("inf")

    def lag_bytes(self, replayed: int) -> int:
        return max(0, self._samples[-1][1] - replayed) if self._samples else 0


class LagBounds(msgspec.Struct, frozen=True):
    seconds: float
    bytes: int

    def allow(self, seconds: float, bytes: int, *, in_use: bool) -> bool:
        """Who has been taken out comes back only when well within the bounds."""
        part = 1.0 if in_use else _RETURN_PART
        return seconds <= part * self.seconds and bytes <= part * self.bytes
