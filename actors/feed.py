"""The Feed actor: feeds of posts and the directory. A plain class that serve_app deploys.

Equal requests of a batch are computed once, and a page that is the same for everyone once for all
who ask, whoever they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec

from actors import content
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.directory_reads import DirectoryReader, find_community, require_reader
from actors.messages import (
    GUEST,
    Failure,
    FeedRequest,
    FeedWindow,
    ListCommunities,
    ListCountries,
    ListVisaTypes,
    Outcome,
    ReadCommunity,
    ReadFeed,
    ReadHome,
    Reply,
)
from actors.outcomes import answer, settle
from actors.shard_messages import StreamPosition
from storage import feeds
from storage.communities import not_found
from storage.directory import Directory
from storage.feeds import HotBound
from storage.identity import lowest_id_at
from storage.postgres import Pool, wal_position
from storage.posts import PostRow
from storage.replicas import Readers

T = TypeVar("T")

_encode: Final = msgspec.json.Encoder().encode
_DAY_MS: Final = 86_400_000
_WINDOW_DAYS: Final[dict[FeedWindow, int]] = {"day": 1, "week": 7, "month": 30}

Score = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class HotCursor(msgspec.Struct, frozen=True, array_like=True):
    """Of the page's last post."""

    pinned: bool
    hot: float
    id: UUID


class TopCursor(msgspec.Struct, frozen=True, array_like=True):
    """Of the page's last post; `since` is the lowest id of the window."""

    score: Score
    id: UUID
    since: UUID


class Feed:
    """Holds nothing that is not in Postgres; any replica may answer any request."""

    def __init__(
        self,
        pool: Pool,
        directory: Directory,
        *,
        readers: Readers | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._readers = readers or Readers(pool)
        self._directory = directory
        self._reader = DirectoryReader(self._readers, directory)
        self._clock_ms = clock_ms

    async def handle_batch(self, requests: Sequence[FeedRequest]) -> list[Outcome]:
        """One outcome a request, in order. All run concurrently."""
        outcomes: list[Outcome] = [Failure("internal")] * len(requests)
        groups: dict[FeedRequest, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(_of_anyone(request), []).append(place)
        async with asyncio.TaskGroup() as tasks:
            for places in groups.values():
                tasks.create_task(self._answer(requests, places, outcomes))
        return outcomes

    async def _answer(
        self, requests: Sequence[FeedRequest], places: Sequence[int], outcomes: list[Outcome]
    ) -> None:
        """Requests that differ by their callers alone: asked again for each caller only where the
        first one's answer is not everyone's."""
        waiting: dict[FeedRequest, list[int]] = {}
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

    async def _dispatch(self, request: FeedRequest) -> Reply:
        match request:
            case ReadFeed():
                return await self._read_feed(request)
            case ReadHome():
                return await self._read_home(request)
            case ListCountries():
                return self._reader.list_countries()
            case ListVisaTypes():
                return self._reader.list_visa_types(request)
            case ListCommunities():
                return await self._reader.list_communities(request)
            case ReadCommunity():
                return await self._reader.read_community(request)

    # ------------------------------------------------------------ one community

    async def _read_feed(self, request: ReadFeed) -> Reply:
        community = await find_community(self._directory, request.community)
        scope = f"{community.id}:{request.sort}"
        place = (community.country_id, community.id, request.limit + 1)
        since = feeds.LOWEST_ID
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            match request.sort:
                case "hot":
                    page = await feeds.hot_page(connection, *place, _hot_bound(request, scope))
                case "new":
                    below = _below(CursorKind.COMMUNITY_FEED, request, scope, UUID)
                    page = await feeds.new_page(connection, *place, below or feeds.HIGHEST_ID)
                case "top":
                    scope = f"{scope}:{request.window}"
                    bound, since = self._top_bound(CursorKind.COMMUNITY_FEED, request, scope)
                    page = await feeds.top_page(connection, *place, bound, since)
            if page is None:
                raise not_found()
            if page.visibility != "public":
                await require_reader(connection, request.caller, community.id)
        channel = f"community:{community.id}"
        return content.live_page(
            _page(CursorKind.COMMUNITY_FEED, request, scope, page.posts, since),
            channel,
            StreamPosition(page.epoch, page.offset),
            position,
            public=page.visibility == "public",
        )

    # ------------------------------------------------------------ home

    async def _read_home(self, request: ReadHome) -> Reply:
        account_id = request.caller.account_id
        scope = f"{account_id}:{request.sort}"
        since = feeds.LOWEST_ID
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            joined_by = None
            if account_id is not None and await feeds.has_joined(connection, account_id):
                joined_by = account_id
            place = (joined_by, request.limit + 1)
            match request.sort:
                case "hot":
                    last = _below(CursorKind.HOME_FEED, request, scope, HotCursor)
                    ranked = (
                        (feeds.HIGHEST, feeds.HIGHEST_ID) if last is None else (last.hot, last.id)
                    )
                    posts = await feeds.home_hot(connection, *place, ranked)
                case "new":
                    below = _below(CursorKind.HOME_FEED, request, scope, UUID)
                    posts = await feeds.home_new(connection, *place, below or feeds.HIGHEST_ID)
                case "top":
                    scope = f"{scope}:{request.window}"
                    bound, since = self._top_bound(CursorKind.HOME_FEED, request, scope)
                    posts = await feeds.home_top(connection, *place, bound, since)
        return Reply(200, _page(CursorKind.HOME_FEED, request, scope, posts, since), position)

    def _top_bound(
        self, kind: CursorKind, request: ReadFeed | ReadHome, scope: str
    ) -> tuple[feeds.Scored, UUID]:
        """Later pages keep the window of the first one."""
        last = _below(kind, request, scope, TopCursor)
        if last is not None:
            return (last.score, last.id), last.since
        days = _WINDOW_DAYS.get(request.window)
        since = feeds.LOWEST_ID
        if days is not None:
            since = lowest_id_at(max(0, self._clock_ms() - days * _DAY_MS))
        return (feeds.HIGHEST_SCORE, feeds.HIGHEST_ID), since


def _of_anyone(request: FeedRequest) -> FeedRequest:
    if isinstance(request, ListCountries | ListVisaTypes):
        return request
    return msgspec.structs.replace(request, caller=GUEST)


def _below(kind: CursorKind, request: ReadFeed | ReadHome, scope: str, type: type[T]) -> T | None:
    if request.cursor is None:
        return None
    return decode_cursor(kind, scope, request.cursor, type)


def _hot_bound(request: ReadFeed, scope: str) -> HotBound:
    last = _below(CursorKind.COMMUNITY_FEED, request, scope, HotCursor)
    if last is None:
        return HotBound()
    if last.pinned:
        return HotBound(pinned=(last.hot, last.id))
    return HotBound(pinned=(feeds.LOWEST, feeds.LOWEST_ID), rest=(last.hot, last.id))


def _page(
    kind: CursorKind,
    request: ReadFeed | ReadHome,
    scope: str,
    posts: Sequence[PostRow],
    since: UUID,
) -> bytes:
    """`posts` holds one more than the page where there is a next one."""
    items = posts[: request.limit]
    cursor = None
    if len(posts) > request.limit:
        last = items[-1]
        value: HotCursor | TopCursor | UUID
        match request.sort:
            case "hot":
                value = HotCursor(last.pinned, last.hot, last.id)
            case "new":
                value = last.id
            case "top":
                value = TopCursor(last.up - last.down, last.id, since)
        cursor = encode_cursor(kind, scope, value)
    return _encode({"items": [content.post_view(row) for row in items], "next_cursor": cursor})
