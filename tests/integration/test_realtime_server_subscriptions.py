"""Connection tokens of an application, and the subscriptions that the server makes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from actors.messages import Caller
from config.channels import Namespace
from config.errors import AppError
from serve_app.gateway.codes import Disconnect, ReplyError
from serve_app.gateway.session import Session
from tests.conditions import wait_until
from tests.integration.realtime_socket import client, error_of
from tests.realtime_server import RawClient, RealtimeServer, member, thread
from tests.realtime_tokens import TOKEN_SECRET, connection_token, within

__all__ = ["client"]

DEFAULT: Final = Namespace(
    subscribe="anyone",
    publish="subscribers",
    history="memory",
    history_size=100,
    history_ttl_seconds=60.0,
    recovery="stream",
    presence="clients",
    join_leave=True,
)


async def answer(caller: Caller, address: str, method: str, params: bytes) -> bytes:
    if method != "GET /api/v1/feed":
        raise AppError("not_found")
    return b'{"asked":\n%b}' % (params or b"null")


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(
        channels={"default": DEFAULT, "counts": Namespace(presence="counts")},
        token_secret=TOKEN_SECRET,
        personal_channels=True,
        max_channels=4,
        rpc=answer,
    ) as server:
        yield server


async def session_of(server: RealtimeServer, user: str) -> Session:
    (session,) = server.services.sessions_of(user)
    return session


# ---------------------------------------------------------------- connect


async def test_an_applications_token_connects(server: RealtimeServer, client: RawClient) -> None:
    token = connection_token("42", exp=within(100), channels=["news"], subs={
        "counts:1": {"data": {"hello": 1}},
    })  # fmt: skip
    result = (await client.connect(token, data={"any": "thing"}, name="js"))["connect"]
    assert result["expires"] is True and 90 <= result["ttl"] <= 100
    assert result["time"] > 1_600_000_000_000
    continuity = {"recoverable": True, "positioned": True, "epoch": "epoch-1"}
    assert result["subs"] == {
        "news": continuity,
        "#42": continuity,
        "counts:1": {"data": {"hello": 1}},
    }
    assert [s.user for s in server.services.sessions_of("42")] == ["42"]
    await wait_until(lambda: len(server.shard.clients) == 2)
    server.shard.publish("#42", b'"for you"')
    assert (await client.next())["push"]["channel"] == "#42"


async def test_sessions_are_forgotten_with_their_end(server: RealtimeServer) -> None:
    async with server.socket() as one, server.socket() as two, server.socket() as guest:
        await one.connect(connection_token("42"))
        await two.connect(connection_token("42"))
        await guest.connect()
        assert len(server.services.sessions_of("42")) == 2
        assert not server.services.sessions_of("")
    await wait_until(lambda: not server.services.users)


async def test_server_subscriptions_recover(server: RealtimeServer, client: RawClient) -> None:
    server.shard.create("news", 4)
    server.shard.create("#42", 2)
    positions = {
        "news": {"recover": True, "epoch": "epoch-1", "offset": 2},
        "#42": {"recover": True, "epoch": "gone", "offset": 1, "flag": 2},
    }
    token = connection_token("42", channels=["news"])
    subs = (await client.connect(token, subs=positions))["connect"]["subs"]
    assert subs["news"]["recovered"] is True and subs["news"]["offset"] == 2
    assert [p["offset"] for p in subs["news"]["publications"]] == [3, 4]
    assert "recovered" not in subs["#42"] and subs["#42"]["was_recovering"] is True
    assert subs["#42"]["offset"] == 2


async def test_what_moves_while_another_one_recovers_is_not_lost(
    server: RealtimeServer, client: RawClient
) -> None:
    """Both replies hold for the tick of admission, however long one of them took."""
    server.shard.create("a", 2)
    server.shard.create("b", 2)
    server.shard.history_gate.clear()
    position = {"recover": True, "epoch": "epoch-1", "offset": 1}
    token = connection_token("42", channels=["a", "b"])
    connect = {"token": token, "subs": {"a": position, "b": position}}
    await client.send({"id": 1, "connect": connect})
    await wait_until(lambda: server.shard.calls["ReadHistory"] == 1)
    server.shard.publish("b")
    server.shard.history_gate.set()
    await wait_until(lambda: server.shard.calls["ReadHistory"] >= 2)
    subs = (await client.next())["connect"]["subs"]
    server.shard.publish("a")
    server.shard.publish("b")
    offsets = {name: [p["offset"] for p in subs[name]["publications"]] for name in "ab"}
    while offsets["a"][-1] < 3 or offsets["b"][-1] < 4:
        push = (await client.next())["push"]
        offsets[push["channel"]].append(push["pub"]["offset"])
    assert offsets == {"a": [2, 3], "b": [2, 3, 4]}


async def test_what_one_reply_recovers_is_bounded() -> None:
    async with RealtimeServer(
        channels={"default": DEFAULT}, token_secret=TOKEN_SECRET, recovery_bytes=2_000
    ) as server:
        for name in "abc":
            server.shard.create(name)
            server.shard.publish(name, b'"%b"' % (b"x" * (900 if name == "c" else 1_500)))
        position = {"recover": True, "epoch": "epoch-1", "offset": 0}
        token = connection_token("42", channels=["a", "b", "c"])
        for turn in (["a", "b", "c"], ["b", "c"]):
            async with server.socket() as client:
                subs = dict.fromkeys(turn, position)
                subs = (await client.connect(token, subs=subs))["connect"]["subs"]
                recovered = [name for name in "abc" if subs[name].get("recovered")]
                assert recovered == turn[:1]
                assert subs["c"]["offset"] == 1 and subs["c"]["was_recovering"] is True


@pytest.mark.parametrize(
    ("channels", "code"),
    [(["nowhere:1"], 102), ([thread()], 103), (["user:1"], 102), (["bad\nname"], 107)],
)
async def test_tokens_open_no_content(client: RawClient, channels: list[str], code: int) -> None:
    assert error_of(await client.connect(connection_token("42", channels=channels))) == code


async def test_too_many_server_subscriptions(server: RealtimeServer, client: RawClient) -> None:
    token = connection_token("42", channels=["a", "b", "c", "d"])
    await client.send({"id": 1, "connect": {"token": token}})
    assert await client.close_code() == 3505
    await wait_until(lambda: server.realtime.statistics()["channels"] == 0)


@pytest.mark.parametrize(
    ("user", "seconds", "claims", "code"),
    [
        ("42", -1, {}, 109),
        ("42", None, {"expire_at": 1}, 109),
        ("42", 60, {"expire_at": 0}, 0),
        ("", None, {}, 0),
    ],
)
async def test_expiry_of_connection_tokens(
    client: RawClient, user: str, seconds: float | None, claims: dict[str, Any], code: int
) -> None:
    exp = {} if seconds is None else {"exp": within(seconds)}
    reply = await client.connect(connection_token(user, **exp, **claims))
    assert (error_of(reply) if "error" in reply else 0) == code
    if not code:
        assert "expires" not in reply["connect"]


@pytest.mark.parametrize("field", ["name", "version"])
async def test_names_are_bounded(client: RawClient, field: str) -> None:
    assert error_of(await client.connect(**{field: "x" * 256})) == 107


async def test_refresh_of_an_applications_token(server: RealtimeServer, client: RawClient) -> None:
    await client.connect(connection_token("42", exp=within(50)))
    reply = await client.ask("refresh", token=connection_token("42", exp=within(500)))
    assert reply["refresh"]["expires"] is True and reply["refresh"]["ttl"] > 450
    reply = await client.ask("refresh", token=connection_token("42", expire_at=0))
    assert "expires" not in reply["refresh"]
    await client.send({"id": 9, "refresh": {"token": connection_token("7")}})
    assert await client.close_code() == 3500


@pytest.mark.parametrize("user", ["42,7", "x#42"])
async def test_nobody_gets_the_personal_channel_of_others(
    server: RealtimeServer, client: RawClient, user: str
) -> None:
    result = (await client.connect(connection_token(user)))["connect"]
    assert "subs" not in result
    assert error_of(await client.ask("subscribe", channel=f"#{user}")) == 103


async def test_an_account_is_not_what_an_application_says(server: RealtimeServer) -> None:
    """The user of a foreign token may look like an account's id; it opens none of its channels."""
    ada = member()
    server.sign_in(ada)
    async with server.socket() as client:
        result = (await client.connect(connection_token(str(ada.account_id))))["connect"]
        assert set(result["subs"]) == {f"#{ada.account_id}"}
        reply = await client.ask("subscribe", channel=f"user:{ada.account_id}")
        assert error_of(reply) == 103
        await client.send({"id": 9, "refresh": {"token": server.sign_in(ada)}})
        assert await client.close_code() == 3500


