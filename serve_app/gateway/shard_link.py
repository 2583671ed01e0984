"""One conversation per (gateway, shard): Hello, then Poll for ever; the rest beside it.

    Hello(channels) ─▶ tops ─▶ Poll(ack) ─▶ publications ─▶ Poll(ack) …
        ▲                              ├ Attach / Detach of what changed, one call at a time
        │                              └ TellPresence of what changed, one call at a time
        └── backoff 20 ms … 1 s ── shard away, restarted, or it forgot this gateway

The tops of a Hello are compared with what was delivered: a gap is filled from history, another
epoch ends continuity. So whichever side restarts, nothing is missed silently.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from itertools import islice
from typing import Final, Protocol, TypeVar

from prometheus_client import Counter

from actors.shard_messages import (
    Attach,
    AttachReply,
    ClientChange,
    Detach,
    Ephemeral,
    Hello,
    HelloReply,
    HistoryReply,
    Poll,
    PollReply,
    PresenceChange,
    PresenceTaken,
    Publication,
    PublishEphemeral,
    PublishReply,
    PublishToChannel,
    ReadHistory,
    ShardReply,
    ShardRequest,
    StreamPosition,
    TellPresence,
)
from config.errors import AppError

log = logging.getLogger(__name__)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

ShardCall = Callable[[int, ShardRequest], Awaitable[ShardReply]]

POLL_SECONDS: Final = 5.0
_POLL_GRACE_SECONDS: Final = 10.0
_CALL_SECONDS: Final = 10.0
_BACKOFF_SECONDS: Final = 0.02
_BACKOFF_MOST_SECONDS: Final = 1.0
_CHANNELS_AT_ONCE: Final = 2_000
"""In one call: the shard serves others between two, and none takes as long as a call may."""
_ATTACH_RETRY_SECONDS: Final = 0.25
_HISTORY_AT_ONCE: Final = 16
_PRESENCE_SECONDS: Final = 0.2
"""Changes of this time travel together."""
_CHANGES_AT_ONCE: Final = 4_000
"""Users and clients in one message, some 300 KB; after a Hello with many the rest follows."""
_SLICE_BYTES: Final = 65_536
_PUBLICATION_BYTES: Final = 128
"""What a publication weighs besides its data."""
PUBLISHING_BYTES: Final = 8_388_608
"""Of publications that wait for one shard's answer, over all connections; one more is refused."""

HELLOS = Counter("serai_realtime_hellos_total", "Conversations begun with shards")


class Follower(Protocol):
    def on_position(self, name: str, top: StreamPosition | None) -> None: ...

    def on_publication(self, publication: Publication) -> None: ...

    def users_of(self, name: str) -> dict[str, int]: ...

    def clients_of(self, name: str) -> dict[str, bytes]: ...

    async def wait_flushed(self) -> None:
        """Until it can take more."""


class _Forgotten(Exception):
    """The shard does not know this gateway (any more)."""


