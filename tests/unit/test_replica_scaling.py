"""The number of replicas that sockets, or streams, ask for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from config.settings import load
from serve_app.replica_scaling import SumPolicy, replicas_for


@pytest.mark.parametrize(
    ("sockets", "current", "wanted"),
    [
        (0, 1, 1),
        (10, 1, 1),
        (11, 1, 2),
        (45, 1, 5),
        (20, 3, 3),  # two would be full
        (16, 3, 2),
        (0, 5, 4),  # one at a time
        (8, 2, 1),
        (9, 2, 2),
    ],
)
def test_up_to_what_is_needed_and_down_one_by_one(sockets: int, current: int, wanted: int) -> None:
    assert replicas_for(sockets, current, 10) == wanted


@pytest.mark.parametrize("profile", ["500k", "2m"])
def test_the_profiles_of_servers_follow_the_sockets(profile: str) -> None:
    gateway = load({"SERAI_PROFILE": profile}).deployments.gateway
    assert gateway.max_replicas > gateway.replicas


def test_never_flaps() -> None:
    """Whoever was added for some sockets is not taken away while they stay."""
    for sockets in range(200):
        settled = replicas_for(sockets, 1, 7)
        assert replicas_for(sockets, settled, 7) == settled


def _context(sockets: dict[str, dict[str, float]] | None, current: int) -> SimpleNamespace:
    return SimpleNamespace(
        aggregated_metrics=sockets,
        target_num_replicas=current,
        capacity_adjusted_min_replicas=2,
        capacity_adjusted_max_replicas=4,
    )


@pytest.mark.parametrize(
    ("metrics", "current", "wanted"),
    [
        ({"sockets": {"a": 12.0, "b": 11.0}}, 2, 3),
        ({"sockets": {"a": 99.0, "b": 99.0}}, 2, 4),
        ({"sockets": {"a": 0.0, "b": 0.0}}, 2, 2),
        ({"sockets": {"a": 0.0, "b": 0.0, "c": 0.0}}, 3, 2),
        ({"sockets": {"a": 0.0, "b": 0.0}}, 3, 3),  # one has not reported
        ({"sockets": {"a": 0.0, "b": 17.0, "c": 0.0}}, 3, 3),  # two would be full
        ({"depth": {"a": 99.0, "b": 99.0}}, 2, 2),  # another metric
        ({}, 3, 3),
        (None, 2, 2),
    ],
)
def test_within_the_bounds_of_the_deployment(
    metrics: dict[str, dict[str, float]] | None, current: int, wanted: int
) -> None:
    assert SumPolicy("sockets", 10)(_context(metrics, current)) == (wanted, {})
