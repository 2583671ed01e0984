"""Posts and comments as the public contract shows them, and their events. Pure.

Field order is part of the code: `comment_parts` cuts the encoded text at parent_id and depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from actors.messages import Caller, Reply
from actors.shard_messages import Ephemeral, StreamPosition
from config.reference import countries_by_numeric
from storage.anonymous import DELETED_AUTHOR, DELETED_HANDLE
from storage.comments import CommentRow
from storage.identity import time_ms_of
from storage.posts import PostRow
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.Encoder().encode


DeletedBy = Literal["author", "moderator"]


class Author(msgspec.Struct, frozen=True):
    id: UUID
    handle: str
    display_name: str


class PollOption(msgspec.Struct, frozen=True):
    text: str
    votes: int


class Poll(msgspec.Struct, frozen=True):
    """`voters` counts members: with `multiple` each may mark several options."""

    question: str
    multiple: bool
    options: Sequence[PollOption]
    voters: int
    closes_at: str | None


_poll: Final = msgspec.json.Decoder(Poll)


class Post(msgspec.Struct, frozen=True):
    """`deleted`: title and texts are empty, author is null; `deleted_by` says whose decision it
    was, `deleted_reason` is a moderator's. `moved_to`: what moderators moved or merged is to be
    found at this post. `poll` is there where the post has one."""

    id: UUID
    community_id: UUID
    country: str | None
    visa_type: str | None
    author: Author | None
    title: str
    body_markdown: str
    body_html: str
    language: str
    tags: Sequence[str]
    up: int
    down: int
    score: int
    comment_count: int
    created_at: str
    edited_at: str | None
    locked: bool
    pinned: bool
    accepted_comment_id: UUID | None
    deleted: bool
    deleted_by: DeletedBy | UnsetType | None = UNSET
    deleted_reason: str | UnsetType | None = UNSET
    moved_to: UUID | UnsetType = UNSET
    poll: Poll | UnsetType = UNSET


class Comment(msgspec.Struct, frozen=True):
    """`deleted`: texts are empty, author is null, `deleted_by` and `deleted_reason` as of posts.
    `more_children`: descendants after the page. `merged_from`: this comment is the text of that
    post, whose thread was merged into this one; its comments follow below."""

    id: UUID
    post_id: UUID
    parent_id: UUID | None
    depth: int
    author: Author | None
    body_markdown: str
    body_html: str
    language: str
    up: int
    down: int
    score: int
    created_at: str
    edited_at: str | None
    deleted: bool
    more_children: int
    deleted_by: DeletedBy | UnsetType | None = UNSET
    deleted_reason: str | UnsetType | None = UNSET
    merged_from: UUID | UnsetType = UNSET


class CommentPermalink(Comment, frozen=True, kw_only=True):
    """A comment by itself. `permalink`: its path on the site, `post_permalink` that of its thread.
    `ancestor_ids`: what it answers, from the top down; `context`: the nearest of those.
    `more_children`: how many stand below it, counted up to 2000."""

    permalink: str
    post_permalink: str
    ancestor_ids: Sequence[UUID]
    context: Sequence[Comment]


def rfc3339_ns(at_ns: int) -> str:
    return rfc3339(datetime.fromtimestamp(at_ns // 1_000_000 / 1000, UTC))


def alpha2(country_id: int) -> str | None:
    country = countries_by_numeric().get(country_id)
    return country.alpha2 if country else None


def author_of(caller: Caller) -> Author:
    assert caller.account_id is not None
    return Author(caller.account_id, caller.handle, caller.display_name)


def new_post(
    id: UUID,
    caller: Caller,
    community_id: UUID,
    country: str | None,
    visa_type: str | None,
    title: str,
    body_markdown: str,
    body_html: str,
    language: str,
    tags: Sequence[str],
) -> Post:
    return Post(
        id, community_id, country, visa_type, author_of(caller), title, body_markdown, body_html,
        language, tags, 0, 0, 0, 0, rfc3339_ns(time_ms_of(id) * 1_000_000), None, False, False,
        None, False,
    )  # fmt: skip


def post_view(row: PostRow) -> Post:
    gone = row.deleted
    return Post(
        row.id, row.community_id, alpha2(row.country_id), row.visa_type,
        None if gone else Author(row.author_id, row.handle, row.display_name),
        "" if gone else row.title, "" if gone else row.body_markdown, "" if gone else row.body_html,
        row.language, () if gone else row.tags, row.up, row.down, row.up - row.down,
        row.comment_count, rfc3339(row.created_at),
        rfc3339(row.edited_at) if row.edited_at else None, row.locked, row.pinned,
        row.accepted_comment_id, gone, row.deleted_by if gone else UNSET,
        row.deleted_reason if gone else UNSET, row.moved_to or UNSET,
        _poll.decode(row.poll) if row.poll and not gone else UNSET,
    )  # fmt: skip


def comment_view(row: CommentRow, more_children: int = 0) -> Comment:
    gone = row.deleted
    return Comment(
        row.id, row.post_id, row.parent_id, row.depth,
        None if gone else Author(row.author_id, row.handle, row.display_name),
        "" if gone else row.body_markdown, "" if gone else row.body_html, row.language, row.up,
        row.down, row.up - row.down, rfc3339(row.created_at),
        rfc3339(row.edited_at) if row.edited_at else None, gone, more_children,
        row.deleted_by if gone else UNSET, row.deleted_reason if gone else UNSET,
        row.merged_from or UNSET,
    )  # fmt: skip


def permalink_view(
    row: CommentRow, descendants: int, ancestors: Sequence[UUID], above: Sequence[CommentRow]
) -> CommentPermalink:
    view = comment_view(row, descendants)
    post = f"/posts/{row.post_id}"
    return CommentPermalink(
        **{name: getattr(view, name) for name in view.__struct_fields__},
        permalink=f"{post}/comments/{row.id}",
        post_permalink=post,
        ancestor_ids=ancestors,
        context=[comment_view(comment) for comment in above],
    )


def comment_parts(
    id: UUID, post_id: UUID, caller: Caller, body_markdown: str, body_html: str, language: str
) -> tuple[str, str]:
    """A new comment's JSON without the values of parent_id and depth, which the database decides:
    `head + <parent or null> + ',"depth":' + <depth> + tail` is the whole object."""
    view = Comment(
        id, post_id, None, 0, author_of(caller), body_markdown, body_html, language, 0, 0, 0,
        rfc3339_ns(time_ms_of(id) * 1_000_000), None, False, 0,
    )  # fmt: skip
    head, _, tail = _encode(view).decode().partition('null,"depth":0')
    return head, tail


def joined_comment(head: str, tail: str, parent_id: UUID | None, depth: int) -> bytes:
    parent = f'"{parent_id}"' if parent_id else "null"
    return f'{head}{parent},"depth":{depth}{tail}'.encode()


def event(kind: str, field: str, value: bytes | str, received_ns: int) -> str:
    """A durable event as it is stored: without committed_ns, which is known after the commit."""
    text = value.decode() if isinstance(value, bytes) else value
    return (
        f'{{"type":"{kind}","at":"{rfc3339_ns(received_ns)}","sent_ns":{received_ns},'
        f'"{field}":{text}}}'
    )


def comment_event_parts(head: str, tail: str, received_ns: int) -> tuple[str, str]:
    opening = event("comment.created", "comment", "\0", received_ns)
    before, _, after = opening.partition("\0")
    return before + head, tail + after


def ephemeral(kind: str, at_ns: int, fields: dict[str, object]) -> bytes:
    return _encode({"type": kind, "at": rfc3339_ns(at_ns), **fields})


def thread_activity(
    community_id: UUID, post_id: UUID, comment_count: int, last_comment_at: str | None, at_ns: int
) -> Ephemeral:
    """For open feeds; the next one about the same thread replaces it."""
    fields = {
        "post_id": post_id,
        "comment_count": comment_count,
        "last_comment_at": last_comment_at,
    }
    data = ephemeral("thread.activity", at_ns, fields)
    return Ephemeral(f"community:{community_id}", f"activity:{post_id}", data, counter=True)


def redacted(payload: str) -> str:
    """A stored event with the text and the author of its post or comment taken out."""
    tree = msgspec.json.decode(payload)
    for field in ("post", "comment"):
        if field in tree:
            content = tree[field]
            content.update(author=None, body_markdown="", body_html="", deleted=True)
            content.pop("deleted_reason", None)
            if field == "post":
                content.update(title="", tags=[])
                content.pop("poll", None)
    return _encode(tree).decode()


def anonymised(payload: str) -> str:
    """A stored event with the author of its post or comment taken out, where it shows one."""
    tree = msgspec.json.decode(payload)
    for field in ("post", "comment"):
        if field in tree and tree[field]["author"] is not None:
            tree[field]["author"] = Author(DELETED_AUTHOR, DELETED_HANDLE, DELETED_HANDLE)
    return _encode(tree).decode()


def live_page(
    body: bytes, channel: str, stream: StreamPosition, position: int, *, public: bool
) -> Reply:
    """The page with the position of its stream as last member."""
    shown = _encode({"channel": channel, "epoch": stream.epoch, "offset": stream.offset})
    body = body[:-1] + b',"stream":' + shown + b"}"
    return Reply(200, body, position, public, channel, stream.offset)
