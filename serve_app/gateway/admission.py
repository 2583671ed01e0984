"""New connections in slices: thousands who come back at once wait for each other, not the rest.

    handshake ─▶ enter() ─▶ at once while the slice has room
                     └─────▶ queue ─▶ the next slice, one per turn of the event loop
                     └─────▶ queue full ─▶ `overloaded`: 503 with a Retry-After of its own for each

A turn of the loop takes one slice, so that deliveries, pings and the accepting of further
connections go on between two slices.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Final

from prometheus_client import Counter

from config.errors import AppError
from serve_app.collector import CollectorRest

SLICE: Final = 16
"""Handshakes begun in one turn of the loop: some milliseconds."""
MOST_WAITING: Final = 20_000
RUSH: Final = 256
"""With so many waiting the garbage collector rests until nobody does."""
_RETRY_SECONDS: Final = (1, 10)

REFUSED: Final = Counter(
    "serai_realtime_admission_refused_total", "Handshakes refused because too many were waiting"
)


class Admission:
    """First come, first served. Belongs to one event loop."""

    def __init__(self, per_slice: int = SLICE, most_waiting: int = MOST_WAITING) -> None:
        self._per_slice = per_slice
        self._most_waiting = most_waiting
        self._room = per_slice
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turn: asyncio.Handle | None = None
        self._rest = CollectorRest()

    async def enter(self) -> None:
        """Returns when the connection may be opened. Raises AppError 'overloaded', whose
        `retry_after_seconds` differ from caller to caller; cancelling gives the place up."""
        loop = asyncio.get_running_loop()
        if self._turn is None:
            self._turn = loop.call_soon(self._next_slice)
        if self._room and not self._waiting:
            self._room -= 1
            return
        if len(self._waiting) >= self._most_waiting:
            REFUSED.inc()
            raise AppError(
                "overloaded",
                "Too many connections are being opened.",
                retry_after_seconds=random.randint(*_RETRY_SECONDS),
            )
        place = loop.create_future()
        self._waiting.append(place)
        if len(self._waiting) == RUSH:
            self._rest.begin(loop.time())
        await place

    def _next_slice(self) -> None:
        self._room = self._per_slice
        while self._waiting and self._room:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                self._room -= 1
        loop = asyncio.get_running_loop()
        if self._waiting:
            self._rest.end_if_long(loop.time())
        else:
            self._rest.end()
        idle = not self._waiting and self._room == self._per_slice
        self._turn = None if idle else loop.call_soon(self._next_slice)

    def statistics(self) -> dict[str, int]:
        return {"handshakes_waiting": len(self._waiting)}
