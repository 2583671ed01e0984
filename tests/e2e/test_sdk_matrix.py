"""Every SDK, transport and encoding against the real server: the same day of a member in each."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from cent import (
    AsyncClient,
    DisconnectRequest,
    PublishRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)

from storage.identity import new_id
from tests.conditions import wait_until
from tests.e2e.api_client import ApiClient
from tests.e2e.conftest import API_KEY
from tests.e2e.js_client import node_binary
from tests.e2e.sdk_cells import Cell, seated
from tests.e2e.seat import PATIENCE_SECONDS, Seat, offsets, wait_told
from tests.e2e.server import RunningServer
from tests.e2e.wire import Wire
from tests.realtime_tokens import TOKEN_SECRET, connection_token, subscription_token, within

pytestmark = pytest.mark.e2e
_HERE: Final = Path(__file__).parent

SOCKETS: Final = (
    Cell("python"),
    Cell("python", protobuf=True),
    Cell("js"),
    Cell("js", protobuf=True),
)
EMULATED: Final = (
    Cell("js", "sse"),
    Cell("js", "http_stream"),
    Cell("js", "http_stream", protobuf=True),
)


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[AsyncClient]:
    timeout: Any = aiohttp.ClientTimeout(10)  # a bare number warns
    client = AsyncClient(f"{server.url}/api", API_KEY, timeout=timeout)
    yield client
    await client._session.close()


async def _comment(author: ApiClient, post: str, count: int) -> None:
    for n in range(count):
        await author.comment(post, f"number {n}")


async def _answered(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Asks until that is the answer: gateways tell the shards within a poll or two."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await ask() == wanted:
                return
            await asyncio.sleep(0.05)


async def _present(seat: Seat, channel: str, clients: int, users: int) -> None:
    """Guests are clients and no users."""
    await _answered(lambda: seat.presence_stats(channel), (clients, users))


@pytest.mark.parametrize("cell", [*SOCKETS, *EMULATED], ids=str)
async def test_a_member_and_a_guest(
    cell: Cell, ada: ApiClient, ben: ApiClient, server: RunningServer
) -> None:
    """Emulated transports post each command to the gateway that has not got the connection."""
    post = (await ada.post())["id"]
    channel = f"thread:{post}"
    since = (await ada.comments(post))["stream"]
    await _comment(ben, post, 2)
    first, second = server.gateway_urls()
    async with (
        Wire(first) as wire,
        seated(cell, wire.url, second, ada.token) as member,
        seated(cell, second, first) as guest,
    ):
        await member.subscribe(channel, since=since)
        await guest.subscribe(channel)
        assert member.recovered(channel) == [True] and guest.recovered(channel) == [False]
        await wait_told(member, channel, 2)
        await _comment(ben, post, 3)
        await wait_told(member, channel, 5)
        await wait_told(guest, channel, 5)
        assert offsets(member, channel) == [1, 2, 3, 4, 5]
        assert offsets(guest, channel) == [3, 4, 5]

        await wire.cut()
        await _comment(ben, post, 4)
        await wait_until(lambda: wire.refused > 0, PATIENCE_SECONDS)
        wire.mend()
        await wait_told(member, channel, 9)
        await _comment(ben, post, 1)
        await wait_told(member, channel, 10)
        assert offsets(member, channel) == list(range(1, 11))
        assert member.recovered(channel) == [True, True] and member.connects() == 2

        await member.publish(channel, {"type": "typing"})
        typing: dict[str, Any] = {"type": "typing", "account_id": ada.id}
        await wait_until(
            lambda: any(typing.items() <= data.items() for _, data in guest.told(channel)),
            PATIENCE_SECONDS,
        )
        with pytest.raises(Exception, match="permission denied"):
            await guest.publish(channel, {"type": "typing"})

        newest = await guest.history(channel, limit=3, reverse=True)
        assert (newest.offsets, newest.top, newest.epoch) == ([10, 9, 8], 10, since["epoch"])
        rest = await member.history(channel, limit=100, since={"offset": 7, "epoch": newest.epoch})
        assert rest.offsets == [8, 9, 10]
        assert rest.data == [data for offset, data in member.told(channel) if offset > 7]
        with pytest.raises(Exception, match="unrecoverable position"):
            await guest.history(channel, limit=1, since={"offset": 7, "epoch": "another"})
        await _present(guest, channel, 2, 1)

        page = await member.rpc(f"GET /api/v1/posts/{post}/comments", {"limit": 3})
        assert len(page["items"]) == 3 and page["stream"]["channel"] == channel
        assert (await guest.rpc(f"/api/v1/posts/{post}"))["id"] == post
        with pytest.raises(Exception, match="method not found"):
            await member.rpc("POST /api/v1/posts", {})
        with pytest.raises(Exception, match="not found"):
            await member.rpc(f"GET /api/v1/posts/{new_id(276)}")

        await member.unsubscribe(channel)
        await _present(guest, channel, 1, 0)
        await _comment(ben, post, 1)
        await wait_told(guest, channel, 11)
        assert member.unsubscribed(channel) == [0] and 11 not in offsets(member, channel)
        await member.disconnect()
        assert member.disconnected() == [0] and member.connects() == 2
        assert guest.connects() == 1 and not guest.disconnected()


@pytest.mark.parametrize("cell", [*SOCKETS, EMULATED[0], EMULATED[2]], ids=str)
async def test_a_room_of_an_application(cell: Cell, server: RunningServer) -> None:
    """Clients publish; joins, presence, history with its publishers; a break within deltas."""
    room = f"room-{new_id(276)}"
    first, second = server.gateway_urls()
    boards = [{"n": n, "text": "a board with much text " * 20} for n in range(6)]
    async with (
        Wire(first) as wire,
        seated(cell, wire.url, second, connection_token("1", info={"name": "Ada"})) as reader,
        seated(cell, second, first, connection_token("2")) as writer,
    ):
        await reader.subscribe(room, join_leave=True, delta=True)
        await writer.subscribe(room)
        await wait_until(lambda: "2" in reader.joined(room), PATIENCE_SECONDS)
        for board in boards[:3]:
            await writer.publish(room, board)
        await wait_told(reader, room, 3)
        assert await reader.deltas(room) == 2
        await wire.cut()
        for board in boards[3:5]:
            await writer.publish(room, board)
        await wait_until(lambda: wire.refused > 0, PATIENCE_SECONDS)
        wire.mend()
        await wait_told(reader, room, 5)
        await writer.publish(room, boards[5])
        await wait_told(reader, room, 6)
        await wait_told(writer, room, 6)
        assert reader.told(room) == list(enumerate(boards, 1)) == writer.told(room)
        assert reader.recovered(room) == [False, True]
        # The first one after the break is whole, those behind it are not.
        assert await reader.deltas(room) == 4

        who = {"1": ({"name": "Ada"}, None), "2": (None, None)}
        await _answered(lambda: writer.presence(room), who)
        await _present(reader, room, 2, 2)
        page = await reader.history(room, limit=2, reverse=True)
        assert page.offsets == [6, 5] and page.publishers == ["2", "2"]
        assert page.data == [boards[5], boards[4]]
        await writer.unsubscribe(room)
        await wait_until(lambda: "2" in reader.left(room), PATIENCE_SECONDS)


@pytest.mark.parametrize("cell", [*SOCKETS, EMULATED[1]], ids=str)
async def test_tokens_of_an_application(cell: Cell, server: RunningServer) -> None:
    """Both expire within two seconds again and again, and nobody notices."""
    name = str(new_id(276))
    room, news = f"$room-{name}", f"news-{name}"
    given: list[str] = []

    def for_connection() -> str:
        given.append("connection")
        subs = {news: {"data": {"welcome": True}, "info": {"seat": 1}}}
        return connection_token(name, exp=within(2), info={"name": "Ada"}, subs=subs)

    def for_room() -> str:
        given.append("room")
        return subscription_token(name, room, exp=within(2), info={"seat": 2})

    first, second = server.gateway_urls()
    async with (
        seated(cell, first, second, give_token=for_connection) as seat,
        seated(cell, second, first, connection_token("2")) as other,
    ):
        await wait_until(lambda: news in seat.server_subscriptions(), PATIENCE_SECONDS)
        assert seat.server_subscriptions() == {news: {"welcome": True}}
        await seat.subscribe(room, give_token=for_room)
        with pytest.raises(Exception, match="103"):
            await other.subscribe(room)
        await wait_until(
            lambda: min(given.count("connection"), given.count("room")) >= 3, PATIENCE_SECONDS
        )
        for channel, info in ((room, {"seat": 2}), (news, {"seat": 1})):
            who = {name: ({"name": "Ada"}, info)}
            await _answered(lambda channel=channel: seat.presence(channel), who)  # type: ignore[misc]
        await other.subscribe(news)
        await other.publish(news, "still here")
        await wait_told(seat, news, 1)
        assert (seat.connects(), seat.disconnected()) == (1, [])
        assert (seat.recovered(room), seat.unsubscribed(room)) == ([False], [])


@pytest.mark.parametrize("cell", [*SOCKETS, EMULATED[0]], ids=str)
async def test_commands_of_a_backend(cell: Cell, api: AsyncClient, server: RunningServer) -> None:
    user = str(new_id(276))
    private, news = f"private-{user}", f"news-{user}"
    first, second = server.gateway_urls()
    async with seated(cell, first, second, connection_token(user)) as seat:
        await seat.subscribe(news)
        await api.subscribe(SubscribeRequest(user=user, channel=private, data={"why": "because"}))
        await wait_until(lambda: private in seat.server_subscriptions(), PATIENCE_SECONDS)
        assert seat.server_subscriptions() == {private: {"why": "because"}}
        for channel in (private, news):
            for n in range(3):
                await api.publish(PublishRequest(channel=channel, data={"n": n}))
            await wait_told(seat, channel, 3)
            assert seat.told(channel) == [(n + 1, {"n": n}) for n in range(3)]
        await api.unsubscribe(UnsubscribeRequest(user=user, channel=private))
        await wait_until(lambda: seat.server_unsubscribed() == [private], PATIENCE_SECONDS)
        await api.unsubscribe(UnsubscribeRequest(user=user, channel=news))
        await wait_until(lambda: seat.unsubscribed(news) == [2000], PATIENCE_SECONDS)
        await api.disconnect(DisconnectRequest(user=user))
        await wait_until(lambda: seat.disconnected() == [3503], PATIENCE_SECONDS)
        assert seat.connects() == 1


async def _run_application(server: RunningServer, *command: str | Path) -> dict[str, Any]:
    """What it printed, by step."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "CENTRIFUGO_URL": server.url,
            "CENTRIFUGO_API_KEY": API_KEY,
            "CENTRIFUGO_TOKEN_SECRET": TOKEN_SECRET,
        },
    )
    try:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, errors) == (0, b""), (errors.decode(), output)
    return {name: value for line in output.splitlines() for name, value in json.loads(line).items()}


