"""One timer for all connections: a wheel of slots of one second.

A loop timer per socket costs a heap entry each and is cancelled far more often than it fires. Here
a connection lies in at most one slot, that of its nearest deadline, and leaves it when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

SLOT_SECONDS = 1.0


class Timed(Protocol):
    """Something with deadlines. `slot` belongs to the wheel; -1 at first."""

    slot: int

    def on_time(self, now: float) -> float | None:
        """Does what is due, and returns the next deadline, None for none."""


class Wheel:
    """Deadlines are loop times, met up to one slot late and never early."""

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        """`now` replaces the clock of the loop that runs when the time is first asked for."""
        self._now = now
        self._slots: dict[int, set[Timed]] = {}
        self._tick = 0
        self._handle: asyncio.TimerHandle | None = None

    def now(self) -> float:
        if self._now is None:
            # Once: in Python 3.11 it is a system call, and each new connection asks four times.
            self._now = asyncio.get_running_loop().time
        return self._now()

    def start(self) -> None:
        """Advances by the running loop's clock from now on."""
        self._tick = math.floor(self.now() / SLOT_SECONDS)
        self._sleep()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._slots.clear()

    def set(self, timed: Timed, when: float | None) -> None:
        """Moves `timed` to the slot of `when`; None takes it out."""
        slot = -1 if when is None else max(self._index(when), self._tick + 1)
        if slot == timed.slot:
            return
        if timed.slot >= 0:
            old = self._slots.get(timed.slot)
            if old is not None:
                old.discard(timed)
                if not old:
                    del self._slots[timed.slot]
        timed.slot = slot
        if slot >= 0:
            self._slots.setdefault(slot, set()).add(timed)

    def advance(self, now: float) -> None:
        """Runs every slot up to `now`; called by the wheel itself once started."""
        last = math.floor(now / SLOT_SECONDS)
        # After a long stall, visit the slots that exist instead of counting through the gap.
        for slot in sorted(s for s in self._slots if s <= last):
            for timed in self._slots.pop(slot, ()):
                if timed.slot != slot:
                    continue  # moved by what another connection did in this slot
                timed.slot = -1
                try:
                    self.set(timed, timed.on_time(now))
                except Exception:
                    # One connection's failure must not stop the pings of all others.
                    log.exception("a connection's timer failed")
        self._tick = max(self._tick, last)

    def _fire(self) -> None:
        self.advance(self.now())
        self._sleep()

    def _sleep(self) -> None:
        loop = asyncio.get_running_loop()
        next_slot = (math.floor(loop.time() / SLOT_SECONDS) + 1) * SLOT_SECONDS
        self._handle = loop.call_at(next_slot, self._fire)

    @staticmethod
    def _index(when: float) -> int:
        return math.ceil(when / SLOT_SECONDS)
