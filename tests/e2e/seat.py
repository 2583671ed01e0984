"""One face for both SDKs, so that one test runs over every language, transport and encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tests.conditions import wait_until

PATIENCE_SECONDS: Final = 60.0

GiveToken = Callable[[], str]


@dataclass(frozen=True)
class Page:
    """An answer of history: offsets and data in the order given."""

    offsets: list[int]
    data: list[Any]
    publishers: list[str]
    top: int
    epoch: str


class Seat(Protocol):
    """One connection. Payloads are JSON values. Lists grow in order of arrival."""

    async def subscribe(
        self,
        channel: str,
        *,
        since: Mapping[str, Any] | None = None,
        join_leave: bool = False,
        delta: bool = False,
        give_token: GiveToken | None = None,
    ) -> None:
        """With recovery; returns when the server has accepted. `give_token` is asked for the first
        token and for each further one."""

    async def unsubscribe(self, channel: str) -> None: ...
    async def publish(self, channel: str, data: object) -> None: ...
    async def history(
        self,
        channel: str,
        *,
        limit: int,
        since: Mapping[str, Any] | None = None,
        reverse: bool = False,
    ) -> Page: ...
    async def presence(self, channel: str) -> dict[str, tuple[Any, Any]]:
        """(information of the connection, of the subscription) by user."""
        ...

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        """Clients and users."""
        ...

    async def rpc(self, method: str, data: object = None) -> Any: ...
    async def disconnect(self) -> None: ...
    async def deltas(self, channel: str) -> int:
        """How many publications came as deltas."""
        ...

    def told(self, channel: str) -> list[tuple[int, Any]]:
        """(offset, data), offset 0 for ephemeral ones; server-side subscriptions too."""
        ...

    def recovered(self, channel: str) -> list[bool]:
        """One for each successful subscribe."""
        ...

    def unsubscribed(self, channel: str) -> list[int]: ...
    def joined(self, channel: str) -> list[str]: ...
    def left(self, channel: str) -> list[str]: ...
    def server_subscriptions(self) -> dict[str, Any]:
        """The data that each came with."""
        ...

    def server_unsubscribed(self) -> list[str]: ...
    def connects(self) -> int:
        """How often it was accepted."""
        ...

    def disconnected(self) -> list[int]: ...


async def wait_told(seat: Seat, channel: str, offset: int) -> None:
    await wait_until(lambda: offset in [o for o, _ in seat.told(channel)], PATIENCE_SECONDS)


def offsets(seat: Seat, channel: str) -> list[int]:
    """Of the durable ones."""
    return [offset for offset, _ in seat.told(channel) if offset]
