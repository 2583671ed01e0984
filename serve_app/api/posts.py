"""Posts: write, read, edit, delete, history."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.messages import (
    AcceptComment,
    CreatePost,
    DeletePost,
    EditPost,
    ReadPost,
    ReadPostHistory,
    Reply,
    RestorePost,
)
from actors.tags import stored_tags
from config.errors import AppError
from config.language_tags import canonical_language
from serve_app.api.call import Call
from serve_app.api.fields import (
    UUID,
    CommunityKey,
    Cursor,
    Language,
    Limit,
    PostText,
    Reason,
    Tags,
    Title,
)
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import PostAnswer, PostHistory


class PostBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`community_id`: id or slug. `language`: detected where none is given."""

    community_id: CommunityKey
    title: Title
    body_markdown: PostText
    language: Language | None = None
    tags: Tags = ()


class PostPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is absent or null stays as it is. `locked` and `pinned` are for moderators."""

    title: Title | None = None
    body_markdown: PostText | None = None
    language: Language | None = None
    tags: Tags | None = None
    locked: bool | None = None
    pinned: bool | None = None


class PostHistoryQuery(msgspec.Struct, frozen=True):
    """`diff=true`: each text with what it changed; at most 10 of them a page then."""

    limit: Limit = 30
    cursor: Cursor | None = None
    diff: bool = False


class PostRemoval(msgspec.Struct, frozen=True):
    """`reason` is for moderators; it is shown to all."""

    reason: Reason | None = None


class AcceptedBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    comment_id: UUID


async def create(call: Call[PostBody, Nothing]) -> Reply:
    body = call.body
    return await call.backends.thread_write(
        CreatePost(
            call.caller,
            body.community_id,
            _title(body.title),
            body.body_markdown,
            canonical_language(body.language) if body.language else None,
            _tags(body.tags),
            call.key,
            call.received_ns,
        )
    )


async def read(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.thread_read(ReadPost(call.caller, call.uuid("post_id")))


async def edit(call: Call[PostPatch, Nothing]) -> Reply:
    patch, post_id = call.body, call.uuid("post_id")
    if patch == PostPatch():
        raise AppError("invalid", "The body names nothing to change.")
    return await call.backends.thread_write(
        EditPost(
            call.caller,
            post_id,
            _title(patch.title) if patch.title is not None else None,
            patch.body_markdown,
            canonical_language(patch.language) if patch.language else None,
            _tags(patch.tags) if patch.tags is not None else None,
            patch.locked,
            patch.pinned,
            call.received_ns,
        )
    )


async def delete(call: Call[Nothing, PostRemoval]) -> Reply:
    post_id, reason = call.uuid("post_id"), call.query.reason
    return await call.backends.thread_write(
        DeletePost(call.caller, post_id, call.received_ns, reason)
    )


async def restore(call: Call[Nothing, Nothing]) -> Reply:
    request = RestorePost(call.caller, call.uuid("post_id"), call.received_ns)
    return await call.backends.thread_write(request)


async def accept(call: Call[AcceptedBody, Nothing]) -> Reply:
    post_id, comment_id = call.uuid("post_id"), call.body.comment_id
    request = AcceptComment(call.caller, post_id, comment_id, call.received_ns)
    return await call.backends.thread_write(request)


async def accept_none(call: Call[Nothing, Nothing]) -> Reply:
    request = AcceptComment(call.caller, call.uuid("post_id"), None, call.received_ns)
    return await call.backends.thread_write(request)


async def history(call: Call[Nothing, PostHistoryQuery]) -> Reply:
    query, post_id = call.query, call.uuid("post_id")
    request = ReadPostHistory(call.caller, post_id, query.limit, query.cursor, query.diff)
    return await call.backends.thread_read(request)


def _title(title: str) -> str:
    """One line without surrounding spaces; the limit counts what is left."""
    title = " ".join(title.split())
    if len(title) < 3:
        raise AppError("invalid", errors=(("title", "Expected 3 or more visible characters"),))
    return title


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return stored_tags(tags)
    except ValueError as error:
        raise AppError("invalid", errors=(("tags", str(error)),)) from None


_P: Final = "/api/v1/posts"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", _P, create, "Write a post", access="member", rate="write", body=PostBody,
        answer=PostAnswer, status=201, idempotent=True,
        refusals=("locked", "not_permitted", "suspended"), tag="posts",
    ),
    Route(
        "GET", f"{_P}/{{post_id}}", read, "One post", access="guest", rate="read",
        answer=PostAnswer, shared="everyone", tag="posts",
    ),
    Route(
        "PATCH", f"{_P}/{{post_id}}", edit, "Edit a post", access="member", rate="write",
        body=PostPatch, answer=PostAnswer,
        refusals=("conflict", "locked", "not_permitted", "suspended"),
        tag="posts",
    ),
    Route(
        "DELETE", f"{_P}/{{post_id}}", delete, "Delete a post", access="member", rate="write",
        query=PostRemoval, status=204, refusals=("not_permitted", "suspended"), tag="posts",
    ),
    Route(
        "POST", f"{_P}/{{post_id}}/restore", restore, "Bring a deleted post back", access="member",
        rate="write", answer=PostAnswer, refusals=("conflict", "not_permitted", "suspended"),
        tag="posts",
    ),
    Route(
        "PUT", f"{_P}/{{post_id}}/accepted", accept, "Accept a comment as the answer",
        access="member", rate="write", body=AcceptedBody, answer=PostAnswer,
        refusals=("locked", "not_permitted", "suspended"), tag="posts",
    ),
    Route(
        "DELETE", f"{_P}/{{post_id}}/accepted", accept_none, "Accept no answer any more",
        access="member", rate="write", answer=PostAnswer,
        refusals=("locked", "not_permitted", "suspended"), tag="posts",
    ),
    Route(
        "GET", f"{_P}/{{post_id}}/history", history, "Former texts of a post", access="guest",
        rate="read", query=PostHistoryQuery, answer=PostHistory, tag="posts",
    ),
)  # fmt: skip
