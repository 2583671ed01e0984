"""Coalescing of ephemeral events: the first of a (channel, key) at once, then the newest of each
interval. Pure: times are seconds of any monotonic clock, handed in.
"""

from __future__ import annotations

import heapq
from typing import Final

from actors.shard_messages import Ephemeral, Publication

MAX_INTERVAL_SECONDS: Final = 60.0


class _Slot:
    __slots__ = ("interval", "newest")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.newest: Publication | None = None


class Throttle:
    """At most `max_keys` keys are in an interval at a time; events of further keys are dropped."""

    def __init__(self, max_keys: int = 50_000) -> None:
        self._max_keys = max_keys
        self._slots: dict[tuple[str, str], _Slot] = {}
        # One entry a slot: when its interval ends.
        self._due: list[tuple[float, tuple[str, str]]] = []
        self.dropped = 0

    def offer(self, event: Ephemeral, now: float) -> Publication | None:
        """The publication to send now; None: it waits for the end of its key's interval."""
        publication = Publication(event.channel, 0, event.data, counter=event.counter)
        return self.offer_publication(publication, event.key, event.interval_seconds, now)

    def offer_publication(
        self, publication: Publication, key_in_channel: str, interval_seconds: float, now: float
    ) -> Publication | None:
        interval = min(interval_seconds, MAX_INTERVAL_SECONDS)
        key = (publication.channel, key_in_channel)
        slot = self._slots.get(key)
        if not interval > 0:
            if slot is not None:
                slot.newest = None  # older than what goes out now
            return publication
        if slot is not None:
            slot.newest = publication
            slot.interval = interval
            return None
        if len(self._slots) >= self._max_keys:
            self.dropped += 1
            return None
        self._begin(key, now, interval)
        return publication

    def take_due(self, now: float) -> list[Publication]:
        """What waited for an interval that has ended; each begins the next interval of its key."""
        publications: list[Publication] = []
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            slot = self._slots.pop(key)
            if slot.newest is not None:
                publications.append(slot.newest)
                self._begin(key, now, slot.interval)
        return publications

    def next_due(self) -> float | None:
        return self._due[0][0] if self._due else None

    def __len__(self) -> int:
        return len(self._slots)

    def _begin(self, key: tuple[str, str], now: float, interval: float) -> None:
        self._slots[key] = _Slot(interval)
        heapq.heappush(self._due, (now + interval, key))
