"""The Feed actor: feeds of posts, the directory, visa tools. A plain class that serve_app deploys.

Equal requests of a batch are computed once, and a page that is the same for everyone once for all
who ask, whoever they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from actors import content
from actors.cursors import CursorKind, encode_cursor
from actors.directory_reads import DirectoryReader, find_community, require_reader
from actors.feed_cursors import HotCursor, TopCursor, below, scope_of, top_bound
from actors.feed_messages import (
    ListCommunities,
    ListCountries,
    ListGuides,
    ListMemberPosts,
    ListSignals,
    ListSitemap,
    ListTags,
    ListVisaTypes,
    ReadCommunity,
    ReadFeed,
    ReadGuide,
    ReadGuideHistory,
    ReadHome,
    ReadMember,
)
from actors.guide_reads import GuideReader
from actors.home_reads import HomeReader
from actors.member_reads import MemberReader
from actors.messages import GUEST, Failure, Outcome, Reply
from actors.outcomes import answer, settle
from actors.public_messages import PublicRead
from actors.shard_messages import StreamPosition
from actors.signal_reads import SignalReader
from actors.sitemap_reads import SitemapReader
from actors.top_reads import SLOW_SECONDS, TopPage, TopReader, TopRequest
from actors.visa_messages import VisaRead
from actors.visa_reads import VisaReader
from config.settings import Guides, OfficialLinks
from storage import feeds
from storage.communities import not_found
from storage.directory import Directory
from storage.feed_keys import HIGHEST_ID, LOWEST, LOWEST_ID, Languages
from storage.feed_orders import FeedOrders
from storage.feeds import CommunityPage, FeedOf, HotBound
from storage.postgres import Connection, Pool, wal_position
from storage.posts import PostRow
from storage.replicas import Readers

_encode: Final = msgspec.json.Encoder().encode


class Feed:
    """Holds nothing that is not in Postgres; any replica may answer any request."""

    def __init__(
        self,
        pool: Pool,
        directory: Directory,
        *,
        readers: Readers | None = None,
        orders: FeedOrders | None = None,
        slow_seconds: float = SLOW_SECONDS,
        guides: Guides | None = None,
        links: OfficialLinks | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`orders` None: without Redis, into which goes the order of queries that take
        `slow_seconds`."""
        self._readers = readers or Readers(pool)
        self._directory = directory
        self._reader = DirectoryReader(self._readers, directory)
        self._guides = GuideReader(self._readers, guides or Guides())
        self._signals = SignalReader(self._readers, directory)
        self._sitemap = SitemapReader(self._readers)
        self._members = MemberReader(self._readers)
        self._home = HomeReader(self._readers, clock_ms)
        self._tops = TopReader(orders, clock_ms, slow_seconds)
        self._visa = VisaReader(self._readers, links or OfficialLinks(), clock_ms)
        self._clock_ms = clock_ms

    async def handle_batch(self, requests: Sequence[PublicRead]) -> list[Outcome]:
        """One outcome a request, in order. All run concurrently."""
        outcomes: list[Outcome] = [Failure("internal")] * len(requests)
        groups: dict[PublicRead, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(_of_anyone(request), []).append(place)
        async with asyncio.TaskGroup() as tasks:
            for places in groups.values():
                tasks.create_task(self._answer(requests, places, outcomes))
        return outcomes

    async def _answer(
        self, requests: Sequence[PublicRead], places: Sequence[int], outcomes: list[Outcome]
    ) -> None:
        """Requests that differ by their callers alone: asked again for each caller only where the
        first one's answer is not everyone's."""
        waiting: dict[PublicRead, list[int]] = {}
        for place in places:
            waiting.setdefault(requests[place], []).append(place)
        while waiting:
            request = next(iter(waiting))
            outcome = await settle(answer(request, self._dispatch))
            if isinstance(outcome, Reply) and outcome.public:
                mine, waiting = places, {}
            else:
                mine = waiting.pop(request)
            for place in mine:
                outcomes[place] = outcome

    async def _dispatch(self, request: PublicRead) -> Reply:
        if isinstance(request, VisaRead):
            return await self._visa.answer(request)
        match request:
            case ReadFeed():
                return await self._read_feed(request)
            case ReadHome():
                return await self._home.read(request)
            case ListCountries():
                return self._reader.list_countries()
            case ListVisaTypes():
                return self._reader.list_visa_types(request)
            case ListCommunities():
                return await self._reader.list_communities(request)
            case ListTags():
                return await self._reader.list_tags(request)
            case ReadCommunity():
                return await self._reader.read_community(request)
            case ListSignals():
                return await self._signals.list_signals(request)
            case ListSitemap():
                return await self._sitemap.list_part(request)
            case ReadMember():
                return await self._members.read(request)
            case ListMemberPosts():
                return await self._members.list_posts(request)
            case ListGuides():
                return await self._guides.list_guides(request)
            case ReadGuide():
                return await self._guides.read_guide(request)
            case ReadGuideHistory():
                return await self._guides.read_history(request)

    async def _read_feed(self, request: ReadFeed) -> Reply:
        community = await find_community(self._directory, request.community)
        languages = Languages.of(request.languages)
        muted_by = request.caller.account_id if request.personal else None
        scope = scope_of(request, community.id, languages)
        if request.tag is not None:
            scope = f"{scope}#{request.tag}"
        of = FeedOf(
            community.country_id, community.id, request.limit + 1, muted_by, languages, request.tag
        )
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            shown = await self._shown(connection, request, of, scope, position)
            if shown is None:
                raise not_found()
            page = shown.page
            if page.visibility != "public":
                await require_reader(connection, request.caller, community.id)
        channel = f"community:{community.id}"
        cursor = None
        if shown.after is not None:
            cursor = encode_cursor(CursorKind.COMMUNITY_FEED, scope, shown.after)
        items = [content.post_view(row) for row in shown.items]
        return content.live_page(
            _encode({"items": items, "next_cursor": cursor}),
            channel,
            StreamPosition(page.epoch, page.offset),
            position if shown.position is None else min(position, shown.position),
            public=page.visibility == "public" and not request.personal,
        )

    async def _shown(
        self, connection: Connection, request: ReadFeed, of: FeedOf, scope: str, position: int
    ) -> _Shown | None:
        """None: no such community."""
        if request.sort == "top":
            bound, since = top_bound(request, scope, self._clock_ms())
            wanted = TopRequest(of, request.window, bound, since, request.position, position)
            top = await self._tops.page(connection, wanted)
            return None if top is None else _shown_of_top(top, request.limit, since)
        if request.sort == "hot":
            page = await feeds.hot_page(connection, of, _hot_bound(request, scope))
        else:
            page = await feeds.new_page(connection, of, below(request, scope, UUID) or HIGHEST_ID)
        if page is None:
            return None
        items = page.posts[: request.limit]
        if len(page.posts) <= request.limit:
            return _Shown(page, items, None)
        last = items[-1]
        by_rank = request.sort == "hot"
        return _Shown(
            page, items, HotCursor(last.pinned, last.hot, last.id) if by_rank else last.id
        )


class _Shown(NamedTuple):
    """`after`: of the page's last post, where there is a next page. `position`: of the log, where
    the order is older than the posts."""

    page: CommunityPage
    items: list[PostRow]
    after: HotCursor | TopCursor | UUID | None
    position: int | None = None


def _shown_of_top(top: TopPage, limit: int, since: UUID) -> _Shown:
    chosen = {id for _, id in top.keys[:limit]}
    items = [row for row in top.page.posts if row.id in chosen]
    after = None
    if len(top.keys) > limit:
        score, id = top.keys[limit - 1]
        after = TopCursor(int(score), id, since)
    return _Shown(top.page, items, after, top.position)


def _of_anyone(request: PublicRead) -> PublicRead:
    if "caller" not in request.__struct_fields__:
        return request
    return msgspec.structs.replace(request, caller=GUEST)


def _hot_bound(request: ReadFeed, scope: str) -> HotBound:
    last = below(request, scope, HotCursor)
    if last is None:
        return HotBound()
    if last.pinned:
        return HotBound(pinned=(last.hot, last.id))
    return HotBound(pinned=(LOWEST, LOWEST_ID), rest=(last.hot, last.id))
