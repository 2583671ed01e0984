"""One followed channel: its position, its audience, its newest publications; and the contracts of
those who give publications, take them and write them out."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntFlag
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from actors.shard_messages import HistoryReply, Publication
from config.channels import OWN
from serve_app.gateway.protocol import Outlet, Wire
from serve_app.gateway.stream_position import ChannelPosition

if TYPE_CHECKING:
    from serve_app.gateway.audience import Audience

RING_PUBLICATIONS: Final = 256
RING_BYTES: Final = 131_072
_REMOVAL: Final = b'.deleted"'

OnEvent = Callable[[str, int], None]
"""(channel, offset), in the tick of each publication; offset 0 for an ephemeral one."""


class Wants(IntFlag):
    """What a subscription asks for besides the channel's publications, each as it is."""

    JOIN_LEAVE = 1
    """Also who comes and goes."""
    DELTA = 2
    """Patches against the publication before, where they are smaller."""
    PASSIVE = 4
    """Counters alone: for a tab in the background, which shows how many and not what."""


EVERYTHING: Final = Wants(0)


class Source(Protocol):
    """Where publications come from. `attach` is answered by `ChannelHub.on_position`."""

    def attach(self, channel: str) -> None: ...

    def detach(self, channel: str) -> None: ...

    def presence(self, channel: str, user: str, clients: int) -> None: ...

    def client(self, channel: str, client: str, info: bytes) -> None:
        """`info` empty: it left."""

    async def history(self, channel: str, after: int, limit: int) -> HistoryReply:
        """In order. Raises AppError."""


class Subscriber(Protocol):
    @property
    def outlet(self) -> Outlet: ...

    @property
    def wire(self) -> Wire: ...

    def on_slow(self) -> None:
        """More than the bound lies unsent."""

    def on_discontinuity(self, channel: str) -> None:
        """Publications of the channel were lost; the client must resubscribe to recover."""


class Watcher(Protocol):
    """The server itself, where it acts on what a channel says."""

    def on_publication(self, channel: Channel, publication: Publication) -> None:
        """A durable one, in order, in its tick; subscribers have it with the next flush."""

    def on_loss(self, channel: Channel) -> None:
        """Durable publications were lost, or the stream is no more."""


class Crowd(tuple[Outlet, ...]):
    """Outlets that are sent the same, each once. It never changes, so a sender may keep it, and
    copies none for every publication."""

    _places: dict[Outlet, int] | None = None

    def place_of(self, outlet: Outlet) -> int | None:
        if self._places is None:
            self._places = {one: place for place, one in enumerate(self)}
        return self._places.get(outlet)


class Sender(Protocol):
    """Writes ready bytes to many outlets. May hold the loop for a bounded time only and keep the
    rest for later ticks, under these rules:

    - Whoever was named gets `data`, also when it leaves the channel meanwhile; whoever comes later
      is not named and must not get it. So the hub need not wait before it admits or lets go.
    - Per outlet everything is sent in the order of the calls, and `write` and `close` of an outlet
      come after what is kept for it: its wrapper sends that first, or tells the sender to.
    - What is kept is bounded; beyond the bound the call sends at once.
    - Outlets that are closing are passed over.
    """

    def __call__(self, outlets: Crowd, data: bytes, max_buffered: int) -> list[Outlet]:
        """Those of `outlets` with more than `max_buffered` bytes unsent. One that is found so only
        after the call is in the answer of the next call that names it."""

    def settle(self) -> None:
        """Sends what is kept, in this tick."""

    @property
    def spent_seconds(self) -> float:
        """CPU of the loop's thread so far, for everything that was sent to many."""


class TransportSender:
    """Keeps nothing: each transport buffers for itself."""

    def __init__(self) -> None:
        self.spent_seconds = 0.0

    def __call__(self, outlets: Crowd, data: bytes, max_buffered: int) -> list[Outlet]:
        began = time.thread_time()
        try:
            return self._write(outlets, data, max_buffered)
        finally:
            self.spent_seconds += time.thread_time() - began

    def _write(self, outlets: Crowd, data: bytes, max_buffered: int) -> list[Outlet]:
        slow = []
        for outlet in outlets:
            if outlet.is_closing():
                continue  # its session is about to hear of it; the others must not miss this
            outlet.write(data)
            if outlet.get_write_buffer_size() > max_buffered:
                slow.append(outlet)
        return slow

    def settle(self) -> None:
        return None


