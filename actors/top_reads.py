"""The best posts of a window. Mostly the query answers in a millisecond: it walks the order of all
time, or sorts what the window holds. Where it is slow, because the window holds very many posts or
the best ones are all older, the order is kept in Redis for a while and read from there by every
replica; the posts of a page come from Postgres, always.

    order in Redis ─▶ posts by id ─▶ does the stream stand where the order says? ─▶ page
      │ none: built once, kept        │ no: what the log says has changed goes into the order, again
      └ Redis away ──────────────────▶ the query itself

An order follows the community's stream, so what is new, edited, moved or removed is in it at once.
Votes are no events of the stream: they move a post when the order is built anew, after its short
life. It holds the first posts alone; pages beyond come from the query. Why not every feed:
docs/adr/0009.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

from prometheus_client import Counter

from actors.feed_cursors import is_current_window
from actors.feed_messages import FeedWindow
from config.errors import AppError
from storage import feeds
from storage.feed_keys import Ranked, Scored
from storage.feed_orders import FeedOrders, OrderPart, OrderTerms
from storage.feeds import CommunityPage, FeedOf
from storage.postgres import Connection

ORDER_POSTS: Final = 500
SLOW_SECONDS: Final = 0.1
# How long a query that was slow counts as slow, and how many do.
_SLOW_MS: Final = 600_000
_MAX_SLOW: Final = 10_000
_LIFE_MS: Final = 15_000
# So that orders of one moment don't all end in another.
_JITTER: Final = 0.25
_CHANGES: Final = 200
_ATTEMPTS: Final = 3

_READS: Final = Counter(
    "serai_feed_order_reads_total",
    "Pages of windows whose query was slow: hit, behind (the log was ahead of the order), built,"
    " joined (another is building it), away (no Redis), query (beyond what the order holds)",
    ["result"],
)


class TopPage(NamedTuple):
    """`keys` of the order: they bound the next page, and name posts that the page may lack,
    because they were removed meanwhile. `position`: of the log when the order was made, None where
    it was read with the posts."""

    page: CommunityPage
    keys: list[Ranked]
    position: int | None = None


class TopRequest(NamedTuple):
    """`since` begins the window, `bound` the page. `written`: the log's position of the caller's
    last write, 0 where none is known; `position`: what the connection has shown before."""

    of: FeedOf
    window: FeedWindow
    bound: Scored
    since: UUID
    written: int
    position: int


class TopReader:
    def __init__(
        self,
        orders: FeedOrders | None,
        clock_ms: Callable[[], int],
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        """`orders` None: without Redis. A query that takes `slow_seconds` is asked no more often
        than its order is built."""
        self._orders = orders
        self._clock_ms = clock_ms
        self._slow_seconds = slow_seconds
        self._slow_until_ms: dict[tuple[UUID, FeedWindow], int] = {}
        self._building: dict[str, asyncio.Future[None]] = {}

    async def page(self, connection: Connection, wanted: TopRequest) -> TopPage | None:
        """None: no such community."""
        name = self._name(wanted)
        place = (wanted.of.community_id, wanted.window)
        slow = self._slow_until_ms.get(place, 0) > self._clock_ms()
        if self._orders is not None and name and slow:
            page = await self._from_order(self._orders, connection, wanted, name)
            if page is not None:
                return page
        began = time.monotonic()
        found = await feeds.top_page(connection, wanted.of, wanted.bound, wanted.since)
        if name and time.monotonic() - began >= self._slow_seconds:
            self._remember_slow(place)
        if found is None:
            return None
        return TopPage(found, [(float(p.up - p.down), p.id) for p in found.posts])

    def _name(self, wanted: TopRequest) -> str:
        """Of the order that everybody shares; empty: this page is of no such order."""
        of = wanted.of
        if of.muted_by is not None or of.languages is not None or of.tag is not None:
            return ""
        if not is_current_window(wanted.window, wanted.since, self._clock_ms()):
            return ""
        return f"{{{of.community_id.hex}}}:{wanted.since.hex[:12]}"

    def _remember_slow(self, place: tuple[UUID, FeedWindow]) -> None:
        while len(self._slow_until_ms) >= _MAX_SLOW:
            del self._slow_until_ms[next(iter(self._slow_until_ms))]
        self._slow_until_ms[place] = self._clock_ms() + _SLOW_MS

    async def _from_order(
        self, orders: FeedOrders, connection: Connection, wanted: TopRequest, name: str
    ) -> TopPage | None:
        """None: the query is to answer."""
        walk = _Walk(self, orders, connection, wanted)
        try:
            page = await walk.page(name)
        except AppError:  # of Redis: what Postgres raises is translated by who acquired
            walk.result, page = "away", None
        _READS.labels(walk.result).inc()
        return page

    def flight(self, name: str) -> asyncio.Future[None] | None:
        """The build of this order that is under way."""
        return self._building.get(name)

    def take_off(self, name: str) -> asyncio.Future[None]:
        flight = self._building[name] = asyncio.get_running_loop().create_future()
        flight.add_done_callback(lambda _: self._building.pop(name, None))
        return flight


class _Walk:
    """One page, from the order to the posts and back again where the log was ahead."""

    def __init__(
        self,
        reader: TopReader,
        orders: FeedOrders,
        connection: Connection,
        wanted: TopRequest,
    ) -> None:
        self._reader = reader
        self._orders = orders
        self._connection = connection
        self._wanted = wanted
        self._of = wanted.of
        self._bound: Ranked = (float(wanted.bound[0]), wanted.bound[1])
        self.result = "hit"

    async def page(self, name: str) -> TopPage | None:
        part = await self._read(name)
        for _ in range(_ATTEMPTS):
            part = part or await self._build(name)
            if part is None or not self._serves(part):
                break
            page = await feeds.chosen_page(
                self._connection,
                self._of.country_id,
                self._of.community_id,
                [id for _, id in part.keys],
            )
            if page is None or page.offset < part.terms.offset:  # a replica that is behind
                break
            if (page.epoch, page.offset) == (part.terms.epoch, part.terms.offset):
                return TopPage(page, part.keys, part.terms.position)
            part = await self._read(name) if await self._catch_up(name, part.terms) else None
        self.result = "query"
        return None

    def _serves(self, part: OrderPart) -> bool:
        """It goes far enough, and is newer than the caller's last write, which may be a vote."""
        if len(part.keys) < self._of.limit and part.terms.floor is not None:
            return False
        return self._wanted.written == 0 or part.terms.position > self._wanted.written

    async def _read(self, name: str) -> OrderPart | None:
        return await self._orders.read(name, self._bound, self._of.limit)

    async def _build(self, name: str) -> OrderPart | None:
        """None: no such community, or another one's build came to nothing."""
        flight = self._reader.flight(name)
        if flight is not None:
            self.result = "joined"
            await asyncio.wait([flight])
            return await self._read(name)
        self.result = "built"
        flight = self._reader.take_off(name)
        try:
            of = self._of
            standing = await feeds.top_order(
                self._connection, of.country_id, of.community_id, self._wanted.since, ORDER_POSTS
            )
            if standing is None:
                return None
            keys = standing.keys
            floor = keys[-1] if len(keys) == ORDER_POSTS else None
            position = self._wanted.position
            terms = OrderTerms(standing.epoch, standing.offset, position, floor)
            life_ms = round(_LIFE_MS * random.uniform(1 - _JITTER, 1 + _JITTER))
            await self._orders.store(name, terms, keys, life_ms)
            return OrderPart(terms, [key for key in keys if key < self._bound][: of.limit])
        finally:
            flight.set_result(None)

    async def _catch_up(self, name: str, terms: OrderTerms) -> bool:
        """Brings the order to where the stream stands. False: it must be built anew."""
        self.result = "behind"
        of = self._of
        changes = await feeds.changed_since(
            self._connection, of.country_id, of.community_id, terms.offset, _CHANGES
        )
        if changes is None or changes.epoch != terms.epoch:
            return False
        come: list[Ranked] = []
        gone: list[UUID] = []
        for id, rank in changes.ranks.items():
            shown = rank is not None and id >= self._wanted.since
            if shown and rank is not None and (terms.floor is None or (rank, id) >= terms.floor):
                come.append((rank, id))
            else:
                gone.append(id)
        after = terms._replace(offset=changes.offset)
        await self._orders.change(name, terms, after, gone, come)
        return True