class ShardLink:
    """Keeps one shard's channels of this gateway attached."""

    def __init__(self, shard: int, call: ShardCall, gateway_id: str) -> None:
        self._shard = shard
        self._call = call
        self._gateway_id = gateway_id
        self._names: dict[str, None] = {}
        self._attach: dict[str, None] = {}
        self._detach: dict[str, None] = {}
        self._presence: dict[tuple[str, str], int] = {}
        self._clients: dict[tuple[str, str], bytes] = {}
        self._wake = asyncio.Event()
        self._presence_wake = asyncio.Event()
        self._incarnation = ""
        self._ack = 0
        self._backoff = _BACKOFF_SECONDS
        self._history_slots = asyncio.Semaphore(_HISTORY_AT_ONCE)
        self._publishing_bytes = 0
        self.connected = False
        """Said hello, and no answer has failed since."""

    # ------------------------------------------------------------ what the hub asks for

    def attach(self, name: str) -> None:
        self._names[name] = None
        self._detach.pop(name, None)
        self._attach[name] = None
        self._wake.set()

    def detach(self, name: str) -> None:
        self._names.pop(name, None)
        # Also when the attach has not been sent: an earlier one may have been.
        self._attach.pop(name, None)
        self._detach[name] = None
        self._wake.set()

    def presence(self, name: str, user: str, clients: int) -> None:
        self._presence[name, user] = clients
        self._presence_wake.set()

    def client(self, name: str, client: str, info: bytes) -> None:
        self._clients[name, client] = info
        self._presence_wake.set()

    async def history(
        self, channel: str, after: int, limit: int, reverse: bool = False
    ) -> HistoryReply:
        async with self._history_slots:
            reply = await self.ask(ReadHistory(channel, after, limit, reverse))
        assert isinstance(reply, HistoryReply)
        return reply

    async def publish(self, request: PublishToChannel) -> PublishReply:
        """Raises AppError; `overloaded` where too much waits already."""
        size = request.size_bytes + _PUBLICATION_BYTES
        if self._publishing_bytes + size > PUBLISHING_BYTES:
            raise AppError("overloaded", "Too much is being published.", retry_after_seconds=1)
        self._publishing_bytes += size
        try:
            reply = await self.ask(request)
        finally:
            self._publishing_bytes -= size
        assert isinstance(reply, PublishReply)
        return reply

    # ------------------------------------------------------------ the conversation

    async def run(self, follower: Follower) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._converse(follower)
            except* (AppError, _Forgotten) as group:
                log.info("shard %d: %s; saying hello again", self._shard, group.exceptions[0])
            except* Exception:
                # The conversation must come back whatever went wrong: all channels hang on it.
                log.exception("shard %d: the conversation failed", self._shard)
            finally:
                self.connected = False
            await asyncio.sleep(self._backoff)
            self._backoff = min(self._backoff * 2, _BACKOFF_MOST_SECONDS)

    async def _converse(self, follower: Follower) -> None:
        await self._hello(follower)
        self.connected = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll(follower))
            tasks.create_task(self._control(follower))
            tasks.create_task(self._tell_presence())

    async def _hello(self, follower: Follower) -> None:
        names = list(self._names)
        self._attach = dict.fromkeys(names[_CHANNELS_AT_ONCE:])
        self._detach.clear()
        self._presence.clear()
        self._clients.clear()
        for start in range(0, len(names), _CHANNELS_AT_ONCE):
            for name in names[start : start + _CHANNELS_AT_ONCE]:
                self._presence.update(((name, u), n) for u, n in follower.users_of(name).items())
                self._clients.update(((name, c), i) for c, i in follower.clients_of(name).items())
            await asyncio.sleep(0)
        del names[_CHANNELS_AT_ONCE:]
        self._wake.set()
        reply = await self.ask(Hello(self._gateway_id, names))
        assert isinstance(reply, HelloReply)
        HELLOS.inc()
        self._incarnation = reply.incarnation
        self._ack = 0
        self._place(follower, names, reply)

    def _place(self, follower: Follower, names: list[str], reply: HelloReply | AttachReply) -> None:
        late = set(reply.late)
        if late:
            self._attach_later(reply.late)
        for name, top in zip(names, reply.tops, strict=True):
            # Dropped and followed anew during the call: events of the time between were not kept,
            # so only the attach that is still to come tells a position without a gap after it.
            if name in self._names and name not in self._attach and name not in late:
                follower.on_position(name, top)

    def _attach_later(self, names: list[str]) -> None:
        asyncio.get_running_loop().call_later(_ATTACH_RETRY_SECONDS, self._attach_again, names)

    def _attach_again(self, names: list[str]) -> None:
        self._attach.update((name, None) for name in names if name in self._names)
        self._wake.set()

    async def _poll(self, follower: Follower) -> None:
        while True:
            reply = await self.ask(
                Poll(self._gateway_id, self._incarnation, self._ack, POLL_SECONDS),
                POLL_SECONDS + _POLL_GRACE_SECONDS,
            )
            assert isinstance(reply, PollReply)
            if reply.sequence < 0:
                raise _Forgotten
            await _hand_over(reply.publications, follower)
            self._ack = reply.sequence
            self._backoff = _BACKOFF_SECONDS

    async def _tell_presence(self) -> None:
        """The only carrier: calls may overtake each other, so each is awaited before the next.
        The first of a conversation goes out whatever it holds."""
        while True:
            self._presence_wake.clear()
            users = [
                PresenceChange(*key, count)
                for key, count in _take(self._presence, _CHANGES_AT_ONCE)
            ]
            clients = [
                ClientChange(*key, info)
                for key, info in _take(self._clients, _CHANGES_AT_ONCE - len(users))
            ]
            more = bool(self._presence or self._clients)
            reply = await self.ask(
                TellPresence(self._gateway_id, self._incarnation, users, clients, more)
            )
            assert isinstance(reply, PresenceTaken)
            if not reply.known:
                raise _Forgotten
            if not more:
                await asyncio.sleep(_PRESENCE_SECONDS)
                await self._presence_wake.wait()

    async def _control(self, follower: Follower) -> None:
        """Sends what changed, one call at a time: detach and the attach after it stay in order."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._detach or self._attach:
                if self._detach:
                    names = list(self._detach)
                    self._detach.clear()
                    await self.ask(Detach(self._gateway_id, self._incarnation, names))
                if self._attach:
                    await self._attach_some(follower)

    async def _attach_some(self, follower: Follower) -> None:
        names = list(islice(self._attach, _CHANNELS_AT_ONCE))
        for name in names:
            del self._attach[name]
        try:
            reply = await self.ask(Attach(self._gateway_id, self._incarnation, names))
        except AppError as error:
            # Where the shard is away, the poll notices.
            log.info("shard %d: attach failed: %s", self._shard, error)
            self._attach_later(names)
            return
        assert isinstance(reply, AttachReply)
        if not reply.known:
            raise _Forgotten
        self._place(follower, names, reply)

    async def ask(self, request: ShardRequest, seconds: float = _CALL_SECONDS) -> ShardReply:
        """Raises AppError; 'unavailable' also when no answer comes in time."""
        try:
            async with asyncio.timeout(seconds):
                return await self._call(self._shard, request)
        except TimeoutError:
            raise AppError("unavailable", "the shard did not answer in time") from None


async def _hand_over(publications: list[Publication], follower: Follower) -> None:
    """In slices, so that sockets are written to between them: else one large reply would fill the
    queues of those that read fast, too."""
    taken_bytes = 0
    for publication in publications:
        follower.on_publication(publication)
        taken_bytes += len(publication.data) + _PUBLICATION_BYTES
        if taken_bytes > _SLICE_BYTES:
            taken_bytes = 0
            await follower.wait_flushed()


def _take(changes: dict[_Key, _Value], most: int) -> list[tuple[_Key, _Value]]:
    """Removes and returns the `most` that have waited longest."""
    taken = list(islice(changes.items(), most))
    for key, _ in taken:
        del changes[key]
    return taken


class ShardLinks:
    """The links of all shards as one source of channels."""

    def __init__(
        self,
        call: ShardCall,
        count: int,
        gateway_id: str,
        shard_of: Callable[[str, int], int],
    ) -> None:
        self._links = [ShardLink(shard, call, gateway_id) for shard in range(count)]
        self._shard_of = shard_of
        self._tasks: list[asyncio.Task[None]] = []

    def of(self, channel: str) -> ShardLink:
        return self._links[self.index(channel)]

    def index(self, channel: str) -> int:
        return self._shard_of(channel, len(self._links))

    def attach(self, channel: str) -> None:
        self.of(channel).attach(channel)

    def detach(self, channel: str) -> None:
        self.of(channel).detach(channel)

    def presence(self, channel: str, user: str, clients: int) -> None:
        self.of(channel).presence(channel, user, clients)

    def client(self, channel: str, client: str, info: bytes) -> None:
        self.of(channel).client(channel, client, info)

    async def history(
        self, channel: str, after: int, limit: int, reverse: bool = False
    ) -> HistoryReply:
        """Raises AppError('unavailable') while the shard is away."""
        return await self.of(channel).history(channel, after, limit, reverse)

    async def publish(self, request: PublishToChannel) -> PublishReply:
        """Raises AppError; `overloaded` where too much waits for the shard already."""
        return await self.of(request.channel).publish(request)

    async def ask(self, channel: str, request: ShardRequest) -> ShardReply:
        return await self.of(channel).ask(request)

    async def ask_all(self, request: ShardRequest) -> list[ShardReply]:
        """Every shard, in their order. Raises AppError when one of them does not answer."""
        return [await link.ask(request) for link in self._links]

    async def publish_ephemeral(self, events: list[Ephemeral]) -> None:
        """Raises AppError; what went to other shards stays sent."""
        by_shard: dict[int, list[Ephemeral]] = {}
        for event in events:
            by_shard.setdefault(self.index(event.channel), []).append(event)
        for shard, batch in by_shard.items():
            await self._links[shard].ask(PublishEphemeral(batch))

    def start(self, follower: Follower) -> None:
        loop = asyncio.get_running_loop()
        # An empty context: inside a Serve method the inherited one hangs concurrent calls.
        self._tasks = [
            loop.create_task(link.run(follower), context=Context()) for link in self._links
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connected(self) -> int:
        return sum(link.connected for link in self._links)
