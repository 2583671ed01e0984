"""Which clients are on which channel, over all gateways, and what that tells others. Pure.

A client is on one gateway. Joins and leaves are the differences of the set of clients of a channel,
however often gateways say who they hold: saying it again tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from actors.shard_messages import KIND_JOIN, KIND_LEAVE, ClientChange, Publication


class ClientPresence:
    """Memory grows with (channel, client) pairs that are present."""

    def __init__(self) -> None:
        # channel -> client -> (gateway, encoded ClientInfo)
        self._channels: dict[str, dict[str, tuple[str, bytes]]] = {}
        # gateway -> (channel, client) of which it is the last to have spoken
        self._held: dict[str, set[tuple[str, str]]] = {}
        # gateway -> what it has not repeated yet, and whether who is new here was there before
        self._introducing: dict[str, tuple[set[tuple[str, str]], bool]] = {}

    def begin_introduction(self, gateway_id: str, *, restored: bool = False) -> None:
        """From here to `end_introduction` the changes say all that this gateway holds. `restored`:
        those who are new here were there before, and are not told."""
        self._introducing[gateway_id] = (set(self._held.get(gateway_id, ())), restored)

    def change(self, gateway_id: str, changes: Iterable[ClientChange]) -> list[Publication]:
        """Joins and leaves, in the order of the changes."""
        unsaid, restored = self._introducing.get(gateway_id, (set(), False))
        told: list[Publication] = []
        for change in changes:
            unsaid.discard((change.channel, change.client))
            if not change.info:
                self._leave(gateway_id, change.channel, change.client, told)
            elif self._come(gateway_id, change) and not restored:
                told.append(Publication(change.channel, 0, change.info, kind=KIND_JOIN))
        return told

    def end_introduction(self, gateway_id: str) -> list[Publication]:
        """What it said before and has not repeated has left."""
        unsaid, _ = self._introducing.pop(gateway_id)
        told: list[Publication] = []
        for channel, client in sorted(unsaid):
            self._leave(gateway_id, channel, client, told)
        return told

    def forget(self, gateway_id: str) -> list[Publication]:
        """It is gone, and its clients with it."""
        self.begin_introduction(gateway_id)
        return self.end_introduction(gateway_id)

    def clients(self, channel: str, most: int) -> dict[str, bytes]:
        """Encoded ClientInfo of those who have been there for longest."""
        present = self._channels.get(channel, {})
        return {client: info for client, (_, info) in islice(present.items(), most)}

    def count(self, channel: str) -> int:
        return len(self._channels.get(channel, ()))

    def __len__(self) -> int:
        """Channels with somebody on them."""
        return len(self._channels)

    def _come(self, gateway_id: str, change: ClientChange) -> bool:
        """Whether nobody had it."""
        channel, client = change.channel, change.client
        present = self._channels.setdefault(channel, {})
        before = present.get(client)
        if before is not None and before[0] != gateway_id:
            self._release(before[0], (channel, client))
        present[client] = (gateway_id, change.info)
        self._held.setdefault(gateway_id, set()).add((channel, client))
        return before is None

    def _leave(self, gateway_id: str, channel: str, client: str, told: list[Publication]) -> None:
        present = self._channels.get(channel, {})
        before = present.get(client)
        if before is None or before[0] != gateway_id:
            return  # another gateway holds it by now
        del present[client]
        if not present:
            del self._channels[channel]
        self._release(gateway_id, (channel, client))
        told.append(Publication(channel, 0, before[1], kind=KIND_LEAVE))

    def _release(self, gateway_id: str, key: tuple[str, str]) -> None:
        held = self._held[gateway_id]
        held.discard(key)
        if not held:
            del self._held[gateway_id]
