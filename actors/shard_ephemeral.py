"""Ephemeral events on their way through the throttle: what is due later is sent by a timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from prometheus_client import Counter

from actors.shard_hub import Hub
from actors.shard_messages import Ephemeral, Publication
from actors.throttle import Throttle
from config.errors import AppError

_DROPPED = Counter(
    "serai_shard_ephemeral_dropped_total", "Ephemeral events beyond the number of pending keys"
)


class EphemeralEvents:
    def __init__(self, hub: Hub, clock: Callable[[], float]) -> None:
        self._hub = hub
        self._clock = clock
        self._throttle = Throttle()
        self._timer: asyncio.TimerHandle | None = None

    def take(self, events: Iterable[Ephemeral]) -> None:
        """Events of channels that nobody follows, and those beyond the throttle's keys, end
        here."""
        now, dropped = self._clock(), self._throttle.dropped
        for event in events:
            if event.channel in self._hub.channels:
                self.send(self._throttle.offer(event, now))
        _DROPPED.inc(self._throttle.dropped - dropped)
        self._arm()

    def publish(self, publication: Publication, interval_seconds: float) -> None:
        """At once, or the newest of each interval of its channel. Raises AppError("overloaded")
        when too many channels are within one."""
        if publication.channel not in self._hub.channels:
            return
        dropped = self._throttle.dropped
        self.send(
            self._throttle.offer_publication(publication, "", interval_seconds, self._clock())
        )
        if self._throttle.dropped > dropped:
            _DROPPED.inc()
            raise AppError("overloaded", "Too much at once.", retry_after_seconds=1.0)
        self._arm()

    def send(self, publication: Publication | None) -> None:
        if publication is not None:
            channel = self._hub.channels.get(publication.channel)
            if channel is not None:
                self._hub.send(channel, publication)

    def stop(self) -> None:
        """What still waits is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        return len(self._throttle)

    def _send_due(self) -> None:
        self._timer = None
        for publication in self._throttle.take_due(self._clock()):
            self.send(publication)
        self._arm()

    def _arm(self) -> None:
        due = self._throttle.next_due()
        if due is None:
            return
        loop = asyncio.get_running_loop()
        delay = max(0.0, due - self._clock())
        timer = self._timer
        if timer is not None:
            if timer.when() <= loop.time() + delay:
                return
            timer.cancel()  # a key with a shorter interval came
        self._timer = loop.call_later(delay, self._send_due)
