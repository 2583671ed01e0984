"""Rate limits in a gateway: spends leased tokens, and asks the RateLimit actor when there are none.

    check_nowait ─▶ token at hand, or refused until a known moment ─▶ Verdict, no call
        │ None
    check ─▶ one waiting request per bucket ─▶ batch ─▶ RateLimit.take_batch ─▶ tokens in order
                                                 └ no answer: this gateway's share of the limit

A request needs a token by its account and one by its address; the tighter of the two is reported.
When RateLimit does not answer, decisions come from local buckets that hold limit / gateways; they
start full, so an outage gives at most one further burst in total.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache, reduce
from hashlib import blake2b
from typing import Final

from prometheus_client import Counter

from actors.rate_limit import Kind, Lease, LeaseRequest
from actors.token_bucket import available
from config.errors import AppError
from config.rate_limits import ROUTE_CLASSES, RateLimitSettings, RouteClass, Rule
from serve_app.gateway.leased_bucket import (
    UNLIMITED,
    LeasedBucket,
    LeasedTable,
    Outcome,
    Verdict,
    tighter,
)
from serve_app.lines import LineLost

log = logging.getLogger(__name__)

Take = Callable[[list[LeaseRequest]], Awaitable[list[Lease]]]

LOOPBACK: Final = "loopback"
_UNREADABLE: Final = "unreadable"
_SECOND_NS: Final = 1_000_000_000
# How long nobody asks again after RateLimit failed to answer.
_OUTAGE_RETRY_NS: Final = _SECOND_NS
_BATCH: Final = 256
_CALLS_IN_FLIGHT: Final = 2
_ID_CHARACTERS: Final = 64

_REFUSED = Counter("serai_rate_limit_refused_total", "Requests over a limit", ["route_class"])
_CALLS = Counter("serai_rate_limit_calls_total", "Calls to RateLimit", ["outcome"])


class RateLimiter:
    """One per gateway process; used from one event loop."""

    def __init__(
        self,
        take: Take,
        settings: RateLimitSettings,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        expected_gateways: int = 1,
        deadline_seconds: float = 0.5,
        max_buckets_per_rule: int = 20_000,
    ) -> None:
        self._take = take
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._max_buckets = max_buckets_per_rule
        self._exempt_loopback = settings.exempt_loopback

        def table(
            name: RouteClass, kind: Kind, rules: dict[RouteClass, Rule]
        ) -> LeasedTable | None:
            if not settings.enabled or name not in rules:
                return None
            return LeasedTable(name, kind, rules[name], expected_gateways)

        self._tables = {
            name: (
                table(name, "account", settings.account),
                table(name, "address", settings.address),
            )
            for name in ROUTE_CLASSES
        }
        self._pending: list[LeasedBucket] = []
        self._flush_scheduled = False
        self._calls: set[asyncio.Task[None]] = set()
        self._outage = False
        self._closed = False
        self._local_until_ns = 0

    def check_nowait(
        self, route_class: RouteClass, account_id: str | None, address: str
    ) -> Verdict | None:
        """The verdict, when it needs no call; then a token is spent if it allows. None: `check`."""
        accounts, addresses = self._tables[route_class]
        now_ns = self._clock()
        unknown = False
        first: LeasedBucket | None = None
        second: LeasedBucket | None = None
        if accounts is not None and account_id is not None:
            first = accounts.buckets.get(_account_key(account_id))
            unknown = first is None
        if addresses is not None:
            id = address_id(address)
            if not (self._exempt_loopback and id == LOOPBACK):
                second = addresses.buckets.get(id)
                unknown = unknown or second is None
        # Refusals before anything is spent: a request over one limit must not use up the other.
        refused: Verdict | None = None
        for bucket in (first, second):
            if bucket is None or (bucket.tokens and now_ns < bucket.expires_ns):
                continue
            if now_ns < bucket.deny_until_ns:
                refused = tighter(refused, bucket.refusal(now_ns))
            elif now_ns >= self._local_until_ns:
                unknown = True
            elif not available(bucket.local_tat_ns, now_ns, bucket.table.share):
                refused = tighter(refused, bucket.spend_local(now_ns))
        if refused is not None:
            _REFUSED.labels(route_class).inc()
            return refused
        if unknown:
            return None
        verdict: Verdict | None = None
        for bucket in (first, second):
            if bucket is None:
                continue
            if bucket.tokens and now_ns < bucket.expires_ns:
                bucket.tokens -= 1
                verdict = tighter(verdict, bucket.allowance(now_ns))
            else:
                verdict = tighter(verdict, bucket.spend_local(now_ns))
        return verdict or UNLIMITED

    async def check(self, route_class: RouteClass, account_id: str | None, address: str) -> Verdict:
        """The verdict, after a call if it takes one; raises nothing.

        A leased token of one rule goes back when the other rule refuses or the caller is cancelled.
        """
        verdict = self.check_nowait(route_class, account_id, address)
        if verdict is not None:
            return verdict
        buckets = self._buckets_of(route_class, account_id, address)
        # Buckets that are new here may be decided without a call: during an outage.
        verdict = self.check_nowait(route_class, account_id, address)
        if verdict is not None:
            return verdict
        now_ns = self._clock()
        spent: list[tuple[LeasedBucket, int]] = []
        waiting: list[tuple[LeasedBucket, asyncio.Future[Outcome]]] = []
        verdicts: list[Verdict] = []
        for bucket in buckets:
            if bucket.has_token(now_ns):
                bucket.tokens -= 1
                spent.append((bucket, bucket.lease))
                verdicts.append(bucket.allowance(now_ns))
            else:
                waiting.append((bucket, self._wait(bucket)))
        allowed = False
        try:
            await asyncio.wait([future for _, future in waiting])
            verdicts.extend(future.result()[0] for _, future in waiting)
            allowed = all(verdict.allowed for verdict in verdicts)
        finally:
            if not allowed:
                self._give_back(spent, waiting)
        if not allowed:
            _REFUSED.labels(route_class).inc()
        return reduce(tighter, verdicts)

    async def close(self) -> None:
        """End the calls in flight; from now on the local share decides what the leases don't."""
        self._closed = True
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        self._settle_pending_locally()

    def _give_back(
        self,
        spent: list[tuple[LeasedBucket, int]],
        waiting: list[tuple[LeasedBucket, asyncio.Future[Outcome]]],
    ) -> None:
        for bucket, future in waiting:
            if not future.done():
                future.cancel()
            elif future.result()[0].allowed:
                spent.append((bucket, future.result()[1]))
        now_ns = self._clock()
        for bucket, lease in spent:
            bucket.give_back(lease, now_ns)

    def _buckets_of(
        self, route_class: RouteClass, account_id: str | None, address: str
    ) -> list[LeasedBucket]:
        accounts, addresses = self._tables[route_class]
        buckets: list[LeasedBucket] = []
        if accounts is not None and account_id is not None:
            buckets.append(self._bucket(accounts, _account_key(account_id)))
        if addresses is not None:
            id = address_id(address)
            if not (self._exempt_loopback and id == LOOPBACK):
                buckets.append(self._bucket(addresses, id))
        return buckets

    def _bucket(self, table: LeasedTable, id: str) -> LeasedBucket:
        bucket = table.buckets.pop(id, None) or LeasedBucket(table, id)
        table.buckets[id] = bucket
        now_ns = self._clock()
        # Two looks for each bucket that may be new: the table shrinks when it is not in use.
        for _ in range(2):
            oldest = next(iter(table.buckets.values()))
            if oldest is bucket or not (
                oldest.is_idle(now_ns)
                or (len(table.buckets) > self._max_buckets and not oldest.asked)
            ):
                break
            del table.buckets[oldest.id]
        return bucket

    def _wait(self, bucket: LeasedBucket) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        bucket.waiters.append(future)
        self._ask(bucket)
        return future

    def _ask(self, bucket: LeasedBucket) -> None:
        if bucket.asked:
            return
        bucket.asked = True
        self._pending.append(bucket)
        if not self._flush_scheduled:
            # At the end of this turn of the loop: what arrived together goes in one call.
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._closed:
            self._settle_pending_locally()
        while self._pending and len(self._calls) < _CALLS_IN_FLIGHT:
            batch, self._pending = self._pending[:_BATCH], self._pending[_BATCH:]
            call = asyncio.create_task(self._call(batch), name="rate-limit-lease")
            self._calls.add(call)
            call.add_done_callback(self._call_ended)

    def _call_ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled() and (error := call.exception()) is not None:
            log.error("asking RateLimit failed unexpectedly", exc_info=error)
        self._flush()

    async def _call(self, batch: list[LeasedBucket]) -> None:
        now_ns = self._clock()
        if self._outage:
            # Only the requests of this batch wait for the probe; all others stay local meanwhile.
            self._local_until_ns = now_ns + _OUTAGE_RETRY_NS
        requests = [bucket.request(now_ns) for bucket in batch]
        leases: list[Lease] = []
        try:
            async with asyncio.timeout(self._deadline_seconds):
                answer = await self._take(requests)
            if len(answer) != len(batch):
                raise AppError("internal", "RateLimit answered another number of leases")
            leases = answer
        except (AppError, TimeoutError, LineLost) as error:
            self._unreachable(error)
        finally:
            # Whatever happened, also a defect or the end of the gateway: nobody waits for ever.
            if leases:
                self._answered()
                now_ns = self._clock()
                for bucket, lease in zip(batch, leases, strict=True):
                    bucket.settle(lease, now_ns)
                    if bucket.waiters:
                        self._ask(bucket)
            else:
                self._settle_locally(batch)

    def _settle_locally(self, batch: list[LeasedBucket]) -> None:
        now_ns = self._clock()
        for bucket in batch:
            bucket.settle_locally(now_ns)

    def _settle_pending_locally(self) -> None:
        self._pending, pending = [], self._pending
        self._settle_locally(pending)

    def _unreachable(self, error: Exception) -> None:
        _CALLS.labels("failed").inc()
        self._local_until_ns = self._clock() + _OUTAGE_RETRY_NS
        if not self._outage:
            log.warning("RateLimit does not answer, limits by local share: %r", error)
        self._outage = True
        self._settle_pending_locally()

    def _answered(self) -> None:
        _CALLS.labels("answered").inc()
        if self._outage:
            log.info("RateLimit answers again")
        self._outage = False
        self._local_until_ns = 0


@lru_cache(maxsize=65_536)
def address_id(address: str) -> str:
    """The bucket of a client address: IPv4 by itself, IPv6 by its /64, all of loopback together.

    One household or server owns at least a /64, so counting single IPv6 addresses limits nobody.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return _UNREADABLE
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            if parsed.is_loopback:
                return LOOPBACK
            return f"{ipaddress.IPv6Address(int(parsed) >> 64 << 64)}/64"
        parsed = parsed.ipv4_mapped
    return LOOPBACK if parsed.is_loopback else str(parsed)


def _account_key(account_id: str) -> str:
    """`account_id` itself, or a digest: a login name comes from outside and may be long."""
    if len(account_id) <= _ID_CHARACTERS:
        return account_id
    return blake2b(account_id.encode(errors="replace"), digest_size=16).hexdigest()