async def test_a_python_application_made_for_centrifugo(server: RunningServer) -> None:
    assert await _run_application(server, sys.executable, _HERE / "centrifugo_app.py") == {
        "said": [
            ["ada", {"text": "hello"}],
            ["ben", {"text": "hello, Ada"}],
            ["backend", {"text": "welcome"}],
        ],
        "history": ["hello", "hello, Ada", "welcome"],
        "count": [2, 2],
        "here": [["ada", "Ada"], ["ben", "Ben"]],
        "letters": ["one", "two"],
        "backend": 4,
        "seen": ["ada", "ben"],
        "channels": {"room-python": 2},
        "rpc": "Error 104: method not found (temporary: False)",
        "banned": 3503,
        "left": ["ben"],
    }


async def test_a_javascript_application_made_for_centrifugo(server: RunningServer) -> None:
    bicycle = "for sale: a bicycle, hardly used, with a bell and"
    assert await _run_application(server, node_binary(), _HERE / "js" / "centrifugo_app.mjs") == {
        "notes": [
            ["ada", {"note": f"{bicycle} two lamps"}],
            ["ben", {"note": f"{bicycle} one lamp"}],
            ["backend", {"note": "closed on Sunday"}],
        ],
        "newest": ["closed on Sunday", f"{bicycle} one lamp"],
        "here": [["ada", "ADA", 4], ["ben", "BEN", 4]],
        "letters": [["letters-js-ada", "a letter"], ["letters-js-ben", "a letter"]],
        "refusal": 104,
        "banned": [3503],
        "end": [0],
    }
