"""Where channels stand when a gateway begins to follow them: in Postgres, in memory, or nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable

from actors.memory_streams import MemoryStreams
from actors.shard_hub import GatewayEntry, Hub
from actors.shard_messages import StreamPosition
from config.channels import Namespaces
from config.errors import AppError
from storage import streams
from storage.postgres import Pool
from storage.streams import StreamTop

log = logging.getLogger(__name__)

NOWHERE = StreamPosition("", 0)
"""Of a channel without history."""


class ChannelPositions:
    """`adopt(epoch)` is told the epoch of every read before its result is used; `epoch()` is the
    one adopted last."""

    def __init__(
        self,
        hub: Hub,
        pool: Pool,
        namespaces: Namespaces,
        memory: MemoryStreams,
        *,
        adopt: Callable[[str], None],
        epoch: Callable[[], str | None],
        clock: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._pool = pool
        self._namespaces = namespaces
        self._memory = memory
        self._adopt = adopt
        self._epoch = epoch
        self._clock = clock

    async def read(
        self, gateway: GatewayEntry, names: list[str]
    ) -> tuple[list[StreamPosition | None], list[str]]:
        """Of each, and those that Postgres, which does not answer, would have to tell. The gateway
        follows all of them already; those that do not exist (None) it follows no more, nor those
        that are late. Of no use when the gateway is not alive any more."""
        rows = {name: self._namespaces.of(name) for name in names}
        stored = [
            name for name, row in rows.items() if row is not None and row.history == "postgres"
        ]
        positions = await self._stored(gateway, stored) if stored else {}
        if not gateway.alive:
            return [], []
        late = [name for name in stored if name not in positions]
        now = self._clock()
        for name, row in rows.items():
            if row is None:
                positions[name] = None
            elif row.history != "postgres":
                kept = row.history == "memory"
                positions[name] = self._memory.position(name, now) if kept else NOWHERE
        self._hub.unfollow(gateway, [name for name, top in positions.items() if top is None])
        self._hub.unfollow(gateway, late)
        return [positions.get(name) for name in names], late

    async def _stored(
        self, gateway: GatewayEntry, names: list[str]
    ) -> dict[str, StreamPosition | None]:
        try:
            read = await streams.read_positions(self._pool, names)
        except AppError as error:
            log.info("positions of channels are late: %s", error)
            remembered = {name: self._remembered(name) for name in names}
            return {name: top for name, top in remembered.items() if top is not None}
        self._adopt(read.epoch)
        if not gateway.alive:
            return {}
        return {name: self._position(name, read.epoch, read.tops.get(name)) for name in names}

    def _position(self, name: str, epoch: str, top: StreamTop | None) -> StreamPosition | None:
        channel = self._hub.channels.get(name)
        if top is not None:
            if channel is not None:
                channel.stream_id = top.stream_id
                self._hub.execute(channel, channel.state.learn_top(top.offset))
            return StreamPosition(epoch, top.offset)
        if channel is not None and channel.state.top is not None:
            # Made just now: another Attach, whose read began later, has seen it.
            return StreamPosition(epoch, channel.state.top)
        namespace = self._namespaces.of(name)
        if namespace is None or namespace.subscribe == "content":
            return None
        # An operator's channel has a stream from its first publication on.
        if channel is not None:
            self._hub.execute(channel, channel.state.learn_top(0))
        return StreamPosition(epoch, 0)

    def _remembered(self, name: str) -> StreamPosition | None:
        """Without Postgres the delivered top will do: everything later comes by poll too."""
        channel, epoch = self._hub.channels.get(name), self._epoch()
        if channel is None or channel.state.top is None or epoch is None:
            return None
        return StreamPosition(epoch, channel.state.top)
