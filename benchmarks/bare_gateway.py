"""A real gateway whose only shard is a fake in its own process that publishes at a steady rate.

`python -m benchmarks.bare_gateway PORT PER_SECOND [together] [burst=N] [channels=N] [bytes=N]
[queue=BYTES]`; `queue` bounds what may lie unsent to a socket. Everything from the shard's poll on
is the product: link, hub, encoding, sessions, transports. The fake stands in for Ray's call and for
the stores, so that the figure is that of fan-out alone; the whole path is bar 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections import deque
from typing import Final
from uuid import uuid4

import msgspec
import uvloop

from actors.account_messages import AccountsRequest, AuthorizeChannel, ChannelGrant
from actors.messages import Outcome, Reply
from actors.shard_messages import (
    Attach,
    AttachReply,
    Hello,
    HelloReply,
    HistoryReply,
    Poll,
    PollReply,
    PresenceReply,
    PresenceTaken,
    Publication,
    ReadHistory,
    ReadPresence,
    ShardReply,
    ShardRequest,
    StreamPosition,
    TellPresence,
)
from config.settings import load
from serve_app.collector import relax_collector
from serve_app.gateway.gateway import Gateway

PUBLICATION_BYTES: Final = 200
_EPOCH: Final = "bench"
_KEPT: Final = 1_000


def channel_name(number: int) -> str:
    return f"thread:01900000-0000-7000-8000-{number + 1:012x}"


CHANNEL: Final = channel_name(0)


def payload(number: int, size: int = PUBLICATION_BYTES) -> bytes:
    """An event of exactly so many bytes that carries the time."""
    start = b'{"type":"comment.created","sent_ns":%d,"n":%d,"text":"' % (time.time_ns(), number)
    return start + b"x" * (size - len(start) - 2) + b'"}'


class SteadyShard:
    """Publishes on the channels in turn, from when each has a reader. What is late comes late, but
    it comes: one by one in ticks of their own, or `together` as from a real shard, which answers
    with all it has. Each time `burst` publications, in one answer."""

    def __init__(
        self,
        per_second: float,
        *,
        together: bool,
        burst: int = 1,
        channels: int = 1,
        size: int = PUBLICATION_BYTES,
    ) -> None:
        self._per_second = per_second
        self._together = together
        self._burst = burst
        self._size = size
        self._channels = [channel_name(number) for number in range(channels)]
        self._tops = dict.fromkeys(self._channels, 0)
        self._unread = set(self._channels)
        self._sequence = 0
        self._kept: deque[tuple[int, Publication]] = deque(maxlen=_KEPT)
        self._more = asyncio.Event()
        self._followed = asyncio.Event()

    async def publish(self) -> None:
        await self._followed.wait()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1 / self._per_second
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._add()
            while self._together and due + 1 / self._per_second <= loop.time():
                due += 1 / self._per_second
                self._add()
            self._more.set()

    def _add(self) -> None:
        for _ in range(self._burst):
            name = self._channels[self._sequence % len(self._channels)]
            self._sequence += 1
            self._tops[name] += 1
            publication = Publication(name, self._tops[name], payload(self._sequence, self._size))
            self._kept.append((self._sequence, publication))

    async def call(self, index: int, request: ShardRequest) -> ShardReply:
        match request:
            case Hello():
                return HelloReply("bench", [self._top(name) for name in request.channels])
            case Attach():
                self._unread.difference_update(request.channels)
                if not self._unread:
                    self._followed.set()
                return AttachReply(True, [self._top(name) for name in request.channels])
            case Poll():
                return await self._poll(request)
            case ReadHistory():
                return HistoryReply(self._top(request.channel), [], True)
            case TellPresence():
                return PresenceTaken(True)
            case ReadPresence():
                return PresenceReply(0, 0)
            case _:
                return None

    def _top(self, name: str) -> StreamPosition:
        # The gateway's own channels are silent ones.
        return StreamPosition(_EPOCH, self._tops.get(name, 0))

    async def _poll(self, request: Poll) -> PollReply:
        if self._sequence <= request.ack and request.wait_seconds:
            self._more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(request.wait_seconds):
                    await self._more.wait()
        return PollReply(self._sequence, [p for number, p in self._kept if number > request.ack])


async def _grant_everything(request: bytes) -> bytes:
    asked = msgspec.msgpack.decode(request, type=list[AccountsRequest])
    outcomes: list[Outcome] = [
        Reply(200, msgspec.msgpack.encode(ChannelGrant(one.channel, True)))
        for one in asked
        if isinstance(one, AuthorizeChannel)
    ]
    return msgspec.msgpack.encode(outcomes)


async def _not_there(_: bytes) -> bytes:
    raise RuntimeError("readers of a channel ask for nothing else")


async def _serve(port: int, shard: SteadyShard, queue: str | None) -> None:
    settings = load(
        {
            "SERAI_GATEWAY__PORT": str(port),
            "SERAI_GATEWAY__DRAIN_SECONDS": "0",
            "SERAI_RATE_LIMIT__ENABLED": "false",
            "SERAI_AUTH__SECRET": uuid4().hex,
            **({} if queue is None else {"SERAI_REALTIME__MAX_QUEUE_BYTES": queue}),
        }
    )
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    gateway = Gateway(
        settings, gateway_id="bench", thread=_not_there, feed=_not_there,
        accounts=_grant_everything, search=_not_there, rate_limit=_not_there, shards=shard,
    )  # fmt: skip
    publishing = asyncio.create_task(shard.publish())
    try:
        await gateway.start()
        relax_collector()  # as in a replica
        print("ready", flush=True)
        await ended.wait()
    finally:
        publishing.cancel()
        await gateway.stop()


def main() -> int:
    # uvloop, as in a Serve replica.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        options = dict(option.partition("=")[::2] for option in sys.argv[3:])
        shard = SteadyShard(
            float(sys.argv[2]),
            together="together" in options,
            burst=int(options.get("burst", "1")),
            channels=int(options.get("channels", "1")),
            size=int(options.get("bytes", PUBLICATION_BYTES)),
        )
        runner.run(_serve(int(sys.argv[1]), shard, options.get("queue")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
