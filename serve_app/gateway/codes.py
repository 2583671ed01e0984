"""Codes of the realtime protocol, and which of them an AppError becomes.

Errors answer one command. Unsubscribe codes end one subscription (from 2500 on the SDK subscribes
again). Disconnect codes end the connection: SDKs reconnect below 3500, and not from 3500 to 3999.
"""

from __future__ import annotations

from typing import Final

from config.errors import AppError


class ReplyError(Exception):
    """The answer to one command; `temporary` makes the SDK try again with backoff."""

    def __init__(self, code: int, message: str, temporary: bool = False) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.temporary = temporary


class Disconnect(Exception):
    """The end of the connection. `reason` < 124 bytes (RFC 6455, 5.5.1: payload of a close)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def internal() -> ReplyError:
    return ReplyError(100, "internal server error", True)


def unknown_channel() -> ReplyError:
    return ReplyError(102, "unknown channel")


def permission_denied() -> ReplyError:
    return ReplyError(103, "permission denied")


def already_subscribed() -> ReplyError:
    return ReplyError(105, "already subscribed")


def limit_exceeded() -> ReplyError:
    return ReplyError(106, "limit exceeded")


def bad_request() -> ReplyError:
    return ReplyError(107, "bad request")


def not_available() -> ReplyError:
    return ReplyError(108, "not available")


def token_expired() -> ReplyError:
    return ReplyError(109, "token expired")


def too_many_requests() -> ReplyError:
    return ReplyError(111, "too many requests", True)


def unrecoverable_position() -> ReplyError:
    return ReplyError(112, "unrecoverable position")


_BY_APP_ERROR: Final = {
    "invalid": bad_request,
    "too_large": bad_request,
    "unauthenticated": permission_denied,
    "not_permitted": permission_denied,
    "suspended": permission_denied,
    "locked": permission_denied,
    "not_found": unknown_channel,
    "token_expired": token_expired,
    "rate_limited": too_many_requests,
}

# Codes that say a member may not read a channel, in contrast to "could not find out".
DENIALS: Final = frozenset(
    code for code, error in _BY_APP_ERROR.items() if error in (permission_denied, unknown_channel)
)


def refused_connection(error: AppError) -> Disconnect | None:
    """The end of a connection that may not follow its own channel; None: nobody could say."""
    if error.code not in DENIALS:
        return None
    return suspended() if error.code == "suspended" else invalid_token()


def reply_error(error: AppError) -> ReplyError:
    return _BY_APP_ERROR.get(error.code, internal)()


UNSUBSCRIBE_DENIED: Final = (2000, "permission denied")
UNSUBSCRIBE_INSUFFICIENT: Final = (2500, "insufficient state")


def shutdown() -> Disconnect:
    return Disconnect(3001, "shutdown")


def server_error() -> Disconnect:
    return Disconnect(3004, "internal server error")


def expired() -> Disconnect:
    return Disconnect(3005, "connection expired")


def slow() -> Disconnect:
    return Disconnect(3008, "slow")


def insufficient_state() -> Disconnect:
    return Disconnect(3010, "insufficient state")


def no_pong() -> Disconnect:
    return Disconnect(3012, "no pong")


def invalid_token() -> Disconnect:
    return Disconnect(3500, "invalid token")


def malformed() -> Disconnect:
    return Disconnect(3501, "bad request")


def stale() -> Disconnect:
    return Disconnect(3502, "stale")


def session_ended() -> Disconnect:
    return Disconnect(3503, "session ended")


def suspended() -> Disconnect:
    return Disconnect(3503, "suspended")


def inappropriate_protocol() -> Disconnect:
    return Disconnect(3506, "inappropriate protocol")
