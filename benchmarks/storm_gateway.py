"""The real gateway of bare_gateway.py with many streams that remember what they published.

`python -m benchmarks.storm_gateway PORT PER_SECOND CHANNELS`: each publication goes to the next of
the streams in turn. Recovery reads what it needs from here, as from a real shard's ring.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final
from uuid import uuid4

import uvloop

from actors.shard_messages import (
    Attach,
    AttachReply,
    Hello,
    HelloReply,
    HistoryReply,
    Poll,
    PollReply,
    Publication,
    ReadHistory,
    ShardReply,
    ShardRequest,
    StreamPosition,
)
from benchmarks.bare_gateway import SteadyShard, _grant_everything, _not_there, payload
from config.settings import load
from serve_app.collector import relax_collector
from serve_app.gateway.gateway import Gateway

_EPOCH: Final = "bench"
_KEPT: Final = 2_000


def channel_names(count: int) -> list[str]:
    return [f"thread:01900000-0000-7000-8000-{number:012d}" for number in range(1, count + 1)]


class ManyStreams(SteadyShard):
    def __init__(self, per_second: float, channels: int) -> None:
        super().__init__(per_second, together=True)
        self._names = channel_names(channels)
        self._streams: dict[str, list[Publication]] = {name: [] for name in self._names}
        self._mailbox: list[tuple[int, Publication]] = []

    def _add(self) -> None:
        name = self._names[self._sequence % len(self._names)]
        self._sequence += 1
        stream = self._streams[name]
        stream.append(Publication(name, len(stream) + 1, payload(self._sequence)))
        self._mailbox.append((self._sequence, stream[-1]))
        if len(self._mailbox) > 2 * _KEPT:
            del self._mailbox[:_KEPT]

    async def call(self, index: int, request: ShardRequest) -> ShardReply:
        match request:
            case Hello(channels=channels):
                return HelloReply("bench", [self._top(name) for name in channels])
            case Attach(channels=channels):
                self._followed.set()
                return AttachReply(True, [self._top(name) for name in channels])
            case ReadHistory(channel=name, after=after, limit=limit):
                return HistoryReply(
                    self._top(name), self._streams.get(name, [])[after : after + limit], True
                )
            case _:
                return await super().call(index, request)

    def _top(self, name: str) -> StreamPosition:
        # The gateway's own channels are silent ones.
        return StreamPosition(_EPOCH, len(self._streams.get(name, [])))

    async def _poll(self, request: Poll) -> PollReply:
        await super()._poll(request)  # waits
        new = self._sequence - request.ack
        return PollReply(self._sequence, [p for _, p in self._mailbox[-new:]] if new else [])


async def _serve(port: int, shard: ManyStreams) -> None:
    settings = load(
        {
            "SERAI_GATEWAY__PORT": str(port),
            "SERAI_GATEWAY__DRAIN_SECONDS": "0",
            "SERAI_RATE_LIMIT__ENABLED": "false",
            "SERAI_AUTH__SECRET": uuid4().hex,
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
    port, per_second, channels = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(port, ManyStreams(per_second, channels)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
