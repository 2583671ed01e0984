from __future__ import annotations

from storage.replica_lag import LagBounds, PrimaryLog


def log(*samples: tuple[float, int]) -> PrimaryLog:
    made = PrimaryLog()
    for at, written in samples:
        made.saw(at, written)
    return made


def test_an_idle_primary_is_no_lag() -> None:
    idle = log((1.0, 100), (60.0, 100), (3_600.0, 100))
    assert (idle.lag_seconds(100), idle.lag_bytes(100)) == (0.0, 0)
    assert (idle.lag_seconds(101), idle.lag_bytes(101)) == (0.0, 0)


def test_a_replica_is_as_old_as_the_last_moment_that_it_shows_whole() -> None:
    busy = log((1.0, 100), (2.0, 200), (3.0, 200), (4.0, 300))
    assert busy.lag_seconds(300) == 0.0
    assert busy.lag_seconds(250) == 1.0
    assert busy.lag_seconds(199) == 3.0
    assert busy.lag_bytes(199) == 101


def test_who_is_behind_all_that_is_remembered_is_infinitely_behind() -> None:
    assert log((1.0, 100), (2.0, 200)).lag_seconds(99) == float("inf")


def test_nobody_is_behind_a_primary_that_was_never_seen() -> None:
    assert (PrimaryLog().lag_seconds(0), PrimaryLog().lag_bytes(0)) == (0.0, 0)


def test_who_was_left_out_comes_back_only_when_well_within_the_bounds() -> None:
    bounds = LagBounds(2.0, 1_000)
    assert bounds.allow(2.0, 1_000, in_use=True)
    assert not bounds.allow(2.1, 0, in_use=True)
    assert not bounds.allow(0.0, 1_001, in_use=True)
    assert bounds.allow(1.0, 500, in_use=False)
    assert not bounds.allow(1.1, 0, in_use=False)
    assert not bounds.allow(0.0, 501, in_use=False)
