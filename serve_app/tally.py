"""Metrics that hot paths add to: what one turn of the event loop adds is told together.

In a replica every call of prometheus_client takes a lock, asks for the process id and writes to a
mapped file, 3 µs in all: half of what it takes to send a frame.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Metric(Protocol):
    """A counter, a gauge, or one of those with its labels."""

    def inc(self, amount: float = 1) -> None: ...


class Tally:
    """For one event loop at a time; without one the metric is told at once."""

    __slots__ = ("_amount", "_loop", "_metric")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._amount = 0.0
        # Where `_tell` waits. A loop that was closed before its turn must not keep the rest quiet.
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, amount: float = 1) -> None:
        self._amount += amount
        # Asking which loop runs is a system call, in Python 3.11: once a turn is enough.
        if self._loop is not None and not self._loop.is_closed():
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._tell()
            return
        self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._loop = None
        amount, self._amount = self._amount, 0.0
        if amount:
            self._metric.inc(amount)
