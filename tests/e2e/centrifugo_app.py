"""A chat room as one writes it for Centrifugo, with its PyPI SDKs and nothing of this project.

    python centrifugo_app.py        (CENTRIFUGO_URL, CENTRIFUGO_API_KEY, CENTRIFUGO_TOKEN_SECRET)

Prints what its people saw, one JSON line a step.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import aiohttp
import jwt
from cent import (
    AsyncClient,
    BatchRequest,
    BroadcastRequest,
    ChannelsRequest,
    DisconnectRequest,
    HistoryRemoveRequest,
    HistoryRequest,
    PresenceRequest,
    PublishRequest,
    SubscribeRequest,
)
from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    DeltaType,
    SubscriptionEventHandler,
)

URL = os.environ.get("CENTRIFUGO_URL", "http://localhost:8000")
API_KEY = os.environ["CENTRIFUGO_API_KEY"]
TOKEN_SECRET = os.environ["CENTRIFUGO_TOKEN_SECRET"]
ROOM = "room-python"


def token(user: str, **claims: Any) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 300, **claims}, TOKEN_SECRET)


class Inbox(ClientEventHandler):  # type: ignore[misc]
    """What reaches a person without their asking."""

    def __init__(self) -> None:
        self.letters: asyncio.Queue[Any] = asyncio.Queue()
        self.gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def on_publication(self, ctx: Any) -> None:
        await self.letters.put(ctx.pub.data)

    async def on_disconnected(self, ctx: Any) -> None:
        self.gone.set_result(ctx.code)


class Room(SubscriptionEventHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self.said: asyncio.Queue[Any] = asyncio.Queue()
        self.joined: asyncio.Queue[str] = asyncio.Queue()
        self.left: asyncio.Queue[str] = asyncio.Queue()

    async def on_publication(self, ctx: Any) -> None:
        await self.said.put((ctx.pub.info.user if ctx.pub.info else "backend", ctx.pub.data))

    async def on_join(self, ctx: Any) -> None:
        await self.joined.put(ctx.info.user)

    async def on_leave(self, ctx: Any) -> None:
        await self.left.put(ctx.info.user)


class Person:
    def __init__(self, name: str) -> None:
        self.name = name
        self.inbox = Inbox()
        self.room = Room()
        address = f"{URL.replace('http', 'ws', 1)}/connection/websocket"
        self.client = Client(address, self.inbox, get_token=self._token)

    async def _token(self) -> str:
        return token(self.name, info={"name": self.name.title()})

    async def _room_token(self, channel: str) -> str:
        return token(self.name, channel=channel)

    async def enter(self) -> Any:
        await self.client.connect()
        room = self.client.new_subscription(
            ROOM,
            self.room,
            get_token=self._room_token,
            recoverable=True,
            join_leave=True,
            delta=DeltaType.FOSSIL,
        )
        await room.subscribe()
        await room.ready()
        return room


def show(step: str, value: object) -> None:
    print(json.dumps({step: value}), flush=True)


async def take(queue: asyncio.Queue[Any], count: int) -> list[Any]:
    async with asyncio.timeout(30):
        return [await queue.get() for _ in range(count)]


async def wait_for_two(room: Any) -> None:
    async with asyncio.timeout(30):
        while True:
            if (await room.presence_stats()).num_users == 2:
                return
            await asyncio.sleep(0.05)


async def run(backend: AsyncClient) -> None:
    await backend.history_remove(HistoryRemoveRequest(channel=ROOM))
    ada, ben = Person("ada"), Person("ben")
    try:
        room = await ada.enter()
        other = await ben.enter()
        async with asyncio.timeout(30):
            while await ada.room.joined.get() != "ben":
                pass
        await room.publish({"text": "hello"})
        await other.publish({"text": "hello, Ada"})
        await backend.publish(PublishRequest(channel=ROOM, data={"text": "welcome"}))
        await wait_for_two(room)
        show("said", await take(ben.room.said, 3))
        history = await room.history(limit=10)
        show("history", [each.data["text"] for each in history.publications])
        info = (await room.presence()).clients.values()
        show("here", sorted((each.user, each.conn_info["name"]) for each in info))
        stats = await room.presence_stats()
        show("count", [stats.num_clients, stats.num_users])

        await backend.subscribe(SubscribeRequest(user="ben", channel="letters-python-ben"))
        await backend.batch(
            BatchRequest(
                requests=[
                    PublishRequest(channel="letters-python-ben", data="one"),
                    BroadcastRequest(channels=["letters-python-ben", ROOM], data="two"),
                ],
            )
        )
        show("letters", await take(ben.inbox.letters, 2))
        show(
            "backend",
            len((await backend.history(HistoryRequest(channel=ROOM, limit=9))).publications),
        )
        present = (await backend.presence(PresenceRequest(channel=ROOM))).presence.values()
        show("seen", sorted(each.user for each in present))
        channels = (await backend.channels(ChannelsRequest(pattern="room-pyth*"))).channels
        show("channels", {name: each.num_clients for name, each in channels.items()})
        try:
            await room._client.rpc("no such method", {})
        except CentrifugeError as error:
            show("rpc", str(error))

        await backend.disconnect(DisconnectRequest(user="ben"))
        show("banned", await asyncio.wait_for(ben.inbox.gone, 30))
        show("left", await take(ada.room.left, 1))
    finally:
        await ada.client.disconnect()
        await ben.client.disconnect()


async def main() -> None:
    timeout: Any = aiohttp.ClientTimeout(10)
    backend = AsyncClient(f"{URL}/api", API_KEY, timeout=timeout)
    try:
        await run(backend)
    finally:
        await backend._session.close()


if __name__ == "__main__":
    asyncio.run(main())
