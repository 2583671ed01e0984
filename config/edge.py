"""Settings of the gateways: their HTTP side and the realtime protocol."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from msgspec import Meta

from config.section import (
    Bytes,
    Count,
    Seconds,
    Section,
    Timeout,
    check_origin,
    check_secret,
    check_urls,
)


class Gateway(Section, frozen=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    cors_origins: tuple[str, ...] = ()
    """Other sites whose pages may call this server with its cookie: `https://example.org`."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose X-Forwarded-For and -Proto are believed."""
    max_body_bytes: Bytes = 262_144
    """A body of 40,000 characters fits with every character escaped (6 bytes each)."""
    edge_cache_bytes: Annotated[int, Meta(ge=0, le=1 << 40)] = 64 * 1024 * 1024
    """0 keeps no page."""
    edge_cache_seconds: Seconds = 5.0
    drain_seconds: Seconds = 5.0
    sockets_per_replica: Annotated[int, Meta(ge=1, le=1_000_000)] = 5_000
    """Where `deployments.gateway.max_replicas` is above `replicas`: one more gateway beyond it."""
    scale_up_seconds: Seconds = 10.0
    scale_down_seconds: Seconds = 300.0
    """How long fewer gateways must have been enough before one is drained and taken away."""

    def __post_init__(self) -> None:
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                raise ValueError(f"trusted_proxies: {network!r} is no network (CIDR)") from None
        for origin in self.cors_origins:
            check_origin("cors_origins", origin)


class Realtime(Section, frozen=True):
    """Limits of the realtime protocol (REALTIME_PROTOCOL names the defaults of the field)."""

    max_message_bytes: Bytes = 65_536
    # `community:` and an id take 46.
    max_channel_length: Annotated[int, Meta(ge=46, le=1_024)] = 255
    max_channels: Count = 128
    max_queue_bytes: Bytes = 1_048_576
    max_sockets: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Of each gateway; further ones are answered 503. 0: as many as its limit of open files allows,
    two a socket."""
    max_sockets_per_address: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    """At each gateway; further ones are answered 429. 0: not bounded. As with rate limits by
    address, loopback may be exempt, or all."""
    connect_timeout_seconds: Timeout = 15.0
    # Told to clients in whole seconds, where 0 would mean that no pings come.
    ping_seconds: Annotated[float, Meta(ge=1, le=3_600)] = 25.0
    pong_timeout_seconds: Timeout = 10.0
    refresh_grace_seconds: Seconds = 25.0
    history_limit: Count = 300
    recovery_publications: Count = 1_000
    recovery_bytes: Bytes = 524_288
    token_secret: str = ""
    """HMAC secret of connection and subscription tokens that an application of yours issues; empty:
    none are accepted but Serai's own."""
    token_jwks_url: str = ""
    """Where the public keys of such tokens are (RS, ES, EdDSA)."""
    token_audience: str = ""
    token_issuer: str = ""
    personal_channels: bool = False
    """Every connection with a user is subscribed to `#<user>` of the default namespace."""
    api_key: str = ""
    """Of the server API under /api; empty: there is none."""

    def __post_init__(self) -> None:
        check_urls("token_jwks_url", (self.token_jwks_url,), ("http", "https"))
        for field in ("token_secret", "api_key"):
            check_secret(field, getattr(self, field))
        if self.api_key and self.api_key == self.token_secret:
            raise ValueError("api_key: must differ from token_secret, or one leak would be both")
