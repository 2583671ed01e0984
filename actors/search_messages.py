"""What the Search deployment is asked."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from actors.messages import Caller, Message
from actors.retrieval_messages import RetrievalQuery

SearchKind = Literal["post", "comment", "guide"]
SearchSort = Literal["relevance", "new"]


class SearchContent(Message, frozen=True):
    """`country` is alpha-2. `since`, `until`: days in UTC, both inclusive. `kinds` empty: all.
    `meaning`: also what says it in other words, or in another language."""

    caller: Caller
    q: str
    limit: int
    cursor: str | None = None
    country: str | None = None
    visa_type: str | None = None
    language: str | None = None
    kinds: tuple[SearchKind, ...] = ()
    since: date | None = None
    until: date | None = None
    sort: SearchSort = "relevance"
    meaning: bool = False


class SuggestTitles(Message, frozen=True):
    """Titles of posts and guides with words that begin so."""

    caller: Caller
    q: str
    limit: int
    country: str | None = None
    visa_type: str | None = None


class FindSimilar(Message, frozen=True):
    """Posts whose titles ask the same as `title`, in the country of `community` (id or slug)."""

    caller: Caller
    title: str
    community: str
    limit: int


class IndexContent(Message, frozen=True):
    """These may have changed: what stands is indexed as it is now, the rest taken out, of `threads`
    all that is left of them first. Answers when searches show it."""

    posts: tuple[UUID, ...] = ()
    comments: tuple[UUID, ...] = ()
    guides: tuple[UUID, ...] = ()
    threads: tuple[UUID, ...] = ()


class FillIndex(Message, frozen=True):
    """The next part of the index that is being filled. Answers `Filled`."""


class Filled(msgspec.Struct, frozen=True):
    """`documents`: how many it holds so far."""

    done: bool
    documents: int


SearchRequest = (
    SearchContent | SuggestTitles | FindSimilar | RetrievalQuery | IndexContent | FillIndex
)


def takes_a_model(request: SearchRequest) -> bool:
    """Its answer waits for a model, some hundred times as long as others."""
    match request:
        case FindSimilar() | RetrievalQuery():
            return True
        case SearchContent():
            return request.meaning
        case _:
            return False
