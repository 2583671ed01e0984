"""The real SDK (centrifuge-python), with a record of what it was told."""

from __future__ import annotations

from typing import Any

from centrifuge import (
    Client,
    ClientEventHandler,
    SubscriptionEventHandler,
)

from tests.realtime_server import RealtimeServer


class Recorder(SubscriptionEventHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.ephemeral: list[Any] = []
        self.subscribed: list[Any] = []
        self.unsubscribed: list[tuple[int, str]] = []
        self.errors: list[int] = []

    async def on_publication(self, ctx: Any) -> None:
        if ctx.pub.offset:
            self.offsets.append(ctx.pub.offset)
        else:
            self.ephemeral.append(ctx.pub.data)

    async def on_subscribed(self, ctx: Any) -> None:
        self.subscribed.append(ctx)

    async def on_unsubscribed(self, ctx: Any) -> None:
        self.unsubscribed.append((ctx.code, ctx.reason))

    async def on_error(self, ctx: Any) -> None:
        self.errors.append(getattr(ctx.error, "code", 0))


class Connection(ClientEventHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self.connected = 0
        self.disconnected: list[int] = []
        self.connecting: list[int] = []
        self.server_publications: list[tuple[str, int]] = []

    async def on_connected(self, ctx: Any) -> None:
        self.connected += 1

    async def on_connecting(self, ctx: Any) -> None:
        self.connecting.append(ctx.code)

    async def on_disconnected(self, ctx: Any) -> None:
        self.disconnected.append(ctx.code)

    async def on_publication(self, ctx: Any) -> None:
        self.server_publications.append((ctx.channel, ctx.pub.offset))


class SdkClient:
    def __init__(self, server: RealtimeServer, token: str = "", **options: Any) -> None:
        self.events = Connection()
        self.client = Client(
            server.url,
            events=self.events,
            token=token,
            proxy=None,
            min_reconnect_delay=0.01,
            max_reconnect_delay=0.05,
            **options,
        )

    async def __aenter__(self) -> SdkClient:
        await self.client.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.disconnect()

    async def subscribe(self, channel: str, **options: Any) -> Recorder:
        recorder = Recorder()
        subscription = self.client.new_subscription(
            channel,
            recorder,
            min_resubscribe_delay=0.01,
            max_resubscribe_delay=0.05,
            **options,
        )
        await subscription.subscribe()
        return recorder
