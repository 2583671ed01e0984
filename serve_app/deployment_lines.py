"""Lines to the replicas of a deployment, found by asking Serve."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from config.settings import Deployment
from serve_app.lines import Address, Line, NotSent, open_line

_ASK_SECONDS: Final = 10.0
# While there may be more replicas: at first often, then as rarely as the last.
_ASK_AGAIN_SECONDS: Final = 2.0
_ASK_RARELY_SECONDS: Final = 10.0

Ask = Callable[[], Awaitable[Address]]


def asks_serve(handle: Any) -> Ask:
    """The address of a replica that Serve chooses. NotSent where it has none."""
    method = handle.options(method_name="line", _by_reference=False)

    async def ask() -> Address:
        try:
            address: Address = await method.remote()
        except (RayError, RayServeException) as error:
            raise NotSent from error
        return address

    return ask


class DeploymentLines:
    """`send` is a call of one replica, the one with the fewest calls of ours under way.

    Serve names a replica each time it is asked, so others are found with time: it is asked when no
    line is open, and every few seconds while there may be more replicas than lines (`most`).
    """

    def __init__(self, ask: Ask, key: bytes, most: int) -> None:
        self._ask = ask
        self._key = key
        self._most = most
        self._lines: dict[Address, Line] = {}
        self._search: asyncio.Task[None] | None = None
        self._search_again_at = float("-inf")
        self._pause = _ASK_AGAIN_SECONDS

    async def send(self, payload: bytes) -> bytes:
        """Raises NotSent when there is none, LineLost when it went, whether or not it did the
        work."""
        lines = self._open_lines()
        if not lines:
            await asyncio.shield(self._find())
            lines = self._open_lines()
            if not lines:
                raise NotSent
        if len(lines) < self._most and time.monotonic() > self._search_again_at:
            self._find()
        return await min(lines, key=_in_flight).call(payload)

    def _open_lines(self) -> list[Line]:
        return [line for line in self._lines.values() if line.is_open]

    def _find(self) -> asyncio.Task[None]:
        if self._search is None or self._search.done():
            # An empty context, as Serve takes a call for a part of the request in hand.
            self._search = asyncio.get_running_loop().create_task(
                self._ask_once(), context=contextvars.Context()
            )
            self._search.add_done_callback(_looked_at)
        return self._search

    async def _ask_once(self) -> None:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                address = await self._ask()
            known = self._lines.get(address)
            if known is None or not known.is_open:
                self._lines[address] = await open_line(address, self._key)
                self._pause = _ASK_AGAIN_SECONDS
            else:
                self._pause = min(2 * self._pause, _ASK_RARELY_SECONDS)
        except TimeoutError as error:
            raise NotSent from error
        finally:
            self._search_again_at = time.monotonic() + self._pause
            for address in [a for a, line in self._lines.items() if not line.is_open]:
                del self._lines[address]


def most_replicas(size: Deployment) -> int:
    return max(size.replicas, size.max_replicas)


def _in_flight(line: Line) -> int:
    return line.in_flight


def _looked_at(search: asyncio.Task[None]) -> None:
    """Who waits for it hears of its failure; a search that nobody waits for comes again."""
    if not search.cancelled():
        search.exception()
