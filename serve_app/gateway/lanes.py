"""Commands of one channel one after the other, those of different channels side by side.

A lane's task lives only while it has something to do: a silent connection has none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, Final

from serve_app.gateway.protocol import Command

IN_FLIGHT: Final = 128
"""Commands of one connection that may be under way before its socket is read no further."""
IN_FLIGHT_BYTES: Final = 262_144
"""The same for the frames that they came in: a command keeps all of its frame in memory."""

Run = Callable[[Command], Awaitable[None]]


async def _run_nothing(_: Command) -> None:
    return None


class Frame:
    """What `waiting` commands came in."""

    __slots__ = ("size", "waiting")

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting = 0


class Lanes:
    """The tasks of one connection. `run` must raise nothing."""

    __slots__ = ("_bytes", "_in_flight", "_lanes", "_room", "_run", "_tasks", "closed")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lanes: dict[str, deque[tuple[Command, Frame]]] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._in_flight = self._bytes = 0
        self._room: asyncio.Future[None] | None = None
        self.closed = False

    def busy(self, name: str) -> bool:
        return name in self._lanes

    def put(self, name: str, command: Command, frame: Frame) -> None:
        self._in_flight += 1
        if not frame.waiting:
            self._bytes += frame.size
        frame.waiting += 1
        lane = self._lanes.get(name)
        if lane is not None:
            lane.append((command, frame))
            return
        lane = self._lanes[name] = deque(((command, frame),))
        self.spawn(self._run_lane(name, lane))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs until done or `close`."""
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not self._tasks:
            # Emptied dicts keep their room, which is most of what an idle connection needs here.
            self._tasks = {}
            self._lanes = self._lanes or {}

    async def wait_room(self) -> None:
        """Until less than the bounds is in flight, or the lanes are closed."""
        while self._is_full and not self.closed:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def close(self) -> None:
        """Cancels everything but the task that calls. Nothing is run afterwards, and what would
        have run it is forgotten: it holds the connection, which holds the lanes."""
        self.closed = True
        self._run = _run_nothing
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._make_room()

    @property
    def _is_full(self) -> bool:
        return self._in_flight >= IN_FLIGHT or self._bytes >= IN_FLIGHT_BYTES

    async def _run_lane(self, name: str, lane: deque[tuple[Command, Frame]]) -> None:
        try:
            while lane and not self.closed:
                await self._run(lane[0][0])
                self._leave(lane.popleft()[1])
        finally:
            while lane:
                self._leave(lane.popleft()[1])
            self._lanes.pop(name, None)

    def _leave(self, frame: Frame) -> None:
        self._in_flight -= 1
        frame.waiting -= 1
        if not frame.waiting:
            self._bytes -= frame.size
        if not self._is_full:
            self._make_room()

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
