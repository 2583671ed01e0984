"""Which clients are on which channel, over all gateways, and what that tells others. Pure.

A client is on one gateway. Joins and leaves are the differences of the set of clients of a channel,
however often gateways say who they hold: saying it again tells nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from actors.shard_messages import KIND_JOIN, KIND_LEAVE, ClientChange, Publication


class ClientPresence:
    """Memory grows with (channel, client) pairs that are present."""

    def __init__(self) -> None:
        # channel -> client -> (gateway, encoded ClientInfo)
        self._channels: dict[str, dict[str, tuple[str, bytes]]] = {}
        # gateway -> (channel, client) of which it is the last to have spoken
        self._held: dict[str, set[tuple[str, str]]] = {}

    def change(self, gateway_id: str, changes: Iterable[ClientChange]) -> list[Publication]:
        """Joins and leaves, in the order of the changes."""
        told: list[Publication] = []
        for change in changes:
            if change.info:
                self._come(gateway_id, change, told)
            else:
                self._leave(gateway_id, change.channel, change.client, told)
        return told

    def replace(
        self, gateway_id: str, changes: Collection[ClientChange], known: Collection[str] = ()
    ) -> list[Publication]:
        """All that this gateway holds: what it said before and does not repeat has left. On the
        channels of `known` those who are new here were there before, and are not told."""
        wanted: dict[tuple[str, str], ClientChange] = {}
        for change in changes:
            if change.info:
                wanted[change.channel, change.client] = change
            else:
                wanted.pop((change.channel, change.client), None)
        told: list[Publication] = []
        gone = [key for key in self._held.get(gateway_id, ()) if key not in wanted]
        for channel, client in sorted(gone):
            self._leave(gateway_id, channel, client, told)
        untold: list[Publication] = []
        for change in wanted.values():
            self._come(gateway_id, change, untold if change.channel in known else told)
        return told

    def forget(self, gateway_id: str) -> list[Publication]:
        """It is gone, and its clients with it."""
        return self.replace(gateway_id, ())

    def clients(self, channel: str, most: int) -> dict[str, bytes]:
        """Encoded ClientInfo of those who have been there for longest."""
        present = self._channels.get(channel, {})
        return {client: info for client, (_, info) in islice(present.items(), most)}

    def count(self, channel: str) -> int:
        return len(self._channels.get(channel, ()))

    def __len__(self) -> int:
        """Channels with somebody on them."""
        return len(self._channels)

    def _come(self, gateway_id: str, change: ClientChange, told: list[Publication]) -> None:
        channel, client = change.channel, change.client
        present = self._channels.setdefault(channel, {})
        before = present.get(client)
        if before is None:
            told.append(Publication(channel, 0, change.info, kind=KIND_JOIN))
        elif before[0] != gateway_id:
            self._release(before[0], (channel, client))
        present[client] = (gateway_id, change.info)
        self._held.setdefault(gateway_id, set()).add((channel, client))

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
