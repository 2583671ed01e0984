"""Fan-out past the transports: the same bytes to many sockets in one C loop.

    hub ─▶ DirectSender ─▶ fan(fds) ─▶ kernel          the rest of a partial send ─▶ its transport
               └ more than 2 ms ─▶ runs, kept in order for the next ticks

Order rule: bytes reach a socket in the order of the calls. An fd is written to only while its
transport holds nothing, and everything else that is written to the connection goes through its
`DirectOutlet`, which first sends what a run still keeps for it.

The fd is a duplicate: a transport closes its own whenever it likes, and the number then belongs to
the next client. A duplicate holds the connection open, so it is closed before the transport is.
"""

from __future__ import annotations

import asyncio
import os
import time
from array import array
from collections import deque
from collections.abc import Callable, Collection
from typing import Final, cast

from serve_app.gateway.channel import Crowd
from serve_app.gateway.fan import BY_TRANSPORT, GONE, Fan, fan, send_once
from serve_app.gateway.protocol import Outlet

TICK_NANOSECONDS: Final = 2_000_000
"""How long one tick of the loop may send. A thousand sockets take 4 to 7 ms."""
MOST_RUNS: Final = 256
"""What is written to one connection looks through all runs for it."""
_NO_DEADLINE: Final = 2**62


class DirectOutlet:
    """A connection's only writer. `fd` is that of the duplicate while it may be written to, else
    BY_TRANSPORT. Call `release` when the connection is gone."""

    __slots__ = ("_duplicate", "_may_duplicate", "_sender", "_transport", "fd")

    def __init__(self, transport: asyncio.WriteTransport, sender: DirectSender) -> None:
        self.fd = BY_TRANSPORT
        self._transport = transport
        self._sender = sender
        self._duplicate = -1
        # Bytes that bypass TLS would be no TLS.
        self._may_duplicate = transport.get_extra_info("sslcontext") is None

    def write(self, data: bytes) -> None:
        self._sender.send_kept(self)
        self.write_by_transport(data)

    def write_by_transport(self, data: bytes) -> None:
        """What follows goes the same way until the transport is empty."""
        self.fd = BY_TRANSPORT
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """What the client has not read: not what the sender keeps, whose bound is its own."""
        return 0 if self.fd >= 0 else self._transport.get_write_buffer_size()

    def close(self) -> None:
        self._sender.send_kept(self)
        self.release()
        self._transport.close()

    def abort(self) -> None:
        self.release()
        self._transport.abort()

    def release(self) -> None:
        """Forgets what is kept for it and never sends directly again. Idempotent."""
        self._sender.forget(self)
        self.fd = BY_TRANSPORT
        self._may_duplicate = False
        if self._duplicate >= 0:
            os.close(self._duplicate)
            self._duplicate = -1

    def promote(self) -> bool:
        """Back to direct sends, if nothing is unsent. Only for the sender, when it keeps nothing
        for this outlet."""
        transport = self._transport
        if not self._may_duplicate or transport.get_write_buffer_size():
            return False
        if self._duplicate < 0:
            try:
                self._duplicate = os.dup(transport.get_extra_info("socket").fileno())
            except (AttributeError, OSError):  # not a socket, or no fd is left
                self._may_duplicate = False
                return False
        self.fd = self._duplicate
        return True


OutletOf = Callable[[asyncio.WriteTransport], DirectOutlet]


class _Run:
    """One message and its outlets, of which those from `at` on still wait, but for the places in
    `gone`. `fds` is made when the run begins: until then an earlier run may turn an outlet to its
    transport."""

    __slots__ = ("_gone", "at", "data", "fds", "outlets")

    def __init__(self, outlets: Crowd, data: bytes) -> None:
        self.outlets = outlets
        self.data = data
        self.fds: array[int] | None = None
        self.at = 0
        self._gone: set[int] = set()

    def begin(self) -> array[int]:
        fds = self.fds = fds_of(self.outlets)
        for place in self._gone:
            fds[place] = GONE
        return fds

    def waits(self, outlet: DirectOutlet) -> bool:
        place = self.outlets.place_of(outlet)
        return place is not None and place >= self.at and place not in self._gone

    def take_out(self, outlet: DirectOutlet) -> bool:
        """False: it does not wait here."""
        place = self.outlets.place_of(outlet)
        if place is None or not self.waits(outlet):
            return False
        self._gone.add(place)
        if self.fds is not None:
            self.fds[place] = GONE
        return True

    def joins(self, outlets: Crowd) -> bool:
        """Whether a further message for them may become part of this one."""
        return self.fds is None and not self._gone and self.outlets == outlets


