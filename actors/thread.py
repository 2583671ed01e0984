"""The Thread actor: posts, comments and votes. A plain class that serve_app deploys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, TypeVar, get_args

from actors.group_commit import Publisher
from actors.messages import (
    AcceptComment,
    AskTranslation,
    CastVote,
    CreateComment,
    CreatePost,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    Failure,
    MergePosts,
    MovePost,
    Outcome,
    Read,
    ReadComment,
    ReadCommentHistory,
    ReadComments,
    ReadMarks,
    ReadPoll,
    ReadPost,
    ReadPostHistory,
    ReadSummary,
    ReadTranslation,
    RenderMarkdown,
    Reply,
    RestoreComment,
    RestorePost,
    SetPoll,
    ThreadRequest,
    ThreadWrite,
    VoteInPoll,
)
from actors.outcomes import answer, settle, settle_all
from actors.polls import Polls
from actors.summary_reads import SummaryReader
from actors.thread_edits import ThreadEditor
from actors.thread_moves import ThreadMover
from actors.thread_reads import ThreadReader
from actors.thread_rendering import preview
from actors.thread_writes import ThreadWriter
from actors.translations import Translations
from actors.vote_writes import cast_votes
from storage import comments as comment_table
from storage import posts as post_table
from storage.directory import Directory
from storage.postgres import Pool, acquire
from storage.replicas import Readers

T = TypeVar("T")

_WRITES: Final = get_args(ThreadWrite)


class Thread:
    """Holds nothing that is not in Postgres; any replica may answer any request."""

    def __init__(
        self,
        pool: Pool,
        directory: Directory,
        publisher: Publisher,
        *,
        readers: Readers | None = None,
        can_translate: bool = False,
    ) -> None:
        """Reads use `readers`, where there are none they share the pool of the writes.
        `can_translate`: the jobs' model does."""
        self._pool = pool
        self._publisher = publisher
        readers = readers or Readers(pool)
        self._reads = ThreadReader(readers, can_translate=can_translate)
        self._writes = ThreadWriter(pool, directory, publisher)
        self._edits = ThreadEditor(pool, publisher)
        self._moves = ThreadMover(pool, directory, publisher)
        self._polls = Polls(pool, readers, publisher)
        self._summaries = SummaryReader(readers)
        self._translations = Translations(pool, readers, can_translate=can_translate)

    async def warm_up(self, connections: int) -> None:
        """Opens the pool's connections and has each plan the write functions, which takes tens of
        milliseconds over all partitions: the first members shall not wait for it."""
        async with AsyncExitStack() as stack:
            for _ in range(connections):
                connection = await stack.enter_async_context(acquire(self._pool))
                await comment_table.write_comments(connection, [])
                await post_table.write_posts(connection, [])
                await comment_table.cast_votes(connection, [])

    async def handle_batch(self, requests: Sequence[ThreadRequest]) -> list[Outcome]:
        """One outcome a request, in order. New comments, new posts and votes are one transaction a
        kind; all else runs concurrently. The kinds of a batch have no order among themselves."""
        outcomes: dict[int, Outcome] = {
            place: Failure("unauthenticated", "Log in first.")
            for place, request in enumerate(requests)
            if isinstance(request, _WRITES) and request.caller.account_id is None
        }
        asked = [(place, r) for place, r in enumerate(requests) if place not in outcomes]
        comments = [(place, r) for place, r in asked if isinstance(r, CreateComment)]
        posts = [(place, r) for place, r in asked if isinstance(r, CreatePost)]
        votes = [(place, r) for place, r in asked if isinstance(r, CastVote)]
        await asyncio.gather(
            _together(outcomes, comments, self._writes.create_comments),
            _together(outcomes, posts, self._writes.create_posts),
            _together(outcomes, votes, partial(cast_votes, self._pool, self._publisher)),
            *(
                self._alone(outcomes, place, request)
                for place, request in asked
                if not isinstance(request, CreateComment | CreatePost | CastVote)
            ),
        )
        return [outcomes[place] for place in range(len(requests))]

    async def _alone(
        self, outcomes: dict[int, Outcome], place: int, request: ThreadRequest
    ) -> None:
        if isinstance(request, Read):
            outcomes[place] = await settle(answer(request, self._dispatch))
        else:
            outcomes[place] = await settle(self._dispatch(request))

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
            case ReadComment():
                return await self._reads.read_comment(request)
            case ReadSummary():
                return await self._summaries.read(request)
            case ReadTranslation():
                return await self._translations.read(request)
            case AskTranslation():
                return await self._translations.ask(request)
            case RenderMarkdown():
                return await preview(request)
            case ReadPoll():
                return await self._polls.read(request)
            case EditPost():
                return await self._edits.edit_post(request)
            case AcceptComment():
                return await self._edits.accept_comment(request)
            case DeletePost():
                return await self._edits.delete_post(request)
            case RestorePost():
                return await self._edits.restore_post(request)
            case MovePost():
                return await self._moves.move(request)
            case MergePosts():
                return await self._moves.merge(request)
            case SetPoll():
                return await self._polls.set(request)
            case VoteInPoll():
                return await self._polls.vote(request)
            case EditComment():
                return await self._edits.edit_comment(request)
            case DeleteComment():
                return await self._edits.delete_comment(request)
            case RestoreComment():
                return await self._edits.restore_comment(request)
            case _:
                raise TypeError(f"not a single request: {type(request).__name__}")


async def _together(
    outcomes: dict[int, Outcome],
    items: Sequence[tuple[int, T]],
    write: Callable[[Sequence[T]], Awaitable[list[Outcome]]],
) -> None:
    if items:
        results = await settle_all(write([request for _, request in items]), len(items))
        outcomes.update(zip((place for place, _ in items), results, strict=True))
