"""What was found, as the public contract shows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID

import msgspec

from actors.content import Author, alpha2
from actors.search_messages import SearchKind
from actors.staleness import is_stale
from config.settings import Guides
from storage.identity import country_of
from storage.search.engine import Facet, SearchPage
from storage.search.found import Found
from storage.search.highlighting import Highlighter
from storage.search.plain_text import plain_text
from storage.stream_writer import rfc3339


class FacetValue(msgspec.Struct, frozen=True):
    value: str
    count: int


class SearchItem(msgspec.Struct, frozen=True):
    """`title`: of a comment that of its thread. `title_html` and `snippet_html` are escaped text
    with `<mark>` around what was asked for. `url`: a path of this site. A guide has no author,
    community and thread, but the name of an authority, its page and the day that its facts are of;
    `stale`: that day is too long ago."""

    kind: SearchKind
    id: UUID
    post_id: UUID | None
    title: str
    title_html: str
    snippet_html: str
    url: str
    community_id: UUID | None
    community: str | None
    country: str | None
    visa_type: str | None
    language: str
    author: Author | None
    score: int
    comment_count: int
    created_at: str
    authority: str | None
    source_url: str | None
    as_of: date | None
    stale: bool


class SearchFacets(msgspec.Struct, frozen=True):
    """Most frequent values first; countries are alpha-2."""

    kind: Sequence[FacetValue] = ()
    country: Sequence[FacetValue] = ()
    visa_type: Sequence[FacetValue] = ()
    language: Sequence[FacetValue] = ()


class SearchResults(msgspec.Struct, frozen=True):
    """`total` and `facets` count what the index holds of what the caller may find; they may be
    estimates."""

    items: list[SearchItem]
    next_cursor: str | None
    total: int
    facets: SearchFacets
    took_ms: float


class Suggestion(msgspec.Struct, frozen=True):
    kind: SearchKind
    id: UUID
    title: str
    title_html: str
    url: str
    country: str | None
    visa_type: str | None


class Suggestions(msgspec.Struct, frozen=True):
    items: list[Suggestion]
    took_ms: float


def item_of(found: Found, marker: Highlighter, rule: Guides) -> SearchItem:
    author, stale = None, False
    if found.author_id is not None:
        author = Author(found.author_id, found.handle, found.display_name)
    if found.as_of is not None and found.last_checked is not None:
        today = datetime.now(UTC).date()
        stale = is_stale(found.as_of, found.last_checked, today, rule)
    return SearchItem(
        kind=found.kind,
        id=found.id,
        post_id=found.post_id,
        title=found.title,
        title_html=marker.whole(found.title),
        snippet_html=marker.snippet(plain_text(found.body_html)),
        url=_url(found),
        community_id=found.community_id,
        community=found.community_slug,
        country=alpha2(country_of(found.id)),
        visa_type=found.visa_type,
        language=found.language,
        author=author,
        score=found.score,
        comment_count=found.comment_count,
        created_at=rfc3339(found.created_at),
        authority=found.authority,
        source_url=found.source_url,
        as_of=found.as_of,
        stale=stale,
    )


def suggestion_of(found: Found, marker: Highlighter) -> Suggestion:
    return Suggestion(
        found.kind,
        found.id,
        found.title,
        marker.whole(found.title),
        _url(found),
        alpha2(country_of(found.id)),
        found.visa_type,
    )


def _url(found: Found) -> str:
    if found.kind == "guide":
        return f"/guides/{found.id}"
    path = f"/posts/{found.post_id}"
    return path if found.kind == "post" else f"{path}/comments/{found.id}"


def facets_of(page: SearchPage) -> SearchFacets:
    return SearchFacets(**{name: _values(name, counts) for name, counts in page.facets.items()})


def _values(name: Facet, counts: dict[str, int]) -> list[FacetValue]:
    values = [FacetValue(_shown_value(name, value), count) for value, count in counts.items()]
    return sorted(
        (each for each in values if each.value), key=lambda each: (-each.count, each.value)
    )


def _shown_value(name: Facet, value: str) -> str:
    return (alpha2(int(value)) or "") if name == "country" else value
