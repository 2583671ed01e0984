"""The number of workers that the queue asks for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from serve_app.worker_scaling import DepthPolicy


@pytest.mark.parametrize(
    ("depths", "current", "wanted"),
    [
        ({"a": 25.0}, 1, 3),
        ({"a": 25.0, "b": 24.0}, 2, 3),  # the same queue, seen twice
        ({"a": 990.0}, 1, 4),
        ({"a": 0.0, "b": 0.0, "c": 0.0}, 3, 2),  # one at a time
        ({"a": 19.0, "b": 19.0}, 2, 2),  # one alone would be full
        ({"a": 0.0}, 1, 1),
        ({}, 3, 3),
        (None, 2, 2),
    ],
)
def test_as_many_as_the_depth_asks_for(
    depths: dict[str, float] | None, current: int, wanted: int
) -> None:
    context = SimpleNamespace(
        aggregated_metrics=None if depths is None else {"depth": depths},
        target_num_replicas=current,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )
    assert DepthPolicy(10)(context) == (wanted, {})
