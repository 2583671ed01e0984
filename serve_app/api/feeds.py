"""Feeds: of one community, and of all that the caller joined."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.feed_messages import ReadFeed, ReadHome
from actors.messages import Reply
from actors.tags import stored_tag
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.fields import Cursor, FeedSort, FeedWindow, LanguageList, Limit, Tag
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import PostPage


class FeedQuery(msgspec.Struct, frozen=True):
    """`window` counts for `sort=top` alone."""

    sort: FeedSort = "hot"
    window: FeedWindow = "week"
    limit: Limit = 30
    cursor: Cursor | None = None
    languages: LanguageList | None = None


class CommunityFeedQuery(FeedQuery, frozen=True):
    """`personal=true` leaves out posts of members whom the caller muted; the page is then the
    caller's own and comes from no cache."""

    personal: bool = False
    tag: Tag | None = None


async def community_feed(call: Call[Nothing, CommunityFeedQuery]) -> Reply:
    query = call.query
    return await call.backends.feed(
        ReadFeed(
            call.caller,
            call.text("community"),
            query.sort,
            query.window,
            query.limit,
            query.cursor,
            _languages(query),
            query.personal,
            _tag(query.tag),
        )
    )


async def home_feed(call: Call[Nothing, FeedQuery]) -> Reply:
    query = call.query
    return await call.backends.feed(
        ReadHome(
            call.caller, query.sort, query.window, query.limit, query.cursor, _languages(query)
        )
    )


def _tag(text: str | None) -> str | None:
    try:
        return None if text is None else stored_tag(text)
    except ValueError as error:
        raise AppError("invalid", errors=(("tag", str(error)),)) from None


def _languages(query: FeedQuery) -> tuple[str, ...]:
    return tuple(query.languages.split(",")) if query.languages else ()


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/communities/{community}/feed", community_feed, "Feed of a community",
        access="guest", rate="read", query=CommunityFeedQuery, answer=PostPage, shared="everyone",
        is_personal=lambda query: query.personal, tag="feeds",
    ),
    Route(
        "GET", "/api/v1/feeds/home", home_feed,
        "Home feed: joined communities, for guests all of them", access="guest", rate="read",
        query=FeedQuery, answer=PostPage, shared="guests", tag="feeds",
    ),
)  # fmt: skip
