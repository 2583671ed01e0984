"""Who is on which channel: counts over all gateways of a shard. Pure.

Gateways say how many connections of a user they hold, not what changed: saying it twice is
harmless, and a gateway that vanishes takes exactly its own share along.
"""

from __future__ import annotations


class PresenceState:
    """Counts by channel. Memory grows with (gateway, channel, user) triples that are present."""

    def __init__(self) -> None:
        # gateway -> (channel, user) -> connections
        self._held: dict[str, dict[tuple[str, str], int]] = {}
        # channel -> user -> connections over all gateways
        self._channels: dict[str, dict[str, int]] = {}

    def change(self, gateway_id: str, channel: str, user: str, clients: int) -> bool:
        """Set the number of connections of `user` ("" for guests) at this gateway; 0 or less is
        none. Answers whether that was news."""
        held = self._held.setdefault(gateway_id, {})
        key = (channel, user)
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

    def forget(self, gateway_id: str) -> None:
        for (channel, user), clients in self._held.pop(gateway_id, {}).items():
            self._add(channel, user, -clients)

    def clear(self) -> None:
        self._held.clear()
        self._channels.clear()

    def count(self, channel: str) -> tuple[int, int]:
        """(connections, distinct users). Guests are connections and no users."""
        users = self._channels.get(channel, {})
        return sum(users.values()), len(users) - ("" in users)

    def __len__(self) -> int:
        """Channels with somebody on them."""
        return len(self._channels)

    def _add(self, channel: str, user: str, difference: int) -> None:
        if not difference:
            return
        users = self._channels.setdefault(channel, {})
        total = users.get(user, 0) + difference
        if total:
            users[user] = total
        else:
            del users[user]
            if not users:
                del self._channels[channel]
