"""What ends a connection or takes a channel away, also from a client that does not obey."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import pytest

from actors.messages import Caller
from config.errors import AppError
from tests.conditions import wait_until
from tests.realtime_server import RealtimeServer, member, thread


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer() as server:
        yield server


def own(caller: Caller) -> str:
    return f"user:{caller.account_id}"


def again(caller: Caller) -> Caller:
    """The same account, signed in once more."""
    return Caller(caller.account_id, caller.handle, caller.display_name, "member", uuid4())


def ended(caller: Caller) -> bytes:
    return msgspec.json.encode({"type": "session.ended", "session_id": caller.session_id})


# ---------------------------------------------------------------- without the own subscription


async def test_who_unsubscribes_from_the_own_channel_escapes_no_ban(server: RealtimeServer) -> None:
    ada, channel = member(), thread()
    server.private.add(channel)
    server.shard.create(channel)
    async with server.socket() as client:
        await client.connect(server.sign_in(ada))
        assert await client.ask("unsubscribe", channel=own(ada)) == {"id": 2, "unsubscribe": {}}
        await client.ask("subscribe", channel=channel)
        server.denied.add((ada.account_id, channel))
        server.shard.publish(own(ada), b'{"type":"membership.changed"}')
        assert (await client.next())["push"] == {
            "channel": channel,
            "unsubscribe": {"code": 2000, "reason": "permission denied"},
        }


@pytest.mark.parametrize("everywhere", [False, True])
async def test_nor_an_ended_session(server: RealtimeServer, everywhere: bool) -> None:
    ada = member()
    other = again(ada)
    async with server.socket() as client, server.socket() as second:
        await client.connect(server.sign_in(ada))
        await second.connect(server.sign_in(other))
        await client.ask("unsubscribe", channel=own(ada))
        await client.ask("unsubscribe", channel=own(ada))
        event = b'{"type":"session.ended","session_id":null}' if everywhere else ended(ada)
        server.shard.publish(own(ada), event)
        assert await client.close_code() == 3503
        if everywhere:
            assert await second.close_code() == 3503
        else:
            assert (await second.next())["push"]["pub"]["offset"] == 1


async def test_nor_what_was_published_while_the_stream_was_lost(server: RealtimeServer) -> None:
    """Nobody knows what the old epoch said: the client comes again and is asked who it is."""
    ada = member()
    async with server.socket() as client:
        await client.connect(server.sign_in(ada))
        await client.ask("unsubscribe", channel=own(ada))
        server.shard.begin_epoch("epoch-2")
        assert await client.close_code() == 3010


async def test_the_own_channel_is_followed_as_long_as_a_connection(server: RealtimeServer) -> None:
    ada = member()
    token = server.sign_in(ada)
    async with server.socket() as first:
        await first.connect(token)
        async with server.socket() as second:
            await second.connect(token)
            await second.ask("unsubscribe", channel=own(ada))
        await wait_until(lambda: server.realtime.statistics()["sockets"] == 1)
        await first.ask("unsubscribe", channel=own(ada))
        assert server.realtime.statistics()["channels"] == 1
    await wait_until(lambda: server.realtime.statistics()["channels"] == 0)


# ---------------------------------------------------------------- at connect


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        ("suspended", 3503, "suspended"),
        ("unauthenticated", 3500, "invalid token"),
        ("not_permitted", 3500, "invalid token"),
    ],
)
async def test_a_good_token_of_an_ended_session_does_not_connect(
    server: RealtimeServer, error: str, code: int, reason: str
) -> None:
    ada = member()
    token = server.sign_in(ada)
    server.shard.create(own(ada), 3)
    server.refused[ada.session_id] = AppError(error)
    async with server.socket() as client:
        asked = {"recover": True, "epoch": "epoch-1", "offset": 0}
        await client.send({"id": 1, "connect": {"token": token, "subs": {own(ada): asked}}})
        disconnect = {"code": code, "reason": reason}
        assert await client.next() == {"push": {"disconnect": disconnect}}
        assert await client.close_code() == code
    await wait_until(lambda: server.realtime.statistics()["channels"] == 0)


async def test_connect_waits_for_whoever_can_say(server: RealtimeServer) -> None:
    ada = member()
    token = server.sign_in(ada)
    server.refused[ada.session_id] = AppError("unavailable")
    async with server.socket() as client:
        error = (await client.connect(token))["error"]
        assert error["code"] == 100 and error["temporary"] is True
        await wait_until(lambda: server.realtime.statistics()["channels"] == 0)
    server.refused.clear()
    async with server.socket() as client:
        assert own(ada) in (await client.connect(token))["connect"]["subs"]
    async with server.socket() as guest:
        calls = server.authorize_calls
        await guest.connect()
        assert server.authorize_calls == calls, "guests have nothing to be asked about"


async def test_a_session_that_ends_while_it_connects(server: RealtimeServer) -> None:
    """The answer was given before the end, and arrives after it."""
    ada = member()
    token = server.sign_in(ada)
    server.authorize_gate.clear()
    async with server.socket() as client:
        await client.send({"id": 1, "connect": {"token": token}})
        await wait_until(lambda: server.authorize_calls == 1)
        server.shard.publish(own(ada), ended(ada))
        assert await client.close_code() == 3503
        server.authorize_gate.set()
    await wait_until(lambda: server.realtime.statistics()["sockets"] == 0)
    assert server.realtime.statistics()["channels"] == 0


# ---------------------------------------------------------------- at refresh


async def test_refreshing_with_another_sessions_token(server: RealtimeServer) -> None:
    """The connection then lives and dies with that session; if it has ended, at once."""
    ada = member()
    other, dead = again(ada), again(ada)
    server.refused[dead.session_id] = AppError("unauthenticated")
    async with server.socket() as client:
        await client.connect(server.sign_in(ada))
        await client.ask("refresh", token=server.sign_in(other))
        server.shard.publish(own(ada), ended(ada))
        assert (await client.next())["push"]["pub"]["offset"] == 1
        server.shard.publish(own(ada), ended(other))
        assert await client.close_code() == 3503
    async with server.socket() as client:
        await client.connect(server.sign_in(ada))
        await client.ask("refresh", token=server.sign_in(dead))
        assert await client.close_code() == 3500


# ---------------------------------------------------------------- a subscribe that is cut off


async def test_a_socket_that_ends_during_a_subscribe_is_no_defect(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    channel = thread()
    server.shard.create(channel)
    server.private.add(channel)
    async with server.socket() as client:
        await client.connect()
        server.authorize_gate.clear()
        await client.send({"id": 2, "subscribe": {"channel": channel}})
        await wait_until(lambda: server.authorize_calls == 1)
        (session,) = server.realtime._services.sessions
        (task,) = session.lanes._tasks
    await wait_until(task.done)
    assert task.cancelled()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
