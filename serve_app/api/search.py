"""Search, and what it suggests while one types."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from actors.messages import Reply
from actors.search_messages import (
    FindSimilar,
    SearchContent,
    SearchKind,
    SearchSort,
    SuggestTitles,
)
from actors.search_views import SearchResults, Suggestions
from actors.similar_posts import SimilarPosts
from serve_app.api.call import Call
from serve_app.api.fields import (
    CommunityKey,
    Country,
    Cursor,
    Language,
    Limit,
    SearchText,
    VisaType,
)
from serve_app.api.route import Nothing, Route

Beginning = Annotated[str, Meta(min_length=1, max_length=300)]
SuggestLimit = Annotated[int, Meta(ge=1, le=20)]
KindOrAll = Literal["post", "comment", "guide", "all"]


class SearchParameters(msgspec.Struct, frozen=True):
    """`since` and `until` are days, both inclusive, in UTC. An empty `q` finds everything that the
    filters leave. `meaning=true` also finds what says it in other words or another language;
    `total` and `facets` count what has some of the words then."""

    q: SearchText = ""
    country: Country | None = None
    visa_type: VisaType | None = None
    language: Language | None = None
    kind: KindOrAll = "all"
    since: date | None = None
    until: date | None = None
    sort: SearchSort = "relevance"
    meaning: bool = False
    limit: Limit = 20
    cursor: Cursor | None = None


class SimilarParameters(msgspec.Struct, frozen=True):
    """`community_id`: id or slug of where the post is to stand; its country is looked through."""

    title: Beginning
    community_id: CommunityKey
    limit: SuggestLimit = 5


class SuggestParameters(msgspec.Struct, frozen=True):
    q: Beginning
    country: Country | None = None
    visa_type: VisaType | None = None
    limit: SuggestLimit = 8


async def search(call: Call[Nothing, SearchParameters]) -> Reply:
    query = call.query
    kinds: tuple[SearchKind, ...] = () if query.kind == "all" else (query.kind,)
    return await call.backends.search(
        SearchContent(
            call.caller,
            query.q,
            query.limit,
            query.cursor,
            query.country,
            query.visa_type,
            query.language,
            kinds,
            query.since,
            query.until,
            query.sort,
            query.meaning,
        )
    )


async def suggest(call: Call[Nothing, SuggestParameters]) -> Reply:
    query = call.query
    return await call.backends.search(
        SuggestTitles(call.caller, query.q, query.limit, query.country, query.visa_type)
    )


async def similar(call: Call[Nothing, SimilarParameters]) -> Reply:
    query = call.query
    return await call.backends.search(
        FindSimilar(call.caller, query.title, query.community_id, query.limit)
    )


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/search", search, "Search posts, comments and guides", access="guest",
        rate="search", query=SearchParameters, answer=SearchResults, tag="search",
    ),
    Route(
        "GET", "/api/v1/search/suggest", suggest, "Titles with words that begin so",
        access="guest", rate="search", query=SuggestParameters, answer=Suggestions, tag="search",
    ),
    Route(
        "GET", "/api/v1/posts/similar", similar, "Posts that may ask the same as a title",
        access="guest", rate="search", query=SimilarParameters, answer=SimilarPosts,
        refusals=("not_found",), tag="search",
    ),
)  # fmt: skip
