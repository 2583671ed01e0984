"""The one error tree: every layer raises it, two adapters map it (HTTP status, protocol codes).

It lives in the lowest layer because storage, ai, actors and serve_app all raise it, and none of the
first three may import the others freely.
"""

from __future__ import annotations

from typing import Final

# code -> HTTP status. The codes are those of the public contract (`code` in problem+json).
HTTP_STATUS: Final[dict[str, int]] = {
    "invalid": 400,
    "unauthenticated": 401,
    "invalid_credentials": 401,
    "token_expired": 401,
    "not_permitted": 403,
    "suspended": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "locked": 423,
    "rate_limited": 429,
    "internal": 500,
    "not_supported": 501,
    "overloaded": 503,
    "unavailable": 503,
}

RETRYABLE: Final = frozenset({"rate_limited", "overloaded", "unavailable"})


class AppError(Exception):
    """A failure with a stable code that a client may see.

    `detail` is one sentence for people; it must never hold a secret or another member's data.
    `errors` are (path, reason) pairs for `invalid`. `retry_after_seconds` is only set where waiting
    helps. Picklable, so that it crosses Ray calls as itself.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: tuple[tuple[str, str], ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        if code not in HTTP_STATUS:
            raise ValueError(f"unknown error code {code!r}")
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> int:
        return HTTP_STATUS[self.code]

    @property
    def retryable(self) -> bool:
        return self.code in RETRYABLE

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.code, self.detail, self.errors, self.retry_after_seconds))

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


def _rebuild(
    code: str, detail: str, errors: tuple[tuple[str, str], ...], retry_after_seconds: float | None
) -> AppError:
    return AppError(code, detail, errors=errors, retry_after_seconds=retry_after_seconds)
