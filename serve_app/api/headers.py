"""Headers that every answer shares: request id, security, CORS, positions and conditional reads."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from actors.messages import FROM_PRIMARY

REQUEST_ID: Final = "X-Request-Id"
POSITION: Final = "Serai-Position"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"

# The position of whoever sends text that we did not make: newer than every page we hold.
BEYOND: Final = FROM_PRIMARY
_POSITION: Final = re.compile(r"[0-9a-f]{1,16}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Ids of one process differ in the counter, those of two in the random part.
_PROCESS: Final = secrets.token_hex(6)
_COUNTER: Final = itertools.count(1)
_PREFLIGHT_SECONDS: Final = "600"
_ALLOWED: Final = ", ".join(
    (
        hdrs.AUTHORIZATION,
        hdrs.CONTENT_TYPE,
        hdrs.IF_NONE_MATCH,
        IDEMPOTENCY_KEY,
        POSITION,
        REQUEST_ID,
    )
)
_EXPOSED: Final = ", ".join(
    (
        hdrs.ETAG,
        hdrs.CONTENT_DISPOSITION,
        hdrs.RETRY_AFTER,
        "RateLimit-Limit",
        "RateLimit-Remaining",
        "RateLimit-Reset",
        POSITION,
        REQUEST_ID,
    )
)


def request_id_of(request: web.BaseRequest) -> str:
    """The client's own id where it is short and harmless in a log line, else a new one."""
    given = request.headers.get(REQUEST_ID)
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return f"{_PROCESS}-{next(_COUNTER):x}"


def position_text(position: int) -> str:
    return f"{position:x}"


def parse_position(text: str) -> int:
    return min(int(text, 16), BEYOND) if _POSITION.fullmatch(text) else BEYOND


def etag_of(body: bytes) -> str:
    # Processors have instructions for this one: a page of 464 kB takes 0.2 ms, blake2b 0.5.
    return f'"{sha256(body, usedforsecurity=False).hexdigest()[:24]}"'


def is_match(etag: str, if_none_match: str) -> bool:
    """RFC 9110 13.1.2, weak comparison; our tags hold no comma and no quote."""
    return etag in if_none_match or if_none_match.strip() == "*"


class SharedHeaders:
    """Made once per gateway from the settings."""

    draining = False
    """Each answer closes its connection, so that the client's next request goes elsewhere."""

    def __init__(self, cors_origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.rstrip("/") for origin in cors_origins)
        self.base: CIMultiDict[str] = CIMultiDict(
            {
                hdrs.SERVER: "serai",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            }
        )

    def vary(self, *names: str) -> str:
        return ", ".join((*names, hdrs.ORIGIN) if self._origins else names)

    def complete(self, request: web.BaseRequest, response: web.StreamResponse, id: str) -> None:
        """Add what is missing; what a handler has set itself stays."""
        if self.draining and not response.prepared:
            response.force_close()
        headers = response.headers
        for name, value in self.base.items():
            headers.setdefault(name, value)
        headers[REQUEST_ID] = id
        if self._origins:
            if hdrs.VARY not in headers:
                headers[hdrs.VARY] = hdrs.ORIGIN
            self.allow_origin(request.headers.get(hdrs.ORIGIN), headers)

    def allow_origin(self, origin: str | None, headers: CIMultiDict[str]) -> None:
        if origin in self._origins and origin is not None:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    def is_trusted_origin(self, request: web.BaseRequest) -> bool:
        """Whether the request comes from no page at all, from one of ours, or from an allowed one.

        Ours is known by host and port; the scheme is left out, because a proxy that ends TLS need
        not be declared. Behind one that also changes Host, the browser's own word counts.
        """
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or origin in self._origins:
            return True
        if request.headers.get("Sec-Fetch-Site") == "same-origin":
            return True
        _, _, authority = origin.partition("://")
        return authority != "" and authority.lower() == request.host.lower()

    def preflight(self, request: web.BaseRequest, allow: str) -> web.Response:
        """The answer to OPTIONS: what a page of an allowed origin may send, or only `Allow`."""
        response = web.Response(status=204, headers={hdrs.ALLOW: allow})
        origin = request.headers.get(hdrs.ORIGIN)
        if origin in self._origins and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _ALLOWED
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _PREFLIGHT_SECONDS
            response.headers[hdrs.VARY] = (
                f"{hdrs.ORIGIN}, {hdrs.ACCESS_CONTROL_REQUEST_METHOD}, "
                f"{hdrs.ACCESS_CONTROL_REQUEST_HEADERS}"
            )
        return response
