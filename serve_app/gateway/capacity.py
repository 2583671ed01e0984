"""How many connections a gateway holds: in all as many as it has descriptors for, and of one
address no more than many people behind one router have.

    handshake ─▶ hold() ─▶ counted until the connection has ended
                   ├─────▶ gateway full ─▶ `overloaded`: 503, another gateway may have room
                   └─────▶ too many of this address ─▶ `rate_limited`: 429
"""

from __future__ import annotations

import logging
import random
import resource
from typing import Final

from prometheus_client import Counter

from config.edge import Realtime
from config.errors import AppError
from config.rate_limits import RateLimitSettings
from serve_app.gateway.rate_limiter import LOOPBACK, address_id

log = logging.getLogger(__name__)

# The connection's own, and the duplicate that direct_send.py writes to.
_DESCRIPTORS_OF_SOCKET: Final = 2
# Of the gateway itself: its libraries, Ray, requests, connections between gateways.
_RESERVE: Final = 500
_MOST_DESCRIPTORS: Final = 1 << 20
_RETRY_SECONDS: Final = (1, 10)

REFUSED: Final = Counter(
    "serai_realtime_capacity_refused_total",
    "Handshakes refused because the gateway is full, or their address has too many connections",
    ["full"],
)


def affordable_sockets() -> int:
    """Raises this process' soft limit of descriptors to the hard one first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = _MOST_DESCRIPTORS
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        except (ValueError, OSError) as error:  # a system may have a further bound, as macOS
            log.warning("the limit of %d descriptors can't be raised: %s", soft, error)
    return max(1, (soft - _RESERVE) // _DESCRIPTORS_OF_SOCKET)


class Held:
    """The place of one connection. A generator would keep half a kilobyte for each."""

    __slots__ = ("_capacity", "_key")

    def __init__(self, capacity: Capacity, key: str) -> None:
        self._capacity = capacity
        self._key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._capacity._let_go(self._key)


class Capacity:
    """Belongs to one event loop. Addresses count as in the rate limiter (IPv6 by its /64): where it
    is off there is no bound of them, and where it exempts loopback none of that."""

    def __init__(self, limits: Realtime, rate_limit: RateLimitSettings) -> None:
        self._asked = limits.max_sockets
        self._most = limits.max_sockets
        self._most_of_address = limits.max_sockets_per_address if rate_limit.enabled else 0
        self._exempt_loopback = rate_limit.exempt_loopback
        self._held = 0
        self._of_address: dict[str, int] = {}

    def start(self) -> None:
        """Settles the bound of the gateway."""
        affordable = affordable_sockets()
        self._most = self._asked or affordable
        if self._most > affordable:
            log.warning(
                "realtime.max_sockets is %d, the limit of descriptors allows %d",
                self._most,
                affordable,
            )

    def hold(self, address: str) -> Held:
        """Counts one connection until the result is left (`with`). Raises AppError `overloaded` or
        `rate_limited`, whose `retry_after_seconds` differ from caller to caller."""
        if self._held >= self._most:
            raise _refusal(
                "gateway", "overloaded", "This gateway has no room for more connections."
            )
        key = address_id(address) if self._most_of_address else ""
        if key == LOOPBACK and self._exempt_loopback:
            key = ""
        if key and self._of_address.get(key, 0) >= self._most_of_address:
            raise _refusal("address", "rate_limited", "Too many connections from your address.")
        self._held += 1
        if key:
            self._of_address[key] = self._of_address.get(key, 0) + 1
        return Held(self, key)

    def _let_go(self, key: str) -> None:
        self._held -= 1
        if key:
            self._of_address[key] -= 1
            if not self._of_address[key]:
                del self._of_address[key]

    def statistics(self) -> dict[str, int]:
        return {"connections_held": self._held, "connections_most": self._most}


def _refusal(full: str, code: str, detail: str) -> AppError:
    REFUSED.labels(full).inc()
    return AppError(code, detail, retry_after_seconds=random.randint(*_RETRY_SECONDS))
