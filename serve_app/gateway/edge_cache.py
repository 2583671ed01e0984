"""Public pages as bytes, shared by all readers of this gateway.

    read ─▶ hit_nowait(raw path)  ─▶ the page
        │ None
        └▶ page(key) ─▶ entry │ known absence │ join the read in flight │ start one (as guest)
                                                       reply ─▶ stored only if its channel was
                                                                followed all the while

An entry dies at the next durable event of its channel, or `max_age_seconds` after its read began,
whichever is first; votes and counters are ephemeral events and wait for the second. All entries die
when a community is no longer public: which pages show something of it nobody has to know.

A page names its channel only in the reply, so the first read of a page is not stored: it makes the
cache follow the channel. From then on a read is stored if no event came between its start and its
end, so an event that overtakes a read can't leave a stale entry behind. When a channel had to be
attached anew, its position is told as an event: what happened unheard drops the entries as well.

A replica may be behind the events that were heard before the read began. Its page says the offset
that it shows, and one that is too old is read again from the primary (docs/adr/0008).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from multidict import CIMultiDict

from actors.messages import FROM_PRIMARY, Reply
from config.channels import ACCESS_CHANNEL
from config.errors import AppError
from serve_app.gateway.backends import ChannelEvents
from serve_app.metrics import EDGE_DROPPED, EDGE_READS

log = logging.getLogger(__name__)

T = TypeVar("T")

# What is committed up to this position must be in the page; 0: whatever there is.
Load = Callable[[int], Awaitable[Reply]]
# The headers of a page, made once when it is stored.
MakeHeaders = Callable[[Reply], CIMultiDict[str]]

ABSENT_CODES: Final = frozenset({"not_found", "not_permitted"})
_ABSENT_SECONDS: Final = 1.0
_ABSENT_KEYS: Final = 10_000
_CHANNELS: Final = 10_000
_KNOWN_KEYS: Final = 50_000
# A page is asked for by few spellings of its URL; more would let one page fill the memory.
_ALIASES: Final = 4
_ENTRY_OVERHEAD_BYTES: Final = 2_048
# No page may push out more than this part of all others.
_LARGEST_PART: Final = 8

_HIT: Final = EDGE_READS.labels("hit")
_MISS: Final = EDGE_READS.labels("miss")
_JOINED: Final = EDGE_READS.labels("joined")
_BYPASS: Final = EDGE_READS.labels("bypass")
_AGAIN: Final = EDGE_READS.labels("again")


@dataclass(slots=True, eq=False)
class Page:
    """`public`: every caller would get these bytes. `expires` by the cache's clock."""

    key: str
    body: bytes
    headers: CIMultiDict[str]
    position: int
    public: bool
    channel: str
    expires: float
    aliases: list[str] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return len(self.body) + 2 * len(self.key) + _ENTRY_OVERHEAD_BYTES


@dataclass(slots=True, eq=False)
class _Followed:
    """A channel whose events reach this cache. `generation` counts them, `offset` is that of the
    last one: after a restore it may be lower than before."""

    channel: str
    drop: Callable[[str], None]
    generation: int = 0
    offset: int = 0
    keys: set[str] = field(default_factory=set)

    def on_event(self, channel: str, offset: int) -> None:
        if offset == 0:
            return
        self.generation += 1
        self.offset = offset
        keys, self.keys = self.keys, set()
        for key in keys:
            self.drop(key)


@dataclass(frozen=True, slots=True)
class EdgeCacheStatistics:
    pages: int
    bytes: int
    channels: int
    flights: int


