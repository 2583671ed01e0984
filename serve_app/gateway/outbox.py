"""What a connection says besides the publications of its channels, which the hub writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from serve_app.gateway.channel_hub import BYTES
from serve_app.gateway.protocol import Outlet, Wire

REPLIES_PER_FRAME: Final = 16


class Outbox:
    """Replies of one tick share frames. Writes nothing once it is closed, nor to an outlet that is
    closing; `on_slow` when more than `max_buffered` bytes lie unsent."""

    __slots__ = ("_max_buffered", "_messages", "_on_slow", "_outlet", "_wire", "closed")

    def __init__(
        self, outlet: Outlet, wire: Wire, max_buffered: int, on_slow: Callable[[], None]
    ) -> None:
        self._outlet = outlet
        self._wire = wire
        self._max_buffered = max_buffered
        self._on_slow = on_slow
        self._messages: list[bytes] = []
        self.closed = False

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
            BYTES.inc(len(frame))
            self.check_speed()

    def check_speed(self) -> None:
        if self._outlet.get_write_buffer_size() > self._max_buffered:
            self._on_slow()

    def close(self) -> None:
        self.closed = True
        self._messages = []
