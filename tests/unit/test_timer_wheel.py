from __future__ import annotations

import pytest

from serve_app.gateway.timers import Wheel


class Alarm:
    def __init__(self, again: float | None = None) -> None:
        self.slot = -1
        self.rang: list[float] = []
        self.again = again

    def on_time(self, now: float) -> float | None:
        self.rang.append(now)
        return None if self.again is None else now + self.again


def test_rings_once_never_early_and_at_most_a_slot_late() -> None:
    wheel, alarm = Wheel(lambda: 0.0), Alarm()
    wheel.set(alarm, 2.5)
    for now in (1.0, 2.0, 2.9):
        wheel.advance(now)
    assert alarm.rang == []
    wheel.advance(3.0)
    wheel.advance(4.0)
    assert alarm.rang == [3.0]


def test_moves_repeats_and_leaves() -> None:
    wheel, moved, repeated, gone = Wheel(lambda: 0.0), Alarm(), Alarm(again=2.0), Alarm()
    for alarm in (moved, repeated, gone):
        wheel.set(alarm, 2.0)
    wheel.set(moved, 5.0)
    wheel.set(gone, None)
    for now in range(1, 8):
        wheel.advance(float(now))
    assert moved.rang == [5.0]
    assert repeated.rang == [2.0, 4.0, 6.0]
    assert gone.rang == []
    wheel.set(repeated, None)
    assert wheel._slots == {}


def test_after_a_stall_everything_due_rings_once() -> None:
    wheel, early, late = Wheel(lambda: 0.0), Alarm(), Alarm(again=1.0)
    wheel.set(early, 3.0)
    wheel.set(late, 50.0)
    wheel.advance(1_000.0)
    assert early.rang == late.rang == [1_000.0]
    wheel.advance(1_001.0)
    assert late.rang == [1_000.0, 1_001.0]


def test_one_failure_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Alarm):
        def on_time(self, now: float) -> float | None:
            raise ZeroDivisionError

    wheel, alarms = Wheel(lambda: 0.0), [Alarm() for _ in range(5)]
    wheel.set(Broken(), 1.0)
    for alarm in alarms:
        wheel.set(alarm, 1.0)
    wheel.advance(1.0)
    assert all(alarm.rang == [1.0] for alarm in alarms)
    assert "timer failed" in caplog.text


def test_one_alarm_may_take_another_out_of_the_same_slot() -> None:
    wheel = Wheel(lambda: 0.0)
    victims: list[Alarm] = [Alarm(), Alarm()]

    class Killer(Alarm):
        def on_time(self, now: float) -> float | None:
            for victim in victims:
                if not victim.rang:
                    wheel.set(victim, 9.0)
            return None

    wheel.set(Killer(), 1.0)
    for victim in victims:
        wheel.set(victim, 1.0)
    wheel.advance(1.0)
    assert all(v.rang == [1.0] or v.slot == 9 for v in victims)
    wheel.advance(9.0)
    assert all(len(v.rang) == 1 for v in victims)