# ---------------------------------------------------------------- later, by the server


async def test_the_server_subscribes_and_unsubscribes(
    server: RealtimeServer, client: RawClient
) -> None:
    server.shard.create("news", 3)
    await client.connect(connection_token("42"))
    session = await session_of(server, "42")
    await session.subscribe_by_server(
        "news", info=b'{"by":"us"}', data=b'{"n":1}', recover_since=("epoch-1", 1)
    )
    subscribed = {"recoverable": True, "positioned": True, "epoch": "epoch-1", "offset": 1}
    assert await client.next() == {
        "push": {"channel": "news", "subscribe": {**subscribed, "data": {"n": 1}}}
    }
    assert [(await client.next())["push"]["pub"]["offset"] for _ in range(2)] == [2, 3]
    server.shard.publish("news")
    assert (await client.next())["push"]["pub"]["offset"] == 4
    await session.subscribe_by_server("news")
    assert error_of(await client.ask("subscribe", channel="news")) == 105
    await wait_until(lambda: any(b'"by":"us"' in i for i in server.shard.clients.values()))
    session.unsubscribe_by_server("news")
    unsubscribed = {"code": 2000, "reason": "server unsubscribe"}
    assert (await client.next())["push"] == {"channel": "news", "unsubscribe": unsubscribed}
    session.unsubscribe_by_server("news")
    session.send_message(b'{"a":\n1}')
    assert (await client.next())["push"] == {"message": {"data": {"a": 1}}}


