"""What Meilisearch is sent, and how the answers of several indexes become one. Pure.

A generation is one index, or one for each group of countries: a search in one country then reads
that group's alone, and one in all of them asks all and merges by Meilisearch's ranking score, which
is the same measure in each. Names and groups must not change without SHAPE (engine.py).
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from storage.search.engine import FACETS, Facet, Hit, Kind, SearchDocument, SearchPage, SearchQuery

PREFIX: Final = "serai"
# As the partitions of migrations/0001: the large ones alone, the others in eight groups.
_ALONE: Final = (0, 840, 124, 826, 36, 276, 250, 528, 372)
_GROUPS: Final = 8
# What Meilisearch reads as an operator: phrases and words that must not be there.
_OPERATORS: Final = re.compile(r'"|(?<!\S)-+')

SETTINGS: Final[Mapping[str, Any]] = {
    "searchableAttributes": ["title", "tags", "text"],
    "filterableAttributes": [
        "id", "post_id", "community_id", "public", "kind", "country", "visa_type", "language",
        "root_language", "created_at",
    ],
    "sortableAttributes": ["created_at"],
    # Texts are shown from Postgres.
    "displayedAttributes": ["id", "kind", "created_at"],
    # Where an order is asked for, it comes before all else.
    "rankingRules": ["sort", "words", "typo", "proximity", "attribute", "exactness"],
    "typoTolerance": {"enabled": True, "minWordSizeForTypos": {"oneTypo": 5, "twoTypos": 9}},
    "faceting": {"maxValuesPerFacet": 300},
    "pagination": {"maxTotalHits": 10_000},
}  # fmt: skip


class Indexes:
    """The names of a generation's indexes."""

    def __init__(self, *, by_country: bool) -> None:
        self._suffixes: tuple[str, ...] = ("",)
        if by_country:
            alone = (f"-c{country}" for country in _ALONE)
            self._suffixes = (*alone, *(f"-g{group}" for group in range(_GROUPS)))

    def of(self, generation: int) -> list[str]:
        return [f"{PREFIX}-{generation}{suffix}" for suffix in self._suffixes]

    def holding(self, generation: int, country: int) -> str:
        suffix = ""
        if len(self._suffixes) > 1:
            suffix = f"-c{country}" if country in _ALONE else f"-g{country % _GROUPS}"
        return f"{PREFIX}-{generation}{suffix}"

    @staticmethod
    def generation_of(name: str) -> int | None:
        """None: no index of ours."""
        found = re.fullmatch(rf"{PREFIX}-(\d+)(?:-[cg]\d+)?", name)
        return int(found[1]) if found else None


def encoded(document: SearchDocument) -> dict[str, Any]:
    language = document.language.lower()
    return {
        "id": str(document.id),
        "kind": document.kind,
        "post_id": str(document.post_id),
        "community_id": str(document.community_id) if document.community_id else None,
        "public": document.public,
        "country": document.country,
        "visa_type": document.visa_type,
        "language": language,
        "root_language": language.partition("-")[0],
        "title": document.title,
        "tags": list(document.tags),
        "text": document.text,
        "created_at": document.created_at,
    }


def among(attribute: str, ids: Sequence[UUID]) -> str:
    return f"{attribute} IN [{', '.join(_quoted(str(id)) for id in ids)}]"


def search_body(query: SearchQuery) -> dict[str, Any]:
    """Of one index."""
    body: dict[str, Any] = {
        "q": _OPERATORS.sub(" ", query.text).strip(),
        "limit": query.limit,
        "filter": _filter(query),
        "attributesToRetrieve": ["id", "kind", "created_at"],
        "matchingStrategy": "all" if query.every_word else "frequency",
        "showRankingScore": True,
    }
    if query.titles_only:
        body["attributesToSearchOn"] = ["title"]
    if query.sort == "new":
        body["sort"] = ["created_at:desc"]
    if query.facets:
        body["facets"] = list(FACETS)
    return body


def _filter(query: SearchQuery) -> list[str]:
    conditions: list[str] = []
    if query.readable is not None:
        public = "public = true"
        mine = f" OR {among('community_id', query.readable)}" if query.readable else ""
        conditions.append(public + mine)
    if query.kinds:
        conditions.append(f"kind IN [{', '.join(map(_quoted, query.kinds))}]")
    if query.country is not None:
        conditions.append(f"country = {query.country}")
    if query.visa_type is not None:
        conditions.append(f"visa_type = {_quoted(query.visa_type)}")
    if query.language is not None:
        attribute = "language" if "-" in query.language else "root_language"
        conditions.append(f"{attribute} = {_quoted(query.language.lower())}")
    if query.since is not None:
        conditions.append(f"created_at >= {query.since}")
    if query.until is not None:
        conditions.append(f"created_at < {query.until}")
    return conditions


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _FoundHit(msgspec.Struct, frozen=True):
    id: UUID
    kind: Kind
    created_at: int
    score: float = msgspec.field(name="_rankingScore")


class _FoundIn(msgspec.Struct, frozen=True, rename="camel"):
    hits: list[_FoundHit]
    estimated_total_hits: int
    facet_distribution: dict[Facet, dict[str, int]] = {}


def merged(answers: Sequence[Mapping[str, Any]], query: SearchQuery) -> SearchPage:
    """The answers of all indexes, each in its own order, as one page."""
    found = [msgspec.convert(answer, _FoundIn) for answer in answers]
    by_time = query.sort == "new"
    lists = [
        [Hit(hit.id, hit.kind, float(hit.created_at) if by_time else hit.score) for hit in one.hits]
        for one in found
    ]
    best = heapq.merge(*lists, key=lambda hit: -hit.score)
    facets: dict[Facet, dict[str, int]] = {}
    for one in found:
        for name, counts in one.facet_distribution.items():
            total = facets.setdefault(name, {})
            for value, count in counts.items():
                total[value] = total.get(value, 0) + count
    hits = [hit for hit, _ in zip(best, range(query.limit), strict=False)]
    return SearchPage(hits, sum(one.estimated_total_hits for one in found), facets)
