"""Talking to the CommunityShard actors: calls for gateways, publishing for writers."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import ray
from prometheus_client import Counter
from ray.exceptions import RayError

from actors.shard_messages import (
    Ephemeral,
    Publication,
    Publish,
    ShardReply,
    ShardRequest,
)
from actors.slots import shard_of
from config.errors import AppError
from serve_app.lines import Line, LineLost, line_key, open_line

_log = logging.getLogger(__name__)

NAMESPACE: Final = "serai"
_CALL_SECONDS: Final = 30.0
_MAX_WAITING: Final = 20_000
_MAX_WAITING_BYTES: Final = 33_554_432
_MAX_SENT: Final = 1_000
_MAX_SENT_BYTES: Final = 1_048_576
"""A call with more than this holds no further event."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(ShardReply)

_dropped: Final = Counter(
    "serai_publish_dropped", "Publications not handed to a shard; its sweep finds the durable ones"
)


def shard_name(index: int) -> str:
    return f"shard-{index}"


class ShardClient:
    """One call each, over a line to each shard; `unavailable` while an actor restarts (Ray brings
    it back under its name, and says where it listens then)."""

    def __init__(self, secret: str) -> None:
        """`secret`: the server's, from which the keys of lines are made."""
        self._secret = secret
        self._lines: dict[int, asyncio.Future[Line]] = {}

    async def call(self, index: int, request: ShardRequest) -> ShardReply:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                line = await self._line(index)
                reply: ShardReply = _decoder.decode(await line.call(_encode(request)))
                return reply
        except (RayError, LineLost, TimeoutError, _UnknownName) as error:
            raise AppError(
                "unavailable", "Live updates are restarting.", retry_after_seconds=1
            ) from error

    async def _line(self, index: int) -> Line:
        """Whoever comes first opens it, for all."""
        opening = self._lines.get(index)
        if opening is None or (
            opening.done() and (_failed(opening) or not opening.result().is_open)
        ):
            opening = self._lines[index] = asyncio.ensure_future(self._open(index))
            opening.add_done_callback(_failed)
        return await asyncio.shield(opening)

    async def _open(self, index: int) -> Line:
        # Ray asks the cluster's directory and blocks meanwhile, for as long as that is away.
        actor = await asyncio.to_thread(_look_up, index)
        key = line_key(self._secret, shard_name(index))
        return await open_line(await actor.line.remote(), key)


class _UnknownName(Exception):
    """There is no actor of that name (yet)."""


def _look_up(index: int) -> Any:
    try:
        return ray.get_actor(shard_name(index), namespace=NAMESPACE)
    except ValueError as error:
        raise _UnknownName(shard_name(index)) from error


def _failed(done: asyncio.Future[Any]) -> bool:
    return done.cancelled() or done.exception() is not None


class _Waiting:
    """Events for one shard, in order and within bounds. Those of a call are counted until it has
    ended."""

    def __init__(self) -> None:
        self._events: deque[Publication | Ephemeral] = deque()
        self._count = self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    def put(self, event: Publication | Ephemeral) -> bool:
        """False: there is no room."""
        size = len(event.data)
        if self._count >= _MAX_WAITING or self._bytes + size > _MAX_WAITING_BYTES:
            return False
        self._events.append(event)
        self._count += 1
        self._bytes += size
        return True

    def take(self) -> list[Publication | Ephemeral]:
        """Those of the next call; `sent` when it has ended."""
        batch: list[Publication | Ephemeral] = []
        size = 0
        while self._events and len(batch) < _MAX_SENT and size <= _MAX_SENT_BYTES:
            batch.append(self._events.popleft())
            size += len(batch[-1].data)
        return batch

    def sent(self, batch: Sequence[Publication | Ephemeral]) -> None:
        self._count -= len(batch)
        self._bytes -= sum(len(event.data) for event in batch)


class ShardPublisher:
    """Hands events to their shards in the background, per shard in order, one call in flight.

    Nothing here is needed for correctness: what a dead or slow shard misses, its sweep reads from
    Postgres. So the queue is bounded and drops, ephemeral events with the rest.
    """

    def __init__(self, client: ShardClient, shard_count: int) -> None:
        self._client = client
        self._count = shard_count
        self._waiting = [_Waiting() for _ in range(shard_count)]
        self._pumps: dict[int, asyncio.Task[None]] = {}

    def publish(self, publications: Sequence[Publication]) -> None:
        self._add(publications)

    def publish_ephemeral(self, events: Sequence[Ephemeral]) -> None:
        self._add(events)

    def _add(self, events: Sequence[Publication | Ephemeral]) -> None:
        for event in events:
            index = shard_of(event.channel, self._count)
            if not self._waiting[index].put(event):
                _dropped.inc()
                continue
            if index not in self._pumps:
                self._pumps[index] = asyncio.get_running_loop().create_task(self._pump(index))

    async def _pump(self, index: int) -> None:
        waiting = self._waiting[index]
        try:
            while waiting:
                batch = waiting.take()
                durable = [event for event in batch if isinstance(event, Publication)]
                ephemeral = [event for event in batch if isinstance(event, Ephemeral)]
                try:
                    await self._client.call(index, Publish(durable, ephemeral))
                except AppError as error:
                    _dropped.inc(len(batch))
                    _log.debug("shard %d missed %d events: %s", index, len(batch), error)
                finally:
                    waiting.sent(batch)
        finally:
            del self._pumps[index]

    async def close(self) -> None:
        """Waits for what is under way."""
        if self._pumps:
            await asyncio.wait(list(self._pumps.values()), timeout=5)
