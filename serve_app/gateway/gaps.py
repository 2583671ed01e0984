"""Gaps in channels: what is missing is read from history, or given up within bounded time.

position.missing ─▶ history ─▶ deliver … until nothing is missing
                       └ trimmed, or away for too long ─▶ discontinue
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Final

from prometheus_client import Counter

from actors.shard_messages import HistoryReply, Publication
from config.errors import AppError
from serve_app.gateway.channel import Channel, Source

log = logging.getLogger(__name__)

FILL_SECONDS: Final = 10.0
"""How long a gap may stay open while the shard is away: several times a shard's restart."""
_FILL_PAGE: Final = 1_000
_BACKOFF_SECONDS: Final = 0.02
_BACKOFF_MOST_SECONDS: Final = 1.0

GAPS = Counter("serai_realtime_gaps_total", "Gaps in channels", ["outcome"])


class Gaps:
    """At most one fill per channel runs at a time, as `channel.fill`."""

    def __init__(
        self,
        source: Source,
        deliver: Callable[[Channel, Iterable[Publication]], None],
        discontinue: Callable[[Channel], None],
    ) -> None:
        self._source = source
        self._deliver = deliver
        self._discontinue = discontinue
        self._tasks: set[asyncio.Task[None]] = set()

    def fill_if_missing(self, channel: Channel) -> None:
        if not channel.position.missing or channel.fill is not None:
            return
        task = asyncio.get_running_loop().create_task(self._fill(channel), context=Context())
        channel.fill = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fill(self, channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + FILL_SECONDS
        backoff = _BACKOFF_SECONDS
        position = channel.position
        try:
            while position.missing:
                epoch, after = position.epoch, position.last
                try:
                    reply = await self._source.history(channel.name, after, _FILL_PAGE)
                except AppError as error:
                    if not error.retryable:
                        raise
                else:
                    if epoch == position.epoch and not self._take_history(channel, reply):
                        self.abandon(channel)
                        return
                if position.last == after and position.missing:
                    # The shard is away, or restarted and its Hello is still to come, or it has not
                    # seen yet what it announced through another.
                    if loop.time() >= give_up_at:
                        self.abandon(channel)
                        return
                    await asyncio.sleep(backoff)
                    backoff = min(backoff * 2, _BACKOFF_MOST_SECONDS)
            GAPS.labels("filled").inc()
        except Exception:
            log.exception("filling a gap of %s failed", channel.name)
            self.abandon(channel)
        finally:
            channel.fill = None

    def _take_history(self, channel: Channel, reply: HistoryReply) -> bool:
        """False when the gap can't be filled from this stream."""
        position = channel.position
        if reply.top is None:
            return False
        if reply.top.epoch != position.epoch:
            # An answer says not when it was given: only Hello and Attach begin another stream, or
            # a late one would bring the old back, and the new one's publications be duplicates.
            return True
        position.expect(reply.top.offset)
        first = reply.publications[0].offset if reply.publications else 0
        if first > position.last + 1 or (not first and reply.top.offset > position.last):
            return False  # trimmed
        self._deliver(channel, position.take_all(reply.publications))
        return True

    def abandon(self, channel: Channel) -> None:
        GAPS.labels("unfillable").inc()
        channel.position.give_up()
        self._discontinue(channel)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
