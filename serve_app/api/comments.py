"""Comments of a thread: list, write, edit, delete, history."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from actors.content import Comment
from actors.messages import (
    CreateComment,
    DeleteComment,
    EditComment,
    ReadComment,
    ReadCommentHistory,
    ReadComments,
    Reply,
    RestoreComment,
)
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.fields import (
    CommentLimit,
    CommentSort,
    CommentText,
    Context,
    Cursor,
    Limit,
    Reason,
)
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import CommentAnswer, CommentHistory, CommentPage


class CommentsQuery(msgspec.Struct, frozen=True):
    """`parent_id`: only what was written below that comment."""

    sort: CommentSort = "best"
    parent_id: UUID | None = None
    limit: CommentLimit = 200
    cursor: Cursor | None = None


class CommentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body_markdown: CommentText
    parent_id: UUID | None = None


class CommentPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body_markdown: CommentText


class CommentHistoryQuery(msgspec.Struct, frozen=True):
    """`diff=true`: each text with what it changed; at most 10 of them a page then."""

    limit: Limit = 30
    cursor: Cursor | None = None
    diff: bool = False


class PermalinkQuery(msgspec.Struct, frozen=True):
    """`context`: how many of the comments above it come along."""

    context: Context = 0


class CommentRemoval(msgspec.Struct, frozen=True):
    """`reason` is for moderators; it is shown to all."""

    reason: Reason | None = None


async def comments(call: Call[Nothing, CommentsQuery]) -> Reply:
    query, post_id = call.query, call.uuid("post_id")
    return await call.backends.thread_read(
        ReadComments(call.caller, post_id, query.sort, query.parent_id, query.limit, query.cursor)
    )


async def create(call: Call[CommentBody, Nothing]) -> Reply:
    body, post_id = call.body, call.uuid("post_id")
    return await call.backends.thread_write(
        CreateComment(
            call.caller,
            post_id,
            body.parent_id,
            _visible(body.body_markdown),
            call.key,
            call.received_ns,
        )
    )


async def read(call: Call[Nothing, PermalinkQuery]) -> Reply:
    request = ReadComment(call.caller, call.uuid("comment_id"), call.query.context)
    return await call.backends.thread_read(request)


async def edit(call: Call[CommentPatch, Nothing]) -> Reply:
    comment_id, text = call.uuid("comment_id"), _visible(call.body.body_markdown)
    request = EditComment(call.caller, comment_id, text, call.received_ns)
    return await call.backends.thread_write(request)


async def delete(call: Call[Nothing, CommentRemoval]) -> Reply:
    comment_id, reason = call.uuid("comment_id"), call.query.reason
    return await call.backends.thread_write(
        DeleteComment(call.caller, comment_id, call.received_ns, reason)
    )


async def restore(call: Call[Nothing, Nothing]) -> Reply:
    request = RestoreComment(call.caller, call.uuid("comment_id"), call.received_ns)
    return await call.backends.thread_write(request)


async def history(call: Call[Nothing, CommentHistoryQuery]) -> Reply:
    query, comment_id = call.query, call.uuid("comment_id")
    request = ReadCommentHistory(call.caller, comment_id, query.limit, query.cursor, query.diff)
    return await call.backends.thread_read(request)


def _visible(text: str) -> str:
    if not text.strip():
        raise AppError("invalid", errors=(("body_markdown", "Expected visible text"),))
    return text


_OF_POST: Final = "/api/v1/posts/{post_id}/comments"
_ONE: Final = "/api/v1/comments/{comment_id}"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", _OF_POST, comments, "Comments of a post, depth-first", access="guest", rate="read",
        query=CommentsQuery, answer=CommentPage, shared="everyone", tag="comments",
    ),
    Route(
        "POST", _OF_POST, create, "Write a comment", access="member", rate="comment",
        body=CommentBody, answer=Comment, status=201, idempotent=True,
        refusals=("locked", "not_permitted", "suspended"), tag="comments",
    ),
    Route(
        "GET", _ONE, read, "One comment, and what it answers", access="guest", rate="read",
        query=PermalinkQuery, answer=CommentAnswer, shared="everyone", tag="comments",
    ),
    Route(
        "PATCH", _ONE, edit, "Edit a comment", access="member", rate="write", body=CommentPatch,
        answer=Comment, refusals=("locked", "not_permitted", "suspended"), tag="comments",
    ),
    Route(
        "DELETE", _ONE, delete, "Delete a comment", access="member", rate="write",
        query=CommentRemoval, status=204, refusals=("not_permitted", "suspended"), tag="comments",
    ),
    Route(
        "POST", f"{_ONE}/restore", restore, "Bring a deleted comment back", access="member",
        rate="write", answer=Comment, refusals=("not_permitted", "suspended"), tag="comments",
    ),
    Route(
        "GET", f"{_ONE}/history", history, "Former texts of a comment", access="guest",
        rate="read", query=CommentHistoryQuery, answer=CommentHistory, tag="comments",
    ),
)  # fmt: skip
