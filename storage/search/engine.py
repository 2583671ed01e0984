"""What a search engine is to Serai, and the structs that go in and out of it.

An engine holds copies of what Postgres knows and may be lost at any time. It knows no accounts:
who may find what is said with each query, and what is shown is checked in Postgres once more. A
generation is one complete index; while another is filled beside it both get every change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

Kind = Literal["post", "comment", "guide"]
Sort = Literal["relevance", "new"]
Facet = Literal["kind", "country", "visa_type", "language"]

FACETS: Final[tuple[Facet, ...]] = ("kind", "country", "visa_type", "language")
SHAPE: Final = 1
"""Of documents and settings. Another one than an index was made with: that index is made anew."""


class SearchDocument(msgspec.Struct, frozen=True, gc=False):
    """`post_id`: of the thread; of a guide its own id. `community_id` None: of no community.
    `country` is numeric, `created_at` Unix seconds. Texts are plain, without Markdown."""

    id: UUID
    kind: Kind
    post_id: UUID
    community_id: UUID | None
    public: bool
    country: int
    visa_type: str | None
    language: str
    title: str
    tags: tuple[str, ...]
    text: str
    created_at: int


class Changes(msgspec.Struct, frozen=True):
    """`threads`: all documents of these posts go, then those of `removed`, then `documents` come:
    one that is named in both is there afterwards."""

    documents: Sequence[SearchDocument] = ()
    removed: Sequence[UUID] = ()
    threads: Sequence[UUID] = ()


class SearchQuery(msgspec.Struct, frozen=True):
    """`readable`: communities whose content may be found besides what is public; None: everything.

    `every_word`: all words must be there, else one is enough. `titles_only`: in titles, and the
    last word may be the beginning of one wherever it stands. `since`, `until` (exclusive): Unix
    seconds. `language` "pt" stands for "pt-BR" too.
    """

    text: str
    limit: int
    readable: tuple[UUID, ...] | None = ()
    kinds: tuple[Kind, ...] = ()
    country: int | None = None
    visa_type: str | None = None
    language: str | None = None
    since: int | None = None
    until: int | None = None
    sort: Sort = "relevance"
    every_word: bool = True
    titles_only: bool = False
    facets: bool = False


class Hit(msgspec.Struct, frozen=True, gc=False):
    """`score` orders the hits of one page and means nothing beyond it."""

    id: UUID
    kind: Kind
    score: float


class SearchPage(msgspec.Struct, frozen=True):
    """`total` may be an estimate. `facets`: how many documents of each value were found."""

    hits: list[Hit]
    total: int
    facets: dict[Facet, dict[str, int]]


class UnknownGeneration(Exception):
    """The engine has no (whole) index of that generation."""


class SearchEngine(Protocol):
    """Every method raises AppError `unavailable` while the engine is away."""

    @property
    def name(self) -> str: ...

    async def has(self, generation: int) -> bool: ...

    async def create(self, generation: int) -> None:
        """Empty, with all settings; what was there under this number is gone."""

    async def keep_only(self, generations: Sequence[int]) -> None:
        """Deletes all others."""

    async def apply(self, generation: int, changes: Changes) -> None:
        """Durable and visible to later searches when it returns. Raises UnknownGeneration."""

    async def search(self, generation: int, query: SearchQuery) -> SearchPage:
        """The best `query.limit`, best first. Raises UnknownGeneration."""

    async def has_remains(self, generation: int) -> bool:
        """Whether its files still hold words of documents that were removed or replaced. Raises
        UnknownGeneration."""

    async def count(self, generation: int) -> int:
        """Documents. Raises UnknownGeneration."""

    async def close(self) -> None: ...
