"""A text engine that does what its test says, and knows what was asked of it and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from ai.engines.engine import ChatMessage, EngineStatistics, Generation, Health
from config.errors import AppError

QUESTION = Generation((ChatMessage("user", "Which form?"),))


class FakeEngine:
    """Writes `pieces`; before the one at `pause_before` it waits for `go_on`; then `error`."""

    def __init__(self, *pieces: str, error: AppError | None = None) -> None:
        self.pieces = list(pieces)
        self.error = error
        self.pause_before: int | None = None
        self.go_on = asyncio.Event()
        self.state: Health = "ready"
        self.asked: list[Generation] = []
        self.running = 0
        self.most_running = 0
        self.cut_off = 0
        self.starts = 0
        self.is_closed = False

    async def start(self) -> None:
        self.starts += 1
        if self.error is not None:
            raise self.error

    async def stream(self, generation: Generation) -> AsyncGenerator[str, None]:
        self.asked.append(generation)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        is_whole = False
        try:
            for position, piece in enumerate(self.pieces):
                if position == self.pause_before:
                    await self.go_on.wait()
                yield piece
            if self.pause_before == len(self.pieces):
                await self.go_on.wait()
            is_whole = True
            if self.error is not None:
                raise self.error
        finally:
            self.running -= 1
            self.cut_off += not is_whole

    def health(self) -> Health:
        return self.state

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self.state, self.running, self.starts)

    async def close(self) -> None:
        self.is_closed = True
