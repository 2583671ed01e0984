"""What the Accounts deployment is asked of who members are, and what they may."""

from __future__ import annotations

from uuid import UUID

import msgspec

from actors.messages import Caller, Message


class Register(Message, frozen=True):
    handle: str
    email: str
    password: str
    languages: tuple[str, ...]
    user_agent: str


class Login(Message, frozen=True):
    login: str
    password: str
    user_agent: str


class Refresh(Message, frozen=True):
    refresh_token: str
    user_agent: str


class Logout(Message, frozen=True):
    """Ends the session of the refresh token and that of the caller, where there are any."""

    caller: Caller
    refresh_token: str | None


class ReadMe(Message, frozen=True):
    caller: Caller


class JoinCommunity(Message, frozen=True):
    caller: Caller
    community: str


class LeaveCommunity(Message, frozen=True):
    caller: Caller
    community: str


class ListNotifications(Message, frozen=True):
    caller: Caller
    limit: int
    cursor: str | None


class MarkNotificationsRead(Message, frozen=True):
    caller: Caller
    up_to: UUID


class AuthorizeChannel(Message, frozen=True):
    """May the caller read this channel? The body of the reply is an encoded `ChannelGrant`."""

    caller: Caller
    channel: str


class EraseAccount(Message, frozen=True):
    """`erase_content`: posts and comments are emptied; else they stand without their author."""

    caller: Caller
    password: str
    erase_content: bool


class ReadErasure(Message, frozen=True):
    """Nobody can log in any more: the id, which only the answer to the request had, is the key."""

    task_id: UUID


class StartExport(Message, frozen=True):
    caller: Caller


class ReadExport(Message, frozen=True):
    caller: Caller


AccountsWrite = (
    Register
    | Login
    | Refresh
    | Logout
    | JoinCommunity
    | LeaveCommunity
    | MarkNotificationsRead
    | EraseAccount
    | StartExport
)
AccountsRead = ReadMe | ListNotifications | AuthorizeChannel | ReadErasure | ReadExport
AccountsRequest = AccountsWrite | AccountsRead


class Tokens(msgspec.Struct, frozen=True):
    """Body of Register, Login and Refresh: the gateway moves `refresh_token` into a cookie."""

    account: msgspec.Raw
    access_token: str
    expires_in: int
    refresh_token: str


class ChannelGrant(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Permission to read one channel; `public` grants hold for every caller alike. `community`: the
    id of the one that it belongs to, empty for `user:` channels."""

    channel: str
    public: bool
    may_publish_typing: bool = False
    community: str = ""