async def test_unsubscribing_from_everything(server: RealtimeServer, client: RawClient) -> None:
    ada = member()
    await client.connect(server.sign_in(ada))
    await client.ask("subscribe", channel="news")
    session = await session_of(server, str(ada.account_id))
    session.unsubscribe_by_server("")
    gone = {(await client.next())["push"]["channel"] for _ in range(2)}
    assert gone == {"news", f"#{ada.account_id}"}
    assert list(session.subscriptions) == [f"user:{ada.account_id}"]


async def test_subscribing_twice_at_once(server: RealtimeServer, client: RawClient) -> None:
    await client.connect(connection_token("42"))
    session = await session_of(server, "42")
    await asyncio.gather(*(session.subscribe_by_server("news") for _ in range(3)))
    assert (await client.next())["push"]["channel"] == "news"
    assert await client.ask("ping") == {"id": 2, "ping": {}}
    assert server.realtime.statistics()["subscriptions"] == 2


async def test_what_the_server_cannot_subscribe_to(
    server: RealtimeServer, client: RawClient
) -> None:
    await client.connect(connection_token("42", channels=["a", "b"]))
    session = await session_of(server, "42")
    with pytest.raises(ReplyError) as unknown:
        await session.subscribe_by_server("nowhere:1")
    assert unknown.value.code == 102
    with pytest.raises(AppError):
        await session.subscribe_by_server(thread())
    await session.subscribe_by_server("c")
    with pytest.raises(Disconnect) as limit:
        await session.subscribe_by_server("d")
    assert limit.value.code == 3505
    assert await client.close_code() == 3505


async def test_refresh_by_the_server(server: RealtimeServer, client: RawClient) -> None:
    await client.connect(connection_token("42"))
    session = await session_of(server, "42")
    session.refresh_by_server(within(100))
    push = (await client.next())["push"]["refresh"]
    assert push["expires"] is True and 90 <= push["ttl"] <= 100
    session.refresh_by_server(0)
    assert (await client.next())["push"] == {"refresh": {}}


# ---------------------------------------------------------------- rpc


async def test_rpc(client: RawClient) -> None:
    await client.connect()
    reply = await client.ask("rpc", method="GET /api/v1/feed", data={"sort": "new"})
    assert reply["rpc"] == {"data": {"asked": {"sort": "new"}}}
    assert (await client.ask("rpc", method="GET /api/v1/feed"))["rpc"]["data"] == {"asked": None}
    assert error_of(await client.ask("rpc", method="nothing")) == 104


async def test_calls_run_side_by_side(server: RealtimeServer, client: RawClient) -> None:
    gate, begun = asyncio.Event(), 0

    async def slow(caller: Caller, address: str, method: str, params: bytes) -> bytes:
        nonlocal begun
        begun += 1
        await gate.wait()
        return b"1"

    object.__setattr__(server.services, "rpc", slow)
    await client.connect()
    await client.send(*({"id": n, "rpc": {"method": "x"}} for n in range(10, 30)))
    await wait_until(lambda: begun == 8)
    assert await client.ask("ping") == {"id": 2, "ping": {}}
    gate.set()
    replies: list[Any] = [await client.next() for _ in range(20)]
    assert sorted(reply["id"] for reply in replies) == list(range(10, 30))
