"""Feeds: of one community, and of all that the caller joined."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.messages import ReadFeed, ReadHome, Reply
from serve_app.api.call import Call
from serve_app.api.fields import Cursor, FeedSort, FeedWindow, Limit
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import PostPage


class FeedQuery(msgspec.Struct, frozen=True):
    """`window` counts for `sort=top` alone."""

    sort: FeedSort = "hot"
    window: FeedWindow = "week"
    limit: Limit = 30
    cursor: Cursor | None = None


async def community_feed(call: Call[Nothing, FeedQuery]) -> Reply:
    query = call.query
    community = call.text("community")
    return await call.backends.feed(
        ReadFeed(call.caller, community, query.sort, query.window, query.limit, query.cursor)
    )


async def home_feed(call: Call[Nothing, FeedQuery]) -> Reply:
    query = call.query
    return await call.backends.feed(
        ReadHome(call.caller, query.sort, query.window, query.limit, query.cursor)
    )


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/communities/{community}/feed", community_feed, "Feed of a community",
        access="guest", rate="read", query=FeedQuery, answer=PostPage, shared="everyone",
        tag="feeds",
    ),
    Route(
        "GET", "/api/v1/feeds/home", home_feed,
        "Home feed: joined communities, for guests all of them", access="guest", rate="read",
        query=FeedQuery, answer=PostPage, shared="guests", tag="feeds",
    ),
)  # fmt: skip
