"""What gateways ask of Accounts about member-made groups, roles, invitations and requests to join.

`community` is an id or a slug. Bodies of lists are pages; `limit` and `cursor` as everywhere.
"""

from __future__ import annotations

from uuid import UUID

from actors.messages import Caller, Message
from storage.communities import Joining, MembershipRole, Visibility
from storage.group_members import Office


class CreateGroup(Message, frozen=True):
    caller: Caller
    name: str
    rules: str
    visibility: Visibility
    joining: Joining
    key: str | None


class EditGroup(Message, frozen=True):
    """None leaves a field as it is."""

    caller: Caller
    community: str
    name: str | None
    rules: str | None
    visibility: Visibility | None
    joining: Joining | None
    archived: bool | None


class TransferGroup(Message, frozen=True):
    caller: Caller
    community: str
    account_id: UUID


class SetMemberRole(Message, frozen=True):
    caller: Caller
    community: str
    account_id: UUID
    role: Office


class RemoveMember(Message, frozen=True):
    caller: Caller
    community: str
    account_id: UUID


class BanMember(Message, frozen=True):
    caller: Caller
    community: str
    account_id: UUID
    reason: str


class UnbanMember(Message, frozen=True):
    caller: Caller
    community: str
    account_id: UUID


class Invite(Message, frozen=True):
    caller: Caller
    community: str
    handle: str


class WithdrawInvitation(Message, frozen=True):
    caller: Caller
    community: str
    account_id: UUID


class DeclineInvitation(Message, frozen=True):
    caller: Caller
    community: str


class AskToJoin(Message, frozen=True):
    caller: Caller
    community: str
    message: str


class WithdrawRequest(Message, frozen=True):
    caller: Caller
    community: str


class ApproveRequest(Message, frozen=True):
    caller: Caller
    community: str
    account_id: UUID


class RefuseRequest(Message, frozen=True):
    caller: Caller
    community: str
    account_id: UUID


class ListMembers(Message, frozen=True):
    """`role` None: all but the banned. 'banned' is for moderators."""

    caller: Caller
    community: str
    role: MembershipRole | None
    limit: int
    cursor: str | None


class ListInvited(Message, frozen=True):
    caller: Caller
    community: str
    limit: int
    cursor: str | None


class ListRequests(Message, frozen=True):
    caller: Caller
    community: str
    limit: int
    cursor: str | None


class ListOwnInvitations(Message, frozen=True):
    caller: Caller
    limit: int
    cursor: str | None


class ReadCommunityLog(Message, frozen=True):
    caller: Caller
    community: str
    limit: int
    cursor: str | None


GroupWrite = (
    CreateGroup
    | EditGroup
    | TransferGroup
    | SetMemberRole
    | RemoveMember
    | BanMember
    | UnbanMember
    | Invite
    | WithdrawInvitation
    | DeclineInvitation
    | AskToJoin
    | WithdrawRequest
    | ApproveRequest
    | RefuseRequest
)
GroupRead = ListMembers | ListInvited | ListRequests | ListOwnInvitations | ReadCommunityLog
GroupRequest = GroupWrite | GroupRead
