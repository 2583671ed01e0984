"""How many workers there shall be: by the jobs that could run now. Pure."""

from __future__ import annotations

from typing import Any

from serve_app.replica_scaling import replicas_for


class DepthPolicy:
    """Serve's autoscaling policy. Every worker says the depth of the one queue: the largest of what
    they say is it, and one that has reported nothing hides nothing."""

    def __init__(self, per_worker: int) -> None:
        self._per_worker = per_worker

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        depths = (context.aggregated_metrics or {}).get("depth", {})
        current = context.target_num_replicas
        wanted = current
        if depths:
            wanted = replicas_for(max(depths.values()), current, self._per_worker)
        least = context.capacity_adjusted_min_replicas
        most = context.capacity_adjusted_max_replicas
        return min(max(wanted, least), most), {}
