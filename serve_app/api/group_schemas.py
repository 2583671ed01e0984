"""The shapes of answers about members, invitations and requests to join, for OpenAPI."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from actors.content import Author
from actors.messages import Role
from serve_app.api.schemas import Timestamp
from storage.communities import MembershipRole, Visibility
from storage.community_log import Action


class Admission(msgspec.Struct, frozen=True):
    """`role`: null while the other side has not agreed yet."""

    role: Role | None


class Member(msgspec.Struct, frozen=True):
    account: Author
    role: MembershipRole
    joined_at: Timestamp


class MemberPage(msgspec.Struct, frozen=True):
    """Who joined last comes first."""

    items: list[Member]
    next_cursor: str | None


class Invited(msgspec.Struct, frozen=True):
    account: Author
    created_at: Timestamp


class InvitedPage(msgspec.Struct, frozen=True):
    """Newest first."""

    items: list[Invited]
    next_cursor: str | None


class JoinRequest(Invited, frozen=True):
    message: str


class JoinRequestPage(msgspec.Struct, frozen=True):
    """Newest first."""

    items: list[JoinRequest]
    next_cursor: str | None


class InvitingCommunity(msgspec.Struct, frozen=True):
    id: UUID
    slug: str
    name: str
    visibility: Visibility
    member_count: int
    rules: str


class Invitation(msgspec.Struct, frozen=True):
    """`invited_by`: null where that account is no more."""

    community: InvitingCommunity
    invited_by: Author | None
    created_at: Timestamp


class InvitationPage(msgspec.Struct, frozen=True):
    """Newest first."""

    items: list[Invitation]
    next_cursor: str | None


class LogDetail(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """`from`, `to`: of what was changed; `reason`: of a ban."""

    from_: str | msgspec.UnsetType = msgspec.UNSET
    to: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET


class LogEntry(msgspec.Struct, frozen=True):
    """`actor`: who did it, null for operators of the server; `subject`: to whom."""

    action: Action
    actor: Author | None
    subject: Author | None
    detail: LogDetail
    created_at: Timestamp


class LogPage(msgspec.Struct, frozen=True):
    """Newest first."""

    items: list[LogEntry]
    next_cursor: str | None


MemberFilter = Literal["member", "moderator", "admin", "banned"]
