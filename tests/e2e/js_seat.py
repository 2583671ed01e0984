"""The seat of the npm SDK."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

from tests.e2e.js_client import JsClient
from tests.e2e.seat import GiveToken, Page


class JsSeat:
    def __init__(self, client: JsClient, tasks: contextlib.AsyncExitStack) -> None:
        self.client = client
        self._tasks = tasks

    async def answer(self, event: str, give: GiveToken, channel: str | None = None) -> None:
        """Gives tokens whenever the SDK asks, until the seat is left."""

        async def give_each() -> None:
            fields = {"channel": channel} if channel else {}
            after = 0
            while True:
                asked = await self.client.wait_for_event(event, 3600, after=after, **fields)
                after = self.client.events.index(asked, after) + 1
                if channel:
                    await self.client.give_subscription_token(channel, give())
                else:
                    await self.client.give_token(give())

        await self._tasks.enter_async_context(_running(give_each()))

    async def subscribe(
        self,
        channel: str,
        *,
        since: Mapping[str, Any] | None = None,
        join_leave: bool = False,
        delta: bool = False,
        give_token: GiveToken | None = None,
    ) -> None:
        options: dict[str, Any] = {"positioned": True, "recoverable": True}
        options["joinLeave"] = join_leave
        if delta:
            options["delta"] = "fossil"
        if give_token is not None:
            await self.answer("subscription_token_needed", give_token, channel)
        await self.client.subscribe(channel, since, refresh=give_token is not None, options=options)

    async def unsubscribe(self, channel: str) -> None:
        await self.client.unsubscribe(channel)

    async def publish(self, channel: str, data: object) -> None:
        await self.client.publish(channel, data)

    async def history(
        self,
        channel: str,
        *,
        limit: int,
        since: Mapping[str, Any] | None = None,
        reverse: bool = False,
    ) -> Page:
        answer = await self.client.history(
            channel, limit=limit, since=dict(since) if since else None, reverse=reverse
        )
        found = answer["publications"]
        return Page(
            [each["offset"] for each in found],
            [each["data"] for each in found],
            [each["info"]["user"] for each in found if each.get("info")],
            answer["offset"],
            answer["epoch"],
        )

    async def presence(self, channel: str) -> dict[str, tuple[Any, Any]]:
        clients = (await self.client.presence(channel))["clients"]
        return {
            each["user"]: (each.get("connInfo"), each.get("chanInfo")) for each in clients.values()
        }

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        stats = await self.client.presence_stats(channel)
        return stats.get("numClients", 0), stats.get("numUsers", 0)

    async def rpc(self, method: str, data: object = None) -> Any:
        return await self.client.rpc(method, data)

    async def disconnect(self) -> None:
        await self.client.disconnect()

    async def deltas(self, channel: str) -> int:
        count: int = (await self.client.delta_stats(channel))["numDeltaPayloads"]
        return count

    def told(self, channel: str) -> list[tuple[int, Any]]:
        return [(each["offset"] or 0, each["data"]) for each in self.client.publications(channel)]

    def recovered(self, channel: str) -> list[bool]:
        return [event["recovered"] for event in self._events("subscribed", channel)]

    def unsubscribed(self, channel: str) -> list[int]:
        return [event["code"] for event in self._events("unsubscribed", channel)]

    def joined(self, channel: str) -> list[str]:
        return [event["info"]["user"] for event in self._events("join", channel)]

    def left(self, channel: str) -> list[str]:
        return [event["info"]["user"] for event in self._events("leave", channel)]

    def server_subscriptions(self) -> dict[str, Any]:
        return {e["channel"]: e.get("data") for e in self._events("server_subscribed")}

    def server_unsubscribed(self) -> list[str]:
        return [event["channel"] for event in self._events("server_unsubscribed")]

    def connects(self) -> int:
        return len(self._events("connected"))

    def disconnected(self) -> list[int]:
        return [event["code"] for event in self._events("disconnected")]

    def _events(self, name: str, channel: str | None = None) -> list[dict[str, Any]]:
        return [
            event
            for event in self.client.events
            if event["event"] == name and channel in (None, event.get("channel"))
        ]


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
