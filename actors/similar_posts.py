"""Posts that may ask the same as the title being typed, for who writes it.

What comes near by meaning or by words is only a candidate; the titles themselves decide
(similarity.py). Titles are short and their vectors are kept, so that each further letter costs one.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from actors import content
from actors.messages import Reply
from actors.overlap import overlap
from actors.retrieval import Retriever
from actors.search_messages import FindSimilar
from actors.similarity import SHOWN_FROM, similarity
from config.errors import AppError
from storage.chunk_search import ChunkFilter
from storage.communities import find, not_found
from storage.identity import country_of
from storage.postgres import Pool, acquire
from storage.posts import read_posts

_encode: Final = msgspec.json.Encoder().encode

CANDIDATES: Final = 10


class Similar(NamedTuple):
    post_id: UUID
    similarity: float


class SimilarPost(msgspec.Struct, frozen=True):
    """`similarity` from 0.5, may be the same question, to 1, the same title."""

    post: content.Post
    similarity: float


class SimilarPosts(msgspec.Struct, frozen=True):
    items: list[SimilarPost]


async def find_similar(pool: Pool, retriever: Retriever, request: FindSimilar) -> Reply:
    """Most similar first. Raises AppError: `not_found` for no such community, or none that the
    caller may know of; `unavailable`."""
    account_id = request.caller.account_id
    async with acquire(pool) as connection:
        community = await find(connection, request.community, account_id)
    if community is None or not community.visible(request.caller.role):
        raise not_found()
    country = country_of(community.community_id)
    found = await similar_posts(retriever, request.title, country, account_id, request.limit)
    posts = {}
    if found:
        async with acquire(pool) as connection:
            posts = await read_posts(connection, [each.post_id for each in found])
    items = [
        SimilarPost(content.post_view(posts[each.post_id][0]), each.similarity)
        for each in found
        if each.post_id in posts and not posts[each.post_id][0].deleted
    ]
    return Reply(body=_encode(SimilarPosts(items)))


async def similar_posts(
    retriever: Retriever, title: str, country_id: int, account_id: UUID | None, limit: int
) -> list[Similar]:
    """Most similar first, of what the account may read. While the model is away words alone decide.
    Raises AppError `unavailable`."""
    ranked = await retriever.rank(title, ChunkFilter(account_id, country_id, kinds=("post",)))
    candidates = list({each.chunk.id: each.chunk.title for each in ranked}.items())[:CANDIDATES]
    shared = [overlap(title, text) for _, text in candidates]
    try:
        vectors = await retriever.title_vectors([title, *(text for _, text in candidates)])
    except AppError as error:
        if error.code != "unavailable":
            raise
        scores = shared
    else:
        scores = [
            similarity(float(vectors[0] @ vector), words, retriever.same_title_from)
            for vector, words in zip(vectors[1:], shared, strict=True)
        ]
    found = [
        Similar(id, round(score, 3))
        for (id, _), score in zip(candidates, scores, strict=True)
        if score >= SHOWN_FROM
    ]
    return sorted(found, key=lambda each: (-each.similarity, each.post_id))[:limit]
