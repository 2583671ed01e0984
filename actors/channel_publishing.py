"""What clients and the server API publish on channels of an operator's namespace.

    none      delivered to who is there, at most the newest of each `throttle_seconds`
    memory    takes its place in the stream in this shard's memory, then delivered
    postgres  appended to stream_event by this shard, in a transaction, then delivered

Serai's own channels have writers of their own, which commit first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from actors.memory_streams import MemoryStreams
from actors.published_keys import KEY_SECONDS, PublishedKeys
from actors.shard_ephemeral import EphemeralEvents
from actors.shard_hub import Hub
from actors.shard_messages import Publication, PublishReply, PublishToChannel, RemoveHistory
from actors.stored_publication import envelope
from config.channels import Namespace, Namespaces
from config.errors import AppError
from storage.identity import NO_COUNTRY, new_id
from storage.postgres import Connection, Pool, in_transaction
from storage.stream_writer import AppendedToChannel, append_to_channel

MAX_APPENDING: Final = 1_000
"""Publications that wait for Postgres at a time; further ones are refused as overload."""
MAX_KEY_CHARACTERS: Final = 255
_KEYS: Final = uuid5(NAMESPACE_OID, "serai:idempotency-key")


class ChannelPublishing:
    """`adopt(epoch)` is told the epoch of Postgres before anything of it is delivered."""

    def __init__(
        self,
        hub: Hub,
        pool: Pool,
        namespaces: Namespaces,
        memory: MemoryStreams,
        ephemeral: EphemeralEvents,
        *,
        connections: int,
        adopt: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """`connections`: how many of the pool appending may take, where publications of one channel
        wait for each other; reads need the others."""
        self._hub = hub
        self._pool = pool
        self._namespaces = namespaces
        self._memory = memory
        self._ephemeral = ephemeral
        self._adopt = adopt
        self._clock = clock
        self._keys = PublishedKeys()
        self._appending = 0
        self._connections = asyncio.Semaphore(connections)

    async def publish(self, request: PublishToChannel) -> PublishReply:
        """Raises AppError: not_found (no such namespace), not_permitted (Serai's own), invalid (a
        long key, no JSON for Postgres), overloaded, unavailable. After `unavailable` the
        publication may stand in Postgres; the same key again finds that out."""
        namespace = self._namespace(request.channel)
        if namespace.subscribe == "content":
            raise AppError("not_permitted", "content is published by writing it")
        if len(request.key) > MAX_KEY_CHARACTERS:
            raise AppError("invalid", f"idempotency key: at most {MAX_KEY_CHARACTERS} characters")
        if namespace.history == "postgres" and request.keep:
            return await self._append(request)
        now = self._clock()
        if request.key:
            earlier = self._keys.find(request.channel, request.key, now)
            if earlier is not None:
                return earlier
        reply = self._deliver(request, namespace, now)
        if request.key:
            self._keys.keep(request.channel, request.key, reply, now)
        return reply

    async def remove_history(self, request: RemoveHistory) -> None:
        if self._namespace(request.channel).history != "memory":
            raise AppError("invalid", "only a history in memory can be removed")
        self._memory.remove_history(request.channel)

    def _namespace(self, channel: str) -> Namespace:
        namespace = self._namespaces.of(channel)
        if namespace is None:
            raise AppError("not_found", "there is no such namespace")
        return namespace

    def _deliver(self, request: PublishToChannel, namespace: Namespace, now: float) -> PublishReply:
        publication = _publication(request, 0, time.time_ns())
        if namespace.history != "memory" or not request.keep:
            self._ephemeral.publish(publication, namespace.throttle_seconds)
            return PublishReply("", 0)
        publication = self._memory.append(publication, namespace, now)
        epoch = self._memory.position(request.channel, now).epoch
        self._ephemeral.send(publication)
        return PublishReply(epoch, publication.offset)

    async def _append(self, request: PublishToChannel) -> PublishReply:
        payload = envelope(request.data, request.info, request.tags)
        subject = _subject(request)

        async def append(connection: Connection) -> AppendedToChannel:
            return await append_to_channel(
                connection,
                request.channel,
                subject,
                payload,
                once_within_seconds=KEY_SECONDS if request.key else 0.0,
            )

        if self._appending >= MAX_APPENDING:
            raise AppError("overloaded", "Too much at once.", retry_after_seconds=1.0)
        self._appending += 1
        try:
            async with self._connections:
                appended = await in_transaction(self._pool, append)
        finally:
            self._appending -= 1
        self._adopt(appended.epoch)
        channel = self._hub.channels.get(request.channel)
        if channel is None:
            pass  # Postgres has it
        elif not appended.repeated:
            channel.stream_id = appended.stream_id
            publication = _publication(request, appended.offset, appended.committed_ns)
            self._hub.execute(channel, channel.state.apply(publication))
        elif channel.state.top is not None:
            # Its first reply was lost, and perhaps the publication with it.
            channel.stream_id = appended.stream_id
            self._hub.execute(channel, channel.state.learn_top(appended.offset))
        return PublishReply(appended.epoch, appended.offset)


def _subject(request: PublishToChannel) -> UUID:
    """A key's own, so that the row remembers the key, and no restart forgets it."""
    if not request.key:
        return new_id(NO_COUNTRY)
    return uuid5(_KEYS, f"{request.channel}\n{request.key}")


def _publication(request: PublishToChannel, offset: int, ns: int) -> Publication:
    return Publication(
        request.channel,
        offset,
        request.data,
        info=request.info,
        tags=request.tags,
        time_ms=ns // 1_000_000,
    )
