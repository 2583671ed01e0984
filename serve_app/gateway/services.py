"""What a connection's session works with, and what it remembers of a subscription."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.messages import Caller, ChannelGrant
from actors.shard_messages import Ephemeral
from config.settings import Realtime as RealtimeSettings
from serve_app.gateway.account_sessions import AccountSessions
from serve_app.gateway.catch_up import CatchUp
from serve_app.gateway.channel import Channel
from serve_app.gateway.channel_hub import ChannelHub
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

PublishEphemeral = Callable[[list[Ephemeral]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Services:
    """`node` names this gateway to the others, `clock` is Unix time in seconds, `spread` a number
    in [0, 1)."""

    settings: RealtimeSettings
    hub: ChannelHub
    accounts: AccountSessions
    links: ShardLinks
    catch_up: CatchUp
    wheel: Wheel
    authorize: Authorize
    verify_token: VerifyToken
    publish_ephemeral: PublishEphemeral
    check_rate: CheckRate | None = None
    node: Callable[[], str] = str
    clock: Callable[[], float] = time.time
    spread: Callable[[], float] = random.random
    sessions: set[Session] = field(default_factory=set)


class Subscription:
    """`may_type` None: not known yet, the grant came from another caller."""

    __slots__ = ("channel", "may_type", "server_side")

    def __init__(
        self, channel: Channel, may_type: bool | None, *, server_side: bool = False
    ) -> None:
        self.channel = channel
        self.may_type = may_type
        self.server_side = server_side