def fds_of(outlets: Crowd) -> array[int]:
    return array("i", [outlet.fd for outlet in outlets])  # type: ignore[attr-defined]


class DirectSender:
    """A `Sender` (channel.py) for one event loop and outlets of its own. What is kept is at most
    `max_buffered` bytes and `MOST_RUNS` runs over all messages; beyond that it sends without regard
    to time, which holds back whoever publishes."""

    def __init__(
        self, send_to_all: Fan | None = None, *, tick_nanoseconds: int = TICK_NANOSECONDS
    ) -> None:
        self._fan = send_to_all or fan()
        self._tick_nanoseconds = tick_nanoseconds
        self._deadline_ns = 0
        self._tick: asyncio.Handle | None = None
        self._runs: deque[_Run] = deque()
        self._kept_bytes = 0
        self._max_buffered = 0
        self._slow: dict[DirectOutlet, None] = {}
        self.spent_seconds = 0.0

    def outlet(self, transport: asyncio.WriteTransport) -> DirectOutlet:
        return DirectOutlet(transport, self)

    def __call__(self, outlets: Crowd, data: bytes, max_buffered: int) -> list[Outlet]:
        began = time.thread_time()
        try:
            return self._send(outlets, data, max_buffered)
        finally:
            self.spent_seconds += time.thread_time() - began

    def _send(self, outlets: Crowd, data: bytes, max_buffered: int) -> list[Outlet]:
        self._max_buffered = max_buffered
        if self._tick is None:
            self._begin_tick()
        if self._runs and self._runs[-1].joins(outlets):
            self._runs[-1].data += data  # under load messages join, as within a tick
        else:
            self._runs.append(_Run(outlets, data))
        self._kept_bytes += len(data)
        if len(self._runs) == 1:
            self._go_on(self._deadline_ns)
        while self._kept_bytes > max_buffered or len(self._runs) > MOST_RUNS:
            self._go_on(_NO_DEADLINE)
        return self._take_slow(outlets) if self._slow else []

    def settle(self) -> None:
        began = time.thread_time()
        while self._runs:
            self._go_on(_NO_DEADLINE)
        self.spent_seconds += time.thread_time() - began

    # ------------------------------------------------------------ for outlets

    def send_kept(self, outlet: DirectOutlet) -> None:
        """Before its turn in the runs, so that others need not wait."""
        for run in self._runs:
            if run.take_out(outlet) and not outlet.is_closing():
                outlet.write_by_transport(run.data)

    def forget(self, outlet: DirectOutlet) -> None:
        self._slow.pop(outlet, None)
        for run in self._runs:
            run.take_out(outlet)

    # ------------------------------------------------------------ runs

    def _begin_tick(self) -> None:
        self._deadline_ns = time.monotonic_ns() + self._tick_nanoseconds
        self._tick = asyncio.get_running_loop().call_soon(self._next_tick)

    def _next_tick(self) -> None:
        self._tick = None
        if self._runs:
            self._begin_tick()
            began = time.thread_time()
            while self._runs and self._go_on(self._deadline_ns):
                pass
            self.spent_seconds += time.thread_time() - began

    def _go_on(self, deadline_ns: int) -> bool:
        """Sends of the first run; False when the time is up."""
        run = self._runs[0]
        fds = run.begin() if run.fds is None else run.fds
        run.at, shortfalls = self._fan(fds, run.at, run.data, deadline_ns)
        self._make_up(run, shortfalls)
        if run.at < len(fds):
            return False
        self._runs.popleft()
        self._kept_bytes -= len(run.data)
        return time.monotonic_ns() < deadline_ns

    def _make_up(self, run: _Run, shortfalls: Collection[tuple[int, int]]) -> None:
        data = run.data
        for place, taken in shortfalls:
            outlet = cast("DirectOutlet", run.outlets[place])
            sent = send_once(outlet.fd, data) if taken < 0 and outlet.promote() else max(taken, 0)
            # A closing one's session is about to hear of it.
            if sent < len(data) and not outlet.is_closing():
                outlet.write_by_transport(data[sent:])
                if outlet.get_write_buffer_size() > self._max_buffered:
                    self._slow[outlet] = None

    def _take_slow(self, outlets: Crowd) -> list[Outlet]:
        slow = [outlet for outlet in self._slow if outlets.place_of(outlet) is not None]
        for outlet in slow:
            del self._slow[outlet]
        return list(slow)
