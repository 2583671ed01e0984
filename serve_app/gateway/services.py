"""What the sessions of a gateway share."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.account_messages import ChannelGrant
from actors.messages import Caller
from actors.shard_messages import Ephemeral
from config.channels import Namespaces
from config.edge import Realtime as RealtimeSettings
from serve_app.gateway.access_changes import AccessChanges
from serve_app.gateway.account_sessions import AccountSessions
from serve_app.gateway.catch_up import CatchUp
from serve_app.gateway.channel_hub import ChannelHub
from serve_app.gateway.client_tokens import ClientTokens
from serve_app.gateway.shard_link import ShardLinks
from serve_app.gateway.timers import Wheel

if TYPE_CHECKING:
    from serve_app.gateway.session import Session

Authorize = Callable[[Caller, str], Awaitable[ChannelGrant]]
"""May the caller read the channel? Raises AppError where not, or where nobody can say."""

VerifyToken = Callable[[str], tuple[Caller, float]]
"""Caller and expiry (Unix seconds). Raises AppError 'token_expired' or 'unauthenticated'."""

CheckRate = Callable[[Caller, str], Awaitable[None]]
"""(caller, client address), once per command that costs a call. Raises AppError 'rate_limited'."""

CheckFrame = Callable[[str], Awaitable[None]]
"""(client address), once per request to /emulation. Raises AppError 'rate_limited'."""

PublishEphemeral = Callable[[list[Ephemeral]], Awaitable[None]]

Rpc = Callable[[Caller, str, str, bytes], Awaitable[bytes]]
"""(caller, client address, method, params) with JSON in and out. Raises AppError, 'not_found' for
an unknown method."""


@dataclass(frozen=True, slots=True)
class Services:
    """`node` names this gateway to the others, `is_draining` is true from when it takes no further
    connections, `clock` is Unix time in seconds, `spread` a number in [0, 1)."""

    settings: RealtimeSettings
    namespaces: Namespaces
    hub: ChannelHub
    accounts: AccountSessions
    access: AccessChanges
    links: ShardLinks
    catch_up: CatchUp
    wheel: Wheel
    authorize: Authorize
    tokens: ClientTokens
    publish_ephemeral: PublishEphemeral
    check_rate: CheckRate | None = None
    rpc: Rpc | None = None
    node: Callable[[], str] = str
    is_draining: Callable[[], bool] = bool
    clock: Callable[[], float] = time.time
    spread: Callable[[], float] = random.random
    sessions: set[Session] = field(default_factory=set)
    users: dict[str, dict[Session, None]] = field(default_factory=dict)
    """Connected sessions by user; guests are not among them."""

    def sessions_of(self, user: str) -> list[Session]:
        """The connected sessions of a user on this gateway, in the order of their arrival."""
        return list(self.users.get(user, ()))

    def forget(self, user: str, session: Session) -> None:
        """The session is no longer connected."""
        connections = self.users.get(user)
        if connections is not None:
            connections.pop(session, None)
            if not connections:
                del self.users[user]
