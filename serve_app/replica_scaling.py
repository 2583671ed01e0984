"""How many replicas of a deployment there shall be: by what they say of themselves, such as their
sockets, which Serve does not count. Pure."""

from __future__ import annotations

import math
from typing import Any, Final

_FULL: Final = 0.8
"""One is taken away only where the others then hold at most this part of their load: else the next
clients would bring it back."""


def replicas_for(load: float, current: int, per_replica: int) -> int:
    """Up to what the load needs, down by one at a time."""
    needed = max(1, math.ceil(load / per_replica))
    if needed >= current:
        return needed
    room = (current - 1) * per_replica * _FULL
    return current - 1 if load <= room else current


class SumPolicy:
    """Serve's autoscaling policy: the load is the sum of a `metric` over the replicas."""

    def __init__(self, metric: str, per_replica: int) -> None:
        self._metric = metric
        self._per_replica = per_replica

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        loads = (context.aggregated_metrics or {}).get(self._metric, {})
        current = context.target_num_replicas
        wanted = replicas_for(sum(loads.values()), current, self._per_replica)
        if len(loads) < current:  # not everybody has reported: perhaps the full ones have not
            wanted = max(wanted, current)
        least = context.capacity_adjusted_min_replicas
        most = context.capacity_adjusted_max_replicas
        return min(max(wanted, least), most), {}
