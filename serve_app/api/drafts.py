"""Drafts: what the caller has begun to write, kept for all their devices."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from actors.member_messages import (
    CreateDraft,
    DeleteDraft,
    DraftKind,
    ListDrafts,
    ReadDraft,
    ReplaceDraft,
)
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.fields import CommunityKey, Cursor, Language, Limit, PostText, Revision, Tags
from serve_app.api.member_schemas import Draft, DraftPage
from serve_app.api.route import Nothing, Route

# Nothing of a draft has to be finished.
DraftTitle = Annotated[str, Meta(max_length=300)]


class DraftBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`kind`: of a new `post`, of an `edit` of a post, or of a `comment`. `community_id` (id or
    slug) is for posts, `post_id` for edits and comments, `parent_id` for answers to a comment."""

    kind: DraftKind
    body_markdown: PostText
    community_id: CommunityKey | None = None
    post_id: UUID | None = None
    parent_id: UUID | None = None
    title: DraftTitle = ""
    language: Language | None = None
    tags: Tags = ()


class DraftChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Replaces the draft's text. `revision`: the one that was changed; when another device was
    faster the answer is 409 `conflict`, and nothing is changed."""

    revision: Revision
    body_markdown: PostText
    community_id: CommunityKey | None = None
    title: DraftTitle = ""
    language: Language | None = None
    tags: Tags = ()


class DraftsQuery(msgspec.Struct, frozen=True):
    """`post_id`: only drafts of this post's edits and of comments in its thread."""

    post_id: UUID | None = None
    limit: Limit = 30
    cursor: Cursor | None = None


async def create(call: Call[DraftBody, Nothing]) -> Reply:
    body = call.body
    return await call.backends.accounts_write(
        CreateDraft(
            call.caller,
            body.kind,
            body.community_id,
            body.post_id,
            body.parent_id,
            body.title,
            body.body_markdown,
            body.language,
            body.tags,
            call.key,
        )
    )


async def replace(call: Call[DraftChange, Nothing]) -> Reply:
    body = call.body
    return await call.backends.accounts_write(
        ReplaceDraft(
            call.caller,
            call.uuid("draft_id"),
            body.revision,
            body.community_id,
            body.title,
            body.body_markdown,
            body.language,
            body.tags,
        )
    )


async def read(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_read(ReadDraft(call.caller, call.uuid("draft_id")))


async def delete(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_write(DeleteDraft(call.caller, call.uuid("draft_id")))


async def drafts(call: Call[Nothing, DraftsQuery]) -> Reply:
    query = call.query
    return await call.backends.accounts_read(
        ListDrafts(call.caller, query.post_id, query.limit, query.cursor)
    )


_P: Final = "/api/v1/me/drafts"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", _P, drafts, "Drafts", access="member", rate="read", query=DraftsQuery,
        answer=DraftPage, tag="drafts",
    ),
    Route(
        "POST", _P, create, "Keep a draft", access="member", rate="write", body=DraftBody,
        answer=Draft, status=201, idempotent=True, refusals=("not_found", "suspended"),
        tag="drafts",
    ),
    Route(
        "GET", f"{_P}/{{draft_id}}", read, "One draft", access="member", rate="read",
        answer=Draft, tag="drafts",
    ),
    Route(
        "PUT", f"{_P}/{{draft_id}}", replace, "Change a draft", access="member", rate="write",
        body=DraftChange, answer=Draft, refusals=("conflict", "suspended"), tag="drafts",
    ),
    Route(
        "DELETE", f"{_P}/{{draft_id}}", delete, "Delete a draft", access="member", rate="write",
        status=204, tag="drafts",
    ),
)  # fmt: skip
