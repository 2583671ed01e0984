"""The PyPI SDK as a test client that remembers everything it was told."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from tests.conditions import wait_until


def value_of(data: Any) -> Any:
    """The JSON value of a payload: over Protobuf the SDK gives its bytes."""
    return json.loads(data) if isinstance(data, bytes) else data


class Following(SubscriptionEventHandler):  # type: ignore[misc]
    """One subscription. `publications` are (offset, data) in order of arrival, offset 0 for
    ephemeral ones."""

    def __init__(self) -> None:
        self.publications: list[tuple[int, Any]] = []
        self.publishers: list[str] = []
        self.deltas = 0
        self.joined: list[str] = []
        self.left: list[str] = []
        self.subscribed: list[Any] = []
        self.unsubscribed: list[int] = []
        self.errors: list[int] = []

    @property
    def offsets(self) -> list[int]:
        """Of the durable ones."""
        return [offset for offset, _ in self.publications if offset]

    def of_type(self, kind: str) -> list[Any]:
        return [data for _, data in self.publications if data["type"] == kind]

    async def wait_subscribed(self, times: int = 1) -> Any:
        """The context of the n-th successful subscribe."""
        await wait_until(lambda: len(self.subscribed) >= times or bool(self.unsubscribed), 60)
        assert len(self.subscribed) >= times, f"unsubscribed by {self.unsubscribed}"
        return self.subscribed[times - 1]

    async def wait_offset(self, offset: int) -> None:
        await wait_until(lambda: offset in self.offsets, 60)

    async def on_publication(self, ctx: Any) -> None:
        self.publications.append((ctx.pub.offset, value_of(ctx.pub.data)))
        if ctx.pub.info:
            self.publishers.append(ctx.pub.info.user)
        self.deltas += bool(ctx.pub.delta)

    async def on_join(self, ctx: Any) -> None:
        self.joined.append(ctx.info.user)

    async def on_leave(self, ctx: Any) -> None:
        self.left.append(ctx.info.user)

    async def on_subscribed(self, ctx: Any) -> None:
        self.subscribed.append(ctx)

    async def on_unsubscribed(self, ctx: Any) -> None:
        self.unsubscribed.append(ctx.code)

    async def on_error(self, ctx: Any) -> None:
        self.errors.append(getattr(ctx.error, "code", 0))


class _Connection(ClientEventHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self.connected = 0
        self.disconnected: list[int] = []
        self.connecting: list[int] = []
        self.server_subscribed: list[Any] = []
        self.server_unsubscribed: list[str] = []
        self.publications: list[tuple[str, int, Any]] = []

    async def on_connected(self, ctx: Any) -> None:
        self.connected += 1

    async def on_connecting(self, ctx: Any) -> None:
        self.connecting.append(ctx.code)

    async def on_disconnected(self, ctx: Any) -> None:
        self.disconnected.append(ctx.code)

    async def on_subscribed(self, ctx: Any) -> None:
        self.server_subscribed.append(ctx)

    async def on_unsubscribed(self, ctx: Any) -> None:
        self.server_unsubscribed.append(ctx.channel)

    async def on_publication(self, ctx: Any) -> None:
        self.publications.append((ctx.channel, ctx.pub.offset, value_of(ctx.pub.data)))


class PythonClient:
    """One SDK connection; entering waits until the server has accepted or refused it. With
    `protobuf` payloads are still JSON values on this side."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        get_token: Callable[[], Awaitable[str]] | None = None,
        protobuf: bool = False,
    ) -> None:
        self._protobuf = protobuf
        self.events = _Connection()
        self.sdk = Client(
            url,
            events=self.events,
            token=token or "",
            get_token=get_token,
            use_protobuf=protobuf,
            proxy=None,
            min_reconnect_delay=0.05,
            max_reconnect_delay=0.5,
        )

    async def __aenter__(self) -> Self:
        await self.sdk.connect()
        await wait_until(lambda: bool(self.events.connected or self.events.disconnected), 60)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.sdk.disconnect()
        # The SDK closes its sockets in tasks that nobody else waits for.
        await wait_until(lambda: not self.sdk._background_tasks)

    async def follow(self, channel: str, *, wait: bool = True, **options: Any) -> Following:
        """Subscribes with recovery, as the server's namespaces do by default. `options` go to the
        SDK unchanged."""
        following = Following()
        subscription = self.sdk.new_subscription(
            channel, following, min_resubscribe_delay=0.05, max_resubscribe_delay=0.5, **options
        )
        await subscription.subscribe()
        if wait:
            await following.wait_subscribed()
        return following

    async def publish(self, channel: str, data: object) -> None:
        await self.sdk.get_subscription(channel).publish(self._payload(data))

    async def rpc(self, method: str, data: object = None) -> Any:
        return value_of((await self.sdk.rpc(method, self._payload(data))).data)

    def _payload(self, data: object) -> object:
        return json.dumps(data).encode() if self._protobuf else data
