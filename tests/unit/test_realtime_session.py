"""The deadlines and bounds of one connection, by a clock that the test moves."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import jwt
import msgspec
import pytest

from actors.messages import Caller
from actors.shard_messages import Publication, PublishReply, PublishToChannel
from config.channels import Namespace
from config.errors import AppError
from serve_app.gateway.lanes import IN_FLIGHT, IN_FLIGHT_BYTES, Frame, Lanes
from serve_app.gateway.protocol import Command
from tests.realtime_session import CHANNEL, Bench, ask, closed_with, settle
from tests.realtime_tokens import TOKEN_SECRET


async def test_who_never_connects_is_stale() -> None:
    bench = Bench()
    session, outlet = bench.session()
    bench.pass_seconds(14)
    assert outlet.take() == []
    bench.pass_seconds(2)
    assert closed_with(outlet.take()) == 3502
    assert not session.is_open


@pytest.mark.parametrize(("failure", "code"), [("token_expired", 109), ("unavailable", 100)])
async def test_what_follows_a_failed_connect_is_ignored(failure: str, code: int) -> None:
    """SDKs send their subscribes in the frame of the connect, and go by its error."""
    bench = Bench()

    def verify(token: str) -> tuple[Caller, float]:
        raise AppError(failure)

    object.__setattr__(bench.services.tokens, "_verify_access_token", verify)
    session, outlet = bench.session()
    await session.receive(
        b'{"id":1,"connect":{"token":"t"}}\n{"id":2,"subscribe":{"channel":"%b"}}\n{}'
        % CHANNEL.encode()
    )
    await session.receive(b'{"id":3,"connect":{}}')
    await session.receive(b"nonsense")
    await settle()
    (reply,) = outlet.take()
    assert (reply["id"], reply["error"]["code"]) == (1, code)
    bench.pass_seconds(14)
    assert session.is_open and outlet.take() == []
    bench.pass_seconds(2)
    assert closed_with(outlet.take()) == 3502


async def test_half_an_emoji_costs_one_command() -> None:
    bench = Bench({"default": Namespace(publish="readers")})
    session, outlet = await bench.connected()
    await session.receive(
        rb'{"publish":{"channel":"a","data":"\ud83d"},"id":2}'
        b"\n"
        rb'{"send":{"data":"\ud83d"}}'
        b'\n{"id":3,"ping":{}}'
    )
    bad = {"code": 107, "message": "bad request"}
    assert outlet.take() == [{"id": 2, "error": bad}, {"id": 3, "ping": {}}]
    assert session.is_connected
    session, outlet = bench.session()
    await session.receive(rb'{"connect":{"data":"\ud83d"},"id":1}')
    assert outlet.take() == [{"id": 1, "error": bad}]
    assert session.is_open and not session.listens


async def test_ping_pong_and_silence() -> None:
    bench = Bench()
    session, outlet = await bench.connected()
    for _ in range(3):
        bench.pass_seconds(24)
        assert outlet.take() == []
        bench.pass_seconds(1)
        assert outlet.take() == [{}]
        await session.receive(b"{}")
    bench.pass_seconds(25)
    assert outlet.take() == [{}]
    bench.pass_seconds(9)
    assert outlet.take() == []
    bench.pass_seconds(1)
    assert closed_with(outlet.take()) == 3012


async def test_second_pong_is_unasked() -> None:
    bench = Bench()
    session, outlet = await bench.connected()
    bench.pass_seconds(25)
    outlet.take()
    await session.receive(b"{}\n{}")
    assert closed_with(outlet.take()) == 3501


async def test_every_ping_may_be_answered_where_the_next_one_comes_before() -> None:
    bench = Bench(ping_seconds=5.0, pong_timeout_seconds=12.0)
    session, outlet = await bench.connected()
    bench.pass_seconds(10)
    assert outlet.take() == [{}, {}]
    await session.receive(b"{}\n{}")
    assert session.is_open
    bench.pass_seconds(10)
    await session.receive(b"{}")
    bench.pass_seconds(11)
    assert outlet.take() == [{}, {}, {}, {}] and session.is_open
    bench.pass_seconds(1)  # now the second of these has waited as long as it may
    assert closed_with(outlet.take()) == 3012


async def test_first_pings_are_spread() -> None:
    bench = Bench()
    object.__setattr__(bench.services, "spread", lambda: 0.0)
    _, outlet = await bench.connected()
    bench.pass_seconds(13)
    assert outlet.take() == [{}]


async def test_expiry_after_the_grace() -> None:
    bench = Bench(ping_seconds=1_000.0)
    ada = Caller(uuid4(), "ada", session_id=uuid4())
    bench.callers["t"] = (ada, bench.now + 60)
    session, outlet = await bench.connected("t")
    bench.pass_seconds(80)
    assert session.is_open
    bench.callers["t"] = (ada, bench.now + 60)
    await session.receive(b'{"id":2,"refresh":{"token":"t"}}')
    assert outlet.take()[0]["refresh"]["ttl"] == 60
    bench.pass_seconds(84)
    assert session.is_open
    bench.pass_seconds(2)
    assert closed_with(outlet.take()) == 3005


async def test_close_is_abandoned_when_the_client_does_not_answer() -> None:
    bench = Bench()
    session, outlet = bench.session()
    await session.receive(b"nonsense")
    assert closed_with(outlet.take()) == 3501
    assert not outlet.aborted
    bench.pass_seconds(4)
    assert outlet.aborted
    session.end()
    assert not bench.services.sessions and not bench.wheel._slots


async def test_ended_sessions_leave_the_wheel() -> None:
    bench = Bench()
    session, outlet = await bench.connected()
    session.end()
    session.end()
    bench.pass_seconds(60)
    assert outlet.take() == [] and not bench.wheel._slots


async def test_replies_share_frames_of_sixteen() -> None:
    bench = Bench()
    session, outlet = await bench.connected()
    outlet.writes = 0
    frame = b"\n".join(b'{"id":%d,"ping":{}}' % n for n in range(2, 42))
    await session.receive(frame)
    assert outlet.writes == 3
    assert [m["id"] for m in outlet.take()] == list(range(2, 42))


async def test_slow_by_replies_and_by_publications() -> None:
    bench = Bench(max_queue_bytes=1_000)
    session, outlet = await bench.connected()
    await session.receive(msgspec.json.encode({"id": 2, "subscribe": {"channel": CHANNEL}}))
    await settle()
    other, other_outlet = await bench.connected()
    outlet.take()
    outlet.unsent = other_outlet.unsent = 1_001
    bench.source.streams[CHANNEL].append(b"{}")
    bench.hub.on_publication(Publication(CHANNEL, 1, b"{}"))
    await settle()
    assert closed_with(outlet.take()[1:]) == 3008
    await other.receive(b'{"id":2,"ping":{}}')
    assert closed_with(other_outlet.take()[1:]) == 3008
    assert bench.hub.statistics()["subscriptions"] == 0


async def test_one_connection_cannot_fill_the_memory() -> None:
    bench = Bench()
    session, _ = await bench.connected()
    gate = asyncio.Event()

    async def authorize(caller: Caller, channel: str) -> None:
        await gate.wait()

    object.__setattr__(bench.services, "authorize", authorize)
    frame = b"\n".join(
        msgspec.json.encode({"id": n + 2, "history": {"channel": f"thread:{UUID(int=n)}"}})
        for n in range(IN_FLIGHT + 50)
    )
    reading = asyncio.create_task(session.receive(frame))
    await settle()
    assert not reading.done()
    assert len(session.lanes._tasks) == IN_FLIGHT
    session.end()
    await reading
    await settle()
    assert not session.lanes._tasks


async def test_nor_with_few_commands_that_are_long() -> None:
    bench = Bench({"default": Namespace(publish="readers", subscribe="anyone")})
    session, _ = await bench.connected()
    published: list[str] = []

    async def publish(request: PublishToChannel) -> PublishReply:
        published.append(request.channel)
        await asyncio.Event().wait()
        raise AssertionError

    bench.links.publish = publish  # type: ignore[method-assign]
    taken = 0

    async def read() -> None:
        nonlocal taken
        for n in range(20):
            publish = {"channel": f"room-{n}", "data": "x" * 60_000}
            await session.receive(msgspec.json.encode({"id": n + 2, "publish": publish}))
            taken += 1

    reading = asyncio.create_task(read())
    await settle()
    frames = len(published)
    assert taken == frames - 1 == IN_FLIGHT_BYTES // 60_000 and not reading.done()
    session.end()
    await reading
    await settle()
    assert not session.lanes._tasks and len(published) == frames


async def test_a_frame_is_held_until_its_last_command_has_run() -> None:
    gates = [asyncio.Event() for _ in range(2)]
    ran: list[int] = []

    async def run(command: Command) -> None:
        await gates[command.id].wait()
        ran.append(command.id)

    lanes = Lanes(run)
    frame = Frame(IN_FLIGHT_BYTES)
    for n in range(2):
        lanes.put(f"lane {n}", Command(n), frame)
    waiting = asyncio.create_task(lanes.wait_room())
    gates[1].set()
    await settle()
    assert ran == [1] and not waiting.done()
    gates[0].set()
    await waiting
    assert ran == [1, 0]


async def test_unknown_failures_are_internal_errors(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    session, outlet = await bench.connected()

    async def authorize(caller: Caller, channel: str) -> None:
        raise ZeroDivisionError

    object.__setattr__(bench.services, "authorize", authorize)
    await session.receive(msgspec.json.encode({"id": 2, "subscribe": {"channel": CHANNEL}}))
    await settle()
    assert outlet.take()[0]["error"]["code"] == 100
    assert "a realtime command failed" in caplog.text
    assert session.subscriptions == {}


async def test_who_can_not_be_checked_connects_again(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(ping_seconds=1_000.0)
    bench.callers["t"] = (Caller(uuid4(), "ada", session_id=uuid4()), bench.now + 60)
    session, outlet = await bench.connected("t")

    async def authorize(caller: Caller, channel: str) -> None:
        raise ZeroDivisionError

    object.__setattr__(bench.services, "authorize", authorize)
    session.reauthorize()
    await settle()
    assert closed_with(outlet.take()) == 3010
    assert "could not be checked again" in caplog.text


# ---------------------------------------------------------------- subscriptions that expire

ROOMS = {"room": Namespace(subscribe="token")}


def room_token(bench: Bench, channel: str, seconds: float) -> str:
    claims = {"sub": "", "channel": channel, "exp": bench.now + seconds}
    return jwt.encode(claims, TOKEN_SECRET, "HS256")


async def test_subscriptions_expire_after_the_grace() -> None:
    bench = Bench(ROOMS, ping_seconds=1_000.0, token_secret=TOKEN_SECRET)
    session, outlet = await bench.connected()
    for channel, seconds in (("room:1", 60), ("room:2", 90)):
        await ask(session, "subscribe", channel=channel, token=room_token(bench, channel, seconds))
        assert outlet.take()[0]["subscribe"] == {"expires": True, "ttl": seconds}
    bench.pass_seconds(84)
    assert outlet.take() == []
    bench.pass_seconds(2)
    expired = {"code": 2501, "reason": "subscription expired"}
    assert outlet.take() == [{"push": {"channel": "room:1", "unsubscribe": expired}}]
    bench.pass_seconds(28)
    assert outlet.take() == []
    bench.pass_seconds(2)
    assert outlet.take() == [{"push": {"channel": "room:2", "unsubscribe": expired}}]
    assert session.is_open and not session.subscriptions


async def test_a_refreshed_subscription_lives_on() -> None:
    bench = Bench(ROOMS, ping_seconds=1_000.0, token_secret=TOKEN_SECRET)
    session, outlet = await bench.connected()
    await ask(session, "subscribe", channel="room:1", token=room_token(bench, "room:1", 60))
    bench.pass_seconds(80)
    await ask(session, "sub_refresh", channel="room:1", token=room_token(bench, "room:1", 60))
    assert outlet.take()[1]["sub_refresh"] == {"expires": True, "ttl": 60}
    bench.pass_seconds(84)
    assert outlet.take() == []
    bench.pass_seconds(2)
    assert outlet.take()[0]["push"]["unsubscribe"]["code"] == 2501


async def test_a_subscription_of_the_server_expires_too() -> None:
    bench = Bench(ROOMS, ping_seconds=1_000.0)
    session, outlet = await bench.connected()
    await session.subscribe_by_server("room:1", expire_at=bench.now + 10)
    assert outlet.take()[0]["push"]["subscribe"] == {}
    bench.pass_seconds(36)
    assert outlet.take()[0]["push"]["unsubscribe"]["code"] == 2501


async def test_who_is_left_alone_at_the_limit_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many requests for long: the end is one after which SDKs come back."""
    monkeypatch.setattr("serve_app.gateway.faults.MOST_FAULTS", 2)
    bench = Bench(ping_seconds=1_000.0)

    async def check_rate(caller: Caller, address: str) -> None:
        raise AppError("rate_limited")

    object.__setattr__(bench.services, "check_rate", check_rate)
    session, outlet = await bench.connected()
    for _ in range(3):
        for _ in range(2):
            await ask(session, "history", channel=CHANNEL)
            assert outlet.take()[0]["error"] == {
                "code": 111,
                "message": "too many requests",
                "temporary": True,
            }
        bench.pass_seconds(61)
        assert session.is_open
    for _ in range(3):
        await ask(session, "history", channel=CHANNEL)
    assert closed_with(outlet.take()[3:]) == 3013
