"""Changing and removing posts and comments: each request is a transaction of its own."""

from __future__ import annotations

import time
from typing import Final
from uuid import UUID

import msgspec

from actors import content
from actors.group_commit import Publisher
from actors.messages import DeleteComment, DeletePost, EditComment, EditPost, Reply
from actors.shard_messages import Publication
from actors.thread_rendering import language_of, language_of_post, render_text
from config.errors import AppError
from storage import edits
from storage.comments import CommentRow
from storage.content_locks import no_comment, no_post
from storage.identity import is_v7
from storage.postgres import Pool
from storage.posts import PostRow
from storage.stream_writer import rfc3339
from storage.streams import with_committed_ns

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
        )
        if not (changes.of_text or changes.of_state):
            raise AppError("invalid", "Nothing to change.", errors=(("", "no field is set"),))
        if not is_v7(request.post_id):
            raise no_post()
        edited, position = await edits.edit_post(
            self._pool,
            _account(request.caller.account_id),
            request.post_id,
            changes,
            lambda row: _post_event("post.updated", row, request.received_ns),
        )
        self._publish(edited)
        return Reply(200, _encode(content.post_view(edited.row)), position)

    async def delete_post(self, request: DeletePost) -> Reply:
        if not is_v7(request.post_id):
            raise no_post()
        edited, position = await edits.delete_post(
            self._pool,
            _account(request.caller.account_id),
            request.post_id,
            lambda row: _post_event("post.deleted", row, request.received_ns),
            content.redacted,
        )
        self._publish(edited)
        return Reply(204, b"", position)

    async def edit_comment(self, request: EditComment) -> Reply:
        if not is_v7(request.comment_id):
            raise no_comment()
        edited, position = await edits.edit_comment(
            self._pool,
            _account(request.caller.account_id),
            request.comment_id,
            request.body_markdown,
            await render_text(request.body_markdown),
            language_of(request.body_markdown),
            lambda row: _comment_event("comment.updated", row, request.received_ns),
        )
        self._publish(edited)
        return Reply(200, _encode(content.comment_view(edited.row)), position)

    async def delete_comment(self, request: DeleteComment) -> Reply:
        if not is_v7(request.comment_id):
            raise no_comment()
        edited, position = await edits.delete_comment(
            self._pool,
            _account(request.caller.account_id),
            request.comment_id,
            lambda row: _comment_event("comment.deleted", row, request.received_ns),
            content.redacted,
        )
        self._publish(edited)
        return Reply(204, b"", position)

    def _publish(self, edited: edits.Edited) -> None:
        """Overwritten events come first, with the offsets they had: shards replace them."""
        committed_ns = time.time_ns()
        self._publisher.publish(
            [
                Publication(
                    entry.channel,
                    entry.offset,
                    with_committed_ns(
                        entry.payload,
                        committed_ns if entry.written_us is None else entry.written_us * 1_000,
                    ),
                )
                for entry in edited.log
            ]
        )
        thread = edited.activity
        if thread is not None:
            last = None if thread.last_comment_at is None else rfc3339(thread.last_comment_at)
            event = content.thread_activity(
                thread.community_id, edited.row.post_id, thread.comment_count, last, committed_ns
            )
            self._publisher.publish_ephemeral([event])


def _post_event(kind: str, row: PostRow, received_ns: int) -> str:
    return content.event(kind, "post", _encode(content.post_view(row)), received_ns)


def _comment_event(kind: str, row: CommentRow, received_ns: int) -> str:
    return content.event(kind, "comment", _encode(content.comment_view(row)), received_ns)


def _account(account_id: UUID | None) -> UUID:
    if account_id is None:
        raise AppError("unauthenticated", "Log in first.")
    return account_id