class EdgeCache:
    """Used from one event loop. Bounded in bytes, keys and followed channels."""

    def __init__(
        self,
        events: ChannelEvents,
        *,
        max_bytes: int,
        max_age_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = events
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._by_path: dict[str, Page] = {}
        self._bytes = 0
        self._absent: OrderedDict[str, tuple[float, AppError]] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Page]] = {}
        self._channels: OrderedDict[str, _Followed] = OrderedDict()
        self._channel_of: OrderedDict[str, str] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()
        # Counts the changes of access; None: their channel is not followed yet.
        self._access: int | None = None
        self._least_position = 0

    def hit_nowait(self, raw_path: str) -> Page | None:
        """A live entry that this very spelling of the URL led to before."""
        page = self._by_path.get(raw_path)
        if page is None or page.expires <= self._clock():
            return None
        self._pages.move_to_end(page.key)
        return page

    @property
    def least_position(self) -> int:
        """What every read has to show: replicas that lag must not answer as if access were still
        what it was. FROM_PRIMARY from a change of access on, until a read has brought a position
        that is known to be behind it."""
        return self._least_position

    def count_hit(self) -> None:
        _HIT.inc()

    async def page(
        self,
        key: str,
        raw_path: str,
        position: int | None,
        load: Load,
        make_headers: MakeHeaders,
    ) -> Page:
        """The page for `key`; AppError as `load` raised it, also for those who joined that read.

        A caller with a write position gets an entry only if the entry's own is strictly higher: a
        read's position is taken before its snapshot, and the primary's log may already hold a
        commit that no snapshot shows yet. Equal positions therefore prove nothing; a higher one
        means that the read began after the write was acknowledged, or that a replica had replayed
        it. Such a caller joins no read in flight either.
        Cancelling a caller leaves the read to the others.
        """
        if position is None:
            page = self._pages.get(key)
            if page is not None and page.expires > self._clock():
                self._add_alias(page, raw_path)
                _HIT.inc()
                return page
            self._raise_absent(key)
            flight = self._flights.get(key)
            (_MISS if flight is None else _JOINED).inc()
            if flight is None:
                flight = self._start(self._read(key, 0, load, make_headers))
                self._flights[key] = flight
                flight.add_done_callback(lambda done: self._landed(key, done))
        else:
            page = self._pages.get(key)
            if page is not None and page.position > position and page.expires > self._clock():
                _HIT.inc()
                return page
            _BYPASS.inc()
            flight = self._start(self._read(key, position, load, make_headers))
        page = await asyncio.shield(flight)
        self._add_alias(page, raw_path)
        return page

    def statistics(self) -> EdgeCacheStatistics:
        return EdgeCacheStatistics(
            len(self._pages), self._bytes, len(self._channels), len(self._flights)
        )

    async def close(self) -> None:
        """End the reads in flight and follow nothing any more."""
        for followed in self._channels.values():
            self._events.unfollow(followed.channel, followed.on_event)
        self._channels.clear()
        if self._access is not None:
            self._events.unfollow(ACCESS_CHANNEL, self._on_access)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _read(self, key: str, position: int, load: Load, make_headers: MakeHeaders) -> Page:
        followed = self._channels.get(self._channel_of.get(key, ""))
        if followed is not None:
            followed.keys.add(key)
            self._channels.move_to_end(followed.channel)
        before = followed.generation if followed is not None else 0
        offset = followed.offset if followed is not None else 0
        expires = self._clock() + self._max_age_seconds
        access = self._follow_access()
        try:
            reply = await load(position)
            is_stale = (
                followed is not None and followed.channel == reply.channel and reply.offset < offset
            )
            if is_stale:
                _AGAIN.inc()
                try:
                    reply, is_stale = await load(FROM_PRIMARY), False
                except AppError as error:
                    if not error.retryable:  # else what the replica says is better than nothing
                        raise
        except AppError as error:
            if error.code in ABSENT_CODES:
                self._remember_absent(key, error)
            raise
        page = Page(
            key,
            reply.body,
            make_headers(reply),
            reply.position,
            reply.public,
            reply.channel,
            expires,
        )
        if access == self._access and self._least_position == FROM_PRIMARY and reply.position:
            self._least_position = reply.position
        if access != self._access:
            pass  # read before the change, perhaps
        elif not reply.channel:
            self._store(page)
        elif followed is None or followed.channel != reply.channel:
            self._follow(key, reply.channel)
        elif before == followed.generation and not is_stale:
            followed.keys.add(key)
            self._store(page)
        return page

    def _store(self, page: Page) -> None:
        known = self._pages.get(page.key)
        # A slower read that began earlier must not replace what a later one brought, nor what a
        # replica says that which another server knew better.
        if known is not None and (
            known.expires > page.expires
            or (known.position > page.position and known.expires > self._clock())
        ):
            return
        if known is not None:
            self._remove(known)
        if page.size_bytes > self._max_bytes // _LARGEST_PART:
            return
        self._pages[page.key] = page
        self._bytes += page.size_bytes
        now = self._clock()
        while self._bytes > self._max_bytes:
            oldest = next(iter(self._pages.values()))
            EDGE_DROPPED.labels("expired" if oldest.expires <= now else "full").inc()
            self._forget_key(oldest)

    def _add_alias(self, page: Page, raw_path: str) -> None:
        if self._pages.get(page.key) is page and raw_path not in self._by_path:
            if len(page.aliases) == _ALIASES:
                self._by_path.pop(page.aliases.pop(0), None)
            page.aliases.append(raw_path)
            self._by_path[raw_path] = page

    def _remove(self, page: Page) -> None:
        if self._pages.pop(page.key, None) is None:
            return
        self._bytes -= page.size_bytes
        for alias in page.aliases:
            if self._by_path.get(alias) is page:
                del self._by_path[alias]
        page.aliases.clear()

    def _forget_key(self, page: Page) -> None:
        self._remove(page)
        followed = self._channels.get(page.channel)
        if followed is not None:
            followed.keys.discard(page.key)

    def _drop(self, key: str) -> None:
        """An event of its channel: the entry dies, and later readers start a read of their own."""
        self._flights.pop(key, None)
        page = self._pages.get(key)
        if page is not None:
            EDGE_DROPPED.labels("event").inc()
            self._remove(page)

    def _follow_access(self) -> int:
        if self._access is None:
            self._access = 0
            self._events.follow(ACCESS_CHANNEL, self._on_access)
        return self._access

    def _on_access(self, channel: str, offset: int) -> None:
        """Also when the channel had to be asked for its position: what was missed is not known."""
        self._access = (self._access or 0) + 1
        self._least_position = FROM_PRIMARY
        self._flights.clear()
        EDGE_DROPPED.labels("access").inc(len(self._pages))
        for page in list(self._pages.values()):
            self._forget_key(page)

    def _landed(self, key: str, flight: asyncio.Task[Page]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _raise_absent(self, key: str) -> None:
        known = self._absent.get(key)
        if known is None:
            return
        until, error = known
        if until > self._clock():
            _HIT.inc()
            raise AppError(error.code, error.detail, errors=error.errors)
        del self._absent[key]

    def _remember_absent(self, key: str, error: AppError) -> None:
        # A copy: the original holds the frames of this read by its traceback.
        copy = AppError(error.code, error.detail, errors=error.errors)
        self._absent[key] = (self._clock() + _ABSENT_SECONDS, copy)
        while len(self._absent) > _ABSENT_KEYS:
            self._absent.popitem(last=False)

    def _follow(self, key: str, channel: str) -> None:
        self._channel_of[key] = channel
        self._channel_of.move_to_end(key)
        while len(self._channel_of) > _KNOWN_KEYS:
            self._channel_of.popitem(last=False)
        if channel in self._channels:
            return
        followed = _Followed(channel, self._drop)
        self._channels[channel] = followed
        self._events.follow(channel, followed.on_event)
        while len(self._channels) > _CHANNELS:
            _, oldest = self._channels.popitem(last=False)
            self._events.unfollow(oldest.channel, oldest.on_event)
            for known in oldest.keys:
                self._drop(known)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of the cache's own, outside of the context of the request that happened to come
        first."""
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # Whoever waits gets it too; a read whose callers have all gone must not be reported as
        # an exception that nobody fetched.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("a read of the edge cache failed: %r", error)
