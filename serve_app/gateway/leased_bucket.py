"""One token bucket as a gateway knows it: leased tokens, a refusal to remember, its own share.

Pure: the limiter around it reads the clock and makes the calls.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from prometheus_client import Counter

from actors.rate_limit import Kind, Lease, LeaseRequest
from actors.token_bucket import decide
from config.rate_limits import RouteClass, Rule

_SECOND_NS: Final = 1_000_000_000
_FIRST_AHEAD: Final = 4

_LOCAL = Counter("serai_rate_limit_local_total", "Tokens taken from a gateway's own share")


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """Whether a request may pass, and the figures of the tighter rule.

    `limit` is the burst; 0 means that no rule applies. `remaining` is what this gateway knows: its
    own tokens and the bucket's at the last lease. `reset_seconds` is the wait until the bucket is
    full; `retry_after_seconds` is 0 when allowed.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    retry_after_seconds: int

    def headers(self) -> dict[str, str]:
        """RateLimit fields (draft-ietf-httpapi-ratelimit-headers-06) and Retry-After."""
        if self.limit == 0:
            return {}
        fields = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }
        if not self.allowed:
            fields["Retry-After"] = str(self.retry_after_seconds)
        return fields


UNLIMITED: Final = Verdict(True, 0, 0, 0, 0)
# A verdict, and the number of the lease that its token came from (NO_LEASE: from none).
Outcome = tuple[Verdict, int]
NO_LEASE: Final = -1


class LeasedTable:
    """The buckets of one rule, those leased longest ago first."""

    __slots__ = ("buckets", "kind", "lease_size", "route_class", "rule", "share")

    def __init__(self, route_class: RouteClass, kind: Kind, rule: Rule, gateways: int) -> None:
        self.route_class = route_class
        self.kind = kind
        self.rule = rule
        self.share = rule.share(gateways)
        self.lease_size = rule.lease_size
        self.buckets: dict[str, LeasedBucket] = {}


class LeasedBucket:
    """What this gateway knows of one bucket."""

    __slots__ = (
        "asked",
        "deny_until_ns",
        "expires_ns",
        "held",
        "id",
        "lease",
        "local_tat_ns",
        "remaining",
        "reset_at_ns",
        "table",
        "tokens",
        "waiters",
    )

    def __init__(self, table: LeasedTable, id: str) -> None:
        self.table = table
        self.id = id
        self.tokens = 0
        self.expires_ns = 0
        self.remaining = 0
        self.reset_at_ns = 0
        self.deny_until_ns = 0
        self.local_tat_ns = 0
        self.lease = 0  # counts leases: a token is only given back to the lease it came from
        self.held = 0  # tokens held when the lease began
        self.asked = False
        self.waiters: list[asyncio.Future[Outcome]] = []

    def has_token(self, now_ns: int) -> bool:
        return self.tokens > 0 and now_ns < self.expires_ns

    def request(self, now_ns: int) -> LeaseRequest:
        """Ask for twice as much as last time if that was used up, else for what was used of it."""
        if self.lease == 0:
            ahead = _FIRST_AHEAD
        elif now_ns < self.expires_ns:
            ahead = min(max(1, 2 * self.held), self.table.lease_size)
        else:
            ahead = max(0, self.held - self.tokens)
        return LeaseRequest(
            self.table.route_class, self.table.kind, self.id, len(self.waiters), ahead
        )

    def allowance(self, now_ns: int) -> Verdict:
        return Verdict(
            True,
            self.table.rule.burst,
            self.tokens + self.remaining,
            _seconds(self.reset_at_ns - now_ns),
            0,
        )

    def refusal(self, now_ns: int) -> Verdict:
        retry_after = max(1, _seconds(self.deny_until_ns - now_ns))
        reset = max(retry_after, _seconds(self.reset_at_ns - now_ns))
        return Verdict(False, self.table.rule.burst, 0, reset, retry_after)

    def spend_local(self, now_ns: int) -> Verdict:
        """Decide by this gateway's own share, known to no one else."""
        decision, self.local_tat_ns = decide(self.local_tat_ns, now_ns, self.table.share)
        _LOCAL.inc(decision.granted)
        allowed = decision.granted == 1
        return Verdict(
            allowed,
            self.table.share.burst,
            decision.remaining,
            _seconds(decision.reset_after_ns),
            0 if allowed else max(1, _seconds(decision.retry_after_ns)),
        )

    def settle(self, lease: Lease, now_ns: int) -> None:
        """Take in a lease and serve the waiters in order; some may still wait afterwards."""
        self.asked = False
        self.lease += 1
        self.remaining = lease.remaining
        self.reset_at_ns = now_ns + lease.reset_after_ns
        self.deny_until_ns = now_ns + lease.retry_after_ns if lease.remaining == 0 else 0
        self.expires_ns = now_ns + lease.ttl_ns
        self.tokens = lease.granted
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if waiter.done():
                continue
            if self.tokens:
                self.tokens -= 1
                waiter.set_result((self.allowance(now_ns), self.lease))
            elif now_ns < self.deny_until_ns:
                waiter.set_result((self.refusal(now_ns), NO_LEASE))
            else:
                self.waiters.append(waiter)
        self.tokens = min(self.tokens, self.table.lease_size)
        self.held = self.tokens

    def settle_locally(self, now_ns: int) -> None:
        """Decide every waiter by the gateway's own share."""
        self.asked = False
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result((self.spend_local(now_ns), NO_LEASE))

    def give_back(self, lease: int, now_ns: int) -> None:
        """Return an unspent token to the lease that it came from, unless that one has ended."""
        if self.lease == lease and now_ns < self.expires_ns and self.tokens < self.table.lease_size:
            self.tokens += 1

    def is_idle(self, now_ns: int) -> bool:
        return (
            not self.waiters
            and not self.asked
            and max(self.expires_ns, self.deny_until_ns, self.local_tat_ns) <= now_ns
        )


def tighter(one: Verdict | None, other: Verdict) -> Verdict:
    """A refusal before an allowance; the longer wait of two refusals, else the fewer tokens."""
    if one is None:
        return other
    if one.allowed and other.allowed:
        return one if one.remaining <= other.remaining else other
    if one.allowed or other.allowed:
        return other if one.allowed else one
    return one if one.retry_after_seconds >= other.retry_after_seconds else other


def _seconds(duration_ns: int) -> int:
    """Whole seconds, rounded up; never below 0."""
    return max(0, -(-duration_ns // _SECOND_NS))
