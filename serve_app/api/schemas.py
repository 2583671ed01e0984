"""The shapes of answers, for the OpenAPI document; actors encode them.

Posts and comments are described by the very structs that the actors encode.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from actors.content import Author, Comment, CommentPermalink, Poll, Post
from actors.messages import Role
from actors.text_diff import DiffPart
from serve_app.api.fields import FollowLevel
from storage.communities import Joining

Timestamp = str


class Stream(msgspec.Struct, frozen=True):
    """Where the page stands in its live channel: subscribe from here and nothing is missed."""

    channel: str
    epoch: str
    offset: int


class PostAnswer(Post, frozen=True):
    """A post. `stream` is there when it is read by itself; so is `translatable`, where a model of
    this server translates."""

    stream: Stream | msgspec.UnsetType = msgspec.UNSET
    translatable: bool | msgspec.UnsetType = msgspec.UNSET


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


class CommentAnswer(CommentPermalink, frozen=True, kw_only=True):
    stream: Stream


class PostRevision(msgspec.Struct, frozen=True):
    """`replaced_at`: null for the text that is shown now. With `diff=true` the differences to the
    text before, null for the first one."""

    number: int
    title: str
    body_markdown: str
    replaced_at: Timestamp | None
    diff: list[DiffPart] | msgspec.UnsetType | None = msgspec.UNSET
    title_diff: list[DiffPart] | msgspec.UnsetType | None = msgspec.UNSET


class PostHistory(msgspec.Struct, frozen=True):
    """Newest first."""

    items: list[PostRevision]
    next_cursor: str | None


class CommentRevision(msgspec.Struct, frozen=True):
    """`replaced_at`: null for the text that is shown now. With `diff=true` the differences to the
    text before, null for the first one."""

    number: int
    body_markdown: str
    replaced_at: Timestamp | None
    diff: list[DiffPart] | msgspec.UnsetType | None = msgspec.UNSET


class CommentHistory(msgspec.Struct, frozen=True):
    """Newest first."""

    items: list[CommentRevision]
    next_cursor: str | None


class PollAnswer(Poll, frozen=True, kw_only=True):
    """`mine`: the caller's options by their places; empty for guests."""

    mine: list[int]


class PollVotes(msgspec.Struct, frozen=True):
    """`votes` by option, in the poll's order."""

    votes: list[int]
    voters: int
    mine: list[int]


class TagCount(msgspec.Struct, frozen=True):
    tag: str
    posts: int


class TagList(msgspec.Struct, frozen=True):
    """The most frequent tags of the newest 2,000 posts."""

    items: list[TagCount]
    next_cursor: None


class VoteCounts(msgspec.Struct, frozen=True):
    up: int
    down: int
    score: int
    mine: Literal[-1, 0, 1]


class Marks(msgspec.Struct, frozen=True):
    """What the caller did with these posts, comments and communities; what was left untouched is
    left out. `read`: the newest comment read, by post; `unread`: how many of others came after it,
    100 at most; `follows`: levels of posts and communities; `asked`: communities that the caller
    has asked to join and that have not answered."""

    votes: dict[str, Literal[-1, 1]]
    saved: list[UUID]
    read: dict[str, UUID]
    unread: dict[str, int]
    follows: dict[str, FollowLevel]
    asked: list[UUID]


class CountryAnswer(msgspec.Struct, frozen=True):
    """`community`: the slug of the country's own community."""

    code: str
    name: str
    flag: str
    community: str
    visa_type_count: int


class CountryList(msgspec.Struct, frozen=True):
    items: list[CountryAnswer]
    next_cursor: str | None


class VisaTypeAnswer(msgspec.Struct, frozen=True):
    """`community`: the slug of the community about this visa type."""

    country: str
    code: str
    name: str
    name_local: str | None
    category: str
    official_url: str
    community: str


class VisaTypeList(msgspec.Struct, frozen=True):
    items: list[VisaTypeAnswer]
    next_cursor: str | None


class Community(msgspec.Struct, frozen=True):
    """`joining`: who becomes a member; `archived`: nothing can be written in it."""

    id: UUID
    slug: str
    name: str
    country: str | None
    visa_type: str | None
    kind: Literal["country", "visa", "group"]
    member_count: int
    rules: str
    visibility: Literal["public", "private"]
    joining: Joining
    archived: bool
    created_at: Timestamp


class CommunityAnswer(Community, frozen=True):
    """`stream` is left out for whoever may ask to join a private community and not read it yet."""

    stream: Stream | msgspec.UnsetType = msgspec.UNSET


class CommunityPage(msgspec.Struct, frozen=True):
    items: list[Community]
    next_cursor: str | None


class Membership(msgspec.Struct, frozen=True):
    role: Role


class Account(msgspec.Struct, frozen=True):
    id: UUID
    handle: str
    display_name: str
    languages: list[str]
    created_at: Timestamp


class Me(Account, frozen=True):
    """`default_follow_level`: of threads that the account takes part in."""

    email: str | None
    role: Role
    default_follow_level: FollowLevel


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """`expires_in`: seconds until the access token expires. `refresh_token`: only when asked for by
    `?transport=body` or when the old one came in the body; it is always in the cookie."""

    account: Account
    access_token: str
    expires_in: int
    refresh_token: str | None = None


class Erasure(msgspec.Struct, frozen=True):
    """Only the ratio of `done` to `total` means something. A `failed` one waits for an operator."""

    job_id: UUID
    status: Literal["queued", "running", "done", "failed"]
    done: int
    total: int


class Export(Erasure, frozen=True):
    """The last three are there when it is done. The link works for whoever has it."""

    created_at: Timestamp
    size_bytes: int | None
    expires_at: Timestamp | None
    download_url: str | None


class NotifiedCommunity(msgspec.Struct, frozen=True):
    """`slug` and `name`: null where the caller may not read it (any more)."""

    id: UUID
    slug: str | None
    name: str | None


class Notification(msgspec.Struct, frozen=True):
    """`actor`: who caused it, where somebody did. About a post, or about a community. One of a
    thread or community that is followed with `all` stands for what is new there from its comment or
    post on until it is read: `count` says how much that is, 100 at most."""

    id: UUID
    kind: str
    count: int
    actor: Author | None
    post_id: UUID | None
    comment_id: UUID | None
    post_title: str | None
    community: NotifiedCommunity | None
    created_at: Timestamp
    read: bool


class NotificationPage(msgspec.Struct, frozen=True):
    """`unread` counts all of them, not only this page's."""

    items: list[Notification]
    next_cursor: str | None
    unread: int


class UnreadCount(msgspec.Struct, frozen=True):
    unread: int


class Health(msgspec.Struct, frozen=True):
    status: Literal["alive", "ready"]
