"""Threads that moderators move to another community or merge into another thread."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

import msgspec

from actors import content
from actors.content_events import comment_event, post_event, publish_edited
from actors.group_commit import Publisher
from actors.markdown import render
from actors.messages import MergePosts, MovePost, Reply
from actors.thread_edits import account_of
from config.errors import AppError
from storage import merges, moves
from storage.content_locks import no_post
from storage.content_log import Edited
from storage.directory import Directory
from storage.identity import country_of, is_v7
from storage.postgres import Pool
from storage.posts import PostRow

_encode: Final = msgspec.json.Encoder().encode
_PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")


class ThreadMover:
    """Every request may be sent again: what is where it was to go stays there, without an event."""

    def __init__(self, pool: Pool, directory: Directory, publisher: Publisher) -> None:
        self._pool = pool
        self._directory = directory
        self._publisher = publisher

    async def move(self, request: MovePost) -> Reply:
        if not is_v7(request.post_id):
            raise no_post()
        community = await self._directory.find(request.community)
        if community is None:
            reason = "there is no such community"
            errors = (("community_id", reason),)
            raise AppError("invalid", f"community_id: {reason}.", errors=errors)
        edited, position = await moves.move_post(
            self._pool,
            account_of(request.caller.account_id),
            request.post_id,
            community.id,
            _move_events(request.received_ns),
        )
        return self._reply(edited, position)

    async def merge(self, request: MergePosts) -> Reply:
        post_id, into = request.post_id, request.into
        if not is_v7(post_id):
            raise no_post()
        if not is_v7(into) or into == post_id or country_of(into) != country_of(post_id):
            raise merges.unfit_target()
        edited, position = await merges.merge_posts(
            self._pool,
            account_of(request.caller.account_id),
            post_id,
            into,
            merges.MergeEvents(
                _move_events(request.received_ns),
                partial(comment_event, "comment.created", received_ns=request.received_ns),
                text_as_comment,
            ),
        )
        return self._reply(edited, position)

    def _reply(self, edited: Edited, position: int) -> Reply:
        publish_edited(self._publisher, edited)
        return Reply(200, _encode(content.post_view(edited.row)), position)


def _move_events(received_ns: int) -> moves.MoveEvents:
    return moves.MoveEvents(
        partial(post_event, "post.created", received_ns=received_ns),
        partial(post_event, "post.updated", received_ns=received_ns),
        partial(post_event, "post.deleted", received_ns=received_ns),
        content.redacted,
    )


def text_as_comment(row: PostRow) -> tuple[str, str]:
    """What a post says, title first, as Markdown and HTML. The title is text, whatever it holds; a
    heading is a block of its own, so the body's HTML stays as it was rendered."""
    heading = "## " + _PUNCTUATION.sub(r"\\\1", " ".join(row.title.split()))
    return f"{heading}\n\n{row.body_markdown}", f"{render(heading)}{row.body_html}"
