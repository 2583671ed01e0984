"""How many replicas of the LLM deployment there shall be: by the streams they have. Pure."""

from __future__ import annotations

from typing import Any

from serve_app.gateway_scaling import gateways_for


class QueuesPolicy:
    """Serve's autoscaling policy. Each replica has a queue of its own, and `depth` is what runs and
    waits there: together they are the work. A replica that has reported nothing may be full."""

    def __init__(self, per_replica: int) -> None:
        self._per_replica = per_replica

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        depths = (context.aggregated_metrics or {}).get("depth", {})
        current = context.target_num_replicas
        wanted = gateways_for(sum(depths.values()), current, self._per_replica)
        if len(depths) < current:
            wanted = max(wanted, current)
        least = context.capacity_adjusted_min_replicas
        most = context.capacity_adjusted_max_replicas
        return min(max(wanted, least), most), {}
