"""What a connection says besides the publications of its channels, which the hub writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from serve_app.gateway.channel_hub import BYTES
from serve_app.gateway.protocol import Outlet, Wire

REPLIES_PER_FRAME: Final = 16
_LOOK_SECONDS: Final = 0.005
_LOOK_MOST_SECONDS: Final = 0.1


def _ignore() -> None:
    """Who has left is not slow."""


class Outbox:
    """Replies of one tick share frames. Writes nothing once it is closed, nor to an outlet that is
    closing; `on_slow` when more than `max_buffered` bytes lie unsent."""

    __slots__ = ("_max_buffered", "_messages", "_on_slow", "_outlet", "_turn", "_wire", "closed")

    def __init__(
        self, outlet: Outlet, wire: Wire, max_buffered: int, on_slow: Callable[[], None]
    ) -> None:
        self._outlet = outlet
        self._wire = wire
        self._max_buffered = max_buffered
        self._on_slow = on_slow
        self._messages: list[bytes] = []
        self.closed = False
        self._turn: asyncio.Lock | None = None

    @property
    def turn(self) -> asyncio.Lock:
        """Held by who waits for room for one long answer: the next one finds what is left. Made
        when first asked for: most connections never do."""
        if self._turn is None:
            self._turn = asyncio.Lock()
        return self._turn

    @property
    def largest_message(self) -> int:
        """Bytes of one answer; half of the queue, so that there is room for what else is said."""
        return self._max_buffered // 2

    def has_room(self, size: int) -> bool:
        """For an answer of so many bytes. Three quarters of the queue at most are for answers that
        can wait: what a client asks for at once must not end it as a slow reader."""
        unsent = self._outlet.get_write_buffer_size()
        return unsent <= self._max_buffered // 4 or unsent + size <= self._max_buffered // 2

    async def wait_room(self, size: int) -> None:
        """Until there is, or the outbox is closed; bounded by the command's own time."""
        delay = _LOOK_SECONDS
        # Transports tell only their own protocol when they have drained.
        while self.takes and not self.has_room(size):
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LOOK_MOST_SECONDS)

    @property
    def takes(self) -> bool:
        return not self.closed and not self._outlet.is_closing()

    def put(self, message: bytes) -> None:
        """Until the next flush."""
        if not self.closed:
            self._messages.append(message)
            if len(self._messages) >= REPLIES_PER_FRAME:
                self.flush()

    def send(self, message: bytes) -> None:
        """Now, after what waits."""
        self.flush()
        self.write(self._wire.frame((message,)))

    def flush(self) -> None:
        if self._messages:
            self.write(self._wire.frame(self.take()))

    def take(self) -> list[bytes]:
        """What waits, which then waits no longer."""
        messages, self._messages = self._messages, []
        return messages

    def write(self, frame: bytes) -> None:
        if self.takes:
            self._outlet.write(frame)
            BYTES.add(len(frame))
            self.check_speed()

    def check_speed(self) -> None:
        if self._outlet.get_write_buffer_size() > self._max_buffered:
            self._on_slow()

    def close(self) -> None:
        """`on_slow` is forgotten: it holds the connection, which holds the outbox."""
        self.closed = True
        self._on_slow = _ignore
        self._messages = []
