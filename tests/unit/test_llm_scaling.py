"""The number of LLM replicas that their queues ask for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from serve_app.llm_scaling import QueuesPolicy


@pytest.mark.parametrize(
    ("depths", "current", "wanted"),
    [
        ({"a": 3.0}, 1, 1),
        ({"a": 5.0}, 1, 2),
        ({"a": 4.0, "b": 6.0}, 2, 3),  # each has a queue of its own
        ({"a": 90.0}, 1, 4),
        ({"a": 0.0, "b": 0.0, "c": 0.0}, 3, 2),  # one at a time
        ({"a": 0.0, "b": 4.0}, 2, 2),  # one alone would be full
        ({"a": 0.0}, 2, 2),  # the other has not reported
        ({}, 3, 3),
        (None, 2, 2),
    ],
)
def test_as_many_as_the_streams_ask_for(
    depths: dict[str, float] | None, current: int, wanted: int
) -> None:
    context = SimpleNamespace(
        aggregated_metrics=None if depths is None else {"depth": depths},
        target_num_replicas=current,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )
    assert QueuesPolicy(4)(context) == (wanted, {})
