"""The shapes of answers, for the OpenAPI document; actors encode them.

Posts and comments are described by the very structs that the actors encode.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from actors.content import Comment, Post
from actors.messages import Role

Timestamp = str


class Stream(msgspec.Struct, frozen=True):
    """Where the page stands in its live channel: subscribe from here and nothing is missed."""

    channel: str
    epoch: str
    offset: int


class PostAnswer(Post, frozen=True):
    """A post. `stream` is there when it is read by itself."""

    stream: Stream | msgspec.UnsetType = msgspec.UNSET


class PostPage(msgspec.Struct, frozen=True):
    """A feed. `stream` is there for the feed of one community."""

    items: list[Post]
    next_cursor: str | None
    stream: Stream | msgspec.UnsetType = msgspec.UNSET


class CommentPage(msgspec.Struct, frozen=True):
    """Depth-first; a parent comes before its replies."""

    items: list[Comment]
    next_cursor: str | None
    stream: Stream


class PostRevision(msgspec.Struct, frozen=True):
    revision: int
    title: str
    body_markdown: str
    body_html: str
    edited_at: Timestamp


class PostHistory(msgspec.Struct, frozen=True):
    items: list[PostRevision]
    next_cursor: str | None


class CommentRevision(msgspec.Struct, frozen=True):
    revision: int
    body_markdown: str
    body_html: str
    edited_at: Timestamp


class CommentHistory(msgspec.Struct, frozen=True):
    items: list[CommentRevision]
    next_cursor: str | None


class VoteCounts(msgspec.Struct, frozen=True):
    up: int
    down: int
    score: int
    mine: Literal[-1, 0, 1]


class Marks(msgspec.Struct, frozen=True):
    """What the caller did with these posts and comments; what was left untouched is left out."""

    votes: dict[str, Literal[-1, 1]]
    saved: list[UUID]
    read: dict[str, UUID]


class CountryAnswer(msgspec.Struct, frozen=True):
    code: str
    name: str


class CountryList(msgspec.Struct, frozen=True):
    items: list[CountryAnswer]
    next_cursor: str | None


class VisaTypeAnswer(msgspec.Struct, frozen=True):
    country: str
    code: str
    name: str
    category: str
    official_url: str


class VisaTypeList(msgspec.Struct, frozen=True):
    items: list[VisaTypeAnswer]
    next_cursor: str | None


class Community(msgspec.Struct, frozen=True):
    id: UUID
    slug: str
    name: str
    country: str | None
    visa_type: str | None
    kind: Literal["country", "visa", "group"]
    member_count: int
    rules: str


class CommunityPage(msgspec.Struct, frozen=True):
    items: list[Community]
    next_cursor: str | None


class Membership(msgspec.Struct, frozen=True):
    role: Role


class Account(msgspec.Struct, frozen=True):
    id: UUID
    handle: str
    display_name: str


class Me(Account, frozen=True):
    email: str | None
    languages: list[str]
    role: Role
    created_at: Timestamp


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """`expires_in`: seconds until the access token expires. `refresh_token`: only when asked for by
    `?transport=body` or when the old one came in the body; it is always in the cookie."""

    account: Account
    access_token: str
    expires_in: int
    refresh_token: str | None = None


class Notification(msgspec.Struct, frozen=True):
    id: UUID
    kind: str
    created_at: Timestamp
    read: bool


class NotificationPage(msgspec.Struct, frozen=True):
    items: list[Notification]
    next_cursor: str | None


class Health(msgspec.Struct, frozen=True):
    status: Literal["alive", "ready"]
