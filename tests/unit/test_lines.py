"""Lines between processes, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

import pytest
import uvloop
from ray.exceptions import ActorUnavailableError, RayTaskError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from config.errors import AppError
from serve_app.deployment_lines import DeploymentLines, asks_serve
from serve_app.lines import (
    Address,
    Line,
    LineLost,
    LineServer,
    NotSent,
    line_key,
    open_line,
)
from tests.conditions import wait_until

KEY = line_key("secret", "thread")


class Replica(LineServer):
    """Answers with what it was sent, once `open` is set; `refuse` and `fail` are errors."""

    def __init__(self, name: bytes = b"") -> None:
        super().__init__(self._echo, KEY)
        self.name = name
        self.calls: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()

    async def _echo(self, payload: bytes) -> bytes:
        self.calls.append(payload)
        if payload == b"refuse":
            raise AppError("locked", "Closed.", retry_after_seconds=3)
        if payload == b"fail":
            raise RuntimeError("secret details")
        if payload == b"cancelled":
            raise asyncio.CancelledError
        await self.open.wait()
        return self.name + payload


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    replica = Replica()
    await replica.start("127.0.0.1")
    yield replica
    await replica.close()


@pytest.fixture
async def line(replica: Replica) -> Line:
    return await open_line(replica.address, KEY)


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
async def test_many_calls_at_once_each_get_their_own_answer(line: Line, size: int) -> None:
    payloads = [bytes([number]) * size + b"%d" % number for number in range(20)]
    assert await asyncio.gather(*(line.call(p) for p in payloads)) == payloads
    assert line.in_flight == 0


def test_the_loop_of_the_replicas_carries_them_too() -> None:
    async def call() -> bytes:
        replica = Replica()
        await replica.start("127.0.0.1")
        line = await open_line(replica.address, KEY)
        answer = await line.call(b"x" * 3_000_000)
        await replica.close()
        assert not line.is_open
        return answer

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(call()) == b"x" * 3_000_000


async def test_answers_overtake_each_other(line: Line, replica: Replica) -> None:
    replica.open.clear()
    slow = asyncio.create_task(line.call(b"slow"))
    await wait_until(lambda: replica.calls == [b"slow"])
    with pytest.raises(AppError):
        await line.call(b"refuse")
    assert not slow.done()
    replica.open.set()
    assert await slow == b"slow"


async def test_refusals_come_whole_and_failures_without_their_details(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AppError) as refused:
        await line.call(b"refuse")
    assert (refused.value.code, refused.value.detail) == ("locked", "Closed.")
    assert refused.value.retry_after_seconds == 3
    with pytest.raises(AppError) as failed:
        await line.call(b"fail")
    assert failed.value.code == "internal" and "secret" not in failed.value.detail
    assert "secret details" in caplog.text
    with pytest.raises(AppError, match="internal"):
        await line.call(b"cancelled")
    assert await line.call(b"next") == b"next"


async def test_an_answer_that_nobody_waits_for_is_dropped(line: Line, replica: Replica) -> None:
    replica.open.clear()
    gone = asyncio.create_task(line.call(b"gone"))
    await wait_until(lambda: replica.calls == [b"gone"])
    gone.cancel()
    await asyncio.wait([gone])
    replica.open.set()
    assert await line.call(b"next") == b"next"


async def test_who_waits_hears_that_the_other_end_went(line: Line, replica: Replica) -> None:
    replica.open.clear()
    waiting = [asyncio.create_task(line.call(b"x")) for _ in range(3)]
    await wait_until(lambda: len(replica.calls) == 3)
    for connection in list(replica.connections):
        connection.abort()
    for call in waiting:
        with pytest.raises(LineLost):
            await call
    with pytest.raises(LineLost):
        await line.call(b"y")
    replica.open.set()


async def test_one_that_leaves_answers_what_it_was_asked(line: Line, replica: Replica) -> None:
    replica.open.clear()
    last = asyncio.create_task(line.call(b"last"))
    await wait_until(lambda: replica.ongoing == 1)
    leaving = asyncio.create_task(replica.close())
    await wait_until(lambda: not line.is_open)
    with pytest.raises(NotSent):
        await line.call(b"late")
    replica.open.set()
    assert await last == b"last"
    await leaving
    assert replica.calls == [b"last"]
    with pytest.raises(NotSent):
        await open_line(replica.address, KEY)


async def test_strangers_get_no_line(replica: Replica) -> None:
    with pytest.raises(LineLost):
        await open_line(replica.address, line_key("another secret", "thread"))
    with pytest.raises(LineLost):
        # Who was asked for has gone, and another one of this server listens where it was.
        await open_line(replica.address, line_key("secret", "feed"))
    with pytest.raises(ValueError, match="secret"):
        line_key("", "thread")


async def test_a_server_of_strangers_is_called_by_nobody() -> None:
    stranger = LineServer(_never, line_key("another secret", "thread"))
    await stranger.start("127.0.0.1")
    with pytest.raises(LineLost):
        await open_line(stranger.address, KEY)
    await stranger.close()


async def _never(payload: bytes) -> bytes:
    raise AssertionError("was called")


async def test_frames_of_strangers_are_not_read(replica: Replica) -> None:
    reader, writer = await asyncio.open_connection(*replica.address)
    writer.write(bytes(32) + bytes(32) + struct.pack("<IIB", 4, 1, 0) + b"evil")
    assert len(await reader.read()) == 64, "its part of the greeting, then the end"
    assert replica.calls == []
    writer.close()


async def test_a_stranger_that_says_nothing_is_cut_off(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.lines._OPEN_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection(*replica.address)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    await wait_until(lambda: not replica.connections)
    writer.close()


async def test_so_many_strangers_are_let_in_and_go_when_the_server_closes(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.lines._MOST_GREETING", 3)
    line = await open_line(replica.address, KEY)
    strangers = [await asyncio.open_connection(*replica.address) for _ in range(6)]
    await wait_until(lambda: len(replica.connections) == 4)
    assert await line.call(b"still answered") == b"still answered"
    monkeypatch.setattr("serve_app.lines._LEAVE_SECONDS", 60.0)
    async with asyncio.timeout(10):
        await replica.close()
    for _, writer in strangers:
        writer.close()


class Directory:
    """What Serve answers: the replicas in turn."""

    def __init__(self, *replicas: Replica) -> None:
        self.replicas = list(replicas)
        self.asked = 0

    async def __call__(self) -> Address:
        self.asked += 1
        return self.replicas[self.asked % len(self.replicas)].address


async def _two() -> tuple[Replica, Replica]:
    replicas = Replica(b"a"), Replica(b"b")
    for replica in replicas:
        await replica.start("127.0.0.1")
    return replicas


async def test_the_one_replica_is_asked_for_once(replica: Replica) -> None:
    directory = Directory(replica)
    lines = DeploymentLines(directory, KEY, most=1)
    assert await asyncio.gather(*(lines.send(b"%d" % n) for n in range(10))) == [
        b"%d" % n for n in range(10)
    ]
    assert directory.asked == 1


async def test_further_replicas_are_found_and_the_idle_one_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.deployment_lines._ASK_AGAIN_SECONDS", 0.0)
    a, b = await _two()
    directory = Directory(a, b)
    lines = DeploymentLines(directory, KEY, most=2)
    assert await lines.send(b"1") == b"b1"
    async with asyncio.timeout(10):
        while not a.calls:  # asked for in the background
            await asyncio.gather(lines.send(b"2"), lines.send(b"2"))
    for replica in (a, b):
        replica.open.clear()
    calls = [asyncio.create_task(lines.send(b"3")) for _ in range(4)]
    await wait_until(lambda: a.ongoing + b.ongoing == 4)
    assert (a.ongoing, b.ongoing) == (2, 2)
    for replica in (a, b):
        replica.open.set()
    assert sorted(await asyncio.gather(*calls)) == [b"a3", b"a3", b"b3", b"b3"]
    await a.close()
    await b.close()


async def test_a_replica_that_left_is_replaced_and_one_that_is_away_raises() -> None:
    a, b = await _two()
    directory = Directory(a)
    lines = DeploymentLines(directory, KEY, most=1)
    assert await lines.send(b"1") == b"a1"
    await a.close()
    directory.replicas = [b]
    assert await lines.send(b"2") == b"b2"
    address = b.address
    await b.close()

    async def stale() -> Address:
        return address

    with pytest.raises(NotSent):
        await DeploymentLines(stale, KEY, most=1).send(b"3")


@pytest.mark.parametrize(
    "raised",
    [
        ActorUnavailableError("restarting", None),
        DeploymentUnavailableError(DeploymentID(name="thread")),
        BackPressureError(1, 1),
        RayTaskError("line", "trace", ValueError("secret")),  # type: ignore[no-untyped-call]
    ],
    ids=lambda raised: type(raised).__name__,
)
async def test_what_serve_raises_is_a_line_that_is_lost(raised: Exception) -> None:
    class Handle:
        def options(self, **options: object) -> Handle:
            assert options["method_name"] == "line"
            return self

        async def remote(self) -> Address:
            raise raised

    with pytest.raises(NotSent) as lost:
        await DeploymentLines(asks_serve(Handle()), KEY, most=1).send(b"1")
    assert "secret" not in str(lost.value)
