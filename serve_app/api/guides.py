"""What authorities say, brought by operators: lists, one guide, what it said before."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.feed_messages import ListGuides, ReadGuide, ReadGuideHistory
from actors.guide_reads import Guide, GuideSummary, GuideVersion
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.fields import Country, Cursor, LanguageList, Limit, VisaType
from serve_app.api.page_query import PageQuery
from serve_app.api.route import Nothing, Route


class GuidesQuery(msgspec.Struct, frozen=True):
    country: Country | None = None
    visa_type: VisaType | None = None
    language: LanguageList | None = None
    limit: Limit = 30
    cursor: Cursor | None = None


class GuidePage(msgspec.Struct, frozen=True):
    """By country, visa type and language."""

    items: list[GuideSummary]
    next_cursor: str | None


class GuideHistory(msgspec.Struct, frozen=True):
    """Newest first."""

    items: list[GuideVersion]
    next_cursor: str | None


async def guides(call: Call[Nothing, GuidesQuery]) -> Reply:
    query = call.query
    languages = tuple(query.language.split(",")) if query.language else ()
    request = ListGuides(query.country, query.visa_type, languages, query.limit, query.cursor)
    return await call.backends.feed(request)


async def guide(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.feed(ReadGuide(call.uuid("guide_id")))


async def history(call: Call[Nothing, PageQuery]) -> Reply:
    query = call.query
    request = ReadGuideHistory(call.uuid("guide_id"), query.limit, query.cursor)
    return await call.backends.feed(request)


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/guides", guides, "Guides, without their texts", access="guest",
        rate="read", query=GuidesQuery, answer=GuidePage, shared="everyone", tag="guides",
    ),
    Route(
        "GET", "/api/v1/guides/{guide_id}", guide, "A guide", access="guest", rate="read",
        answer=Guide, shared="everyone", tag="guides",
    ),
    Route(
        "GET", "/api/v1/guides/{guide_id}/history", history, "What a guide said before",
        access="guest", rate="read", query=PageQuery, answer=GuideHistory, shared="everyone",
        tag="guides",
    ),
)  # fmt: skip