send_by_transport: Final[Sender] = TransportSender()


class Admission(NamedTuple):
    """One channel that a subscriber is admitted to. `base` with DELTA: the data of the newest
    publication that its reply brings (of a recovery), None where it brings none."""

    channel: Channel
    wants: Wants = EVERYTHING
    base: bytes | None = None


class Tail:
    """What a channel delivers while its history is read: together they reach the newest.
    Beyond `most` publications the oldest go, which shows as a gap."""

    __slots__ = ("publications",)

    def __init__(self, most: int) -> None:
        self.publications: deque[Publication] = deque(maxlen=most)


class Channel:
    """One followed channel. `public_until` (loop time): until then everybody may read it, while
    the version of access is `public_version`. `community`: the id of the one that it belongs to, ""
    where that is not known or none. `dirty`: something waits for this tick's end."""

    __slots__ = (
        "_has_ring",
        "audience",
        "clients",
        "community",
        "dirty",
        "fill",
        "listeners",
        "live",
        "name",
        "pins",
        "position",
        "public_until",
        "public_version",
        "purges",
        "ring",
        "ring_bytes",
        "tails",
        "users",
        "watcher",
    )

    def __init__(self, name: str, live: asyncio.Future[None], audience: Audience) -> None:
        self.name = name
        self.live = live
        self.position = ChannelPosition()
        self.audience = audience
        self.dirty = False
        self.listeners: dict[OnEvent, None] = {}
        self.watcher: Watcher | None = None
        self.users: dict[str, int] = {}
        self.clients: dict[str, bytes] = {}
        self.pins = 0
        self.public_until = 0.0
        self.public_version = 0
        self.community = ""
        self.fill: asyncio.Task[None] | None = None
        # The newest publications, contiguous up to position.last: recoveries that it reaches far
        # enough back for cost no call.
        # Only of Serai's own: an operator's history may expire or be removed, its shard knows.
        self._has_ring = name.partition(":")[0] in OWN
        self.ring: deque[Publication] = deque()
        self.ring_bytes = 0
        self.purges = 0
        self.tails: set[Tail] = set()

    @property
    def used(self) -> bool:
        return bool(self.pins or self.audience.groups or self.listeners) or self.watcher is not None

    async def wait_live(self) -> None:
        """Until the channel's position is known."""
        if self.live.done():
            self.live.result()
        else:
            await asyncio.shield(self.live)

    def remember(self, publication: Publication) -> None:
        for tail in self.tails:
            tail.publications.append(publication)
        if not self._has_ring:
            return
        if _REMOVAL in publication.data:
            # The log was overwritten where the removed text stood: read it again from there.
            self.forget()
        self.ring.append(publication)
        self.ring_bytes += len(publication.data)
        while len(self.ring) > RING_PUBLICATIONS or self.ring_bytes > RING_BYTES:
            self.ring_bytes -= len(self.ring.popleft().data)

    def remembers(self, after: int) -> bool:
        """Whether all publications after this offset are at hand."""
        if after >= self.position.last:
            return after == self.position.last
        return bool(self.ring) and self.ring[0].offset <= after + 1

    def remember_older(self, found: Sequence[Publication]) -> None:
        """Publications that history has just told, contiguous up to `position.last`: who comes back
        next with about the same position need not ask again. Not after a purge since they were
        asked for."""
        if not self._has_ring:
            return
        first = self.ring[0].offset if self.ring else self.position.last + 1
        for publication in reversed(found):
            if publication.offset >= first:
                continue
            size = self.ring_bytes + len(publication.data)
            if len(self.ring) >= RING_PUBLICATIONS or size > RING_BYTES:
                return
            self.ring.appendleft(publication)
            self.ring_bytes = size

    def forget(self) -> None:
        self.ring.clear()
        self.ring_bytes = 0
        self.purges += 1
