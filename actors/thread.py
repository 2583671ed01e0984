"""The Thread actor: posts, comments and votes. A plain class that serve_app deploys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from actors.messages import (
    CastVote,
    CreateComment,
    CreatePost,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    Failure,
    Outcome,
    ReadCommentHistory,
    ReadComments,
    ReadMarks,
    ReadPost,
    ReadPostHistory,
    Reply,
    ThreadRequest,
)
from actors.outcomes import settle
from actors.thread_reads import ThreadReader
from actors.thread_writes import Publisher, ThreadWriter
from storage.directory import Directory
from storage.postgres import Pool

T = TypeVar("T")


class Thread:
    """Holds nothing that is not in Postgres; any replica may answer any request."""

    def __init__(self, pool: Pool, directory: Directory, publisher: Publisher) -> None:
        self._reads = ThreadReader(pool)
        self._writes = ThreadWriter(pool, directory, publisher)

    async def handle_batch(self, requests: Sequence[ThreadRequest]) -> list[Outcome]:
        """One outcome a request, in order. New comments, new posts and votes are one transaction a
        kind; all else runs concurrently. The kinds of a batch have no order among themselves."""
        groups: dict[type, list[int]] = {CreateComment: [], CreatePost: [], CastVote: []}
        outcomes: list[Outcome] = [Failure("internal")] * len(requests)
        work: list[Awaitable[None]] = []
        for place, request in enumerate(requests):
            group = groups.get(type(request))
            if group is None:
                work.append(self._one(outcomes, place, request))
            else:
                group.append(place)
        for kind, places in groups.items():
            if places:
                work.append(self._group(outcomes, kind, places, requests))
        await asyncio.gather(*work)
        return outcomes

    async def _one(self, outcomes: list[Outcome], place: int, request: ThreadRequest) -> None:
        outcomes[place] = await settle(self._dispatch(request))

    async def _group(
        self,
        outcomes: list[Outcome],
        kind: type,
        places: Sequence[int],
        requests: Sequence[ThreadRequest],
    ) -> None:
        items = [requests[place] for place in places]
        create = {
            CreateComment: self._writes.create_comments,
            CreatePost: self._writes.create_posts,
            CastVote: self._writes.cast_votes,
        }[kind]
        results: list[Outcome] = []

        async def run() -> Reply:
            results.extend(await create(items))  # type: ignore[operator]
            return Reply()

        settled = await settle(run())
        if isinstance(settled, Failure):
            results = [settled] * len(items)
        for place, result in zip(places, results, strict=True):
            outcomes[place] = result

    async def _dispatch(self, request: ThreadRequest) -> Reply:
        match request:
            case ReadPost():
                return await self._reads.read_post(request)
            case ReadComments():
                return await self._reads.read_comments(request)
            case ReadMarks():
                return await self._reads.read_marks(request)
            case ReadPostHistory():
                return await self._reads.read_post_history(request)
            case ReadCommentHistory():
                return await self._reads.read_comment_history(request)
            case EditPost():
                return await self._writes.edit_post(request)
            case DeletePost():
                return await self._writes.delete_post(request)
            case EditComment():
                return await self._writes.edit_comment(request)
            case DeleteComment():
                return await self._writes.delete_comment(request)
            case _:
                raise TypeError(f"not a single request: {type(request).__name__}")
