"""What one connection may ask for: bounds of its queue, its commands and its turns."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
import pytest

from actors.messages import Caller
from config.channels import Namespace
from config.errors import AppError
from serve_app.gateway.intake import TURN_COMMANDS
from tests.conditions import wait_until
from tests.realtime_session import Bench, FakeOutlet, ask, closed_with, settle


def pings(count: int) -> bytes:
    return b"\n".join(b'{"id":%d,"ping":{}}' % n for n in range(1, count + 1))


async def test_a_long_frame_lets_the_others_have_their_turn() -> None:
    bench = Bench()
    session, outlet = await bench.connected()
    answered: list[int] = []

    async def other() -> None:
        while len(answered) < 5:
            answered.append(len(outlet.take()))
            await asyncio.sleep(0)

    turns = asyncio.create_task(other())
    await session.receive(pings(640))
    await turns
    assert max(answered) <= TURN_COMMANDS


@pytest.mark.parametrize("command", [
    b'{"id":9,"ping":{}}', b'{"send":{"data":1}}', b'{"id":9,"unsubscribe":{"channel":"a"}}',
])  # fmt: skip
async def test_commands_without_price_are_bounded(command: bytes) -> None:
    bench = Bench(ping_seconds=1_000.0)
    session, outlet = await bench.connected()
    for _ in range(3):
        await session.receive(b"\n".join([command] * 990))
        assert session.is_open
        bench.pass_seconds(10)
    outlet.take()
    await session.receive(b"\n".join([command] * 1_001))
    assert closed_with(outlet.take()[-2:]) == 3013


async def test_refresh_has_a_price() -> None:
    bench = Bench()
    session, outlet = await bench.connected()

    async def check_rate(caller: Caller, address: str) -> None:
        raise AppError("rate_limited")

    object.__setattr__(bench.services, "check_rate", check_rate)
    await ask(session, "refresh", token="t")
    assert outlet.take()[0]["error"]["code"] == 111


async def test_answers_leave_half_of_the_queue() -> None:
    bench = Bench(max_queue_bytes=2_000)

    async def answer(caller: Caller, address: str, method: str, params: bytes) -> bytes:
        return b'"%b"' % (b"x" * int(method))

    object.__setattr__(bench.services, "rpc", answer)
    session, outlet = await bench.connected()
    await ask(session, "rpc", method="960")
    assert len(outlet.take()[0]["rpc"]["data"]) == 960
    await ask(session, "rpc", method="1000")
    assert outlet.take()[0]["error"] == {"code": 106, "message": "limit exceeded"}
    assert session.is_open


async def written(outlet: FakeOutlet) -> list[Any]:
    await wait_until(lambda: bool(outlet.written))
    return outlet.take()


LIVING = Namespace(
    subscribe="anyone",
    history="memory",
    history_size=10,
    history_ttl_seconds=60.0,
    recovery="stream",
)


async def test_recoveries_wait_until_there_is_room() -> None:
    """All that a client missed at once is more than its queue holds."""
    bench = Bench({"default": LIVING}, max_queue_bytes=4_000)
    session, outlet = await bench.connected()
    grow, names = outlet.write, [f"room-{n}" for n in range(5)]

    def write(data: bytes) -> None:
        grow(data)
        outlet.unsent += len(data)

    outlet.write = write  # type: ignore[method-assign]
    for name in names:
        bench.source.streams[name] = [b'"%b"' % (b"x" * 1_500)]
    await session.receive(b"\n".join(
        msgspec.json.encode({"id": n, "subscribe": {
            "channel": name, "recover": True, "epoch": "e", "offset": 0,
        }}) for n, name in enumerate(names, 2)
    ))  # fmt: skip
    answered = []
    for _ in names:
        answered += await written(outlet)
        assert outlet.unsent < 4_000
        await settle()
        assert not outlet.written
        outlet.unsent = 0
    assert sorted(message["id"] for message in answered) == [2, 3, 4, 5, 6]
    assert all(message["subscribe"]["recovered"] for message in answered)
    assert session.is_open and all(session.subscriptions.values())


async def test_what_many_recoveries_found_does_not_wait_in_memory() -> None:
    bench = Bench({"default": LIVING}, max_queue_bytes=4_000)
    session, outlet = await bench.connected()
    outlet.unsent = 3_000
    missed = b'"%b"' % (b"x" * 1_500)
    names = [f"room-{n}" for n in range(20)]
    for name in names:
        bench.source.streams[name] = [missed]
    before = sys.getrefcount(missed)
    await session.receive(b"\n".join(
        msgspec.json.encode({"id": n, "subscribe": {"channel": name, "recover": True}})
        for n, name in enumerate(names, 2)
    ))  # fmt: skip
    await settle()
    assert bench.source.reads == len(names) and not outlet.written
    assert sys.getrefcount(missed) == before
    session.end()


async def test_who_makes_no_room_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.gateway.intake.COMMAND_SECONDS", 0.02)
    bench = Bench({"default": LIVING}, max_queue_bytes=4_000)
    session, outlet = await bench.connected()
    outlet.unsent = 3_000
    bench.source.streams["news"] = [b'"%b"' % (b"x" * 1_500)]
    await ask(session, "subscribe", channel="news", recover=True, epoch="e")
    (reply,) = await written(outlet)
    assert reply["error"]["code"] == 100 and reply["error"]["temporary"] is True
    assert not session.subscriptions and not session.outbox.turn.locked()
    outlet.unsent = 0
    await ask(session, "subscribe", channel="news", recover=True, epoch="e")
    assert (await written(outlet))[0]["subscribe"]["recovered"] is True
