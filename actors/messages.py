"""Every message that crosses a process: frozen structs, encoded once a batch with msgspec msgpack.

A deployment takes a batch (list of requests of its union) and answers a list of outcomes of the
same length and order. `Reply.body` is encoded JSON (or empty for 204): gateways never re-encode it.
Ids are UUIDv7 (storage/identity.py). `received_ns` is realtime nanoseconds at the gateway.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from config.errors import AppError

Role = Literal["member", "moderator", "admin"]
CommentSort = Literal["best", "new", "old"]
TargetKind = Literal["post", "comment"]


class Message(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=True):
    """Base of all requests: positional on the wire, told apart by the class name."""


class Read(Message, frozen=True, kw_only=True):
    """Base of what Thread and Feed may answer from a replica.

    `position` is the WAL position of the session's last write, 0 where none is known: the answer
    shows all that was committed up to it. The gateway sets it for every read alike (`api/call.py`).
    """

    position: int = 0


FROM_PRIMARY: Final = 2**63 - 1
"""A position that no replica will ever have replayed."""


# ---------------------------------------------------------------- who asks, what comes back


class Caller(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Who a request runs as: the claims of a verified access token, or a guest (all empty)."""

    account_id: UUID | None = None
    handle: str = ""
    display_name: str = ""
    role: Role = "member"
    session_id: UUID | None = None


GUEST = Caller()


class Reply(Message, frozen=True):
    """A success.

    `position` is a WAL position (bytes since the beginning of the log): what a write reached, or
    what a read is sure to contain. `public` says that every caller would get the same bytes.
    `channel` names the stream whose next event makes the page stale, `offset` its last event that
    the page shows.
    """

    status: int = 200
    body: bytes = b""
    position: int = 0
    public: bool = False
    channel: str = ""
    offset: int = 0


class Failure(Message, frozen=True):
    """An AppError on the wire."""

    code: str
    detail: str = ""
    errors: tuple[tuple[str, str], ...] = ()
    retry_after_seconds: float | None = None

    @classmethod
    def of(cls, error: AppError) -> Failure:
        return cls(error.code, error.detail, error.errors, error.retry_after_seconds)

    def error(self) -> AppError:
        return AppError(
            self.code, self.detail, errors=self.errors, retry_after_seconds=self.retry_after_seconds
        )


Outcome = Reply | Failure


# ---------------------------------------------------------------- Thread: posts, comments, votes


class CreatePost(Message, frozen=True):
    caller: Caller
    community: str  # id or slug
    title: str
    body_markdown: str
    language: str | None
    tags: tuple[str, ...]
    key: str | None
    received_ns: int


class EditPost(Message, frozen=True):
    """None leaves a field as it is. `locked` and `pinned` are for moderators."""

    caller: Caller
    post_id: UUID
    title: str | None
    body_markdown: str | None
    language: str | None
    tags: tuple[str, ...] | None
    locked: bool | None
    pinned: bool | None
    received_ns: int


class DeletePost(Message, frozen=True):
    """`reason` counts where a moderator removes what another wrote."""

    caller: Caller
    post_id: UUID
    received_ns: int
    reason: str | None = None


class RestorePost(Message, frozen=True):
    caller: Caller
    post_id: UUID
    received_ns: int


class AcceptComment(Message, frozen=True):
    """None: the post has no accepted answer any more."""

    caller: Caller
    post_id: UUID
    comment_id: UUID | None
    received_ns: int


class MovePost(Message, frozen=True):
    caller: Caller
    post_id: UUID
    community: str  # id or slug
    received_ns: int


class MergePosts(Message, frozen=True):
    caller: Caller
    post_id: UUID
    into: UUID
    received_ns: int


class ReadPost(Read, frozen=True):
    caller: Caller
    post_id: UUID


class RenderMarkdown(Read, frozen=True):
    """Of a text that nobody has sent yet."""

    body_markdown: str


class ReadPostHistory(Read, frozen=True):
    caller: Caller
    post_id: UUID
    limit: int = 30
    cursor: str | None = None
    diff: bool = False


class CreateComment(Message, frozen=True):
    caller: Caller
    post_id: UUID
    parent_id: UUID | None
    body_markdown: str
    key: str | None
    received_ns: int


class EditComment(Message, frozen=True):
    caller: Caller
    comment_id: UUID
    body_markdown: str
    received_ns: int


class DeleteComment(Message, frozen=True):
    """`reason` counts where a moderator removes what another wrote."""

    caller: Caller
    comment_id: UUID
    received_ns: int
    reason: str | None = None


class RestoreComment(Message, frozen=True):
    caller: Caller
    comment_id: UUID
    received_ns: int


class ReadCommentHistory(Read, frozen=True):
    caller: Caller
    comment_id: UUID
    limit: int = 30
    cursor: str | None = None
    diff: bool = False


class ReadComment(Read, frozen=True):
    """`context`: how many of the comments above it come along."""

    caller: Caller
    comment_id: UUID
    context: int


class ReadComments(Read, frozen=True):
    caller: Caller
    post_id: UUID
    sort: CommentSort
    parent_id: UUID | None
    limit: int
    cursor: str | None


class CastVote(Message, frozen=True):
    """`value` 0 removes the vote; repeating a value changes nothing."""

    caller: Caller
    kind: TargetKind
    target_id: UUID
    value: Literal[-1, 0, 1]


class ReadMarks(Read, frozen=True):
    caller: Caller
    ids: tuple[UUID, ...]


class SetPoll(Message, frozen=True):
    """`closes_at` None: never. Where the question is empty, the post's title asks it."""

    caller: Caller
    post_id: UUID
    question: str
    options: tuple[str, ...]
    multiple: bool
    closes_at: datetime | None
    received_ns: int


class VoteInPoll(Message, frozen=True):
    """`options` by place, from 0; none takes the vote back."""

    caller: Caller
    post_id: UUID
    options: tuple[int, ...]


class ReadPoll(Read, frozen=True):
    caller: Caller
    post_id: UUID


class ReadSummary(Read, frozen=True):
    caller: Caller
    post_id: UUID


class ReadTranslation(Read, frozen=True):
    """`language` (BCP 47): that of the translation."""

    caller: Caller
    kind: TargetKind
    target_id: UUID
    language: str


class AskTranslation(Message, frozen=True):
    caller: Caller
    kind: TargetKind
    target_id: UUID
    language: str


ThreadWrite = (
    CreatePost
    | EditPost
    | DeletePost
    | RestorePost
    | AcceptComment
    | MovePost
    | MergePosts
    | SetPoll
    | VoteInPoll
    | CreateComment
    | EditComment
    | DeleteComment
    | RestoreComment
    | CastVote
    | AskTranslation
)
ThreadRead = (
    ReadPost
    | ReadPostHistory
    | ReadComments
    | ReadComment
    | ReadCommentHistory
    | ReadMarks
    | ReadPoll
    | ReadSummary
    | ReadTranslation
    | RenderMarkdown
)
ThreadRequest = ThreadWrite | ThreadRead
