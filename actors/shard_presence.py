"""Presence of a shard's channels: what gateways say, and what is told of it.

    Hello ─▶ expect ─▶ messages up to one without `more`: all it holds ─▶ messages: what changed
      ▲                                                                           │
      └──────── forgotten: what it held stays, at most SILENCE_SECONDS after it was heard

So a gateway that says Hello again with the same clients changes nothing, and one that died takes
its clients along once it has been silent for that long.
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter

from actors import content
from actors import shard_messages as m
from actors.client_presence import ClientPresence
from actors.presence_state import PresenceState
from actors.shard_hub import GatewayEntry, Hub
from config.channels import Namespaces
from config.errors import AppError

SILENCE_SECONDS: Final = 15.0
RESTORE_SECONDS: Final = 30.0
"""After its start a shard takes clients that gateways which follow channels introduce themselves
with for ones that were there before."""
PRESENCE_CHANNELS: Final = 2_000
"""Channels a second whose changed counts are told; the others wait their turn."""
VISITS: Final = 2_000
"""Joins and leaves told in a second, the others wait in their order: well below what a mailbox has
room for, which refuses ephemeral publications when it is half full."""
MAX_UNTOLD: Final = 200_000
"""Joins and leaves that wait; beyond it the oldest are never told, and counted."""
MAX_LISTED_CHANNELS: Final = 10_000
_MATCHED_AT_ONCE: Final = 2_000
_MAX_PATTERN: Final = 255

_UNTOLD = Counter("serai_shard_visits_untold_total", "Joins and leaves that nobody was told of")


class ShardPresence:
    def __init__(
        self, hub: Callable[[], Hub], namespaces: Namespaces, clock: Callable[[], float]
    ) -> None:
        self._hub = hub
        self._namespaces = namespaces
        self._clock = clock
        self._began = clock()
        self._counts = PresenceState(self._tells_counts)
        self._clients = ClientPresence()
        # Gateways that have said Hello and not yet all they hold.
        self._introducing: set[str] = set()
        # gateway -> when what it held ends; only those that are forgotten
        self._forgotten: dict[str, float] = {}
        self._untold: deque[m.Publication] = deque(maxlen=MAX_UNTOLD)
        self._tellable = VISITS

    # ------------------------------------------------------------ what gateways say

    def expect(self, gateway_id: str, *, known: bool, follows: bool) -> None:
        """A gateway said Hello: its next messages say all it holds. `known`: this shard has had it
        before; `follows`: some channels, so it is not new itself."""
        known = self._forgotten.pop(gateway_id, None) is not None or known
        young = self._clock() - self._began < RESTORE_SECONDS
        self._introducing.add(gateway_id)
        self._counts.begin_introduction(gateway_id)
        self._clients.begin_introduction(gateway_id, restored=follows and young and not known)

    def take(self, gateway_id: str, told: m.TellPresence) -> None:
        for change in told.presence:
            self._counts.change(gateway_id, change.channel, change.user, change.clients)
        listed = [change for change in told.clients if self._lists_clients(change.channel)]
        self._tell(self._clients.change(gateway_id, listed))
        if gateway_id in self._introducing and not told.more:
            self._introducing.discard(gateway_id)
            self._counts.end_introduction(gateway_id)
            self._tell(self._clients.end_introduction(gateway_id))

    def forgotten(self, gateway: GatewayEntry) -> None:
        self._introducing.discard(gateway.id)
        self._forgotten[gateway.id] = gateway.heard + SILENCE_SECONDS

    def expire(self) -> None:
        """Those of gateways that did not come back leave."""
        now = self._clock()
        for gateway_id in [g for g, ends in self._forgotten.items() if ends <= now]:
            del self._forgotten[gateway_id]
            self._counts.forget(gateway_id)
            self._tell(self._clients.forget(gateway_id))

    # ------------------------------------------------------------ what is told

    def tell_counts(self) -> None:
        """Not at once, so that joins of a second are one event."""
        at_ns = time.time_ns()
        for name, clients in self._counts.take_changed(self._clock(), PRESENCE_CHANNELS):
            data = content.ephemeral("presence.count", at_ns, {"count": clients})
            self._send(m.Publication(name, 0, data, counter=True))

    def tell_visits(self) -> None:
        """A second's worth of those that wait."""
        self._tellable = VISITS
        self._tell_on()

    def _tell(self, publications: list[m.Publication]) -> None:
        for publication in publications:
            namespace = self._namespaces.of(publication.channel)
            if namespace is not None and namespace.join_leave:
                if len(self._untold) == MAX_UNTOLD:
                    _UNTOLD.inc()
                self._untold.append(publication)
        self._tell_on()

    def _tell_on(self) -> None:
        while self._untold and self._tellable:
            self._tellable -= 1
            self._send(self._untold.popleft())

    def _send(self, publication: m.Publication) -> None:
        channel = self._hub().channels.get(publication.channel)
        if channel is not None:
            self._hub().send(channel, publication)

    def _tells_counts(self, channel: str) -> bool:
        """Serai's own pages show them; an operator's clients would take them for publications."""
        namespace = self._namespaces.of(channel)
        return (
            namespace is not None
            and namespace.subscribe == "content"
            and namespace.presence != "off"
        )

    def _lists_clients(self, channel: str) -> bool:
        namespace = self._namespaces.of(channel)
        return namespace is not None and namespace.presence == "clients"

    # ------------------------------------------------------------ what is asked

    async def read_presence(self, request: m.ReadPresence) -> m.PresenceReply:
        return m.PresenceReply(*self._counts.count(request.channel))

    async def read_clients(self, request: m.ReadClients) -> m.ClientsReply:
        namespace = self._namespaces.of(request.channel)
        if namespace is None:
            return m.ClientsReply({})
        return m.ClientsReply(self._clients.clients(request.channel, namespace.presence_clients))

    async def list_channels(self, request: m.ListChannels) -> m.ChannelsReply:
        """Where a namespace counts nobody, the number of gateways that follow the channel."""
        if len(request.pattern) > _MAX_PATTERN:
            raise AppError("invalid", f"pattern: at most {_MAX_PATTERN} characters")
        matches = re.compile(fnmatch.translate(request.pattern or "*")).match
        found: dict[str, int] = {}
        for number, name in enumerate(list(self._hub().channels), 1):
            if matches(name):
                channel = self._hub().channels.get(name)
                if channel is None:
                    continue
                if len(found) == MAX_LISTED_CHANNELS:
                    return m.ChannelsReply(found, cut=True)
                found[name] = max(self._counts.count(name)[0], len(channel.followers))
            if number % _MATCHED_AT_ONCE == 0:
                await asyncio.sleep(0)  # others want to be served
        return m.ChannelsReply(found)

    def __len__(self) -> int:
        """Channels with somebody on them."""
        return len(self._counts)
