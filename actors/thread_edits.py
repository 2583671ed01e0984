"""Changing, removing and restoring posts and comments: each request is a transaction of its own."""

from __future__ import annotations

from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from actors import content
from actors.content_events import comment_event, post_event, publish_edited
from actors.group_commit import Publisher
from actors.media.links import linked_files
from actors.messages import (
    AcceptComment,
    DeleteComment,
    DeletePost,
    EditComment,
    EditPost,
    Reply,
    RestoreComment,
    RestorePost,
)
from actors.thread_rendering import language_of, language_of_post, render_text
from config.errors import AppError
from storage import edits, removals
from storage.content_locks import no_comment, no_post
from storage.content_log import Edited
from storage.identity import is_v7
from storage.postgres import Pool

_encode: Final = msgspec.json.Encoder().encode


class ThreadEditor:
    """Every request may be sent again: what is as it was asked for stays so, without an event."""

    def __init__(self, pool: Pool, publisher: Publisher) -> None:
        self._pool = pool
        self._publisher = publisher

    async def edit_post(self, request: EditPost) -> Reply:
        markdown = request.body_markdown
        changes = edits.PostChanges(
            request.title,
            markdown,
            None if markdown is None else await render_text(markdown),
            request.language,
            request.tags,
            request.locked,
            request.pinned,
            language_of_post,
            linked_files(markdown or ""),
        )
        if not (changes.of_text or changes.of_state):
            raise AppError("invalid", "Nothing to change.", errors=(("", "no field is set"),))
        _check_post(request.post_id)
        edited, position = await edits.edit_post(
            self._pool,
            account_of(request.caller.account_id),
            request.post_id,
            changes,
            partial(post_event, "post.updated", received_ns=request.received_ns),
        )
        return self._post(edited, position)

    async def accept_comment(self, request: AcceptComment) -> Reply:
        _check_post(request.post_id)
        edited, position = await edits.accept_comment(
            self._pool,
            account_of(request.caller.account_id),
            request.post_id,
            request.comment_id,
            partial(post_event, "post.updated", received_ns=request.received_ns),
        )
        return self._post(edited, position)

    async def delete_post(self, request: DeletePost) -> Reply:
        _check_post(request.post_id)
        edited, position = await removals.delete_post(
            self._pool,
            account_of(request.caller.account_id),
            request.post_id,
            request.reason,
            partial(post_event, "post.deleted", received_ns=request.received_ns),
            content.redacted,
        )
        publish_edited(self._publisher, edited)
        return Reply(204, b"", position)

    async def restore_post(self, request: RestorePost) -> Reply:
        _check_post(request.post_id)
        edited, position = await removals.restore_post(
            self._pool,
            account_of(request.caller.account_id),
            request.post_id,
            partial(post_event, "post.updated", received_ns=request.received_ns),
        )
        return self._post(edited, position)

    async def edit_comment(self, request: EditComment) -> Reply:
        _check_comment(request.comment_id)
        edited, position = await edits.edit_comment(
            self._pool,
            account_of(request.caller.account_id),
            request.comment_id,
            request.body_markdown,
            await render_text(request.body_markdown),
            language_of(request.body_markdown),
            linked_files(request.body_markdown),
            partial(comment_event, "comment.updated", received_ns=request.received_ns),
        )
        return self._comment(edited, position)

    async def delete_comment(self, request: DeleteComment) -> Reply:
        _check_comment(request.comment_id)
        edited, position = await removals.delete_comment(
            self._pool,
            account_of(request.caller.account_id),
            request.comment_id,
            request.reason,
            partial(comment_event, "comment.deleted", received_ns=request.received_ns),
            partial(post_event, "post.updated", received_ns=request.received_ns),
            content.redacted,
        )
        publish_edited(self._publisher, edited)
        return Reply(204, b"", position)

    async def restore_comment(self, request: RestoreComment) -> Reply:
        _check_comment(request.comment_id)
        edited, position = await removals.restore_comment(
            self._pool,
            account_of(request.caller.account_id),
            request.comment_id,
            partial(comment_event, "comment.updated", received_ns=request.received_ns),
        )
        return self._comment(edited, position)

    def _post(self, edited: Edited, position: int) -> Reply:
        publish_edited(self._publisher, edited)
        return Reply(200, _encode(content.post_view(edited.row)), position)

    def _comment(self, edited: Edited, position: int) -> Reply:
        publish_edited(self._publisher, edited)
        return Reply(200, _encode(content.comment_view(edited.row)), position)


def _check_post(id: UUID) -> None:
    if not is_v7(id):
        raise no_post()


def _check_comment(id: UUID) -> None:
    if not is_v7(id):
        raise no_comment()


def account_of(account_id: UUID | None) -> UUID:
    if account_id is None:
        raise AppError("unauthenticated", "Log in first.")
    return account_id
