"""The table of rate limits: how often which kind of request may be made, by account and address."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec

# What a request costs is told by its class, not by its path:
#   write = posts, edits, drafts, memberships; vote = votes, saves, follows, mutes;
#   connect = realtime handshakes; subscribe = their commands; emulation = requests that carry
#   commands of a stream, whatever they hold;
#   upload = announcing a file, and sending it to a gateway.
RouteClass = Literal[
    "read",
    "write",
    "comment",
    "vote",
    "login",
    "register",
    "connect",
    "subscribe",
    "emulation",
    "search",
    "ask",
    "upload",
]
ROUTE_CLASSES: Final[tuple[RouteClass, ...]] = get_args(RouteClass)

# Below this rate every token is asked for singly: a leased one would be a large part of the limit.
UNLEASED_BELOW_PER_MINUTE: Final = 20.0
# A lease is at most this part of the burst, and at most this many seconds' worth of the rate. With
# a lease time of 10 s, a gateway that lets every lease expire wastes at most half of the rate.
LEASE_BURST_PART: Final = 8
LEASE_RATE_SECONDS: Final = 5.0


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`burst` requests at once, then `per_minute` evenly spaced.

    The bounds keep burst / rate below 2^63 nanoseconds: from one request an hour to a million a
    second.
    """

    per_minute: Annotated[float, msgspec.Meta(ge=1 / 60, le=60_000_000.0)]
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]

    @property
    def lease_size(self) -> int:
        """Tokens that one gateway may hold unused; 0 where the limit is never leased."""
        if self.per_minute < UNLEASED_BELOW_PER_MINUTE:
            return 0
        by_rate = int(self.per_minute / 60 * LEASE_RATE_SECONDS)
        return max(1, min(self.burst // LEASE_BURST_PART, by_rate))

    def share(self, parts: int) -> Rule:
        """One of `parts` equal shares; a share holds at least one token."""
        return Rule(self.per_minute / parts, max(1, self.burst // parts))


def _account_rules() -> dict[RouteClass, Rule]:
    return {
        "read": Rule(600, 120),
        "write": Rule(30, 20),
        "comment": Rule(20, 10),
        "vote": Rule(60, 30),
        "login": Rule(5, 5),
        "subscribe": Rule(600, 200),
        "search": Rule(60, 30),
        "ask": Rule(10, 5),
        "upload": Rule(20, 20),
    }


def _address_rules() -> dict[RouteClass, Rule]:
    # Several times an account's: a dormitory or a mobile carrier shares one address.
    return {
        "read": Rule(2400, 480),
        "write": Rule(120, 60),
        "comment": Rule(120, 60),
        "vote": Rule(300, 120),
        "login": Rule(15, 10),
        "register": Rule(5, 5),
        # All who share an address come back at once when their gateways have stopped.
        "connect": Rule(6000, 3000),
        "subscribe": Rule(2400, 800),
        # A thousand streams behind one address answer pings with 40 of them a second.
        "emulation": Rule(12_000, 3_000),
        "search": Rule(240, 60),
        "ask": Rule(30, 15),
        "upload": Rule(120, 80),
    }


class RateLimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `rate_limit` of the settings. The defaults are the limits of the 500k profile.

    A class without a rule is not limited by that kind of key. A table that is given replaces the
    default table as a whole.
    """

    enabled: bool = True
    # Only the address rules: an account stays limited wherever it comes from.
    exempt_loopback: bool = False
    account: dict[RouteClass, Rule] = msgspec.field(default_factory=_account_rules)
    address: dict[RouteClass, Rule] = msgspec.field(default_factory=_address_rules)
