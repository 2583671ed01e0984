"""Which addresses may be asked for a page. Pure.

An address of an operator's file, and more so one that a page redirects to, may name a machine
inside the operator's network. What is asked is therefore the address that was checked, not the name
once more.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS: Final = {"http": 80, "https": 443}
# RFC 6052: an IPv4 address in the last 32 bits.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_BITS: Final = 0xFFFF_FFFF
_MAX_URL_CHARACTERS: Final = 2_048
_HOST: Final = re.compile(r"[a-z0-9.-]{1,253}|[0-9a-f:.]{2,45}")


class Refused(ValueError):
    """Why an address is not asked."""


class Target(NamedTuple):
    """`path`: with the query, percent-encoded."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """Raises Refused for anything but http and https without credentials."""
    if len(url) > _MAX_URL_CHARACTERS or any(c.isspace() or not c.isprintable() for c in url):
        raise Refused("the address is malformed")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError):
        raise Refused("the address is malformed") from None
    if parts.scheme not in _PORTS:
        raise Refused("the address is neither http nor https")
    if parts.username is not None or parts.password is not None:
        raise Refused("the address holds credentials")
    if _HOST.fullmatch(host) is None:
        raise Refused("the address has no host")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        path += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def choose(target: Target, addresses: Sequence[Address], allowed: Sequence[Network]) -> Address:
    """The one to ask. Raises Refused where any is not public and in none of the `allowed` networks,
    and for other ports than those of the web on a public one."""
    if not addresses:
        raise Refused("the host has no address")
    permitted = [any(address in network for network in allowed) for address in addresses]
    if not all(
        known or is_public(address) for known, address in zip(permitted, addresses, strict=True)
    ):
        raise Refused("the host is not public")
    if target.port not in _PORTS.values() and not all(permitted):
        raise Refused("the port is none of the web")
    return addresses[0]


def is_public(address: Address) -> bool:
    """Also of an IPv4 address inside of an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address.teredo is not None:
            inner = address.teredo[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & _IPV4_BITS)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved)
