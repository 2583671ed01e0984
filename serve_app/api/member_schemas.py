"""The shapes of answers about a member's own state, for the OpenAPI document; as in schemas.py."""

from __future__ import annotations

from uuid import UUID

import msgspec

from actors.content import Comment, Post
from actors.member_messages import DraftKind
from serve_app.api.fields import FollowLevel
from serve_app.api.schemas import Timestamp


class DraftHead(msgspec.Struct, frozen=True):
    """`revision` counts the changes: send the one that a change is made from."""

    id: UUID
    kind: DraftKind
    community_id: UUID | None
    post_id: UUID | None
    parent_id: UUID | None
    title: str
    language: str | None
    tags: list[str]
    revision: int
    created_at: Timestamp
    updated_at: Timestamp


class Draft(DraftHead, frozen=True):
    body_markdown: str


class DraftSummary(DraftHead, frozen=True):
    """`excerpt`: the first 200 characters of the text."""

    excerpt: str


class DraftPage(msgspec.Struct, frozen=True):
    """Those changed last come first."""

    items: list[DraftSummary]
    next_cursor: str | None


class SavedPost(msgspec.Struct, frozen=True, tag_field="kind", tag="post"):
    saved_at: Timestamp
    post: Post


class SavedComment(msgspec.Struct, frozen=True, tag_field="kind", tag="comment"):
    """`post_title`: of the thread."""

    saved_at: Timestamp
    post_title: str
    comment: Comment


class SavePage(msgspec.Struct, frozen=True):
    """Saved last comes first; what was deleted, or may not be read any more, is left out. A page
    may be short of that: the last one is that without a cursor."""

    items: list[SavedPost | SavedComment]
    next_cursor: str | None


class Follow(msgspec.Struct, frozen=True):
    level: FollowLevel


class ReadTo(msgspec.Struct, frozen=True):
    """`comment_id`: how far the thread was read, on whichever device; `unread`: comments of others
    after it, 100 at most."""

    comment_id: UUID
    unread: int


class MutedAccount(msgspec.Struct, frozen=True):
    id: UUID
    handle: str
    display_name: str
    muted_at: Timestamp


class MutedAccountPage(msgspec.Struct, frozen=True):
    """Muted last comes first."""

    items: list[MutedAccount]
    next_cursor: str | None


class MutedCommunity(msgspec.Struct, frozen=True):
    id: UUID
    slug: str
    name: str
    muted_at: Timestamp


class MutedCommunityPage(msgspec.Struct, frozen=True):
    """Muted last comes first."""

    items: list[MutedCommunity]
    next_cursor: str | None
