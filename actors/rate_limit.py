"""The RateLimit actor: owns every token bucket and leases tokens to gateways.

A gateway asks for tokens for requests that wait (`at_once`) and for some to hold (`ahead`), so that
most requests cost no call. At most `Rule.lease_size` tokens lie unused in a gateway, so a limit is
never exceeded by more than one lease per gateway. Tokens of a lease that expires are lost: taking
them back could credit a bucket twice, because a call may be repeated after a failure.

Memory decides; Redis is written behind, about once a second. A crash forgets the last second of
tokens taken; with Redis gone everything goes on in memory. There must be one owner per key: run one
replica, or route by key.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable
from typing import Final, Literal

import msgspec
from prometheus_client import Counter, Gauge

from actors.token_bucket import fill_ns, grant
from config.errors import AppError
from config.rate_limits import RateLimitSettings, Rule
from storage.rate_buckets import RateBuckets

log = logging.getLogger(__name__)

Kind = Literal["account", "address"]

LEASE_TTL_NS: Final = 10_000_000_000
_FLUSH_CHUNK = 1_000
_FORGET_PER_CALL = 1_000
_STORE_RETRY_NS = 1_000_000_000

_LEASED = Counter("serai_rate_limit_tokens_total", "Tokens granted to gateways", ["route_class"])
_EVICTED = Counter("serai_rate_limit_evicted_total", "Buckets dropped from memory before full")
_STORE_FAILURES = Counter(
    "serai_rate_limit_store_failures_total", "Failed reads and writes of buckets", ["operation"]
)
_BUCKETS = Gauge(
    "serai_rate_limit_buckets", "Buckets that are not full, in memory", multiprocess_mode="livesum"
)


class LeaseRequest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tokens for one bucket: `at_once` for requests that wait now, `ahead` to hold."""

    route_class: str
    kind: Kind
    id: str
    at_once: int
    ahead: int


