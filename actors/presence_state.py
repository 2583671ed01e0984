"""Who is on which channel: counts over all gateways of a shard, and when to tell them. Pure.

Gateways say how many connections of a user they hold, not what changed: saying it twice is
harmless, a gateway that says all it holds corrects whatever was held of it before, and one that
vanishes takes exactly its own share along.

A changed count is told to everybody on the channel, so a channel's joins would cost the square of
its size. A count is therefore told at most once a second, and more rarely the more hear it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LEAST_SECONDS: Final = 1.0
DELIVERIES_PER_SECOND: Final = 1_000
"""Of the counts of one channel; those of 60,000 are told once a minute."""


class _Present:
    """Connections by user over all gateways. Not told again before `silent_until`."""

    __slots__ = ("clients", "silent_until", "told", "users")

    def __init__(self, told: bool) -> None:
        self.told = told
        self.users: dict[str, int] = {}
        self.clients = 0
        self.silent_until = float("-inf")


class PresenceState:
    """Counts by channel. Memory grows with (gateway, channel, user) triples that are present.
    `told(channel)`: its changed counts are told at all."""

    def __init__(self, told: Callable[[str], bool] = lambda channel: True) -> None:
        self._told = told
        # gateway -> (channel, user) -> connections
        self._held: dict[str, dict[tuple[str, str], int]] = {}
        self._unsaid: dict[str, set[tuple[str, str]]] = {}
        self._channels: dict[str, _Present] = {}
        # Channels whose count changed since it was told, the longest waiting first.
        self._changed: dict[str, None] = {}

    def change(self, gateway_id: str, channel: str, user: str, clients: int) -> bool:
        """Set the number of connections of `user` ("" for guests) at this gateway; 0 or less is
        none. Answers whether that was news."""
        held = self._held.setdefault(gateway_id, {})
        key = (channel, user)
        if gateway_id in self._unsaid:
            self._unsaid[gateway_id].discard(key)
        before = held.get(key, 0)
        after = max(0, clients)
        if after:
            held[key] = after
        else:
            held.pop(key, None)
            if not held:
                del self._held[gateway_id]
        self._add(channel, user, after - before)
        return after != before

    def begin_introduction(self, gateway_id: str) -> None:
        """From here to `end_introduction` the changes say all that this gateway holds."""
        self._unsaid[gateway_id] = set(self._held.get(gateway_id, ()))

    def end_introduction(self, gateway_id: str) -> None:
        """What it said before and has not repeated is gone."""
        for channel, user in self._unsaid.pop(gateway_id):
            self.change(gateway_id, channel, user, 0)

    def forget(self, gateway_id: str) -> None:
        self._unsaid.pop(gateway_id, None)
        for (channel, user), clients in self._held.pop(gateway_id, {}).items():
            self._add(channel, user, -clients)

    def count(self, channel: str) -> tuple[int, int]:
        """(connections, distinct users). Guests are connections and no users."""
        present = self._channels.get(channel)
        if present is None:
            return 0, 0
        return present.clients, len(present.users) - ("" in present.users)

    def take_changed(self, now: float, most: int) -> list[tuple[str, int]]:
        """(channel, connections) of at most `most` channels that are due to be told. The others
        stay for the next time. `now` in seconds of any monotonic clock."""
        due: list[tuple[str, int]] = []
        for channel in self._changed:
            present = self._channels[channel]
            if present.silent_until <= now:
                seconds = max(LEAST_SECONDS, present.clients / DELIVERIES_PER_SECOND)
                present.silent_until = now + seconds
                due.append((channel, present.clients))
                if len(due) >= most:
                    break
        for channel, _ in due:
            del self._changed[channel]
        return due

    def __len__(self) -> int:
        """Channels with somebody on them."""
        return len(self._channels)

    def _add(self, channel: str, user: str, difference: int) -> None:
        if not difference:
            return
        present = self._channels.get(channel)
        if present is None:
            present = self._channels[channel] = _Present(self._told(channel))
        total = present.users.get(user, 0) + difference
        present.clients += difference
        if total:
            present.users[user] = total
        else:
            del present.users[user]
        if present.users:
            if present.told:
                self._changed[channel] = None
        else:  # nobody is there to be told
            del self._channels[channel]
            self._changed.pop(channel, None)
