"""What members ask about their own state: requests to Accounts, as those in messages.py."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from actors.messages import Caller, Message, TargetKind

FollowLevel = Literal["all", "mentions", "none"]
DraftKind = Literal["post", "edit", "comment"]


class UpdateMe(Message, frozen=True):
    """None leaves a field as it is."""

    caller: Caller
    display_name: str | None
    languages: tuple[str, ...] | None
    default_follow_level: FollowLevel | None


class CreateDraft(Message, frozen=True):
    """`community`: id or slug, of a post. `post_id`: of an edit or comment. `key`: the gateway
    gives one where the client sent none."""

    caller: Caller
    kind: DraftKind
    community: str | None
    post_id: UUID | None
    parent_id: UUID | None
    title: str
    body_markdown: str
    language: str | None
    tags: tuple[str, ...]
    key: str | None


class ReplaceDraft(Message, frozen=True):
    """`revision`: the one that the change was made from."""

    caller: Caller
    draft_id: UUID
    revision: int
    community: str | None
    title: str
    body_markdown: str
    language: str | None
    tags: tuple[str, ...]


class DeleteDraft(Message, frozen=True):
    caller: Caller
    draft_id: UUID


class ReadDraft(Message, frozen=True):
    caller: Caller
    draft_id: UUID


class ListDrafts(Message, frozen=True):
    """`post_id`: only those of this post's edits and of comments in its thread."""

    caller: Caller
    post_id: UUID | None
    limit: int
    cursor: str | None


class SetSaved(Message, frozen=True):
    caller: Caller
    kind: TargetKind
    target_id: UUID
    saved: bool


class ListSaves(Message, frozen=True):
    caller: Caller
    limit: int
    cursor: str | None


class FollowThread(Message, frozen=True):
    """`level` None: as if it had never been followed."""

    caller: Caller
    post_id: UUID
    level: FollowLevel | None


class FollowCommunity(Message, frozen=True):
    """As `FollowThread`."""

    caller: Caller
    community: str  # id or slug
    level: FollowLevel | None


class MuteAccount(Message, frozen=True):
    caller: Caller
    account: str  # id or handle
    muted: bool


class MuteCommunity(Message, frozen=True):
    caller: Caller
    community: str  # id or slug
    muted: bool


class ListMutedAccounts(Message, frozen=True):
    caller: Caller
    limit: int
    cursor: str | None


class ListMutedCommunities(Message, frozen=True):
    caller: Caller
    limit: int
    cursor: str | None


class MarkThreadRead(Message, frozen=True):
    """Up to and with this comment."""

    caller: Caller
    post_id: UUID
    comment_id: UUID


MemberWrite = (
    UpdateMe
    | CreateDraft
    | ReplaceDraft
    | DeleteDraft
    | SetSaved
    | FollowThread
    | FollowCommunity
    | MuteAccount
    | MuteCommunity
    | MarkThreadRead
)
MemberRead = ReadDraft | ListDrafts | ListSaves | ListMutedAccounts | ListMutedCommunities
MemberRequest = MemberWrite | MemberRead