class Lease(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to a LeaseRequest. Times are durations, so that clocks need not agree.

    `remaining`, `retry_after_ns` (0 while a token is left) and `reset_after_ns` describe the
    owner's bucket after the grant. `ttl_ns` is 0 where nothing may be held.
    """

    granted: int
    remaining: int
    retry_after_ns: int
    reset_after_ns: int
    ttl_ns: int


class RateLimitStatistics(msgspec.Struct, frozen=True):
    buckets: int
    unsaved: int
    store_available: bool


class RateLimit:
    """Buckets by (route class, kind, id), bounded in number; full ones are forgotten."""

    def __init__(
        self,
        settings: RateLimitSettings,
        store: RateBuckets | None,
        *,
        clock: Callable[[], int] = time.time_ns,
        max_buckets: int = 200_000,
        flush_interval_seconds: float = 1.0,
    ) -> None:
        self._rules: dict[tuple[str, str], Rule] = {
            **{(name, "account"): rule for name, rule in settings.account.items()},
            **{(name, "address"): rule for name, rule in settings.address.items()},
        }
        self._store = store
        self._clock = clock
        self._max_buckets = max_buckets
        self._flush_interval_seconds = flush_interval_seconds
        self._tats: dict[str, int] = {}
        # One entry per bucket, with the state it had when pushed: a lower bound of the real one.
        self._by_tat: list[tuple[int, str]] = []
        self._unsaved: dict[str, int] = {}
        self._started_ns = clock()
        self._evicted_until_ns = 0
        self._store_down = False
        self._store_retry_ns = 0
        self._flusher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write behind. Without it the actor works, in memory alone."""
        if self._store is not None and self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_always(), name="rate-limit-flush")

    async def close(self) -> None:
        """Stop writing behind and save what is unsaved, once."""
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.wait([self._flusher])
            self._flusher = None
        await self.flush()

    async def take_batch(self, requests: list[LeaseRequest]) -> list[Lease]:
        """One lease per request, in order; never raises for the sake of one of them."""
        await self._load_unknown(requests)
        now_ns = self._clock()
        leases = [self._take(request, now_ns) for request in requests]
        self._forget_full(now_ns)
        return leases

    async def flush(self) -> None:
        """Save the buckets changed since the last flush; on failure they stay unsaved."""
        if self._store is None:
            return
        waiting = list(self._unsaved)
        for start in range(0, len(waiting), _FLUSH_CHUNK):
            keys = waiting[start : start + _FLUSH_CHUNK]
            states = {key: self._unsaved[key] for key in keys if key in self._unsaved}
            try:
                await self._store.save(states, self._clock())
            except AppError as error:
                self._store_failed("save", error)
                return
            self._store_answered()
            for key, tat_ns in states.items():
                # A bucket that was taken from while it was being written is written again.
                if self._unsaved.get(key) == tat_ns:
                    del self._unsaved[key]

    def statistics(self) -> RateLimitStatistics:
        return RateLimitStatistics(len(self._tats), len(self._unsaved), not self._store_down)

    def _take(self, request: LeaseRequest, now_ns: int) -> Lease:
        rule = self._rules.get((request.route_class, request.kind))
        ahead = max(0, request.ahead)
        wanted = max(1, max(0, request.at_once) + ahead)
        if rule is None:
            # Only while two versions of the settings run side by side: the newer gateway limits a
            # class that this owner does not know.
            return Lease(wanted, wanted, 0, 0, LEASE_TTL_NS)
        held = rule.lease_size
        wanted = max(1, wanted - ahead + min(ahead, held))
        key = _key(request)
        before_ns = self._tats.get(key, 0)
        decision, tat_ns = grant(before_ns, now_ns, rule, wanted)
        if tat_ns != before_ns:
            # Also after a refusal: the clock was set back, and the state brought into its bounds.
            self._put(key, tat_ns)
        if decision.granted:
            _LEASED.labels(request.route_class).inc(decision.granted)
        retry_after_ns = decision.retry_after_ns
        if decision.remaining == 0 and decision.granted:
            refused, _ = grant(tat_ns, now_ns, rule, 1)
            retry_after_ns = refused.retry_after_ns
        return Lease(
            decision.granted,
            decision.remaining,
            retry_after_ns,
            decision.reset_after_ns,
            LEASE_TTL_NS if held else 0,
        )

    def _put(self, key: str, tat_ns: int) -> None:
        if key not in self._tats:
            heapq.heappush(self._by_tat, (tat_ns, key))
        self._tats[key] = tat_ns
        if self._store is not None:
            self._unsaved[key] = tat_ns

    def _forget_full(self, now_ns: int) -> None:
        """Drop full buckets; over the bound also those that are nearest to full.

        Amortised: every call looks at a bounded number of buckets, more than it can have added.
        """
        for _ in range(_FORGET_PER_CALL):
            over = len(self._tats) > self._max_buckets
            if not self._by_tat or (self._by_tat[0][0] > now_ns and not over):
                break
            pushed_ns, key = self._by_tat[0]
            tat_ns = self._tats[key]
            if tat_ns != pushed_ns and tat_ns > now_ns:
                heapq.heapreplace(self._by_tat, (tat_ns, key))
                continue
            heapq.heappop(self._by_tat)
            del self._tats[key]
            if tat_ns > now_ns:
                _EVICTED.inc()
                self._evicted_until_ns = max(self._evicted_until_ns, tat_ns)
        while len(self._unsaved) > self._max_buckets:
            del self._unsaved[next(iter(self._unsaved))]
        _BUCKETS.set(len(self._tats))

    async def _load_unknown(self, requests: list[LeaseRequest]) -> None:
        """Bring back what an earlier owner saved, or what was evicted.

        Later than one filling time after the start Redis can't know a bucket that memory doesn't,
        so no call is made.
        """
        if self._store is None:
            return
        now_ns = self._clock()
        unknown: list[str] = []
        for request in requests:
            rule = self._rules.get((request.route_class, request.kind))
            key = _key(request)
            if rule is None or key in self._tats:
                continue
            if now_ns >= max(self._started_ns + fill_ns(rule), self._evicted_until_ns):
                continue
            if key in self._unsaved:
                self._put(key, self._unsaved[key])
            else:
                unknown.append(key)
        if not unknown or now_ns < self._store_retry_ns:
            return
        try:
            states = await self._store.load(unknown)
        except AppError as error:
            self._store_failed("load", error)
            return
        self._store_answered()
        for key, tat_ns in states.items():
            # Another batch may have loaded, and taken from, the same bucket meanwhile.
            if key not in self._tats and tat_ns > now_ns:
                self._tats[key] = tat_ns
                heapq.heappush(self._by_tat, (tat_ns, key))

    async def _flush_always(self) -> None:
        while True:
            await asyncio.sleep(self._flush_interval_seconds)
            await self.flush()

    def _store_failed(self, operation: str, error: AppError) -> None:
        _STORE_FAILURES.labels(operation).inc()
        self._store_retry_ns = self._clock() + _STORE_RETRY_NS
        if not self._store_down:
            log.warning("rate-limit buckets live in memory alone: %s", error)
        self._store_down = True

    def _store_answered(self) -> None:
        if self._store_down:
            log.info("rate-limit buckets are saved again")
        self._store_down = False
        self._store_retry_ns = 0


def _key(request: LeaseRequest) -> str:
    return f"{request.route_class}:{request.kind}:{request.id}"
