"""Posts: write, read, edit, delete, history."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.messages import CreatePost, DeletePost, EditPost, ReadPost, ReadPostHistory, Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.fields import CommunityKey, Cursor, Language, Limit, PostText, Tags, Title
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
    limit: Limit = 30
    cursor: Cursor | None = None


async def create(call: Call[PostBody, Nothing]) -> Reply:
    body = call.body
    return await call.backends.thread_write(
        CreatePost(
            call.caller,
            body.community_id,
            _title(body.title),
            body.body_markdown,
            body.language,
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
            patch.language,
            _tags(patch.tags) if patch.tags is not None else None,
            patch.locked,
            patch.pinned,
            call.received_ns,
        )
    )


async def delete(call: Call[Nothing, Nothing]) -> Reply:
    request = DeletePost(call.caller, call.uuid("post_id"), call.received_ns)
    return await call.backends.thread_write(request)


async def history(call: Call[Nothing, PostHistoryQuery]) -> Reply:
    query, post_id = call.query, call.uuid("post_id")
    request = ReadPostHistory(call.caller, post_id, query.limit, query.cursor)
    return await call.backends.thread_read(request)


def _title(title: str) -> str:
    """One line without surrounding spaces; the limit counts what is left."""
    title = " ".join(title.split())
    if len(title) < 3:
        raise AppError("invalid", errors=(("title", "Expected 3 or more visible characters"),))
    return title


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Without surrounding spaces and repetitions, in the order given."""
    kept = tuple(dict.fromkeys(" ".join(tag.split()) for tag in tags))
    if "" in kept:
        raise AppError("invalid", errors=(("tags", "Expected no empty tag"),))
    return kept


_P: Final = "/api/v1/posts"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", _P, create, "Write a post", access="member", rate="write", body=PostBody,
        answer=PostAnswer, status=201, idempotent=True,
        refusals=("not_permitted", "suspended"), tag="posts",
    ),
    Route(
        "GET", f"{_P}/{{post_id}}", read, "One post", access="guest", rate="read",
        answer=PostAnswer, shared="everyone", tag="posts",
    ),
    Route(
        "PATCH", f"{_P}/{{post_id}}", edit, "Edit a post", access="member", rate="write",
        body=PostPatch, answer=PostAnswer, refusals=("not_permitted", "suspended"), tag="posts",
    ),
    Route(
        "DELETE", f"{_P}/{{post_id}}", delete, "Delete a post", access="member", rate="write",
        status=204, refusals=("not_permitted", "suspended"), tag="posts",
    ),
    Route(
        "GET", f"{_P}/{{post_id}}/history", history, "Former texts of a post", access="guest",
        rate="read", query=PostHistoryQuery, answer=PostHistory, tag="posts",
    ),
)  # fmt: skip
