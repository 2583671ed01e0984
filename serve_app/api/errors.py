"""Every failure as `application/problem+json` (RFC 9457) with the stable `code` of the contract."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import hdrs, web

from config.errors import AppError

CONTENT_TYPE: Final = "application/problem+json"
_encode: Final = msgspec.json.Encoder().encode

# What each code means, for people; `detail` says what happened this time.
TITLES: Final[dict[str, str]] = {
    "invalid": "The request is not valid",
    "unauthenticated": "An access token is needed",
    "invalid_credentials": "Login or password is wrong",
    "token_expired": "The access token has expired",
    "not_permitted": "You may not do this",
    "suspended": "The account is suspended",
    "not_found": "There is nothing here",
    "method_not_allowed": "This method is not allowed here",
    "conflict": "The request conflicts with what is there",
    "too_large": "The request is too large",
    "unsupported_media_type": "Send application/json",
    "locked": "The thread is locked",
    "rate_limited": "Too many requests",
    "not_supported": "This server is not set up for it",
    "internal": "Something went wrong in the server",
    "overloaded": "The server is busy",
    "unavailable": "A part of the server is not available",
}
# Of a 503 whose cause names no time: what restarts is back within a second or two.
_WAIT_SECONDS: Final = 1.0
_WITH_CHALLENGE: Final = frozenset({"unauthenticated", "token_expired"})


class FieldError(msgspec.Struct, frozen=True):
    path: str
    reason: str


class Problem(msgspec.Struct, frozen=True):
    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] = []


def problem_response(
    error: AppError,
    request_id: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """`status` replaces the code's own where HTTP has a sharper one (431 for long headers)."""
    status = error.status if status is None else status
    problem = Problem(
        type=f"urn:serai:problem:{error.code}",
        title=TITLES[error.code],
        status=status,
        detail=error.detail,
        code=error.code,
        request_id=request_id,
        errors=[FieldError(path, reason) for path, reason in error.errors],
    )
    response = web.Response(
        status=status,
        reason=HTTPStatus(status).phrase,
        body=_encode(problem),
        headers=headers,
        content_type=CONTENT_TYPE,
    )
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    if error.code in _WITH_CHALLENGE:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="serai"'
    wait_seconds = error.retry_after_seconds
    if wait_seconds is None and status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait_seconds = _WAIT_SECONDS
    if wait_seconds is not None:
        response.headers[hdrs.RETRY_AFTER] = str(max(1, math.ceil(wait_seconds)))
    return response
