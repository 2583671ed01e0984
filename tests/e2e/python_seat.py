"""The seat of the PyPI SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from centrifuge import DeltaType
from centrifuge.types import StreamPosition

from tests.e2e.python_client import Following, PythonClient, value_of
from tests.e2e.seat import GiveToken, Page


class PythonSeat:
    def __init__(self, client: PythonClient) -> None:
        self.client = client
        self._following: dict[str, Following] = {}

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
        options["join_leave"] = join_leave
        options["delta"] = DeltaType.FOSSIL if delta else None

        async def position(_channel: str) -> StreamPosition:
            assert since is not None
            return StreamPosition(since["offset"], since["epoch"])

        async def token_of(_channel: str) -> str:
            assert give_token is not None
            return give_token()

        if since is not None:
            options["get_state"] = position
        if give_token is not None:
            options["get_token"] = token_of
        self._following[channel] = await self.client.follow(channel, wait=False, **options)
        await self._following[channel].wait_subscribed()

    async def unsubscribe(self, channel: str) -> None:
        await self.client.sdk.get_subscription(channel).unsubscribe()

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
        position = StreamPosition(since["offset"], since["epoch"]) if since else None
        answer = await self.client.sdk.history(channel, limit, position, reverse)
        found = answer.publications
        return Page(
            [each.offset for each in found],
            [value_of(each.data) for each in found],
            [each.info.user for each in found if each.info],
            answer.offset,
            answer.epoch,
        )

    async def presence(self, channel: str) -> dict[str, tuple[Any, Any]]:
        clients = (await self.client.sdk.presence(channel)).clients
        return {
            each.user: (value_of(each.conn_info), value_of(each.chan_info))
            for each in clients.values()
        }

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        stats = await self.client.sdk.presence_stats(channel)
        return stats.num_clients, stats.num_users

    async def rpc(self, method: str, data: object = None) -> Any:
        return await self.client.rpc(method, data)

    async def disconnect(self) -> None:
        await self.client.sdk.disconnect()

    async def deltas(self, channel: str) -> int:
        return self._following[channel].deltas

    def told(self, channel: str) -> list[tuple[int, Any]]:
        following = self._following.get(channel)
        own = following.publications if following else []
        pushed = self.client.events.publications
        return own + [(offset, data) for name, offset, data in pushed if name == channel]

    def recovered(self, channel: str) -> list[bool]:
        return [context.recovered for context in self._following[channel].subscribed]

    def unsubscribed(self, channel: str) -> list[int]:
        return self._following[channel].unsubscribed

    def joined(self, channel: str) -> list[str]:
        return self._following[channel].joined

    def left(self, channel: str) -> list[str]:
        return self._following[channel].left

    def server_subscriptions(self) -> dict[str, Any]:
        return {c.channel: value_of(c.data) for c in self.client.events.server_subscribed}

    def server_unsubscribed(self) -> list[str]:
        return self.client.events.server_unsubscribed

    def connects(self) -> int:
        return self.client.events.connected

    def disconnected(self) -> list[int]:
        return self.client.events.disconnected
