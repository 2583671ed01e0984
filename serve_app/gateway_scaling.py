"""How many gateways there shall be: by their sockets, which Serve does not count. Pure."""

from __future__ import annotations

import math
from typing import Any, Final

_FULL: Final = 0.8
"""One is taken away only where the others then hold at most this part of their sockets: else the
next clients would bring it back."""


def gateways_for(sockets: float, current: int, per_gateway: int) -> int:
    """Up to what the sockets need, down by one at a time."""
    needed = max(1, math.ceil(sockets / per_gateway))
    if needed >= current:
        return needed
    room = (current - 1) * per_gateway * _FULL
    return current - 1 if sockets <= room else current


class SocketsPolicy:
    """Serve's autoscaling policy; `sockets` is what gateways say of themselves."""

    def __init__(self, per_gateway: int) -> None:
        self._per_gateway = per_gateway

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        counts = (context.aggregated_metrics or {}).get("sockets", {})
        current = context.target_num_replicas
        wanted = gateways_for(sum(counts.values()), current, self._per_gateway)
        if len(counts) < current:  # not everybody has reported: perhaps the full ones have not
            wanted = max(wanted, current)
        least = context.capacity_adjusted_min_replicas
        most = context.capacity_adjusted_max_replicas
        return min(max(wanted, least), most), {}
