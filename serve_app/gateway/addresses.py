"""Who a connection really comes from: forwarding headers count only from a trusted proxy."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from aiohttp import hdrs, web

log = logging.getLogger(__name__)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# What a request over a Unix socket, through a proxy that nobody declared, or over a connection that
# is already gone, counts as.
UNKNOWN: Final = "0.0.0.0"
_FORWARDED: Final = (hdrs.X_FORWARDED_FOR, hdrs.FORWARDED)


class ClientAddresses:
    """Reads X-Forwarded-For from the right, over trusted proxies, to the first address that is not.

    Everything left of that was written by the client itself and proves nothing. A forwarding header
    on a connection from this machine shows a proxy that nobody declared as trusted: its clients are
    not local, so they count as UNKNOWN together, and none gets what is only for loopback.
    """

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._networks: tuple[_Network, ...] = tuple(
            ipaddress.ip_network(network, strict=False) for network in trusted_proxies
        )
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)
        self._told = False

    def client_address(self, request: web.BaseRequest) -> str:
        peer = request.remote or UNKNOWN
        if not self._networks or not self._is_trusted(peer):
            if _is_loopback(peer) and _is_forwarded(request):
                self._tell()
                return UNKNOWN
            return peer
        hops = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).split(",")
        for hop in reversed(hops):
            address = _parse(hop)
            if address is None:
                break
            peer = str(address)
            if not self._is_trusted(peer):
                break
        return peer

    def is_https(self, request: web.BaseRequest) -> bool:
        """Whether the client's own connection is encrypted, here or at a trusted proxy."""
        if request.scheme == "https":
            return True
        if not self._networks or not self._is_trusted(request.remote or UNKNOWN):
            return False
        forwarded = request.headers.get(hdrs.X_FORWARDED_PROTO, "")
        return forwarded.rpartition(",")[2].strip().lower() == "https"

    def is_operator(self, request: web.BaseRequest) -> bool:
        """A direct connection from loopback or from a trusted network, not a forwarded one."""
        if _is_forwarded(request):
            return False
        address = _parse(request.remote or UNKNOWN)
        return address is not None and (address.is_loopback or self._is_trusted(str(address)))

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            log.warning(
                "requests come through a proxy on this machine that is not declared; all its "
                "clients share one rate limit: set SERAI_GATEWAY__TRUSTED_PROXIES=127.0.0.0/8,::1"
            )

    def _look_up(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def _is_forwarded(request: web.BaseRequest) -> bool:
    return any(name in request.headers for name in _FORWARDED)


@lru_cache(maxsize=4096)
def _is_loopback(text: str) -> bool:
    address = _parse(text)
    return address is not None and address.is_loopback


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, also with a port (`1.2.3.4:5`, `[::1]:5`) as some proxies write it."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
