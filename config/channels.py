"""What each kind of channel can do: one row of options per namespace.

A channel's namespace is what stands before its first colon: `thread:<id>`. Names without a colon
belong to the namespace `default`. Serai's own three are rows of the same table; operators add
theirs in the profile file, as `[channels.<name>]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

DEFAULT: Final = "default"
"""The namespace of channel names without a colon. There is none unless the profile says so."""
CONTROL: Final = "serai-control"
"""Where gateways talk to each other: closed to clients and to the server API."""
ACCESS: Final = "serai-access"
"""Where gateways hear which communities are no longer public: closed as well."""
ACCESS_CHANNEL: Final = f"{ACCESS}:all"
INTERNAL: Final = frozenset((CONTROL, ACCESS))
USER_BOUNDARY: Final = "#"
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")

Subscribe = Literal["content", "token", "members", "anyone"]
"""`content`: Accounts is asked, Serai's own channels alone; `token`: whoever brings a subscription
token; `members`: every connection with a user; `anyone`: guests too. A valid subscription token
opens all but `content`."""
Publish = Literal["nobody", "typing", "subscribers", "readers"]
"""`typing`: typing indicators alone, which the server writes anew."""
Read = Literal["nobody", "subscribers", "readers"]
"""`readers`: whoever may subscribe, subscribed or not."""


class Namespace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one namespace. The zero value is a channel without memory: what is published is
    delivered to who is there."""

    subscribe: Subscribe = "members"
    user_limited: bool = False
    """Lets every user that follows the `#` in a channel's name in without a token. Names are the
    clients' own then, each with whatever history the row keeps."""
    publish: Publish = "nobody"
    read_history: Read = "subscribers"
    read_presence: Read = "subscribers"
    history: Literal["none", "memory", "postgres"] = "none"
    """`memory`: lost with its shard, which clients see as another epoch."""
    history_size: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """Publications kept in memory, and the most that history answers. Postgres keeps all."""
    history_ttl_seconds: Annotated[float, Meta(ge=0, le=604_800)] = 0.0
    """Of publications in memory. Postgres keeps what `streams.retention_days` says."""
    recovery: Literal["off", "stream", "cache"] = "off"
    """`cache`: a returning client gets the newest publication alone, whatever it missed."""
    force_recovery: bool = False
    """Recovers also for clients that don't ask to be recoverable."""
    presence: Literal["off", "counts", "clients"] = "off"
    """`counts`: how many connections and users; `clients`: also who they are."""
    presence_clients: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    """The most clients of a channel that presence lists; counts stay exact beyond it."""
    join_leave: bool = False
    """Tells subscribers that ask for it who comes and goes; needs `presence = "clients"`."""
    delta: bool = False
    """Lets clients ask for Fossil deltas."""
    throttle_seconds: Annotated[float, Meta(ge=0, le=60)] = 0.0
    """Of publications within this time only the newest is delivered; only without history."""

    def __post_init__(self) -> None:
        if self.history == "memory" and not (self.history_size and self.history_ttl_seconds):
            raise ValueError("history: memory needs history_size and history_ttl_seconds")
        if self.recovery != "off" and self.history == "none":
            raise ValueError("recovery: needs history")
        if self.force_recovery and self.recovery == "off":
            raise ValueError("force_recovery: needs recovery")
        if self.join_leave and self.presence != "clients":
            raise ValueError("join_leave: needs presence = clients")
        if self.throttle_seconds and self.history != "none":
            raise ValueError("throttle_seconds: what has an offset can't be left out")

    def history_page(self, most: int) -> int:
        """The most publications of one answer to `history`; `most` for all namespaces."""
        return min(most, self.history_size or most)


OWN: Final[Mapping[str, Namespace]] = {
    "community": Namespace(
        subscribe="content",
        read_history="readers",
        read_presence="readers",
        history="postgres",
        recovery="stream",
        force_recovery=True,
        presence="counts",
    ),
    "thread": Namespace(
        subscribe="content",
        publish="typing",
        read_history="readers",
        read_presence="readers",
        history="postgres",
        recovery="stream",
        force_recovery=True,
        presence="counts",
    ),
    "user": Namespace(
        subscribe="content",
        read_history="readers",
        read_presence="readers",
        history="postgres",
        recovery="stream",
        force_recovery=True,
    ),
    CONTROL: Namespace(
        subscribe="token",
        read_history="nobody",
        read_presence="nobody",
        history="memory",
        history_size=10_000,
        history_ttl_seconds=300.0,
    ),
    ACCESS: Namespace(
        subscribe="content",
        read_history="nobody",
        read_presence="nobody",
        history="postgres",
        recovery="stream",
    ),
}


def is_internal(channel: str) -> bool:
    return channel.partition(":")[0].lstrip("$") in INTERNAL


def users_of(channel: str) -> frozenset[str] | None:
    """The users that what follows the last `#` limits the channel to; None without one. Nobody
    whose id holds a `#` or a comma is ever among them."""
    _, limited, users = channel.rpartition(USER_BOUNDARY)
    return frozenset(users.split(",")) - {""} if limited else None


def personal_channel(user: str) -> str:
    """ "" where there is none: for guests, and for ids that would name the channel of others."""
    channel = f"{USER_BOUNDARY}{user}"
    return channel if users_of(channel) == frozenset((user,)) else ""


class Namespaces:
    """The table: Serai's own rows and the operator's."""

    def __init__(self, configured: Mapping[str, Namespace]) -> None:
        self._rows = {**configured, **OWN}

    @staticmethod
    def check(configured: Mapping[str, Namespace]) -> None:
        """Raises ValueError for rows that no operator may add."""
        for name, row in configured.items():
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"{name!r} is no name of a namespace ({_NAME.pattern})")
            if name in OWN:
                raise ValueError(f"{name!r} is Serai's own namespace")
            if row.subscribe == "content" or row.publish == "typing":
                raise ValueError(f"{name!r}: content and typing are for Serai's own namespaces")

    def of(self, channel: str) -> Namespace | None:
        """None: no such namespace. Says nothing about whether the channel exists.

        A `$` before the name marks a channel that always needs a token, what follows a `#` names
        its users; neither changes the namespace."""
        name, colon, _ = channel.removeprefix("$").partition(USER_BOUNDARY)[0].partition(":")
        if not colon:
            return self._rows.get(DEFAULT)
        return self._rows.get(name) if name != DEFAULT else None
