"""Direct sends, compiled and in Python: whoever reads how slowly, each reader's bytes are those of
the calls that named it, in their order. Real sockets with small buffers, so that sends are partial.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.gateway.channel import Crowd
from serve_app.gateway.direct_send import MOST_RUNS, DirectOutlet, DirectSender
from serve_app.gateway.fan import Fan, fan, fan_in_python

READERS = 12
SEND_BUFFER = 4_608
NEVER_SLOW = 2**30
_OPEN_FDS = Path("/proc/self/fd")

Plan = list[tuple[Any, ...]]

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def _fan(kind: str) -> Fan:
    if kind == "python":
        return fan_in_python
    compiled = fan()
    if compiled is fan_in_python:
        pytest.skip("there is no C compiler")
    return compiled


every_fan = pytest.mark.parametrize("kind", ["compiled", "python"])
every_loop = pytest.mark.parametrize("loop", LOOPS)


@dataclass
class Reader:
    outlet: DirectOutlet
    socket: socket.socket
    expected: bytearray = field(default_factory=bytearray)
    got: bytearray = field(default_factory=bytearray)
    open: bool = True
    reads: bool = True

    def read(self, most: int) -> bool:
        """False at the end of what there is."""
        try:
            data = self.socket.recv(most)
        except (BlockingIOError, ConnectionResetError):
            return False
        self.got += data
        return bool(data)

    def read_all(self) -> bool:
        while self.read(65_536):
            pass
        return self.got == self.expected

    def ended(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False


@contextlib.asynccontextmanager
async def connected(sender: DirectSender, count: int) -> AsyncIterator[list[Reader]]:
    readers: list[Reader] = []
    loop = asyncio.get_running_loop()
    try:
        for _ in range(count):
            ours, theirs = socket.socketpair()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            ours.setblocking(False)
            theirs.setblocking(False)
            transport, _ = await loop.create_unix_connection(asyncio.Protocol, sock=ours)
            readers.append(Reader(sender.outlet(transport), theirs))
        yield readers
    finally:
        for reader in readers:
            reader.outlet.release()
            if not reader.outlet.is_closing():
                reader.outlet.abort()
            reader.socket.close()
        for _ in range(3):  # transports close their sockets in later ticks
            await asyncio.sleep(0)


def run(loop: str, main: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())  # type: ignore[arg-type]


who = st.integers(0, READERS - 1)
some = st.one_of(st.just(frozenset(range(READERS))), st.frozensets(who, min_size=1))
# Small frames, and those that no send buffer takes at once.
size = st.one_of(st.integers(1, 300), st.integers(2_000, 20_000))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), some, size),
        st.tuples(st.just("send"), some, size),
        st.tuples(st.just("write"), who, size),
        st.tuples(st.just("read"), some, st.integers(1, 30_000)),
        st.tuples(st.just("close"), who),
        st.tuples(st.just("release"), who),
        st.tuples(st.just("abort"), who),
        st.tuples(st.just("hang up"), who),
        st.tuples(st.just("settle")),
        st.tuples(st.just("tick"), st.integers(1, 3)),
    ),
    max_size=30,
)


async def play(sender: DirectSender, plan: Plan, max_buffered: int) -> None:
    async with connected(sender, READERS) as readers:
        for number, step in enumerate(plan):
            match step:
                case "send", places, length:
                    members = {readers[n].outlet: n for n in sorted(places) if readers[n].open}
                    data = bytes([number + 1]) * length
                    for n in members.values():
                        readers[n].expected += data
                    sender(Crowd(members), data, max_buffered)
                case "write", place, length if readers[place].open:
                    if not readers[place].outlet.is_closing():
                        data = bytes([number + 1]) * length
                        readers[place].expected += data
                        readers[place].outlet.write(data)
                case "read", places, length:
                    for n in places:
                        if readers[n].reads:
                            readers[n].read(length)
                case "close", place:
                    readers[place].open = False
                    readers[place].outlet.close()
                case "release", place if readers[place].open:
                    # The connection goes on by its transport; what was kept for it is dropped.
                    sender.send_kept(readers[place].outlet)
                    readers[place].outlet.release()
                case "abort", place:
                    readers[place].open = readers[place].reads = False
                    readers[place].outlet.abort()
                case "hang up", place:
                    readers[place].open = readers[place].reads = False
                    readers[place].socket.close()
                case ("settle",):
                    sender.settle()
                case "tick", ticks:
                    for _ in range(ticks):
                        await asyncio.sleep(0)
        for reader in readers:
            if reader.reads:
                await _until(reader.read_all)
                if reader.open:
                    assert not reader.outlet.get_write_buffer_size()
                else:
                    await _until(reader.ended)
            else:
                assert reader.expected.startswith(reader.got)


def _kept(sender: DirectSender, reader: Reader) -> int:
    """Bytes that the sender keeps for it."""
    return sum(len(run.data) for run in sender._runs if run.waits(reader.outlet))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - reading is the condition
            await asyncio.sleep(0)


@every_loop
@every_fan
@settings(max_examples=40)
@given(
    plan=steps,
    tick_nanoseconds=st.sampled_from([0, 50_000, 10**9]),
    max_buffered=st.sampled_from([1_000, 30_000, NEVER_SLOW]),
)
def test_readers_get_what_was_sent_to_them_in_order(
    kind: str,
    loop: str,
    plan: Plan,
    tick_nanoseconds: int,
    max_buffered: int,
) -> None:
    sender = DirectSender(_fan(kind), tick_nanoseconds=tick_nanoseconds)
    run(loop, lambda: play(sender, plan, max_buffered))


@every_loop
@every_fan
def test_one_tick_does_not_serve_everybody(kind: str, loop: str) -> None:
    async def main() -> None:
        sender = DirectSender(_fan(kind), tick_nanoseconds=0)
        async with connected(sender, READERS) as readers:
            outlets = Crowd(reader.outlet for reader in readers)
            sender(outlets, b"a", NEVER_SLOW)
            sender(outlets, b"b", NEVER_SLOW)
            sender(outlets, b"c", NEVER_SLOW)
            kept = [_kept(sender, reader) for reader in readers]
            assert kept[-1] == 3
            assert kept[0] == 2
            unread = [reader.outlet.get_write_buffer_size() for reader in readers]
            assert not any(unread), "what the sender keeps is no slowness of a reader"
            readers[-1].outlet.write(b"d")
            readers[-2].outlet.close()
            for reader in readers:
                reader.expected += b"abc"
            readers[-1].expected += b"d"
            for reader in readers:
                await _until(reader.read_all)
            await _until(readers[-2].ended)

    run(loop, main)


@every_loop
@every_fan
def test_runs_are_bounded_and_left_in_part(kind: str, loop: str) -> None:
    async def main() -> None:
        sender = DirectSender(_fan(kind), tick_nanoseconds=0)
        async with connected(sender, READERS) as readers:
            for n in range(MOST_RUNS + 5):  # no two in turn have the same outlets
                others = readers[n % 2 :]
                sender(Crowd(other.outlet for other in others), b"x", NEVER_SLOW)
                for other in others:
                    other.expected += b"x"
            assert len(sender._runs) == MOST_RUNS
            assert _kept(sender, readers[-1])
            readers[-1].expected += b"a reply"
            readers[-1].outlet.write(b"a reply")
            assert not _kept(sender, readers[-1])
            for one in readers:
                await _until(one.read_all)
            assert not sender._runs

    run(loop, main)


@every_loop
@every_fan
def test_what_is_kept_for_who_is_released_is_dropped(kind: str, loop: str) -> None:
    async def main() -> None:
        sender = DirectSender(_fan(kind), tick_nanoseconds=0)
        async with connected(sender, READERS) as readers:
            for _ in range(2):  # a tick serves some, the last one not among them
                sender(Crowd(reader.outlet for reader in readers), b"x", NEVER_SLOW)
            readers[-1].outlet.release()
            readers[-1].outlet.write(b"end")
            readers[-1].expected += b"end"
            for reader in readers[:-1]:
                reader.expected += b"xx"
            for reader in readers:
                await _until(reader.read_all)
            assert not sender._runs

    run(loop, main)


@every_loop
@every_fan
def test_nothing_overtakes_what_a_transport_holds(kind: str, loop: str) -> None:
    async def main() -> None:
        sender = DirectSender(_fan(kind))
        async with connected(sender, 1) as (reader,):
            for length in (100_000, 10, 100_000, 10):
                reader.expected += bytes([length % 251]) * length
                sender(Crowd([reader.outlet]), bytes([length % 251]) * length, NEVER_SLOW)
                assert reader.outlet.get_write_buffer_size()
                reader.read(100_000)  # there is room now, of which the transport does not know
            await _until(reader.read_all)

    run(loop, main)


@every_loop
@every_fan
def test_slow_readers_are_told_of(kind: str, loop: str) -> None:
    async def main() -> None:
        sender = DirectSender(_fan(kind), tick_nanoseconds=0)
        async with connected(sender, READERS) as readers:
            outlets = Crowd(reader.outlet for reader in readers)
            told: set[object] = set()
            rounds = 0
            while not told:
                for reader in readers[1:]:
                    reader.read_all()
                told.update(sender(outlets, bytes(1_000), 20_000))
                await asyncio.sleep(0)
                rounds += 1
                assert rounds < 1_000
            assert told == {readers[0].outlet}

    run(loop, main)


@every_loop
@every_fan
def test_no_fd_is_left_open(kind: str, loop: str) -> None:
    async def main() -> None:
        sender = DirectSender(_fan(kind))
        before = 0
        for turn in range(84):
            async with connected(sender, READERS) as readers:
                outlets = Crowd(reader.outlet for reader in readers)
                for _ in range(2):  # promoted by the first, where the transport was ready
                    sender(outlets, bytes(100), NEVER_SLOW)
                    await asyncio.sleep(0)
                assert all(reader.outlet.fd >= 0 for reader in readers)
                for reader in readers[turn % 7 :]:
                    (reader.outlet.close if turn % 2 else reader.outlet.release)()
            if turn == 1:  # the loop's own are open by now
                before = len(os.listdir(_OPEN_FDS))
        # Sockets of an earlier test may be collected meanwhile.
        await _until(lambda: len(os.listdir(_OPEN_FDS)) <= before)

    run(loop, main)
